//! `headstart speedup`: the same head with the base in the loop and on cached features, timed.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::features::announce;
use crate::Result;
use crate::backbone::Backbone;
use crate::cli::args::Speedup;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, table};
use crate::cli::signals;
use crate::cli::watch::Watch;
use crate::engine::DeviceChoice;
use crate::extraction::{self, Event, Extraction, ExtractionOptions, Progress};
use crate::speedup::{self, Arm, Comparison, Observer, PAGE_FILE, RESULT_FILE};
use crate::sweep::SweepConfig;

/// Runs the verb. On stdout: a table and what follows from it, or with `--json` one object.
pub(crate) fn run(a: &Speedup, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let options = ExtractionOptions { taps: vec![a.tap.clone()], ..a.images.options()? };
    options.check()?;
    let config = config(a)?;
    let device = super::device(device, screen)?;
    let (backbone, start) = open(a, device, screen)?;
    let extraction = Extraction::builder(&a.images.data, &backbone).options(options);
    let mut builder = Comparison::builder(extraction).config(config).full(a.full).device(device).since(start);
    if let Some(out) = &a.out {
        builder = builder.out(out);
    }
    let mut watch = SpeedupWatch { screen, inner: Watch::new(screen), epochs: 0 };
    let comparison = builder.prepare(&mut watch)?;
    announce(comparison.extraction(), &format!(", tap {}", a.tap), screen);
    let kept = signals::kept(|| "finished arms are kept; the same command goes on from there".into());
    let found = comparison.run(&mut watch);
    drop(kept);
    watch.inner.clear();
    tell(&found?, comparison.folder(), screen)?;
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

/// The backbone, and the time at which work on it began: a download is not part of the comparison.
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
struct SpeedupWatch<'a> {
    screen: &'a Screen,
    inner: Watch<'a>,
    /// Number of epochs of the arm.
    epochs: usize,
}

impl extraction::Observer for SpeedupWatch<'_> {
    fn event(&mut self, event: &Event<'_>) {
        self.inner.event(event);
    }

    fn digesting(&mut self, images: usize) -> Box<dyn Fn() + Sync> {
        self.inner.digesting(images)
    }

    fn digested(&mut self, read: usize) {
        self.inner.digested(read);
    }

    fn started(&mut self, progress: &Progress) {
        self.inner.started(progress);
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.inner.progress(progress)
    }
}

impl Observer for SpeedupWatch<'_> {
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
