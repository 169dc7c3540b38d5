//! `headstart predict`: what a trained head says of new photos.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::images_below;
use crate::model::{Classifier, TrainedModel, Views};
use crate::preprocess::Policy;
use crate::{Error, Result, visible};
use serde_json::{Value, json};

use crate::cli::Ending;
use crate::cli::args::Predict;
use crate::cli::results::Results;
use crate::cli::screen::{Screen, name, thousands};
use crate::cli::signals;

/// Runs the verb. On stdout: a line an image, with `--json` an object an image, with `--csv` a row an image and class.
pub fn run(a: &Predict, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let Listed { images, unread } = list(&a.images, screen)?;
    let model = TrainedModel::open(&a.model, super::device(device, screen)?, &screen.fetching())?;
    let views = views(a, &model)?;
    let mut classifier = Classifier::new(model, views);
    let mut answers = Answers::new(a, classifier.classes().to_vec(), screen)?;
    let _kept = answers.kept(images.len());
    for batch in images.chunks(Classifier::BATCH) {
        if !Results.are_heard() {
            break;
        }
        for (path, probabilities) in batch.iter().zip(classifier.classify(batch)?) {
            answers.tell(path, &probabilities)?;
        }
    }
    answers.tell_odd_names(&images);
    if answers.failed == images.len() {
        return Err(Error::setting("none of the images can be used", "give JPEG, PNG, WebP, BMP, GIF or TIFF files").into());
    }
    Ok(if answers.failed + unread == 0 { Ending::Done } else { Ending::Incomplete })
}

/// Views as asked for; where nothing is said of their policy, as in the features that the head was trained on.
fn views(a: &Predict, model: &TrainedModel) -> Result<Views> {
    let key = model.bases.first().map(|used| &used.key);
    let trained = key.map_or("none", |key| key.augment.as_str());
    let policy: Policy = a.augment.as_deref().unwrap_or(trained).parse()?;
    let policy = if a.augment.is_none() && policy == Policy::default() { Policy::STANDARD } else { policy };
    Ok(Views { count: a.views, policy, seed: key.map_or(0, |key| key.seed) })
}

/// What there is to answer for.
struct Listed {
    images: Vec<PathBuf>,
    /// Files and folders that the system refuses to read: named, and the others are answered.
    unread: usize,
}

/// Files as named, and all images in folders, sorted; hidden ones only where named.
fn list(named: &[PathBuf], screen: &Screen) -> Result<Listed> {
    let (mut images, mut unreadable) = (vec![], vec![]);
    for path in named {
        let about = path.metadata().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::data(path, "is not there", "name image files, or folders of them"),
            _ => Error::io("read", path)(e),
        })?;
        if !about.is_dir() {
            images.push(path.clone());
            continue;
        }
        let below = images_below(path);
        below.warnings.iter().for_each(|words| screen.warn(words));
        unreadable.extend(below.unreadable);
        images.extend(below.images);
    }
    if !images.is_empty() {
        unreadable.iter().for_each(|error| screen.warn(error));
        return Ok(Listed { images, unread: unreadable.len() });
    }
    Err(unreadable.into_iter().next().unwrap_or_else(|| Error::data(&named[0], "holds no image", "name image files, or folders of them")))
}

/// Says what each image shows, and counts those that cannot be used.
struct Answers<'a> {
    classes: Vec<String>,
    top: usize,
    csv: Option<csv::Writer<Results>>,
    screen: &'a Screen,
    failed: usize,
    told: Arc<AtomicUsize>,
}

impl<'a> Answers<'a> {
    fn new(a: &Predict, classes: Vec<String>, screen: &'a Screen) -> anyhow::Result<Answers<'a>> {
        let mut csv = a.csv.then(|| csv::Writer::from_writer(Results));
        if let Some(csv) = &mut csv {
            csv.write_record(["path", "rank", "class", "probability", "error"])?;
        }
        Ok(Answers { classes, top: a.top.max(1), csv, screen, failed: 0, told: Arc::default() })
    }

    /// What a signal leaves of so many answers.
    fn kept(&self, images: usize) -> signals::Kept {
        let told = self.told.clone();
        signals::kept(move || {
            format!("{} of {} images are answered", thousands(told.load(Ordering::Relaxed) as u64), thousands(images as u64))
        })
    }

    fn tell(&mut self, path: &Path, probabilities: &Result<Vec<f32>>) -> anyhow::Result<()> {
        match probabilities {
            Ok(p) => {
                let mut ranked: Vec<(f32, &str)> = p.iter().copied().zip(self.classes.iter().map(String::as_str)).collect();
                ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
                ranked.truncate(self.top);
                show(path, &ranked, &mut self.csv, self.screen)?;
            }
            Err(e) => {
                self.failed += 1;
                self.screen.warn(e);
                if let Some(csv) = &mut self.csv {
                    csv.write_record([name(path).as_str(), "", "", "", &e.to_string()])?;
                } else if self.screen.json {
                    self.screen.object(&object(path, "error", json!(e.to_string())));
                }
            }
        }
        if let Some(csv) = &mut self.csv {
            csv.flush()?;
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// JSON and CSV hold UTF-8 only.
    fn tell_odd_names(&self, images: &[PathBuf]) {
        let odd = images.iter().filter(|path| path.to_str().is_none()).count();
        if odd > 0 && (self.screen.json || self.csv.is_some()) {
            let exact = if self.screen.json { "; their `path_bytes` are exact, in hexadecimal" } else { "" };
            self.screen.warn(format_args!("the names of {odd} images are no UTF-8: `�` stands for what is not{exact}"));
        }
    }
}

fn show(path: &Path, ranked: &[(f32, &str)], csv: &mut Option<csv::Writer<Results>>, screen: &Screen) -> anyhow::Result<()> {
    if let Some(csv) = csv {
        for (i, (p, class)) in ranked.iter().enumerate() {
            csv.write_record([name(path).as_str(), &(i + 1).to_string(), class, &p.to_string(), ""])?;
        }
    } else if screen.json {
        let classes: Vec<_> = ranked.iter().map(|(p, class)| json!({ "class": class, "probability": p })).collect();
        screen.object(&object(path, "classes", classes.into()));
    } else {
        let named: Vec<String> = ranked.iter().map(|(p, class)| format!("{class} {:.1}%", 100.0 * p)).collect();
        screen.result(visible(&format!("{}: {}", path.display(), named.join(", "))));
    }
    Ok(())
}

/// An answer for machines. Where the path is no UTF-8, its bytes are there, too.
fn object(path: &Path, key: &str, value: Value) -> Value {
    let mut object = json!({ "path": name(path), key: value });
    if path.to_str().is_none() {
        let bytes: String = path.as_os_str().as_encoded_bytes().iter().map(|b| format!("{b:02x}")).collect();
        object["path_bytes"] = bytes.into();
    }
    object
}
