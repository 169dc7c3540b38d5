//! `headstart predict`: what a trained head says of new photos.

use std::io;
use std::path::{Path, PathBuf};

use headstart::model::{Classifier, TrainedModel, Views};
use headstart::preprocess::Policy;
use headstart::{Error, Result};
use serde_json::json;

use crate::cli::Ending;
use crate::cli::args::Predict;
use crate::cli::screen::Screen;

/// Runs the verb. On stdout: a line an image, with `--json` an object an image, with `--csv` a row an image and class.
pub fn run(a: &Predict, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let images = list(&a.images)?;
    let model = TrainedModel::open(&a.model, super::device(device, screen)?, &screen.fetching())?;
    let views = views(a, &model)?;
    let mut classifier = Classifier::new(model, views);
    let mut answers = Answers::new(a, classifier.classes().to_vec(), screen)?;
    for batch in images.chunks(Classifier::BATCH) {
        for (path, probabilities) in batch.iter().zip(classifier.classify(batch)?) {
            answers.tell(path, &probabilities)?;
        }
    }
    if answers.failed == images.len() {
        return Err(Error::setting("none of the images can be used", "give JPEG, PNG, WebP, BMP, GIF or TIFF files").into());
    }
    Ok(if answers.failed == 0 { Ending::Done } else { Ending::Incomplete })
}

/// Views as asked for; where nothing is said of their policy, as in the features that the head was trained on.
fn views(a: &Predict, model: &TrainedModel) -> Result<Views> {
    let key = model.bases.first().map(|used| &used.key);
    let trained = key.map_or("none", |key| key.augment.as_str());
    let policy: Policy = a.augment.as_deref().unwrap_or(trained).parse()?;
    let policy = if a.augment.is_none() && policy == Policy::default() { Policy::STANDARD } else { policy };
    Ok(Views { count: a.views, policy, seed: key.map_or(0, |key| key.seed) })
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

/// Says what each image shows, and counts those that cannot be used.
struct Answers<'a> {
    classes: Vec<String>,
    top: usize,
    csv: Option<csv::Writer<io::Stdout>>,
    screen: &'a Screen,
    failed: usize,
}

impl<'a> Answers<'a> {
    fn new(a: &Predict, classes: Vec<String>, screen: &'a Screen) -> anyhow::Result<Answers<'a>> {
        let mut csv = a.csv.then(|| csv::Writer::from_writer(io::stdout()));
        if let Some(csv) = &mut csv {
            csv.write_record(["path", "rank", "class", "probability", "error"])?;
        }
        Ok(Answers { classes, top: a.top.max(1), csv, screen, failed: 0 })
    }

    fn tell(&mut self, path: &Path, probabilities: &Result<Vec<f32>>) -> anyhow::Result<()> {
        match probabilities {
            Ok(p) => {
                let mut ranked: Vec<(f32, &String)> = p.iter().copied().zip(&self.classes).collect();
                ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
                ranked.truncate(self.top);
                show(path, &ranked, &mut self.csv, self.screen)
            }
            Err(e) => {
                self.failed += 1;
                self.screen.warn(e);
                if let Some(csv) = &mut self.csv {
                    csv.write_record([path.display().to_string().as_str(), "", "", "", &e.to_string()])?;
                } else if self.screen.json {
                    self.screen.object(&json!({ "path": path, "error": e.to_string() }));
                }
                Ok(())
            }
        }
    }
}

fn show(path: &Path, ranked: &[(f32, &String)], csv: &mut Option<csv::Writer<io::Stdout>>, screen: &Screen) -> anyhow::Result<()> {
    if let Some(csv) = csv {
        for (i, (p, class)) in ranked.iter().enumerate() {
            let (path, rank, p) = (path.display().to_string(), (i + 1).to_string(), p.to_string());
            csv.write_record([path.as_str(), &rank, class.as_str(), &p, ""])?;
        }
        return Ok(csv.flush()?);
    }
    if screen.json {
        let classes: Vec<_> = ranked.iter().map(|(p, class)| json!({ "class": class, "probability": p })).collect();
        screen.object(&json!({ "path": path, "classes": classes }));
    } else {
        let named: Vec<String> = ranked.iter().map(|(p, class)| format!("{class} {:.1}%", 100.0 * p)).collect();
        screen.result(format_args!("{}: {}", path.display(), named.join(", ")));
    }
    Ok(())
}
