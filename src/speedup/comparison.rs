//! A comparison as a program asks for it: data, backbone and head put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::job::{ComparisonJob, DEFAULT, Observer};
use super::outcome::Speedup;
use super::run::run;
use crate::engine::{self, DeviceChoice};
use crate::extraction::{Extraction, ExtractionBuilder};
use crate::heads::{Trainer, trainer};
use crate::sweep::SweepConfig;
use crate::{Error, Result};

/// A [`Comparison`] in the making.
pub struct ComparisonBuilder<'a> {
    extraction: ExtractionBuilder<'a>,
    config: Option<SweepConfig>,
    full: bool,
    out: Option<PathBuf>,
    device: DeviceChoice,
    start: Instant,
}

impl<'a> ComparisonBuilder<'a> {
    /// The head: a sweep of one trial
    /// [default: Dense 256, dropout 0.5, RMSprop 2e-5, batches of 20, 30 epochs].
    #[must_use]
    pub fn config(self, config: SweepConfig) -> Self {
        ComparisonBuilder { config: Some(config), ..self }
    }

    /// Whether all epochs are run with the base in the loop, not two that are scaled.
    #[must_use]
    pub fn full(self, full: bool) -> Self {
        ComparisonBuilder { full, ..self }
    }

    /// The folder of the comparison [default: `speedups/DATASET-BACKBONE`].
    #[must_use]
    pub fn out(self, folder: impl Into<PathBuf>) -> Self {
        ComparisonBuilder { out: Some(folder.into()), ..self }
    }

    /// The device that trains the head.
    #[must_use]
    pub fn device(self, device: DeviceChoice) -> Self {
        ComparisonBuilder { device, ..self }
    }

    /// When work began: opening the backbone counts for both ways [default: now].
    #[must_use]
    pub fn since(self, start: Instant) -> Self {
        ComparisonBuilder { start, ..self }
    }

    /// Lists, digests and splits the images, and leaves those of test out.
    ///
    /// # Errors
    /// As [`ExtractionBuilder::prepare`]; a device that is not there.
    pub fn prepare(self, observer: &mut dyn Observer) -> Result<Comparison<'a>> {
        let ComparisonBuilder { extraction, config, full, out, device, start } = self;
        let config = config.map_or_else(|| SweepConfig::parse(DEFAULT, Path::new("the built-in head")), Ok)?;
        let default = || Ok(Path::new("speedups").join(format!("{}-{}", extraction.data_name()?, extraction.backbone().info().name)));
        let out = out.map_or_else(default, Ok::<_, Error>)?;
        let extraction = extraction.cache(out.join("cache")).prepare_comparison(observer)?;
        let trainer = trainer(&engine::device(&device)?);
        Ok(Comparison { extraction, config, trainer, out, full, prepared: start.elapsed().as_secs_f64() })
    }
}

/// The same head with the base in the loop of every epoch and on cached features, about to be
/// timed.
///
/// ```no_run
/// use headstart::speedup::Comparison;
/// use headstart::{Backbone, Extraction};
///
/// let backbone = Backbone::open("vgg16")?;
/// let comparison = Comparison::builder(Extraction::builder("photos", &backbone)).prepare(&mut ())?;
/// for sentence in comparison.run(&mut ())?.sentences() {
///     println!("{sentence}");
/// }
/// # Ok::<(), headstart::Error>(())
/// ```
pub struct Comparison<'a> {
    extraction: Extraction<'a>,
    config: SweepConfig,
    trainer: Arc<dyn Trainer>,
    out: PathBuf,
    full: bool,
    prepared: f64,
}

impl<'a> Comparison<'a> {
    /// A comparison on the images of an extraction of one tap; its cache lies in the comparison's
    /// own folder.
    pub fn builder(extraction: ExtractionBuilder<'a>) -> ComparisonBuilder<'a> {
        ComparisonBuilder { extraction, config: None, full: false, out: None, device: DeviceChoice::Auto, start: Instant::now() }
    }

    /// The images and the backbone.
    pub fn extraction(&self) -> &Extraction<'a> {
        &self.extraction
    }

    /// The folder of the comparison.
    pub fn folder(&self) -> &Path {
        &self.out
    }

    /// Times what was not timed by an earlier run, and writes the comparison's files.
    ///
    /// # Errors
    /// Settings that make more than one head; a folder that holds something else; images that
    /// changed meanwhile; an engine's, a trainer's or the system's own failure. What was timed
    /// before is kept.
    pub fn run(&self, observer: &mut dyn Observer) -> Result<Speedup> {
        let Comparison { config, trainer, out, full, prepared, .. } = self;
        let (full, prepared) = (*full, *prepared);
        let found = self
            .extraction
            .with_job(|job| run(&ComparisonJob { job, config, trainer: trainer.as_ref(), out, full, prepared }, observer))?;
        self.extraction.remember_place()?;
        Ok(found)
    }
}
