//! Sweeps with either trainer: what is trained side by side or alone, and every kind of head.

use std::path::Path;
use std::sync::Arc;

use headstart::internals::heads::{CandleTrainer, FusedTrainer, Head, HeadKind, Predictor, Session, Task, Trainer};
use headstart::sweep::{Source, Status, SweepConfig, SweepJob, SweepOutcome, TapFeatures, run};

use crate::{GRID, job, log, read, source, trainer, with_classifier};

fn candle() -> CandleTrainer {
    CandleTrainer { device: candle_core::Device::Cpu }
}

/// A trainer that takes one head at a time.
struct OneByOne<T>(T);

impl<T: Trainer> Trainer for OneByOne<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn begin<'a>(&self, task: Task<'a>, start: Head) -> headstart::Result<Box<dyn Session + 'a>> {
        self.0.begin(task, start)
    }
}

fn side_by_side_as_one_by_one<T: Trainer + Clone + 'static>(trainer: &T) {
    let grid =
        GRID.replace("hidden: {values: [4, 8]}", "patience: {values: [0, 1]}").replace("epochs: {value: 3}", "epochs: {values: [4, 9]}");
    for more in ["", "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n", "folds: 3\n", "run_cap: 5\n"] {
        let [together, one_by_one] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let text = format!("{more}{grid}");
        let outcome = run(SweepJob { trainer: Arc::new(trainer.clone()), ..job(together.path(), &text) }, &()).unwrap();
        run(SweepJob { trainer: Arc::new(OneByOne(trainer.clone())), ..job(one_by_one.path(), &text) }, &()).unwrap();
        let stopped = outcome.leaderboard.iter().filter(|trial| trial.status == Status::Stopped).count();
        assert_eq!(stopped > 0, more.starts_with("early"), "{stopped} trials ended early");
        for file in ["results.csv", "predictions.csv", "best/model.json"] {
            assert_eq!(read(together.path(), file), read(one_by_one.path(), file), "{file}, {more}");
        }
        assert_eq!(log(together.path()), log(one_by_one.path()), "{more}");
    }
}

#[test]
fn trials_side_by_side_give_the_numbers_of_trials_one_by_one() {
    side_by_side_as_one_by_one(&FusedTrainer::new(2));
    side_by_side_as_one_by_one(&candle());
}

/// Every kind of head on the taps that it fits.
fn every_head(trainer: Arc<dyn Trainer>) -> SweepOutcome {
    let folder = tempfile::tempdir().unwrap();
    let heads = HeadKind::CHOICES.join(", ");
    let text =
        format!("parameters:\n  head: {{values: [{heads}]}}\n  hidden: {{value: 8}}\n  lr: {{value: 1.0e-2}}\n  epochs: {{value: 2}}\n");
    run(SweepJob { trainer, sources: vec![with_classifier()], ..job(folder.path(), &text) }, &()).unwrap()
}

#[test]
fn every_kind_of_head_is_swept_and_both_trainers_come_to_the_same() {
    let [fused, reference] = [every_head(Arc::new(FusedTrainer::new(2))), every_head(Arc::new(candle()))];
    for head in HeadKind::CHOICES {
        assert!(fused.leaderboard.iter().any(|trial| trial.settings["head"] == *head), "{head}");
    }
    assert_eq!(fused.leaderboard.len(), reference.leaderboard.len());
    for trial in &fused.leaderboard {
        let same = reference.leaderboard.iter().find(|other| other.settings == trial.settings).unwrap();
        let [a, b] = [trial, same].map(|trial| trial.metric("val.loss").unwrap());
        assert!((a - b).abs() < 1e-4, "{:?}: {a} {b}", trial.settings);
    }
}

/// A cache with all taps that the example files name.
fn with_flat() -> Source {
    let mut source = source(true);
    let map = source.tap("map").unwrap().clone();
    source.taps.push(TapFeatures { name: "flat".into(), shape: vec![map.features.dim()], ..map });
    source
}

#[test]
fn every_example_file_runs_from_its_search_to_its_best_head() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = std::fs::read_dir(examples).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    assert!(files.len() >= 10, "{files:?}");
    for file in files {
        let folder = tempfile::tempdir().unwrap();
        let mut config = SweepConfig::read(&file).unwrap();
        ["epochs=4", "run_cap=12", "hidden=8"].iter().for_each(|setting| config.set(setting).unwrap());
        let job = SweepJob { sources: vec![with_flat()], config, out: folder.path().into(), trainer: trainer() };
        let outcome = run(job, &()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert!(outcome.leaderboard.iter().any(|trial| trial.status == Status::Done), "{}", file.display());
        assert!(outcome.leaderboard[0].metric("val.loss").is_some(), "{}: {:?}", file.display(), outcome.leaderboard[0]);
        Predictor::load(folder.path()).unwrap();
    }
}
