//! A sweep from caches to its report: caches opened, the sweep file read, heads trained and
//! compared, everything written that people look at.
//!
//! `sweep` below knows nothing of backbones and of pages.
//!
//! The whole way, on random weights and on images made on the spot:
//!
//! ```
//! use headstart::data::{LabelledImages, Pixels, Split};
//! use headstart::extraction::Data;
//! use headstart::{Backbone, BackboneSettings, Classifier, Extraction, Sweep};
//!
//! let folder = tempfile::tempdir().unwrap();
//! let shade = |i: usize| Pixels::new(8, 8, vec![(i * 20) as u8; 8 * 8 * 3]);
//! let mut images = LabelledImages::default();
//! for i in 0..12 {
//!     let split = if i % 3 == 0 { Split::Val } else { Split::Train };
//!     images.add(format!("{i}"), if i < 6 { "dark" } else { "light" }, Some(split), shade(i)?)?;
//! }
//! let settings = BackboneSettings { weights: Some("random:1".into()), size: Some(33), ..BackboneSettings::from("squeezenet1_1") };
//! let backbone = Backbone::open(settings)?;
//! let extraction = Extraction::builder(Data::images(&images), &backbone).cache(folder.path().join("cache")).name("shades").prepare(&mut ())?;
//! extraction.run(&mut ())?;
//! let sweep = Sweep::builder([extraction.folder()]).set("head=ridge").set("alpha=1,10").out(folder.path().join("sweep"));
//! let outcome = sweep.run(&())?;
//! assert_eq!(outcome.leaderboard.len(), 2);
//! let mut classifier = Classifier::open(&outcome.folder)?;
//! let prediction = classifier.predict([shade(0)?])?.remove(0)?;
//! assert_eq!(prediction.top(2).len(), 2);
//! # Ok::<(), headstart::Error>(())
//! ```

use std::path::{Path, PathBuf};

use crate::engine::{self, DeviceChoice};
use crate::heads::trainer;
use crate::model::backbone_classifier;
#[cfg(feature = "report")]
use crate::report;
use crate::sweep::{self, DEFAULT, Observer, SweepConfig, SweepJob, SweepOutcome, open_all};
use crate::{Error, Result, store};

/// A [`Sweep`] in the making.
pub struct SweepBuilder {
    caches: Vec<PathBuf>,
    config: Option<SweepConfig>,
    settings: Vec<String>,
    out: Option<PathBuf>,
    device: DeviceChoice,
    command: Vec<String>,
}

impl SweepBuilder {
    /// The trials, in the words of a sweep file
    /// [default: a small grid of linear and dense heads].
    #[must_use]
    pub fn config(self, config: SweepConfig) -> Self {
        SweepBuilder { config: Some(config), ..self }
    }

    /// A setting such as `lr=0.1,0.01`, above those of the config.
    #[must_use]
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Directory of the sweep [default: `sweeps/DATASET`]. This very sweep is resumed there;
    /// another one that is there moves into its folder `earlier`.
    #[must_use]
    pub fn out(self, folder: impl Into<PathBuf>) -> Self {
        SweepBuilder { out: Some(folder.into()), ..self }
    }

    /// The device that trains the heads [default: on the GPU where there is one, else on the CPU].
    #[must_use]
    pub fn device(self, device: DeviceChoice) -> Self {
        SweepBuilder { device, ..self }
    }

    /// The command line that the report shows as the sweep's own [default: none].
    #[must_use]
    pub fn command(self, words: Vec<String>) -> Self {
        SweepBuilder { command: words, ..self }
    }

    /// Opens the caches and reads the settings. Nothing is written.
    ///
    /// # Errors
    /// No cache, a damaged one, one whose extraction is not finished; caches that do not go
    /// together; a mistake in a setting; a device that is not there.
    pub fn prepare(self) -> Result<Sweep> {
        if self.caches.is_empty() {
            return Err(Error::setting("no cache to sweep over", "name the folder of a cache"));
        }
        let folders = self.caches.iter().map(|path| store::find_cache(path)).collect::<Result<Vec<_>>>()?;
        let mut sources = open_all(&folders)?;
        for source in &mut sources {
            source.classifier = source.key.as_ref().and_then(|key| backbone_classifier(key, &source.weights));
        }
        let mut config = self.config.map_or_else(|| SweepConfig::parse(DEFAULT, Path::new("the built-in sweep")), Ok)?;
        self.settings.iter().try_for_each(|setting| config.set(setting))?;
        let out = self.out.unwrap_or_else(|| Path::new("sweeps").join(&sources[0].dataset));
        let device = engine::device(&self.device)?;
        let place = (!device.is_cpu()).then(|| engine::describe(&device));
        Ok(Sweep { job: SweepJob { sources, config, out, trainer: trainer(&device) }, place, command: self.command })
    }

    /// Prepares and runs: [`SweepBuilder::prepare`] and [`Sweep::run`].
    ///
    /// # Errors
    /// As these two.
    pub fn run(self, observer: &dyn Observer) -> Result<SweepOutcome> {
        self.prepare()?.run(observer)
    }
}

/// Many heads about to be trained on cached features, and compared on validation data alone.
///
/// ```no_run
/// use headstart::Sweep;
///
/// let outcome = Sweep::builder(["cache/photos"]).set("head=linear,dense").set("lr=0.01,0.001").out("sweeps/photos").run(&())?;
/// for trial in &outcome.leaderboard {
///     println!("{} {:?}", trial.number, trial.metrics["val.acc1"]);
/// }
/// # Ok::<(), headstart::Error>(())
/// ```
pub struct Sweep {
    job: SweepJob,
    /// The GPU on which heads are trained.
    place: Option<String>,
    command: Vec<String>,
}

impl Sweep {
    /// A sweep over caches, each a cache's folder or a folder above it that holds only one.
    pub fn builder<P: Into<PathBuf>>(caches: impl IntoIterator<Item = P>) -> SweepBuilder {
        let caches = caches.into_iter().map(Into::into).collect();
        SweepBuilder { caches, config: None, settings: vec![], out: None, device: DeviceChoice::Auto, command: vec![] }
    }

    /// Directory of the sweep.
    pub fn folder(&self) -> &Path {
        &self.job.out
    }

    /// The GPU on which heads are trained, such as `cuda:0`; nothing on a CPU.
    pub fn gpu(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Trains what an earlier run of this sweep has not finished, and writes results, the best
    /// head, TensorBoard's event files and the report.
    ///
    /// # Errors
    /// A mistake in the sweep, a folder that cannot be written, a trainer's own failure.
    pub fn run(self, observer: &dyn Observer) -> Result<SweepOutcome> {
        let outcome = sweep::run(self.job, observer)?;
        #[cfg(feature = "report")]
        {
            if !self.command.is_empty() {
                report::record_run(&outcome.folder, self.command.iter().map(String::as_str))?;
            }
            report::write_tensorboard(&outcome.folder)?;
            report::write(&outcome.folder, None)?;
        }
        Ok(outcome)
    }
}
