//! `headstart predict`: what a trained head says of new photos.

use std::fs;
use std::path::{Path, PathBuf};

use headstart::base::Base;
use headstart::data::{Orientation, Pixels, decode};
use headstart::engine::{Batch, DeviceChoice, Engine};
use headstart::heads::{InputFeatures, Predictor};
use headstart::weights::Fetching;
use headstart::{Error, Result};
use rayon::prelude::*;
use serde_json::json;

use crate::cli::Ending;
use crate::cli::args::Predict;
use crate::cli::screen::Screen;

/// Images a batch.
const BATCH: usize = 32;

/// Runs the verb. On stdout: a line an image, or with `--json` an object an image.
pub fn run(a: &Predict, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let predictor = Predictor::load(&a.model)?;
    let images = list(&a.images)?;
    let mut readers = readers(predictor.inputs(), device.parse()?, &screen.fetching())?;
    let mut failed = 0;
    for batch in images.chunks(BATCH) {
        let mut rows = Rows::new(batch, predictor.inputs().len());
        for reader in &mut readers {
            reader.read(batch, &mut rows)?;
        }
        for (path, features) in batch.iter().zip(rows.0) {
            match features {
                Ok(parts) => tell(path, &predictor.probabilities(parts.concat())?, predictor.classes(), a.top, screen),
                Err(e) => {
                    failed += 1;
                    screen.warn(e);
                }
            }
        }
    }
    if failed == images.len() {
        return Err(Error::setting("none of the images can be used", "give JPEG, PNG, WebP, BMP, GIF or TIFF files").into());
    }
    Ok(if failed == 0 { Ending::Done } else { Ending::Incomplete })
}

/// Files as named, and all files in folders, sorted; hidden ones only where named.
fn list(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for path in named {
        if !path.exists() {
            return Err(Error::data(path, "is not there", "name image files, or folders of them"));
        }
        let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !e.file_name().to_string_lossy().starts_with('.');
        let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().filter_entry(visible);
        files.extend(walk.flatten().filter(|e| e.file_type().is_file() || e.path_is_symlink()).map(walkdir::DirEntry::into_path));
    }
    files.retain(|f| f.is_file());
    match files.first() {
        Some(_) => Ok(files),
        None => Err(Error::data(&named[0], "holds no file", "name image files, or folders of them")),
    }
}

/// For each image of a batch the features of each of the head's inputs, or why it cannot be used.
struct Rows(Vec<Result<Vec<Vec<f32>>>>);

impl Rows {
    fn new(batch: &[PathBuf], inputs: usize) -> Rows {
        Rows(batch.iter().map(|_| Ok(vec![vec![]; inputs])).collect())
    }
}

/// One base and the head's inputs that it makes.
struct Reader {
    base: Base,
    orientation: Orientation,
    taps: Vec<String>,
    /// Which of the head's inputs each tap is.
    inputs: Vec<usize>,
    /// The engine and the size it is planned for.
    engine: Option<(Box<dyn Engine>, [usize; 2])>,
}

fn readers(inputs: &[InputFeatures], device: DeviceChoice, tell: &dyn Fn(Fetching)) -> Result<Vec<Reader>> {
    let mut readers: Vec<(&str, Reader)> = vec![];
    for (i, input) in inputs.iter().enumerate() {
        if let Some((_, reader)) = readers.iter_mut().find(|(digest, _)| *digest == input.key_digest) {
            reader.taps.push(input.tap.clone());
            reader.inputs.push(i);
            continue;
        }
        let key = input.key.as_ref().ok_or_else(|| {
            Error::setting("this head was trained on features that came from no cache", "train it on a cache: `headstart sweep CACHE`")
        })?;
        let (base, orientation) = Base::of_key(key, &input.weights, device, tell)?;
        let reader = Reader { base, orientation, taps: vec![input.tap.clone()], inputs: vec![i], engine: None };
        readers.push((&input.key_digest, reader));
    }
    Ok(readers.into_iter().map(|(_, reader)| reader).collect())
}

impl Reader {
    /// Adds this base's features to every image of the batch that can be used.
    fn read(&mut self, batch: &[PathBuf], rows: &mut Rows) -> Result<()> {
        let decoded: Vec<Result<Pixels>> = batch.par_iter().map(|path| self.pixels(path)).collect();
        let mut usable = vec![];
        let mut rgb = vec![];
        for (i, pixels) in decoded.into_iter().enumerate() {
            let fits = pixels.and_then(|p| self.plan([p.height, p.width], &batch[i]).map(|()| p));
            match fits {
                Ok(pixels) if rows.0[i].is_ok() => {
                    usable.push(i);
                    rgb.extend(pixels.rgb);
                }
                Ok(_) => {}
                Err(e) => rows.0[i] = Err(e),
            }
        }
        let Some((engine, size)) = self.engine.as_ref().filter(|_| !usable.is_empty()) else { return Ok(()) };
        let normalise = self.base.preprocess().normalise();
        let taps = engine.run(Batch::Pixels { images: usable.len(), size: *size, rgb: &rgb, normalise: &normalise })?;
        for (&input, values) in self.inputs.iter().zip(&taps) {
            let dim = values.len() / usable.len();
            for (&image, features) in usable.iter().zip(values.chunks_exact(dim)) {
                if let Ok(parts) = &mut rows.0[image] {
                    parts[input] = features.to_vec();
                }
            }
        }
        Ok(())
    }

    /// The image as the network wants to see it.
    fn pixels(&self, path: &Path) -> Result<Pixels> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let image = decode(&bytes, &path.display().to_string(), self.orientation)?;
        let [height, width] = self.base.preprocess().output_size([image.height, image.width]);
        let mut rgb = vec![];
        self.base.preprocess().apply(&image, &mut rgb);
        Ok(Pixels { width, height, rgb })
    }

    /// Builds the engine for the first image's size; all others must have it too.
    fn plan(&mut self, size: [usize; 2], path: &Path) -> Result<()> {
        match &self.engine {
            Some((_, planned)) if *planned == size => Ok(()),
            Some((_, [h, w])) => {
                let reason = format!("is {}×{} where the first image is {w}×{h}, and nothing is resized", size[1], size[0]);
                Err(Error::Image { path: path.display().to_string(), reason })
            }
            None => {
                self.engine = Some((self.base.engine(&self.taps, BATCH, size)?, size));
                Ok(())
            }
        }
    }
}

fn tell(path: &Path, probabilities: &[f32], classes: &[String], top: usize, screen: &Screen) {
    let mut ranked: Vec<(f32, &String)> = probabilities.iter().copied().zip(classes).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.truncate(top.max(1));
    if screen.json {
        let classes: Vec<_> = ranked.iter().map(|(p, class)| json!({ "class": class, "probability": p })).collect();
        return screen.object(&json!({ "path": path, "classes": classes }));
    }
    let named: Vec<String> = ranked.iter().map(|(p, class)| format!("{class} {:.1}%", 100.0 * p)).collect();
    screen.result(format_args!("{}: {}", path.display(), named.join(", ")));
}
