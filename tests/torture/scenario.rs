//! What is disturbed: a command, the state before it, and what an undisturbed run leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::photos::{image, photos};

/// Which calls are counted, and one of them disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Calls {
    /// Those that a full disk refuses.
    Growing,
    /// Those that change anything.
    Writing,
    /// Those that read.
    Reading,
}

impl Calls {
    const ALL: [Calls; 3] = [Calls::Growing, Calls::Writing, Calls::Reading];

    /// Names for the injector.
    pub(crate) fn names(self) -> String {
        const GROWING: &str = "write,writev,pwrite64,fsync,fdatasync,ftruncate,copy_file_range,open,openat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,symlink,symlinkat";
        match self {
            Calls::Growing => GROWING.into(),
            Calls::Writing => format!("{GROWING},unlink,unlinkat,rmdir"),
            Calls::Reading => "read,pread64,openat".into(),
        }
    }
}

/// A sweep of heads that are trained and solved for.
const SWEEP: &str = "method: grid\nparameters:\n  head: {values: [linear, ridge]}\n  lr: {values: [0.01, 0.001]}\n  epochs: {value: 2}\n  batch_size: {value: 8}\n";

pub(crate) struct Scenario {
    pub name: &'static str,
    /// Arguments; the command runs in [`Scenario::work`].
    pub command: Vec<String>,
    /// Folder of the state before.
    before: PathBuf,
    /// Where every case happens: paths stand in caches and sweeps.
    pub work: PathBuf,
    /// The cache that has to be sound afterwards, below `work`.
    pub cache: Option<String>,
    /// Whether a reader finds that cache at any time.
    pub is_readable: bool,
    /// Every file that an undisturbed run leaves.
    pub undisturbed: BTreeMap<PathBuf, Vec<u8>>,
    /// How many calls there are below `work`, by [`Calls`].
    pub calls: [u64; 3],
    pub time: Duration,
}

impl Scenario {
    /// All scenarios, their states made below `folder`.
    pub(crate) fn all(folder: &Path, injector: &Path) -> Vec<Scenario> {
        let maker = Maker { folder, injector };
        let noise = |work: &Path| photos(&work.join("photos"), &["ants", "bees"], 10);
        let with_cache = |work: &Path| {
            noise(work);
            headstart(work, &FEATURES);
        };
        let with_views = |work: &Path| {
            noise(work);
            headstart(work, &[&FEATURES[..], &["--views", "2", "--tap", "gap", "--tap", "features.3"]].concat());
        };
        let changed = |work: &Path| {
            with_cache(work);
            change(&work.join("photos"));
        };
        let with_deleted = |work: &Path| {
            changed(work);
            headstart(work, &FEATURES);
        };
        let with_parts = |work: &Path| {
            noise(work);
            for part in ["1/2", "2/2"] {
                headstart(work, &[&FEATURES[..], &["--part", part]].concat());
            }
        };
        let with_sweep = |work: &Path| {
            with_cache(work);
            fs::write(work.join("sweep.yaml"), SWEEP).unwrap();
            headstart(work, &["sweep", &cache(work), "--config", "sweep.yaml", "--out", "out"]);
        };
        let to_sweep = |work: &Path| {
            with_cache(work);
            fs::write(work.join("sweep.yaml"), SWEEP).unwrap();
        };
        let with_weights = |work: &Path| {
            fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/weights/checkpoint.pth"), work.join("weights.pth")).unwrap();
        };
        let words = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let features = move |more: &[&str]| words(&[&FEATURES[..], more].concat());
        vec![
            maker.scenario("features", &noise, &|_| features(&[]), false),
            maker.scenario("views", &with_cache, &|_| features(&["--views", "2", "--tap", "gap", "--tap", "features.3"]), true),
            maker.scenario("changed", &changed, &|_| features(&[]), true),
            maker.scenario("gc", &with_deleted, &|work| words(&["gc", &cache(work)]), true),
            maker.scenario(
                "merge",
                &with_parts,
                &|work| words(&[&["merge", "cache/photos/merged"][..], &strs(&caches(work))].concat()),
                false,
            ),
            maker.scenario("sweep", &to_sweep, &|work| words(&["sweep", &cache(work), "--config", "sweep.yaml", "--out", "out"]), true),
            maker.scenario("npz", &with_views, &|work| words(&["export", &cache(work), "--tap", "gap", "--npz", "made.npz"]), true),
            maker.scenario("parquet", &with_cache, &|work| words(&["export", &cache(work), "--parquet", "made.parquet"]), true),
            maker.scenario("report", &with_sweep, &|_| words(&["report", "out"]), true),
            maker.scenario("convert", &with_weights, &|_| words(&["weights", "convert", "weights.pth", "made.safetensors"]), false),
            maker.scenario("bundle", &with_sweep, &|_| words(&["export", "--model", "out", "--bundle", "made.bundle"]), true),
            maker.scenario("onnx", &with_sweep, &|_| words(&["export", "--model", "out", "--onnx", "made.onnx"]), true),
        ]
    }

    /// Puts the state before into the place where cases happen.
    pub(crate) fn reset(&self) {
        if self.work.exists() {
            fs::remove_dir_all(&self.work).unwrap();
        }
        // `cp -a` keeps times: a cache looks at them.
        assert!(Command::new("cp").arg("-a").args([&self.before, &self.work]).status().unwrap().success());
    }
}

/// A quick extraction on noise.
const FEATURES: [&str; 11] =
    ["features", "--data", "photos", "--backbone", "squeezenet1_1", "--weights", "random:1", "--size", "64", "--batch", "8"];

struct Maker<'a> {
    folder: &'a Path,
    injector: &'a Path,
}

impl Maker<'_> {
    fn scenario(&self, name: &'static str, prepare: &dyn Fn(&Path), command: &dyn Fn(&Path) -> Vec<String>, is_readable: bool) -> Scenario {
        let (before, work) = (self.folder.join(format!("before-{name}")), self.folder.join("work"));
        fs::create_dir(&work).unwrap();
        prepare(&work);
        let command = command(&work);
        fs::rename(&work, &before).unwrap();
        let cache = match name {
            "merge" => Some("cache/photos/merged".to_owned()),
            "bundle" | "onnx" => None,
            _ => caches(&before).first().cloned(),
        };
        let (undisturbed, time) = (BTreeMap::new(), Duration::ZERO);
        let mut scenario = Scenario { name, command, before, work, cache, is_readable, undisturbed, calls: [0; 3], time };
        for calls in Calls::ALL {
            scenario.reset();
            let log = self.folder.join("log");
            let mut traced = Command::new(self.injector);
            traced.args([&*calls.names(), "0", "none"]).arg(&scenario.work).arg(&log).arg(binary());
            let output = traced.args(GLOBAL).args(&scenario.command).current_dir(&scenario.work).output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let log = fs::read_to_string(log).unwrap();
            scenario.calls[calls as usize] = log.trim().strip_prefix("total ").expect("a total").parse().unwrap();
        }
        scenario.reset();
        let start = Instant::now();
        headstart(&scenario.work, &strs(&scenario.command));
        scenario.time = start.elapsed();
        scenario.undisturbed = files(&scenario.work);
        if scenario.cache.is_none() && name == "features" {
            scenario.cache = caches(&scenario.work).first().cloned();
        }
        fs::remove_dir_all(&scenario.work).unwrap();
        scenario
    }
}

/// Renames, deletes and adds photos, and a class.
fn change(photos: &Path) {
    fs::rename(photos.join("ants/000.png"), photos.join("ants/renamed.png")).unwrap();
    fs::rename(photos.join("ants/001.png"), photos.join("bees/relabelled.png")).unwrap();
    fs::remove_file(photos.join("bees/002.png")).unwrap();
    fs::remove_file(photos.join("bees/003.png")).unwrap();
    fs::create_dir(photos.join("ducks")).unwrap();
    for n in 0..4 {
        image(2, 50 + n).save(photos.join(format!("ducks/{n}.png"))).unwrap();
    }
}

/// Flags of every run: one thread, so that calls come in the same order.
pub(crate) const GLOBAL: [&str; 3] = ["--threads", "1", "--quiet"];

/// The binary under test: `HEADSTART`, else the one that cargo built.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("HEADSTART").filter(|path| !path.is_empty()).map_or_else(|| env!("CARGO_BIN_EXE_headstart").into(), PathBuf::from)
}

/// Runs a command to its end.
pub(crate) fn tried(work: &Path, words: &[&str]) -> Output {
    Command::new(binary()).args(GLOBAL).args(words).current_dir(work).output().unwrap()
}

fn headstart(work: &Path, words: &[&str]) {
    let output = tried(work, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// The one cache below `work`.
fn cache(work: &Path) -> String {
    caches(work).swap_remove(0)
}

/// Caches below `work`, sorted.
fn caches(work: &Path) -> Vec<String> {
    let mut found = vec![];
    for dataset in fs::read_dir(work.join("cache")).into_iter().flatten().flatten() {
        for cache in fs::read_dir(dataset.path()).unwrap().flatten() {
            if cache.path().join("manifest.json").exists() {
                found.push(cache.path().strip_prefix(work).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// What a machine remembers of files by their times; may be deleted at any time.
const PRIVATE: [&str; 2] = ["files.csv", ".checked.csv"];

/// Every file below `work` but locks, logs and stat caches, without the times that a run took.
pub(crate) fn files(work: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(work).into_iter().map(Result::unwrap).filter(|e| !e.file_type().is_dir()) {
        let name = entry.file_name().to_string_lossy();
        if name.ends_with(".log.jsonl") || name.ends_with(".lock") || PRIVATE.contains(&&*name) {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap_or_default();
        found.insert(entry.path().strip_prefix(work).unwrap().to_path_buf(), without_times(&name, bytes));
    }
    found
}

fn without_times(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    match name {
        "trials.jsonl" => finals(&String::from_utf8_lossy(&bytes)).into_bytes(),
        "results.csv" => without_column(&String::from_utf8_lossy(&bytes), "seconds").into_bytes(),
        // Command and date of the run that ended it.
        "run.json" => without_numbers(bytes),
        "report.html" => without_numbers(bytes),
        // TensorBoard's events hold the time of day in many places.
        events if events.starts_with("events.out.tfevents") => bytes.len().to_string().into_bytes(),
        _ => bytes,
    }
}

/// The finished trials of a log: a sweep that was killed has epochs twice.
fn finals(log: &str) -> String {
    let records = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut lines: Vec<String> = records
        .filter(|record| record["record"] == "final")
        .filter_map(|mut record| {
            // The line's checksum covers the time that the trial took.
            let fields = record.as_object_mut()?;
            fields.retain(|name, _| !["seconds", "check"].contains(&name.as_str()));
            Some(record.to_string())
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

fn without_column(table: &str, column: &str) -> String {
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    let keep = |record: &csv::StringRecord| {
        record.iter().zip(&header).filter(|(_, name)| *name != column).map(|(v, _)| v.to_owned()).collect::<Vec<_>>().join(",")
    };
    let rows: Vec<String> = reader.records().map(|record| keep(&record.unwrap())).collect();
    std::iter::once(keep(&header)).chain(rows).collect::<Vec<_>>().join("\n")
}

/// A page without its numbers: some of them are times.
fn without_numbers(mut page: Vec<u8>) -> Vec<u8> {
    page.retain(|byte| !byte.is_ascii_digit() && !b".-e".contains(byte));
    page
}
