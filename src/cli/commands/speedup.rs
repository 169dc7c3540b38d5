//! `headstart speedup`: the same head with the base in the loop and on cached features, timed.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::backbone::Backbone;
use crate::data::{self, Dataset, Digest, Orientation, Split};
use crate::engine::DeviceChoice;
use crate::extract::{self, Progress};
use crate::heads::trainer;
use crate::preprocess::Policy;
use crate::speedup::{self, Arm, Comparison, Observer, PAGE_FILE, RESULT_FILE};
use crate::store::Deferred;
use crate::sweep::SweepConfig;
use crate::{Result, engine, store};

use super::extraction::Extraction;
use super::features;
use super::images::Listed;
use crate::cli::Ending;
use crate::cli::args::Speedup;
use crate::cli::screen::{Screen, table, thousands};
use crate::cli::signals;

/// Runs the verb. On stdout: a table and what follows from it, or with `--json` one object.
pub fn run(a: &Speedup, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let options = a.images.check()?;
    let config = config(a)?;
    let device = super::device(device, screen)?;
    let (base, start) = open(a, device, screen)?;
    let mut listed = a.images.list(&options, screen)?;
    let out = a.out.clone().unwrap_or_else(|| Path::new("speedups").join(format!("{}-{}", listed.name, base.info().name)));
    let orientation = Orientation::AsStored;
    let policy: Policy = "standard".parse()?;
    let key = base.key(a.images.store.into(), orientation, &policy, 0);
    let folder = key.folder(&out.join("cache"), &listed.name);
    let digests = data::digests(listed.source.as_ref(), &listed.dataset.entries, None, &|| {})?.each;
    a.images.settle(&mut listed, &digests, None, &folder, screen)?;
    let Listed { source, mut dataset, name, data } = listed;
    let digests = leave_out_test(&mut dataset, digests, screen);
    let input = features::input(&base, source.as_ref(), &dataset, orientation)?;
    let extraction = Extraction {
        folder,
        base,
        source,
        dataset,
        digests,
        unread: vec![],
        partial: a.images.limit.is_some(),
        name,
        key,
        orientation,
        input,
        policy,
        views: 1,
        taps: vec![a.tap.clone()],
        batch: a.images.batch,
        part: None,
        deferred: Deferred::default(),
    };
    let trainer = trainer(&engine::device(&device)?);
    let prepared = start.elapsed().as_secs_f64();
    announce(&extraction, screen);
    let mut watch = Watch { screen, inner: features::Watch::new(screen), epochs: 0 };
    let kept = signals::kept(|| "finished arms are kept; the same command goes on from there".into());
    let found = extraction.with_job(|job| {
        let comparison = Comparison { job, config: &config, trainer: trainer.as_ref(), out: &out, full: a.full, prepared };
        speedup::run(&comparison, &mut watch)
    });
    drop(kept);
    watch.inner.clear();
    let found = found?;
    store::remember_origin(&extraction.folder, &data)?;
    tell(&found, &out, screen)?;
    Ok(Ending::Done)
}

fn config(a: &Speedup) -> Result<SweepConfig> {
    let mut config = match &a.config {
        Some(file) => SweepConfig::read(file)?,
        None => SweepConfig::parse(speedup::DEFAULT, Path::new("the built-in head"))?,
    };
    a.settings.iter().try_for_each(|s| config.set(s))?;
    Ok(config)
}

/// The base, and when work on it began: a download is no part of what is compared.
fn open(a: &Speedup, device: DeviceChoice, screen: &Screen) -> Result<(Backbone, Instant)> {
    let (settings, fetching, fetched) = (a.base.settings(device)?, screen.fetching(), Cell::new(false));
    let start = Instant::now();
    let base = Backbone::open_with(&settings, &|event| {
        fetched.set(true);
        fetching(event);
    })?;
    if !fetched.get() {
        return Ok((base, start));
    }
    let start = Instant::now();
    Ok((Backbone::open_with(&settings, &fetching)?, start))
}

/// Neither way looks at test.
fn leave_out_test(dataset: &mut Dataset, digests: Vec<Result<Digest>>, screen: &Screen) -> Vec<Result<Digest>> {
    let before = dataset.entries.len();
    let entries = std::mem::take(&mut dataset.entries);
    let kept = entries.into_iter().zip(digests).filter(|(entry, _)| entry.split != Some(Split::Test));
    let digests;
    (dataset.entries, digests) = kept.unzip();
    let left_out = before - dataset.entries.len();
    if left_out > 0 {
        screen.note(format_args!("{} images of test are left out of both ways", thousands(left_out as u64)));
    }
    digests
}

fn announce(extraction: &Extraction, screen: &Screen) {
    let (base, images) = (&extraction.base, thousands(extraction.dataset.entries.len() as u64));
    let (tap, weights) = (&extraction.taps[0], base.weights_name());
    base.note().iter().for_each(|note| screen.note(note));
    screen.note(format_args!("{images} images, {} on {}, weights {weights}, tap {tap}", base.info().name, base.engine_name()));
}

fn tell(found: &speedup::Speedup, out: &Path, screen: &Screen) -> anyhow::Result<()> {
    if found.images.failed > 0 {
        screen.warn(format_args!(
            "{} images could not be used; {} names them",
            found.images.failed,
            found.about.cache.join("manifest.json").display()
        ));
    }
    if screen.json {
        screen.object(&serde_json::to_value(found)?);
    } else {
        let header = ["", "base in the loop", "on cached features"].map(str::to_owned);
        screen.result(table(header, 1, found.table()));
        found.sentences().iter().for_each(|sentence| screen.result(sentence));
    }
    let files: Vec<PathBuf> = [PAGE_FILE, RESULT_FILE].map(|file| out.join(file)).to_vec();
    screen.note(format_args!("to look at: {}, for tools: {}", files[0].display(), files[1].display()));
    Ok(())
}

/// Draws the extractions, epoch by epoch.
struct Watch<'a> {
    screen: &'a Screen,
    inner: features::Watch<'a>,
    /// Number of epochs of the arm.
    epochs: usize,
}

impl extract::Observer for Watch<'_> {
    fn started(&mut self, progress: &Progress) {
        self.inner.started(progress);
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.inner.progress(progress)
    }

    fn message(&mut self, text: &str) {
        self.inner.message(text);
    }
}

impl Observer for Watch<'_> {
    fn arm(&mut self, way: Arm, epochs: usize) {
        self.epochs = epochs;
        self.inner.clear();
        match way {
            Arm::Cached => {
                self.inner.what = "extracting ".into();
                self.screen.note(format_args!("on cached features: the base once, then {epochs} epochs of the head"));
            }
            Arm::InLoop => self.screen.note(format_args!("with the base in the loop: {epochs} epochs, each with the base over all images")),
        }
    }

    fn epoch(&mut self, way: Arm, epoch: usize) {
        if way == Arm::InLoop {
            self.inner.what = format!("epoch {epoch}/{} ", self.epochs);
        }
    }

    fn reused(&mut self, way: Arm) {
        let which = match way {
            Arm::Cached => "on cached features",
            Arm::InLoop => "with the base in the loop",
        };
        self.screen
            .note(format_args!("{which}: measured by an earlier run; remove the folder, or name another with --out, to measure again"));
    }
}
