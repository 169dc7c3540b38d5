//! `headstart predict`: what a trained head says of new photos.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::data::{Found, find_images};
use crate::model::{Classifier, Prediction};
use crate::{Error, Result, visible};
use serde_json::{Value, json};

use crate::cli::args::Predict;
use crate::cli::ending::Ending;
use crate::cli::results::Results;
use crate::cli::screen::{Screen, name, thousands};
use crate::cli::signals;

/// Runs the verb. On stdout: a line an image, with `--json` an object an image, with `--csv` a row
/// an image and class.
pub(crate) fn run(a: &Predict, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let Found { images, warnings, unreadable } = find_images(&a.images)?;
    warnings.iter().for_each(|words| screen.warn(words));
    unreadable.iter().for_each(|error| screen.warn(error));
    let mut builder = Classifier::builder(&a.model).device(super::device(device, screen)?).views(a.views);
    if let Some(policy) = &a.augment {
        builder = builder.augment(policy.parse()?);
    }
    let mut classifier = builder.open(&screen.fetching())?;
    let mut answers = Answers::new(a, screen)?;
    let _kept = answers.kept(images.len());
    for batch in images.chunks(Classifier::BATCH) {
        if !Results.are_heard() {
            break;
        }
        for (path, prediction) in batch.iter().zip(classifier.predict(batch)?) {
            answers.tell(path, &prediction)?;
        }
    }
    answers.tell_odd_names(&images);
    if answers.failed == images.len() {
        return Err(Error::setting("none of the images can be used", "give JPEG, PNG, WebP, BMP, GIF or TIFF files").into());
    }
    Ok(if answers.failed + unreadable.len() == 0 { Ending::Done } else { Ending::Incomplete })
}

/// Says what each image shows, and counts those that cannot be used.
struct Answers<'a> {
    top: usize,
    csv: Option<csv::Writer<Results>>,
    screen: &'a Screen,
    failed: usize,
    told: Arc<AtomicUsize>,
}

impl<'a> Answers<'a> {
    fn new(a: &Predict, screen: &'a Screen) -> anyhow::Result<Answers<'a>> {
        let mut csv = a.csv.then(|| csv::Writer::from_writer(Results));
        if let Some(csv) = &mut csv {
            csv.write_record(["path", "rank", "class", "probability", "error"])?;
        }
        if a.top == 0 {
            return Err(Error::setting("option `top=0` names no class", "leave it out for three").into());
        }
        Ok(Answers { top: a.top, csv, screen, failed: 0, told: Arc::default() })
    }

    /// Words for the answers that a signal leaves.
    fn kept(&self, images: usize) -> signals::Kept {
        let told = self.told.clone();
        signals::kept(move || {
            format!("{} of {} images are answered", thousands(told.load(Ordering::Relaxed) as u64), thousands(images as u64))
        })
    }

    fn tell(&mut self, path: &Path, prediction: &Result<Prediction>) -> anyhow::Result<()> {
        match prediction {
            Ok(prediction) => show(path, &prediction.top(self.top), &mut self.csv, self.screen)?,
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
            self.screen.warn(format_args!("the names of {odd} images are not UTF-8: `�` stands for anything else{exact}"));
        }
    }
}

fn show(path: &Path, ranked: &[(&str, f32)], csv: &mut Option<csv::Writer<Results>>, screen: &Screen) -> anyhow::Result<()> {
    if let Some(csv) = csv {
        for (i, (class, p)) in ranked.iter().enumerate() {
            csv.write_record([name(path).as_str(), &(i + 1).to_string(), class, &p.to_string(), ""])?;
        }
    } else if screen.json {
        let classes: Vec<_> = ranked.iter().map(|(class, p)| json!({ "class": class, "probability": p })).collect();
        screen.object(&object(path, "classes", classes.into()));
    } else {
        let named: Vec<String> = ranked.iter().map(|(class, p)| format!("{class} {:.1}%", 100.0 * p)).collect();
        screen.result(visible(&format!("{}: {}", path.display(), named.join(", "))));
    }
    Ok(())
}

/// An answer for machines. A path that is not UTF-8 has its bytes beside it.
fn object(path: &Path, key: &str, value: Value) -> Value {
    let mut object = json!({ "path": name(path), key: value });
    if path.to_str().is_none() {
        let bytes: String = path.as_os_str().as_encoded_bytes().iter().map(|b| format!("{b:02x}")).collect();
        object["path_bytes"] = bytes.into();
    }
    object
}
