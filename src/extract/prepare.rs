//! One image: from its file's bytes to the pixels of every view that is wanted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::ExtractionJob;
use crate::data::{Digest, ImageSource, Orientation, Turn, decode, is_deep_gray, is_of_the_system, patiently, recorded_turn};
use crate::preprocess::{Policy, PreprocessSpec};
use crate::{Error, Result};

/// What preparing an image needs; shared by all threads.
pub(super) struct Preparation<'a> {
    pub source: &'a dyn ImageSource,
    orientation: Orientation,
    spec: &'a PreprocessSpec,
    policy: &'a Policy,
    seed: u64,
    input: [usize; 2],
    views: &'a [u32],
    /// Images that ask to be turned and are not.
    unturned: AtomicUsize,
    /// Images of gray that was cut off at 255.
    cut_off: AtomicUsize,
}

/// An image without features.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Skip {
    /// It will never have any.
    Broken(String),
    /// Its file went away since it was listed.
    Gone(String),
    /// Its file holds another image than the one that it has features of.
    Changed,
    /// The system could not read it: another time it may.
    Unreadable(String),
}

/// Pixels of each view.
pub(super) type Views = Result<Vec<Vec<u8>>, Skip>;

impl<'a> Preparation<'a> {
    pub(super) fn new(job: &ExtractionJob<'a>, views: &'a [u32]) -> Preparation<'a> {
        let ExtractionJob { source, orientation, preprocess: spec, policy, input, .. } = *job;
        Preparation {
            source,
            orientation,
            spec,
            policy,
            seed: job.key.seed,
            input,
            views,
            unturned: AtomicUsize::new(0),
            cut_off: AtomicUsize::new(0),
        }
    }

    /// How many images asked to be turned and were not.
    pub(super) fn unturned(&self) -> usize {
        self.unturned.load(Ordering::Relaxed)
    }

    /// How many images were gray of more than eight bits, cut off at 255.
    pub(super) fn cut_off(&self) -> usize {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Reads the file.
    pub(super) fn read(&self, uri: &str) -> Result<Vec<u8>, Skip> {
        let skip = |e: Error| if is_of_the_system(&e) { Skip::Unreadable(reason(&e)) } else { Skip::Gone(reason(&e)) };
        patiently(|| self.source.read(uri)).map_err(skip)
    }

    /// Decodes it and makes the pixels of each view, `[height, width, 3]`. Where the bytes are not
    /// those that were digested, they are refused, unless the row `is_new`: then they are the image
    /// that it gets, and their digest comes with them, as where nothing was digested yet.
    pub(super) fn views(&self, uri: &str, digest: Option<Digest>, is_new: bool, bytes: &[u8]) -> (Views, Option<Digest>) {
        let found = Digest::of(bytes);
        if digest != Some(found) && !is_new {
            return (Err(Skip::Changed), None);
        }
        let make = AssertUnwindSafe(|| self.decoded(uri, &found, bytes));
        let views = catch_unwind(make).unwrap_or_else(|_| Err(Skip::Broken("resizing it failed: please report this image".into())));
        (views, (digest != Some(found)).then_some(found))
    }

    fn decoded(&self, uri: &str, digest: &Digest, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Skip> {
        let broken = |e| Skip::Broken(reason(&e));
        let pixels = decode(bytes, &self.source.locate(uri), self.orientation).map_err(broken)?;
        if self.orientation == Orientation::AsStored && recorded_turn(bytes) != Turn::NoTransforms {
            self.unturned.fetch_add(1, Ordering::Relaxed);
        }
        if is_deep_gray(bytes) {
            self.cut_off.fetch_add(1, Ordering::Relaxed);
        }
        let [height, width] = self.spec.output_size([pixels.height, pixels.width]);
        if [height, width] != self.input {
            let [h, w] = self.input;
            let problem = format!(
                "it is {width}×{height} after preprocessing and the network takes {w}×{h}: resize it (option `size`, or option `preprocess=resize=…`)"
            );
            return Err(Skip::Broken(problem));
        }
        let view = |&number: &u32| {
            let mut rgb = Vec::with_capacity(height * width * 3);
            self.spec.apply_view(&pixels, &self.policy.view(self.seed, digest, number), &mut rgb);
            rgb
        };
        Ok(self.views.iter().map(view).collect())
    }
}

/// An error's reason without the path, which stands beside it.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::Image { reason, .. } => reason.clone(),
        Error::Io { action, source, .. } => format!("cannot {action} it: {source}"),
        other => other.to_string(),
    }
}
