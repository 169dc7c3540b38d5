//! `headstart features`: settings checked, data listed, what is missing computed.

use std::path::Path;

use serde_json::json;

use super::changes;
use crate::Result;
use crate::backbone::Backbone;
use crate::cli::args::Features;
use crate::cli::ending::Ending;
use crate::cli::screen::{Screen, bytes, name, seconds, thousands};
use crate::cli::signals;
use crate::cli::watch::Watch;
use crate::data::Orientation;
use crate::extraction::{Basis, Estimate, Extraction, ExtractionOptions, Outcome};
use crate::text::{counted, visible};

/// How many of the images that could not be used are named on the screen; the manifest names them
/// all.
const NAMED: usize = 10;

/// Runs the verb. On stdout: the cache's folder, or with `--json` one object.
pub(crate) fn run(a: &Features, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let options = a.options()?;
    options.check()?;
    let backbone = Backbone::open_with(&a.base.settings(super::device(device, screen)?)?, &screen.fetching())?;
    let mut watch = Watch::new(screen);
    let extraction = Extraction::builder(&a.images.data, &backbone).options(options).prepare(&mut watch)?;
    let folder = extraction.folder();
    if a.dry_run {
        tell_estimate(&extraction.estimate()?, folder, screen);
        return Ok(Ending::Done);
    }
    announce(&extraction, "", screen);
    let gently = signals::gently();
    let outcome = extraction.run(&mut watch);
    drop(gently);
    watch.clear();
    let outcome = outcome?;
    changes::tell(&outcome, screen);
    tell_failures(&outcome, screen);
    if watch.stopped {
        tell_stop(&outcome, folder, screen);
        return Ok(Ending::Stopped);
    }
    if outcome.failed.len() == outcome.images {
        return nothing_usable(&outcome, screen);
    }
    tell_outcome(&outcome, folder, screen);
    let is_sick = outcome.failed.iter().any(|f| f.retry);
    Ok(if is_sick || a.strict && !outcome.failed.is_empty() { Ending::Incomplete } else { Ending::Done })
}

/// Names the backbone and the number of images that it will run over; `more` goes behind that.
pub(crate) fn announce(extraction: &Extraction<'_>, more: &str, screen: &Screen) {
    let (backbone, images) = (extraction.backbone(), thousands(extraction.images() as u64));
    backbone.note().iter().for_each(|note| screen.note(note));
    let (name, engine, weights) = (backbone.info().name, backbone.engine_name(), backbone.weights_name());
    screen.note(format_args!("{images} images, {name} on {engine}, weights {weights}{more}"));
}

impl Features {
    fn options(&self) -> Result<ExtractionOptions> {
        Ok(ExtractionOptions {
            cache: self.cache.clone(),
            taps: if self.taps.is_empty() { vec!["gap".into()] } else { self.taps.clone() },
            views: u32::try_from(self.views).unwrap_or(0),
            augment: self.augment.parse()?,
            seed: self.seed,
            orientation: if self.exif_rotate { Orientation::Exif } else { Orientation::AsStored },
            dedupe: self.dedupe,
            part: self.part.as_deref().map(str::parse).transpose()?,
            ..self.images.options()?
        })
    }
}

fn tell_estimate(estimate: &Estimate, folder: &Path, screen: &Screen) {
    if screen.json {
        return screen.object(&json!({
            "cache": name(folder), "images": estimate.images, "rows": estimate.compute, "reused": estimate.reuse, "failed": estimate.failed,
            "shards": estimate.shards, "bytes": estimate.bytes, "seconds": estimate.seconds,
            "basis": match estimate.basis { Basis::EarlierRun => "earlier run", Basis::Operations => "operations" },
        }));
    }
    let basis = match estimate.basis {
        Basis::EarlierRun => "as measured before",
        Basis::Operations => "a guess from the network's operations",
    };
    screen.note(format_args!(
        "would compute {} of {} ({} are there): {} in {} shards, about {} ({basis})",
        thousands(estimate.compute as u64),
        counted(estimate.images, "image", "images"),
        thousands(estimate.reuse as u64),
        bytes(estimate.bytes),
        estimate.shards,
        seconds(estimate.seconds),
    ));
    screen.path(folder);
}

fn tell_stop(outcome: &Outcome, folder: &Path, screen: &Screen) {
    let [stored, images] = [outcome.reused + outcome.computed, outcome.images].map(|n| thousands(n as u64));
    let folder = folder.display();
    screen
        .warn(format_args!("stopped: features of {stored} of {images} images are stored in {folder}; the same command goes on from there"));
}

/// Not one image can be used.
fn nothing_usable(outcome: &Outcome, screen: &Screen) -> anyhow::Result<Ending> {
    if screen.json {
        let changes = changes::object(&outcome.changes);
        screen.object(&json!({ "cache": null, "images": outcome.images, "computed": 0, "failed": outcome.failed.len(), "rows": changes }));
    }
    screen.error(&anyhow::anyhow!(
        "not one of the {} images can be used\n  help: the warnings say why; paths in a CSV file are relative to its folder, and images are JPEG, PNG, WebP, \
         BMP, GIF or TIFF",
        thousands(outcome.images as u64)
    ));
    Ok(Ending::Incomplete)
}

fn tell_failures(outcome: &Outcome, screen: &Screen) {
    for failure in outcome.failed.iter().take(NAMED) {
        screen.warn(format_args!("{}: {}", visible(&failure.path), visible(&failure.reason)));
    }
    if !outcome.failed.is_empty() {
        let more = if outcome.failed.len() > NAMED { "; manifest.json names all" } else { "" };
        screen.warn(format_args!("{} of {} could not be used{more}", outcome.failed.len(), counted(outcome.images, "image", "images")));
    }
    let sick = outcome.failed.iter().filter(|f| f.retry).count();
    if sick > 0 {
        screen.warn(format_args!("the system could not read {sick} of them: the next run tries again"));
    }
}

fn tell_outcome(outcome: &Outcome, folder: &Path, screen: &Screen) {
    if outcome.unturned > 0 {
        let (lying, all) = (thousands(outcome.unturned as u64), thousands(outcome.computed as u64));
        screen.warn(format_args!(
            "{lying} of {all} photos carry a turn (EXIF orientation) and were read as stored, lying on their side: --exif-rotate turns them"
        ));
    }
    if outcome.cut_off > 0 {
        let (deep, all) = (thousands(outcome.cut_off as u64), thousands(outcome.computed as u64));
        screen.warn(format_args!(
            "{deep} of {all} images are gray of more than 8 bits, of which values above 255 are white, as Pillow reads them: bring them to 8 bits with a range that suits them"
        ));
    }
    let s = &outcome.seconds;
    if outcome.computed == 0 {
        screen.note(format_args!("nothing to do: features of {} images are there ({})", thousands(outcome.reused as u64), seconds(s.wall)));
    } else {
        screen.note(format_args!(
            "{} images in {} ({:.1}/s), {} reused; reading {}, decoding {}, inferring {}, writing {}{}",
            thousands(outcome.computed as u64),
            seconds(s.wall),
            outcome.computed as f64 / s.wall.max(1e-9),
            thousands(outcome.reused as u64),
            seconds(s.read),
            seconds(s.decode),
            seconds(s.infer),
            seconds(s.write),
            outcome.bottleneck.map(|phase| format!("; bottleneck: {phase}")).unwrap_or_default(),
        ));
    }
    if screen.json {
        screen.object(&json!({
            "cache": name(folder), "images": outcome.images, "computed": outcome.computed, "reused": outcome.reused,
            "failed": outcome.failed.len(), "rows": changes::object(&outcome.changes), "unturned": outcome.unturned, "cut_off": outcome.cut_off, "seconds": s, "bottleneck": outcome.bottleneck,
        }));
    } else {
        screen.path(folder);
    }
}
