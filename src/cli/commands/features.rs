//! `headstart features`: settings checked, data listed, what is missing computed.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::backbone::Backbone;
use crate::data::{self, Dataset, Digest, Entry, ImageSource, ListOptions, Orientation};
use crate::extract::{self, Basis, Estimate, Observer, Outcome, Part, Progress};
use crate::preprocess::Policy;
use crate::store::{self, Cache, Deferred, Dtype};
use crate::{Error, Result};
use indicatif::ProgressBar;
use serde_json::json;

use super::changes;
use super::extraction::Extraction;
use super::images::Listed;
use crate::cli::Ending;
use crate::cli::args::Features;
use crate::cli::screen::{Screen, bytes, name, seconds, thousands};
use crate::cli::signals;

/// How many of the images that could not be used are named on the screen; the manifest names them all.
const NAMED: usize = 10;

/// Runs the verb. On stdout: the cache's folder, or with `--json` one object.
pub fn run(a: &Features, device: &str, screen: &Screen) -> anyhow::Result<Ending> {
    let settings = Settings::check(a)?;
    let base = Backbone::open_with(&a.base.settings(super::device(device, screen)?)?, &screen.fetching())?;
    let mut listed = a.images.list(&settings.options, screen)?;
    let key = base.key(settings.store, settings.orientation, &settings.policy, a.seed);
    let folder = key.folder(&a.cache, &listed.name);
    let unread = if settings.part.is_some() { left_unread(&folder, &listed.dataset) } else { vec![] };
    let digests = digest(&records(&a.cache, &listed.name), listed.source.as_ref(), &listed.dataset, &unread, screen)?;
    a.images.settle(&mut listed, &digests, settings.part, &folder, screen)?;
    let Listed { source, mut dataset, name, data } = listed;
    let deferred = settings.part.map_or(Ok(Deferred::default()), |_| a.deferred(&dataset))?;
    let digests = match settings.part {
        Some(_) => digests,
        None => settle_duplicates(a.dedupe, &mut dataset, digests, screen),
    };
    tell_deferred(settings.part, deferred, screen);
    let input = input(&base, source.as_ref(), &dataset, settings.orientation)?;
    let extraction = Extraction {
        base,
        source,
        dataset,
        digests,
        unread,
        partial: a.images.limit.is_some(),
        name,
        key,
        folder,
        orientation: settings.orientation,
        input,
        policy: settings.policy,
        views: settings.views,
        taps: settings.taps,
        batch: a.images.batch,
        part: settings.part,
        deferred,
    };
    if a.dry_run {
        tell_estimate(&extraction.with_job(extract::estimate)?, &extraction.folder, screen);
        return Ok(Ending::Done);
    }
    announce(&extraction, screen);
    store::remember_origin(&extraction.folder, &data)?;
    let is_new = !extraction.folder.join("manifest.json").exists();
    let mut watch = Watch::new(screen);
    let gently = signals::gently();
    let outcome = extraction.with_job(|job| extract::run(job, &mut watch));
    drop(gently);
    watch.clear();
    let outcome = outcome?;
    let misrecorded = outcome.misrecorded.iter().map(String::as_str);
    data::forget(extraction.source.as_ref(), misrecorded, &records(&a.cache, &extraction.name))?;
    changes::tell(&outcome, screen);
    tell_failures(&outcome, screen);
    if watch.stopped {
        tell_stop(&outcome, &extraction.folder, screen);
        return Ok(Ending::Stopped);
    }
    if outcome.failed.len() == outcome.images {
        return nothing_usable(&outcome, &extraction.folder, is_new, screen);
    }
    tell_outcome(&outcome, &extraction.folder, screen);
    let is_sick = outcome.failed.iter().any(|f| f.retry);
    Ok(if is_sick || a.strict && !outcome.failed.is_empty() { Ending::Incomplete } else { Ending::Done })
}

/// Where the digests of a data set's files are kept.
fn records(root: &Path, name: &str) -> PathBuf {
    root.join(crate::store::folder_name(name)).join("files.csv")
}

fn announce(extraction: &Extraction, screen: &Screen) {
    let (base, images) = (&extraction.base, thousands(extraction.dataset.entries.len() as u64));
    base.note().iter().for_each(|note| screen.note(note));
    screen.note(format_args!("{images} images, {} on {}, weights {}", base.info().name, base.engine_name(), base.weights_name()));
}

/// Arguments that make sense.
struct Settings {
    options: ListOptions,
    taps: Vec<String>,
    views: u32,
    policy: Policy,
    orientation: Orientation,
    store: Dtype,
    part: Option<Part>,
}

impl Settings {
    fn check(a: &Features) -> Result<Settings> {
        let mut taps = if a.taps.is_empty() { vec!["gap".into()] } else { a.taps.clone() };
        let mut seen = std::collections::BTreeSet::new();
        taps.retain(|t| seen.insert(t.clone()));
        let views = u32::try_from(a.views).ok().filter(|&v| v > 0);
        let views =
            views.ok_or_else(|| Error::setting(format!("--views {} reads no image", a.views), "the plain reading alone is --views 1"))?;
        Ok(Settings {
            options: a.images.check()?,
            taps,
            views,
            policy: a.augment.parse()?,
            orientation: if a.exif_rotate { Orientation::Exif } else { Orientation::AsStored },
            store: a.images.store.into(),
            part: a.part.as_deref().map(part).transpose()?.filter(|part| part.of > 1),
        })
    }
}

/// `2/8`, counted from 1.
fn part(text: &str) -> Result<Part> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    match numbers {
        Some((i, of)) if 1 <= i && i <= of => Ok(Part { index: i - 1, of }),
        _ => Err(Error::setting(format!("--part {text} is not a part"), "the second of eight is --part 2/8")),
    }
}

impl Features {
    /// What a part leaves to `merge`, which knows the digests of all images: the splits of data without any, and copies.
    fn deferred(&self, dataset: &Dataset) -> Result<Deferred> {
        let split = if dataset.own_splits { None } else { Some(self.images.rule()?) };
        Ok(Deferred { split, dedupe: self.dedupe })
    }
}

fn tell_deferred(part: Option<Part>, deferred: Deferred, screen: &Screen) {
    if part.is_none() {
        return;
    }
    screen.note(match deferred {
        Deferred { split: Some(_), .. } => {
            "a part reads its own images alone: `headstart merge` splits them and looks for copies, once it knows what all parts have read"
        }
        Deferred { split: None, dedupe: true } => {
            "a part reads its own images alone: `headstart merge` looks for copies, once it knows what all parts have read"
        }
        _ => "a part reads its own images alone: the same image in several splits is not looked for, unless with --dedupe",
    });
}

/// A part leaves the files alone that it has not computed: it digests each as it reads it, and other parts digest theirs.
fn left_unread(folder: &Path, dataset: &Dataset) -> Vec<bool> {
    let rows = Cache::open(folder).map_or_else(|_| vec![], |cache| cache.rows().to_vec());
    let read: HashSet<&str> = rows.iter().filter(|r| r.digest.is_some()).map(|r| r.path.as_str()).collect();
    dataset.entries.iter().map(|entry| !read.contains(entry.uri.as_str())).collect()
}

fn digest(known: &Path, source: &dyn ImageSource, dataset: &Dataset, unread: &[bool], screen: &Screen) -> Result<Vec<Result<Digest>>> {
    let is_read = |i: &usize| !unread.get(*i).copied().unwrap_or(false);
    let wanted: Vec<usize> = (0..dataset.entries.len()).filter(is_read).collect();
    let entries: Vec<Entry> = wanted.iter().map(|&i| dataset.entries[i].clone()).collect();
    let bar = screen.bar(entries.len() as u64, "looking for changes {bar:30} {pos}/{len}");
    let digests = data::digests(source, &entries, Some(known), &|| bar.inc(1));
    bar.finish_and_clear();
    let not_read = |entry: &Entry| Err(Error::Image { path: entry.uri.clone(), reason: "was not read".into() });
    let mut all: Vec<Result<Digest>> = dataset.entries.iter().map(not_read).collect();
    wanted.into_iter().zip(digests?.each).for_each(|(i, digest)| all[i] = digest);
    Ok(all)
}

/// Warns of images that stand in several splits or classes; with `--dedupe` takes them out of train.
fn settle_duplicates(dedupe: bool, dataset: &mut Dataset, digests: Vec<Result<Digest>>, screen: &Screen) -> Vec<Result<Digest>> {
    let known: Vec<Option<Digest>> = digests.iter().map(|d| d.as_ref().ok().copied()).collect();
    let duplicates = data::duplicates(&dataset.entries, &known);
    for group in duplicates.iter().filter(|d| d.across_splits || d.across_classes) {
        let places: Vec<&str> = group.entries.iter().map(|&i| dataset.entries[i].uri.as_str()).collect();
        let several = match (group.across_splits, group.across_classes) {
            (true, true) => "splits and classes",
            (true, false) => "splits",
            _ => "classes",
        };
        screen.warn(format_args!("the same image stands in several {several}: {}", places.join(", ")));
    }
    if !dedupe {
        if duplicates.iter().any(|d| d.across_splits || d.across_classes) {
            screen.note("help: --dedupe takes such images out of train");
        }
        return digests;
    }
    let dropped: std::collections::BTreeSet<usize> = data::dedupe(&dataset.entries, &duplicates).into_iter().collect();
    let kept = |i: &usize| !dropped.contains(i);
    let entries = std::mem::take(&mut dataset.entries);
    dataset.entries = entries.into_iter().enumerate().filter(|(i, _)| kept(i)).map(|(_, e)| e).collect();
    screen.note(format_args!("{} duplicates left out of train", dropped.len()));
    digests.into_iter().enumerate().filter(|(i, _)| kept(i)).map(|(_, d)| d).collect()
}

/// Height and width of the network's input: fixed by the preprocess, or that of the first image that can be read.
pub fn input(base: &Backbone, source: &dyn ImageSource, dataset: &Dataset, orientation: Orientation) -> Result<[usize; 2]> {
    if let Some(fixed) = base.fixed_input() {
        return Ok(fixed);
    }
    let size = |uri: &str| -> Result<[usize; 2]> {
        let image = data::decode(&source.read(uri)?, &source.locate(uri), orientation)?;
        Ok(base.preprocess().output_size([image.height, image.width]))
    };
    dataset.entries.iter().find_map(|e| size(&e.uri).ok()).ok_or_else(|| {
        Error::setting("none of the images can be read, so their size is not known", "check the files, or set a size with --size")
    })
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
        "would compute {} of {} images ({} are there): {} in {} shards, about {} ({basis})",
        thousands(estimate.compute as u64),
        thousands(estimate.images as u64),
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

/// Not one image can be used. A cache that was made just now for nothing goes again, so that no later command takes it for one.
fn nothing_usable(outcome: &Outcome, folder: &Path, is_new: bool, screen: &Screen) -> anyhow::Result<Ending> {
    if is_new && Cache::open(folder).is_ok_and(|cache| cache.manifest().shards.is_empty()) {
        std::fs::remove_dir_all(folder).map_err(Error::io("remove", folder))?;
    }
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
        screen.warn(format_args!("{}: {}", failure.path, failure.reason));
    }
    if !outcome.failed.is_empty() {
        let more = if outcome.failed.len() > NAMED { "; manifest.json names all" } else { "" };
        screen.warn(format_args!("{} of {} images could not be used{more}", outcome.failed.len(), outcome.images));
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

/// Draws the extraction on a terminal, says the important things elsewhere.
pub struct Watch<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    /// What is being computed, before the count.
    pub what: String,
    /// Images that were stored when a signal asked to stop.
    asked_at: Option<usize>,
    /// Whether it was stopped, with the running shard written.
    stopped: bool,
}

impl<'a> Watch<'a> {
    pub fn new(screen: &'a Screen) -> Watch<'a> {
        Watch { screen, bar: ProgressBar::hidden(), what: String::new(), asked_at: None, stopped: false }
    }

    /// Takes the bar off the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Watch<'_> {
    fn started(&mut self, progress: &Progress) {
        if progress.images == 0 {
            return;
        }
        if progress.reused > 0 {
            self.screen.note(format_args!("reusing the features of {} images", thousands(progress.reused as u64)));
        }
        self.clear();
        self.bar = self.screen.bar(progress.images as u64, "{prefix}{bar:30} {pos}/{len}  {msg}  ETA {eta}");
        self.bar.set_prefix(self.what.clone());
    }

    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        let s = &progress.seconds;
        self.bar.set_position(progress.done as u64);
        let rate = progress.done as f64 / s.wall.max(1e-9);
        let phases = format!("read {:.1} s, decode {:.1} s, infer {:.1} s, write {:.1} s", s.read, s.decode, s.infer, s.write);
        self.bar.set_message(format!("{rate:.1} images/s  ({phases}; bottleneck: {})", progress.bottleneck()));
        if signals::asked().is_some() {
            self.stopped = progress.stored > *self.asked_at.get_or_insert(progress.stored);
        }
        if self.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn message(&mut self, text: &str) {
        self.bar.suspend(|| self.screen.warn(text));
    }
}
