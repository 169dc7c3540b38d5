//! Photos in, class probabilities out: read, decode, base, head.

use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::trained::{TrainedModel, UsedBackbone};
use crate::data::{Digest, Pixels, decode};
use crate::engine::{Batch, Engine};
use crate::heads::{InputFeatures, Predictor};
use crate::preprocess::Policy;
use crate::{Error, Result};

/// How many augmented readings of an image are averaged, and how they are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Views {
    /// Readings of each image, the plain one first; 1 for that alone.
    pub count: u32,
    /// How the others differ from it.
    pub policy: Policy,
    /// Seed of the draws.
    pub seed: u64,
}

impl Views {
    /// The plain reading alone.
    pub const PLAIN: Views = Views { count: 1, policy: Policy::STANDARD, seed: 0 };
}

/// A trained model ready to look at photos.
pub struct Classifier {
    predictor: Predictor,
    readers: Vec<Reader>,
    views: Views,
}

impl Classifier {
    /// Images that are worth giving to [`Classifier::classify`] at once.
    pub const BATCH: usize = 32;

    /// Makes a model ready; engines are built when the first image shows its size.
    pub fn new(model: TrainedModel, views: Views) -> Classifier {
        let readers = model.bases.into_iter().map(|used| Reader { used, engine: None }).collect();
        Classifier { predictor: model.predictor, readers, views }
    }

    /// Class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        self.predictor.classes()
    }

    /// Class probabilities of each image, averaged over the views, or why it cannot be used.
    ///
    /// # Errors
    /// An engine that cannot be built, or fails: nothing to do with a single image.
    pub fn classify(&mut self, images: &[PathBuf]) -> Result<Vec<Result<Vec<f32>>>> {
        let read = |path: &PathBuf| self.readers.iter().map(|reader| reader.open(path)).collect::<Result<Vec<Photo>>>();
        let mut opened: Vec<Result<Vec<Photo>>> = images.par_iter().map(read).collect();
        for (photos, path) in opened.iter_mut().zip(images) {
            let sizes: Vec<[usize; 2]> = photos.as_ref().map_or_else(|_| vec![], |all| all.iter().map(|p| p.size).collect());
            for (reader, size) in self.readers.iter_mut().zip(sizes) {
                if let Err(e) = reader.plan(size)?.check(size, path) {
                    *photos = Err(e);
                }
            }
        }
        let usable: Vec<&Vec<Photo>> = opened.iter().filter_map(|photos| photos.as_ref().ok()).collect();
        let mut means = self.probabilities(&usable)?.into_iter();
        Ok(opened.into_iter().map(|photos| photos.map(|_| means.next().unwrap_or_default())).collect())
    }

    /// Whether an image's features are as many as the head was trained on: of images that are not brought to one size they need not be.
    fn check(&self, parts: &[Vec<f32>]) -> Result<()> {
        let wanted = |input: &InputFeatures| input.shape.iter().product::<usize>();
        match self.predictor.inputs().iter().zip(parts).find(|(input, values)| wanted(input) != values.len()) {
            Some((input, values)) => {
                let problem =
                    format!("tap `{}` has {} features of this image, and the head reads {}", input.tap, values.len(), wanted(input));
                Err(Error::setting(problem, "give images of the size that the head was trained on"))
            }
            None => Ok(()),
        }
    }

    /// Mean probabilities of images that all readers can use.
    fn probabilities(&self, photos: &[&Vec<Photo>]) -> Result<Vec<Vec<f32>>> {
        let count = self.views.count.max(1);
        let mut means = vec![vec![0.0; self.classes().len()]; photos.len()];
        for view in (0..count).filter(|_| !photos.is_empty()) {
            let mut parts = vec![vec![vec![]; self.predictor.inputs().len()]; photos.len()];
            for (r, reader) in self.readers.iter().enumerate() {
                let photos: Vec<&Photo> = photos.iter().map(|all| &all[r]).collect();
                reader.features(&photos, &self.views, view, &mut parts)?;
            }
            for (mean, parts) in means.iter_mut().zip(parts) {
                self.check(&parts)?;
                let p = self.predictor.probabilities(parts.concat())?;
                mean.iter_mut().zip(p).for_each(|(mean, p)| *mean += p / count as f32);
            }
        }
        Ok(means)
    }
}

/// An image as decoded, with the digest that its views are drawn from.
struct Photo {
    pixels: Pixels,
    digest: Digest,
    /// Rows and columns that the network gets to see.
    size: [usize; 2],
}

/// A base with its engine.
struct Reader {
    used: UsedBackbone,
    engine: Option<Planned>,
}

/// An engine and the input size that it is planned for.
struct Planned {
    engine: Box<dyn Engine>,
    size: [usize; 2],
}

impl Planned {
    /// All images must have the size of the first one.
    fn check(&self, size: [usize; 2], path: &Path) -> Result<()> {
        let [h, w] = self.size;
        if size == self.size {
            return Ok(());
        }
        let reason = format!("is {}×{} where the first image is {w}×{h}, and nothing is resized", size[1], size[0]);
        Err(Error::Image { path: path.display().to_string(), reason })
    }
}

impl Reader {
    fn open(&self, path: &Path) -> Result<Photo> {
        // A pipe would be waited for.
        if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
            return Err(Error::Image { path: path.display().to_string(), reason: "is not a file".into() });
        }
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let pixels = decode(&bytes, &path.display().to_string(), self.used.orientation)?;
        let size = self.used.base.preprocess().output_size([pixels.height, pixels.width]);
        Ok(Photo { pixels, digest: Digest::of(&bytes), size })
    }

    /// The engine, built for the first image's size.
    fn plan(&mut self, size: [usize; 2]) -> Result<&Planned> {
        let planned = match self.engine.take() {
            Some(planned) => planned,
            None => Planned { engine: self.used.base.engine(&self.used.taps, Classifier::BATCH, size)?, size },
        };
        Ok(self.engine.insert(planned))
    }

    /// Features of one view of each photo, put where the head's inputs want them: `parts[photo][input]`.
    fn features(&self, photos: &[&Photo], views: &Views, view: u32, parts: &mut [Vec<Vec<f32>>]) -> Result<()> {
        let Some(Planned { engine, size }) = &self.engine else { return Ok(()) };
        let preprocess = self.used.base.preprocess();
        let normalise = preprocess.normalise();
        let seen = |photo: &&Photo| {
            let mut rgb = vec![];
            preprocess.apply_view(&photo.pixels, &views.policy.view(views.seed, &photo.digest, view), &mut rgb);
            rgb
        };
        let rgb: Vec<Vec<u8>> = photos.par_iter().map(seen).collect();
        for (rgb, parts) in rgb.chunks(Classifier::BATCH).zip(parts.chunks_mut(Classifier::BATCH)) {
            let batch = Batch::Pixels { images: rgb.len(), size: *size, rgb: &rgb.concat(), normalise: &normalise };
            for (&input, values) in self.used.inputs.iter().zip(&engine.run(batch)?) {
                let rows = values.chunks_exact((values.len() / rgb.len()).max(1));
                parts.iter_mut().zip(rows).for_each(|(parts, row)| parts[input] = row.to_vec());
            }
        }
        Ok(())
    }
}
