//! Every trainer against PyTorch, and trainers against each other.

use candle_core::Device;
use serde_json::{Value, json};

use super::*;

const ROWS: usize = 12;
const DIM: usize = 5;
const CLASSES: usize = 3;

fn wave(n: usize, a: f64, b: f64) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| (i as f64 * a + b).sin() as f32)
}

/// The data of `tests/goldens/make_heads.py`.
fn data() -> (Matrix, Labels, Partition) {
    let x = Matrix::new(DIM, wave(ROWS * DIM, 1.7, 0.3).map(|v| v * 2.0).collect()).unwrap();
    let labels = Labels::One((0..ROWS as u32).map(|i| i * i % CLASSES as u32).collect());
    let partition = Partition { train: (0..ROWS).collect(), val: (0..ROWS).collect(), test: vec![] };
    (x, labels, partition)
}

/// A head that starts from the goldens' weights.
fn start(spec: &HeadSpec) -> Head {
    let mut head = Head::initial(spec);
    for (i, layer) in head.layers.iter_mut().enumerate() {
        layer.weight = wave(layer.weight.len(), 0.9, i as f64).map(|v| v * 0.5).collect();
        layer.bias = wave(layer.bias.len(), 2.3, i as f64).map(|v| v * 0.1).collect();
    }
    head
}

fn spec(settings: &Value) -> HeadSpec {
    let mut all = settings.clone();
    all["batch_size"] = json!(ROWS);
    all["epochs"] = json!(20);
    let params: Params = serde_json::from_value(all).unwrap();
    params.check(Fit { tap: "gap", shape: &[DIM], classes: CLASSES, many: false }).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn largest_difference(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

fn follows_pytorch(trainer: &dyn Trainer) {
    let golden: Value = serde_json::from_str(include_str!("../../tests/goldens/heads.json")).unwrap();
    let (x, labels, partition) = data();
    let task = Task { features: &x, labels: &labels, partition: &partition };
    for case in golden["trajectories"].as_array().unwrap() {
        let settings = &case["settings"];
        let spec = spec(settings);
        let rate = LearningRate::new(spec.params());
        let mut session = trainer.begin(task, start(&spec)).unwrap();
        for (epoch, want) in floats(&case["losses"]).into_iter().enumerate() {
            let loss = session.epoch(epoch, rate.at(epoch)).unwrap();
            assert!((loss - want).abs() < 1e-5, "{settings}: loss of step {epoch} is {loss}, not {want}");
        }
        let head = session.head().unwrap();
        let weights: Vec<f32> = head.layers.iter().flat_map(|l| l.weight.iter().chain(&l.bias)).copied().collect();
        let error = largest_difference(&weights, &floats(&case["weights"]));
        assert!(error < 1e-5, "{settings}: weights differ by {error}");
        let error = largest_difference(&head.logits(Matrix::of(&x).into_data()), &floats(&case["logits"]));
        assert!(error < 5e-5, "{settings}: logits differ by {error}");
    }
}

#[test]
fn the_candle_trainer_follows_pytorch() {
    follows_pytorch(&CandleTrainer { device: Device::Cpu });
}
