//! A backbone's own fully connected layers as a head.

use headstart::internals::heads::{HiddenLayers, Layer, Predictor, PretrainedLayers};
use headstart::sweep::{Source, SweepJob, run};

use crate::{DIM, config, source, trainer};

/// Two hidden layers behind the tap `gap`, as VGG has them behind `avgpool`.
pub(crate) fn with_classifier() -> Source {
    let layer = |inputs: usize, outputs: usize| Layer {
        weight: (0..inputs * outputs).map(|i| (i as f32 * 0.9).sin() * 0.3).collect(),
        bias: vec![0.0; outputs],
    };
    let hidden = HiddenLayers { tap: "gap".into(), hidden: vec![12, 8], dropouts: vec![false, true, true] };
    let classifier = PretrainedLayers::new(hidden, move || Ok(vec![layer(DIM, 12), layer(12, 8)]));
    Source { classifier: Some(classifier), ..source(true) }
}

const CLASSIFIER: &str = "\
method: grid
parameters:
  tap: {value: gap}
  head: {value: classifier}
  init: {values: [pretrained, random]}
  mixup: {values: [0.0, 0.2]}
  lr: {value: 1.0e-2}
  batch_size: {value: 16}
  epochs: {value: 4}
";

#[test]
fn a_backbones_own_layers_are_swept_saved_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let sources = || vec![with_classifier()];
    let job = |text: &str| SweepJob { sources: sources(), config: config(text), out: folder.path().into(), trainer: trainer() };
    let outcome = run(job(CLASSIFIER), &()).unwrap();
    assert_eq!(outcome.leaderboard.len(), 4);
    assert!(outcome.leaderboard[0].metric("val.acc1").unwrap() > 0.6);
    let predictor = Predictor::load(folder.path()).unwrap();
    assert_eq!(predictor.head.spec.dims(), [DIM, 12, 8, 3]);
    let again = run(job(CLASSIFIER), &()).unwrap();
    assert_eq!(again.reused, 4);
    assert_eq!(again.leaderboard[0].metrics, outcome.leaderboard[0].metrics);

    let refused = |text: String, source| {
        let job = SweepJob { sources: vec![source], config: config(&text), out: folder.path().join("none"), trainer: trainer() };
        run(job, &()).unwrap_err().to_string()
    };
    let elsewhere = refused(CLASSIFIER.replace("value: gap", "value: map"), with_classifier());
    assert!(elsewhere.contains("sweep.yaml:4") && elsewhere.contains("behind tap `gap`, not behind `map`"), "{elsewhere}");
    let without = refused(CLASSIFIER.into(), source(true));
    assert!(without.contains("the backbone of these features has none"), "{without}");
    let solved = refused(CLASSIFIER.replace("value: classifier", "value: ridge"), with_classifier());
    assert!(solved.contains("sweep.yaml:6") && solved.contains("`mixup` mixes the rows of training batches"), "{solved}");
}
