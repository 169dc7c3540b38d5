//! Trials that diverge and features that are no numbers: neither may pass for a result.

use std::sync::Arc;

use headstart::data::Split;
use headstart::internals::heads::{HeadKind, Matrix};
use headstart::report;
use headstart::sweep::{Source, Status, SweepJob, run};

use crate::{DIM, job, read, same_numbers_however_it_runs, source, sweep, trainer};

/// One learning rate that learns, behind one with which no head can.
const HALF: &str = "\
parameters:
  tap: {value: gap}
  optimizer: {value: sgd}
  lr: {values: [1.0e+38, 1.0e-2]}
  batch_size: {value: 16}
  epochs: {value: 3}
";

#[test]
fn a_trial_that_diverges_has_no_metrics_and_comes_last() {
    for metric in ["acc1", "acc5", "loss", "ece"] {
        let folder = tempfile::tempdir().unwrap();
        let outcome = sweep(folder.path(), &format!("metric: {metric}\n{HALF}"));
        let [best, last] = &*outcome.leaderboard else { panic!("two trials") };
        assert_eq!((best.number, best.status, last.status), (1, Status::Done, Status::Diverged), "{metric}");
        assert!(last.metrics.iter().all(|(name, value)| !name.starts_with("val.") || value.is_null()), "{:?}", last.metrics);
        assert!(outcome.notes.iter().any(|note| note.contains("1 of 2 trials diverged")), "{:?}", outcome.notes);
        let results = read(folder.path(), "results.csv");
        assert!(results.lines().nth(1).unwrap().starts_with("0,diverged,"), "{results}");
        report::write(folder.path(), None).unwrap();
        let page = read(folder.path(), "report.html");
        assert!(page.contains("1 of 2 trials diverged"), "the report says so");
    }
}

#[test]
fn where_all_trials_diverge_the_sweep_says_that_its_best_head_is_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = sweep(folder.path(), &HALF.replace("[1.0e+38, 1.0e-2]", "[1.0e+38, 2.0e+38, 3.0e+38]"));
    assert!(outcome.leaderboard.iter().all(|trial| trial.status == Status::Diverged));
    assert!(outcome.notes.iter().any(|note| note.contains("all 3 trials diverged")), "{:?}", outcome.notes);
    assert!(!outcome.notes.iter().any(|note| note.contains("that was tried")), "{:?}", outcome.notes);
    report::write(folder.path(), None).unwrap();
    assert!(read(folder.path(), "report.html").contains("every trial diverged"));
}

#[test]
fn trials_that_diverge_take_no_place_of_those_that_learn() {
    let text = "\
parameters:
  tap: {value: gap}
  optimizer: {value: sgd}
  lr: {values: [1.0e+38, 2.0e+38, 3.0e+38, 1.5e+38, 1.0e-3, 1.0e-2]}
  weight_decay: {value: 0.1}       # with it such rates overflow in the second step
  batch_size: {value: 16}
  epochs: {value: 9}
early_terminate: {type: halving, min_iter: 1, eta: 3}
";
    for method in ["halving", "hyperband"] {
        let outcome = same_numbers_however_it_runs(&text.replace("halving", method), 3);
        let ended = |lr: f64| outcome.leaderboard.iter().find(|trial| trial.settings["lr"] == lr).unwrap();
        assert!([1e38, 2e38, 3e38, 1.5e38].iter().all(|&lr| ended(lr).status == Status::Diverged), "{method}");
        // Two places of six at the first rung, one at the second.
        let reached = [1e-3, 1e-2].map(|lr| ended(lr).history.len());
        assert!(reached.iter().all(|&epochs| epochs >= 3) && reached.contains(&9), "{method}: {reached:?}");
    }
}

/// The source of the other tests with one value of `gap` that is none.
fn spoilt(value: f32, split: Split) -> (Source, usize) {
    let mut source = source(true);
    let rows = &source.partition;
    let row =
        [(Split::Train, &rows.train), (Split::Val, &rows.val), (Split::Test, &rows.test)].iter().find(|(s, _)| *s == split).unwrap().1[5];
    let mut data = Matrix::of(&*source.taps[0].features).into_data();
    data[row * DIM + 3] = value;
    source.taps[0].features = Arc::new(Matrix::new(DIM, data).unwrap());
    (source, row)
}

#[test]
fn features_that_are_no_numbers_end_a_sweep_of_any_head_and_are_named() {
    let heads = HeadKind::CHOICES.iter().filter(|head| !matches!(**head, "gap" | "gap-dropout" | "classifier"));
    for (head, value, split) in heads.flat_map(|head| {
        [
            (f32::NAN, Split::Train),
            (f32::NAN, Split::Val),
            (f32::NAN, Split::Test),
            (f32::INFINITY, Split::Train),
            (-f32::NAN, Split::Train),
        ]
        .map(|(value, split)| (head, value, split))
    }) {
        let folder = tempfile::tempdir().unwrap();
        for more in ["", "\n  standardise: {value: true}", "\n  l2: {value: true}"] {
            let text = format!(
                "parameters:\n  tap: {{value: gap}}\n  head: {{value: {head}}}\n  hidden: {{value: 8}}\n  epochs: {{value: 2}}{more}\n"
            );
            let (source, row) = spoilt(value, split);
            let message =
                run(SweepJob { sources: vec![source], trainer: trainer(), ..job(folder.path(), &text) }, &()).unwrap_err().to_string();
            let place = format!("tap `gap` has the value {value} in row {row}, img/{row}.jpg");
            assert!(message.contains(&place) && message.contains("help:"), "{head}, {split:?}{more}: {message}");
        }
    }
}
