//! Sweeps from the outside: the directory that they leave, resuming, independence of threads and neighbours, mistakes.

#[path = "sweep/classifier.rs"]
mod classifier;
#[path = "sweep/non_finite.rs"]
mod non_finite;
#[path = "sweep/trainers.rs"]
mod trainers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use classifier::with_classifier;
use headstart::data::Split;
use headstart::internals::heads::{FusedTrainer, Matrix, Predictor, Trainer};
use headstart::internals::rng::Philox;
use headstart::sweep::{Observer, Source, Status, SweepConfig, SweepJob, SweepOutcome, TapFeatures, TrialResult, run};

const DIM: usize = 16;

/// Three overlapping clouds of points, as a cache with the taps `gap` and `map` would hold them.
fn source(with_val: bool) -> Source {
    let rows = 240;
    let philox = Philox::new(11, 0);
    let label = |row: usize| (row % 3) as u32;
    let noise = |row: usize, i: usize| philox.uniform([row as u32, i as u32, 0, 0]).iter().sum::<f32>() - 2.0;
    let value = |row: usize, i: usize| noise(row, i) + if i % 3 == label(row) as usize { 0.35 } else { 0.0 };
    let gap: Vec<f32> = (0..rows).flat_map(|r| (0..DIM).map(move |i| value(r, i))).collect();
    let map: Vec<f32> = gap.iter().flat_map(|&v| [v - 1.0, v + 1.0, v, v]).collect();
    let tap = |name: &str, shape: &[usize], data: Vec<f32>| TapFeatures {
        name: name.into(),
        shape: shape.to_vec(),
        views: vec![Arc::new(Matrix::new(shape.iter().product(), data.iter().map(|v| v + 0.1).collect()).unwrap())],
        features: Arc::new(Matrix::new(shape.iter().product(), data).unwrap()),
    };
    let split = |row| match row % 4 {
        2 if with_val => Split::Val,
        3 => Split::Test,
        _ => Split::Train,
    };
    Source::new(
        vec![tap("gap", &[DIM], gap), tap("map", &[DIM, 2, 2], map)],
        ["ant", "bee", "cat"].map(String::from).to_vec(),
        (0..rows).map(|r| format!("img/{r}.jpg")).collect(),
        (0..rows).map(|r| vec![label(r)]).collect(),
        &(0..rows).map(split).collect::<Vec<_>>(),
    )
    .unwrap()
}

/// The trainer that is shipped for CPUs.
fn trainer() -> Arc<dyn Trainer> {
    Arc::new(FusedTrainer::new(2))
}

fn config(text: &str) -> SweepConfig {
    SweepConfig::parse(text, Path::new("sweep.yaml")).unwrap()
}

const GRID: &str = "\
method: grid
parameters:
  tap: {value: gap}
  head: {values: [linear, dense]}
  hidden: {values: [4, 8]}
  dropout: {value: 0.3}
  lr: {values: [1.0e-3, 1.0e-2, 1.0e-1]}
  batch_size: {value: 16}
  epochs: {value: 3}
";

fn job(out: &Path, text: &str) -> SweepJob {
    SweepJob { sources: vec![source(true)], config: config(text), out: out.into(), trainer: trainer() }
}

fn sweep(out: &Path, text: &str) -> SweepOutcome {
    run(job(out, text), &()).unwrap()
}

fn read(folder: &Path, file: &str) -> String {
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// The lines of trials.jsonl without their seconds, sorted: trials end in any order.
fn log(folder: &Path) -> Vec<String> {
    let mut lines: Vec<String> = read(folder, "trials.jsonl").lines().map(without_seconds).collect();
    lines.sort_unstable();
    lines
}

fn without_seconds(line: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
    // The checksum is of the seconds, too.
    ["seconds", "check"].iter().for_each(|field| drop(record.as_object_mut().unwrap().remove(*field)));
    record.to_string()
}

#[test]
fn a_sweep_leaves_a_directory_that_predict_can_use() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = sweep(folder.path(), GRID);
    // hidden does not multiply linear heads: 3 + 2 · 3
    assert_eq!(outcome.leaderboard.len(), 9);
    assert!(outcome.leaderboard[0].metric("val.acc1").unwrap() > 0.6, "{:?}", outcome.leaderboard[0]);
    assert!(outcome.test.unwrap().acc1 > 0.5);
    let results = read(folder.path(), "results.csv");
    assert_eq!(
        results.lines().next().unwrap().split(',').take(6).collect::<Vec<_>>(),
        ["trial", "status", "epoch", "tap", "head", "dropout"]
    );
    let columns: std::collections::HashSet<&str> = results.lines().next().unwrap().split(',').collect();
    assert_eq!(columns.len(), results.lines().next().unwrap().split(',').count(), "no two columns share a name");
    assert_eq!(results.lines().count(), 10);
    assert_eq!(read(folder.path(), "trials.jsonl").lines().count(), 9 * 4);
    assert_eq!(read(folder.path(), "confusion.csv").lines().count(), 4);
    assert_eq!(read(folder.path(), "predictions.csv").lines().count(), 1 + 120);

    let predictor = Predictor::load(folder.path()).unwrap();
    assert_eq!(predictor.classes(), ["ant", "bee", "cat"]);
    assert_eq!(predictor.inputs()[0].tap, "gap");
    let source = source(true);
    let mut right = 0;
    for &row in &source.partition.test {
        let mut features = vec![0.0; DIM];
        source.taps[0].features.read(row, 0..DIM, &mut features);
        let p = predictor.probabilities(features).unwrap();
        let answer = (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        right += usize::from(source.labels.of(row) == [answer as u32]);
    }
    assert_eq!(right as f64 / source.partition.test.len() as f64, outcome.test.unwrap().acc1);
    // The folder `best` alone will do as well.
    assert_eq!(Predictor::load(folder.path().join("best")).unwrap(), predictor);
}

#[test]
fn numbers_depend_on_neither_threads_nor_neighbours() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    for (folder, threads) in folders.iter().zip([1, 3]) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sweep(folder.path(), GRID));
    }
    for file in ["results.csv", "predictions.csv", "confusion.csv", "best/model.json"] {
        assert_eq!(read(folders[0].path(), file), read(folders[1].path(), file), "{file}");
    }
    assert_eq!(log(folders[0].path()), log(folders[1].path()));
    let alone = sweep(folders[2].path(), &GRID.replace("[1.0e-3, 1.0e-2, 1.0e-1]", "[1.0e-2]").replace("[linear, dense]", "[linear]"));
    let metrics = &alone.leaderboard[0].metrics;
    assert!(read(folders[0].path(), "results.csv").contains(&metrics["val.loss"].to_string()));
}

#[test]
fn a_killed_sweep_resumes_to_the_same_numbers() {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sweep(whole.path(), GRID);
    sweep(cut.path(), GRID);
    // What a kill leaves: some trials finished, one begun, a broken line, no results.
    let text = read(cut.path(), "trials.jsonl");
    let kept: Vec<&str> = text.lines().take(14).collect();
    std::fs::write(cut.path().join("trials.jsonl"), kept.join("\n") + "\n{\"record\":\"final\",\"tri").unwrap();
    std::fs::remove_file(cut.path().join("results.csv")).unwrap();
    std::fs::remove_dir_all(cut.path().join("best")).unwrap();

    struct Count(AtomicUsize);
    impl Observer for Count {
        fn finished(&self, _: &TrialResult) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Count(AtomicUsize::new(0));
    let outcome = run(job(cut.path(), GRID), &count).unwrap();
    assert!(outcome.reused > 0, "finished trials are not trained again");
    assert_eq!(outcome.reused + count.0.into_inner(), 9);
    for file in ["results.csv", "predictions.csv", "best/model.json"] {
        assert_eq!(read(whole.path(), file), read(cut.path(), file), "{file}");
    }
    assert_eq!(
        std::fs::read(whole.path().join("best/head.safetensors")).unwrap(),
        std::fs::read(cut.path().join("best/head.safetensors")).unwrap()
    );
    assert_eq!(log(whole.path()), log(cut.path()));

    // All finished: nothing is trained but, for its weights, the best.
    assert_eq!(sweep(cut.path(), GRID).reused, 9);
    // A wider grid keeps what it shares with the narrower one.
    assert_eq!(sweep(cut.path(), &GRID.replace("1.0e-1]", "1.0e-1, 0.5]")).reused, 9);
}

#[test]
fn without_a_val_split_a_fifth_of_train_serves_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), "parameters: {tap: {value: gap}, epochs: {value: 1}}");
    job.sources = vec![source(false)];
    let outcome = run(job, &()).unwrap();
    assert!(outcome.notes.iter().any(|n| n.contains("no val split")), "{:?}", outcome.notes);
    assert!(!outcome.notes.iter().any(|n| n.contains("different images")), "{:?}", outcome.notes);
    let val = read(folder.path(), "predictions.csv").lines().filter(|l| l.contains(",val,")).count();
    assert_eq!(val, 36);
}

#[test]
fn caches_judged_by_different_images_are_compared_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(folder.path(), "parameters: {tap: {value: gap}, epochs: {value: 1}}");
    let mut other = source(true);
    other.name = "other".into();
    let judge = other.partition.val[0];
    other.paths[judge] = "img/strange.jpg".into();
    job.sources.push(other);
    let outcome = run(job, &()).unwrap();
    assert!(outcome.notes.iter().any(|n| n.contains("different images (2 are in one of them only)")), "{:?}", outcome.notes);
}

#[test]
fn heads_that_fit_no_tap_are_refused_and_those_that_fit_some_are_tried_there() {
    let folder = tempfile::tempdir().unwrap();
    let some = sweep(folder.path(), "parameters:\n  head: {values: [linear, gap]}\n  epochs: {value: 1}\n");
    let tried: Vec<String> = some.leaderboard.iter().map(|r| format!("{} on {}", r.settings["head"], r.settings["tap"])).collect();
    assert_eq!(tried.len(), 3, "{tried:?}");
    assert!(some.notes.iter().any(|n| n.contains("head `gap` pools a map")), "{:?}", some.notes);
    let text = "parameters:\n  tap: {value: gap}\n  head:\n    values:\n      - linear\n      - gap\n";
    let message = run(job(folder.path(), text), &()).unwrap_err().to_string();
    assert!(message.contains("sweep.yaml:6") && message.contains("tap `gap` has the shape [16]"), "{message}");
    let message = run(job(folder.path(), "parameters:\n  tap: {value: gop}\n"), &()).unwrap_err().to_string();
    assert!(message.contains("sweep.yaml:2") && message.contains("did you mean `gap`?"), "{message}");
}

#[test]
fn random_search_repeats_itself_and_grows_without_changing() {
    let text = "method: random\nrun_cap: 4\nparameters:\n  tap: {value: gap}\n  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}\n  head: {values: [linear, dense]}\n  epochs: {value: 1}\n";
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(sweep(folder.path(), text).leaderboard.len(), 4);
    let more = sweep(folder.path(), &text.replace("run_cap: 4", "run_cap: 7"));
    assert_eq!((more.leaderboard.len(), more.reused), (7, 4));
}

#[test]
fn a_second_sweep_into_the_same_folder_is_refused() {
    struct Nested<'a>(&'a Path, std::sync::Mutex<String>);
    impl Observer for Nested<'_> {
        fn started(&self, _: usize) {
            *self.1.lock().unwrap() = run(job(self.0, GRID), &()).unwrap_err().to_string();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let nested = Nested(folder.path(), std::sync::Mutex::default());
    run(job(folder.path(), "parameters: {tap: {value: gap}, epochs: {value: 1}}"), &nested).unwrap();
    assert!(nested.1.into_inner().unwrap().contains("another process"));
}

/// Files that must not differ between runs.
const NUMBERS: [&str; 5] = ["results.csv", "predictions.csv", "confusion.csv", "per_class.csv", "best/model.json"];

/// Runs a sweep on one thread, on three, and cut short after some records: all must leave the same numbers.
fn same_numbers_however_it_runs(text: &str, cut_after: usize) -> SweepOutcome {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let outcome = pool(1).install(|| sweep(folders[0].path(), text));
    pool(3).install(|| sweep(folders[1].path(), text));
    pool(2).install(|| sweep(folders[2].path(), text));
    let kept: Vec<String> = read(folders[2].path(), "trials.jsonl").lines().take(cut_after).map(str::to_owned).collect();
    std::fs::write(folders[2].path().join("trials.jsonl"), kept.join("\n") + "\n").unwrap();
    let resumed = pool(2).install(|| sweep(folders[2].path(), text));
    assert!(resumed.reused > 0 && resumed.reused < outcome.leaderboard.len(), "{} reused", resumed.reused);
    for folder in &folders[1..] {
        for file in NUMBERS {
            assert_eq!(read(folders[0].path(), file), read(folder.path(), file), "{file}");
        }
        assert_eq!(log(folders[0].path()), log(folder.path()));
    }
    outcome
}

#[test]
fn heads_without_a_learning_rate_are_trials_like_others() {
    let text = "\
parameters:
  tap: {value: gap}
  head: {values: [ridge, logreg, knn, nearest-mean, linear]}
  alpha: {values: [0.1, 10.0]}
  C: {values: [0.01, 0.3]}
  k: {values: [5, 20]}
  lr: {values: [1.0e-2]}
  epochs: {value: 3}
";
    let outcome = same_numbers_however_it_runs(text, 7);
    assert_eq!(outcome.leaderboard.len(), 2 + 2 + 2 + 1 + 1);
    for result in outcome.leaderboard.iter().filter(|r| r.settings["head"] != "linear") {
        assert!(result.metric("val.acc1").unwrap() > 0.5, "{:?}", result.settings);
    }
    // Alone a strength gives what it gave beside another.
    let folder = tempfile::tempdir().unwrap();
    let alone =
        sweep(folder.path(), &text.replace("[ridge, logreg, knn, nearest-mean, linear]", "[logreg]").replace("[0.01, 0.3]", "[0.3]"));
    let beside = outcome.leaderboard.iter().find(|r| r.settings.get("C").is_some_and(|c| *c == 0.3)).unwrap();
    assert_eq!(alone.leaderboard[0].metrics, beside.metrics);
}

#[test]
fn predict_takes_every_kind_of_head() {
    let source = source(true);
    for head in ["ridge", "logreg", "knn", "nearest-mean", "dense"] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "parameters:\n  tap: {{value: gap}}\n  head: {{value: {head}}}\n  epochs: {{value: 3}}\n  standardise: {{value: true}}\n"
        );
        sweep(folder.path(), &text);
        let predictor = Predictor::load(folder.path()).unwrap();
        let predictions = read(folder.path(), "predictions.csv");
        for line in predictions.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let row = source.paths.iter().position(|p| p == cells[0]).unwrap();
            let mut features = vec![0.0; DIM];
            source.taps[0].features.read(row, 0..DIM, &mut features);
            let p = predictor.probabilities(features).unwrap();
            let largest = p.iter().copied().fold(0f32, f32::max);
            assert!((largest - cells[5].parse::<f32>().unwrap()).abs() < 1e-5, "{head}: {p:?} {line}");
        }
        assert!(predictor.model.metrics.contains_key("test.ece_scaled"));
        let scaled = |name: &str| predictor.model.metrics[name].as_f64().unwrap();
        assert!(scaled("val.loss_scaled") <= scaled("val.loss") + 1e-9, "{head}");
    }
}

const SEARCHED: &str = "\
method: bayes
run_cap: 22
parameters:
  tap: {value: gap}
  head: {values: [linear, dense, ridge]}
  hidden: {value: 4}
  alpha: {distribution: log_uniform_values, min: 1.0e-3, max: 1.0e+3}
  lr: {distribution: log_uniform_values, min: 1.0e-4, max: 0.1}
  epochs: {value: 2}
";

#[test]
fn a_bayesian_search_depends_on_its_seed_alone() {
    let outcome = same_numbers_however_it_runs(SEARCHED, 40);
    assert_eq!(outcome.leaderboard.len(), 22);
    let folder = tempfile::tempdir().unwrap();
    let other = sweep(folder.path(), &format!("{SEARCHED}seed: 1\n"));
    assert_ne!(other.leaderboard[0].settings, outcome.leaderboard[0].settings);
}

#[test]
fn a_bayesian_search_of_few_settings_ends_when_all_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    let text = "method: bayes\nparameters:\n  tap: {value: gap}\n  head: {value: ridge}\n  alpha: {values: [0.1, 1.0, 10.0]}\n";
    assert_eq!(sweep(folder.path(), text).leaderboard.len(), 3);
}

#[test]
fn early_termination_stops_the_worse_and_does_not_depend_on_the_threads() {
    let text = "\
method: random
run_cap: 20
parameters:
  tap: {value: gap}
  lr: {distribution: log_uniform_values, min: 1.0e-5, max: 0.3}
  epochs: {value: 9}
early_terminate: {type: halving, min_iter: 1, eta: 3}
";
    let outcome = same_numbers_however_it_runs(text, 30);
    let epochs = |n| outcome.leaderboard.iter().filter(|r| r.history.len() == n).count();
    assert_eq!(epochs(1) + epochs(3) + epochs(9), 20);
    assert!(epochs(1) >= 12 && epochs(9) >= 2 && epochs(9) <= 5, "{} {} {}", epochs(1), epochs(3), epochs(9));
    assert_eq!(outcome.leaderboard.iter().filter(|r| r.status == Status::Stopped).count(), epochs(1) + epochs(3));
    let hyperband = same_numbers_however_it_runs(&text.replace("halving", "hyperband"), 30);
    let spared = hyperband.leaderboard.iter().filter(|r| r.history.len() > 1).count();
    assert!(spared > 20 - epochs(1), "{spared}");
}

#[test]
fn folds_judge_every_row_once_and_the_chosen_head_is_trained_on_all() {
    let text = "\
parameters:
  tap: {value: gap}
  head: {values: [ridge, linear]}
  alpha: {values: [1.0, 10.0]}
  standardise: {value: true}
  epochs: {value: 2}
folds: 4
report_best_by: head
";
    let outcome = same_numbers_however_it_runs(text, 12);
    assert_eq!(outcome.leaderboard.len(), 3);
    assert!(outcome.leaderboard.iter().all(|r| r.metric("val.acc1.std").is_some()));
    assert_eq!(outcome.best_by.len(), 2);
    assert!(outcome.best_by.iter().all(|best| best.metrics.contains_key("test.acc1")));
    let folder = tempfile::tempdir().unwrap();
    sweep(folder.path(), text);
    let predictions = read(folder.path(), "predictions.csv");
    assert_eq!(predictions.lines().filter(|l| l.contains(",val,")).count(), 180);
    assert_eq!(predictions.lines().filter(|l| l.contains(",test,")).count(), 60);
    assert_eq!(read(folder.path(), "best_by_head.csv").lines().count(), 3);
    // The mean over folds of the first repetition, row by row.
    let right = predictions.lines().filter(|l| l.contains(",val,") && l.split(',').nth(4) == Some("1")).count();
    assert!((right as f64 / 180.0 - outcome.leaderboard[0].metric("val.acc1").unwrap()).abs() < 1e-6);
}

#[test]
fn repeats_and_shots_draw_rows_and_seeds_of_their_own() {
    let text = "\
parameters:
  tap: {value: gap}
  shots: {values: [2, 20]}
  dropout: {value: 0.3}
  epochs: {value: 8}
  lr: {value: 1.0e-2}
repeats: 3
refit: true
report_best_by: shots
";
    let outcome = same_numbers_however_it_runs(text, 30);
    let of = |shots: usize| outcome.leaderboard.iter().find(|r| r.settings["shots"] == shots).unwrap();
    assert!(of(20).metric("val.acc1") > of(2).metric("val.acc1"));
    assert!(of(2).metric("val.loss.std").unwrap() > 0.0);
    assert_eq!(of(2).history.len(), 3 * 8);
    assert_eq!(outcome.best_by.len(), 2);
}

#[test]
fn a_time_cap_ends_a_sweep_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let text = "method: random\nrun_cap: 5000\ntime_cap: 0.5s\nparameters:\n  tap: {value: gap}\n  lr: {min: 0.001, max: 0.1}\n  epochs: {value: 5}\n";
    let outcome = sweep(folder.path(), text);
    assert!(outcome.leaderboard.len() < 5000);
    assert!(outcome.notes.iter().any(|n| n.contains("`time_cap` is reached")), "{:?}", outcome.notes);
}

#[test]
fn taps_are_joined_by_a_plus() {
    let folder = tempfile::tempdir().unwrap();
    let text = "parameters:\n  tap: {values: [gap+map, gap]}\n  head: {value: ridge}\n";
    let outcome = sweep(folder.path(), text);
    assert_eq!(outcome.leaderboard.len(), 2);
    let joined = outcome.leaderboard.iter().find(|r| r.settings["tap"] == "gap+map").unwrap();
    assert!(joined.metric("val.acc1").unwrap() > 0.6);
}

#[test]
fn mistakes_beside_the_parameters_are_refused_with_their_line() {
    let cases = [
        ("folds: 0", "sweep.yaml:2: `folds: 0`", "at least 2"),
        ("early_terminate: {type: hyperbnad}", "sweep.yaml:2", "`hyperband`"),
        ("early_terminate: {min_itr: 3}", "sweep.yaml:2", "`min_iter`"),
        ("time_cap: soon", "`time_cap: soon` is not a duration", "10m"),
        ("report_best_by: haed", "`report_best_by: haed`", "`head`"),
        ("refit: perhaps", "`refit: perhaps`", "true or false"),
        ("method: bayse", "`method: bayse`", "`bayes`"),
        ("fold: 5", "`fold` is not a word", "`folds`"),
    ];
    for (line, problem, hint) in cases {
        let message =
            SweepConfig::parse(&format!("parameters: {{lr: {{value: 1}}}}\n{line}\n"), Path::new("sweep.yaml")).unwrap_err().to_string();
        assert!(message.contains(problem) && message.contains(hint), "{line}: {message}");
    }
    let message = SweepConfig::parse("parameters:\n  head: {values: [ridge]}\n  shots: {values: [0]}\n", Path::new("s.yaml")).unwrap_err();
    assert!(message.to_string().contains("s.yaml:3: `shots: 0`"), "{message}");
}
