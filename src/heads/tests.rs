//! Every trainer against PyTorch and Keras, and trainers against each other.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::Device;
use serde_json::{Value, json};

use super::*;
use crate::simd::Isa;

const ROWS: usize = 12;
const DIM: usize = 5;
const CLASSES: usize = 3;

fn wave(n: usize, a: f64, b: f64) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| (i as f64 * a + b).sin() as f32)
}

/// The data of `tests/goldens/make_heads.py`, with one class a row or several.
fn data(classes: usize, many: bool) -> (Matrix, Labels, Partition) {
    let x = Matrix::new(DIM, wave(ROWS * DIM, 1.7, 0.3).map(|v| v * 2.0).collect()).unwrap();
    let is_of = |row: u32, class: u32| (row * (class + 1)).is_multiple_of(3) || (row * (class + 1)).is_multiple_of(5);
    let several = |row| (0..classes as u32).filter(|&class| is_of(row, class)).collect();
    let rows = 0..ROWS as u32;
    let labels = if many { Labels::Many(rows.map(several).collect()) } else { Labels::One(rows.map(|i| i * i % classes as u32).collect()) };
    let partition = Partition { train: (0..ROWS).collect(), val: (0..ROWS).collect(), test: vec![] };
    (x, labels, partition)
}

/// A head that starts from the goldens' weights.
fn start(spec: &HeadSpec) -> Head {
    let mut layers = Head::initial(spec).fitted.into_layers();
    for (i, layer) in layers.iter_mut().enumerate() {
        layer.weight = wave(layer.weight.len(), 0.9, i as f64).map(|v| v * 0.5).collect();
        layer.bias = wave(layer.bias.len(), 2.3, i as f64).map(|v| v * 0.1).collect();
    }
    Head::of_layers(spec, layers)
}

fn spec(settings: &Value) -> (HeadSpec, bool) {
    let mut all = settings.clone();
    let mut take = |key| all.as_object_mut().unwrap().remove(key);
    let many = take("labels").is_some();
    let classes = take("classes").map_or(CLASSES, |n| n.as_u64().unwrap() as usize);
    all["batch_size"] = json!(ROWS);
    all["epochs"] = json!(20);
    let params: Params = serde_json::from_value(all).unwrap();
    (params.check(Fit { tap: "gap", shape: &[DIM], classes, many }).unwrap(), many)
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn largest_difference(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

fn follows_its_peers(trainer: &dyn Trainer) {
    let golden: Value = serde_json::from_str(include_str!("../../tests/goldens/heads.json")).unwrap();
    for case in golden["trajectories"].as_array().unwrap() {
        let settings = &case["settings"];
        let (spec, many) = spec(settings);
        let (x, labels, partition) = data(spec.classes(), many);
        let task = Task { features: &x, labels: &labels, partition: &partition };
        let rate = LearningRate::new(spec.params());
        let mut session = trainer.begin(task, start(&spec)).unwrap();
        for (epoch, want) in floats(&case["losses"]).into_iter().enumerate() {
            let loss = session.epoch(epoch, rate.at(epoch)).unwrap().loss;
            assert!((loss - want).abs() < 1e-5, "{settings}: loss of step {epoch} is {loss}, not {want}");
        }
        let head = session.head().unwrap();
        let weights: Vec<f32> = head.layers().iter().flat_map(|l| l.weight.iter().chain(&l.bias)).copied().collect();
        let error = largest_difference(&weights, &floats(&case["weights"]));
        assert!(error < 1e-5, "{settings}: weights differ by {error}");
        let error = largest_difference(&head.logits(Matrix::of(&x).into_data()), &floats(&case["logits"]));
        assert!(error < 5e-5, "{settings}: logits differ by {error}");
        if case["probabilities"].is_array() {
            let error = largest_difference(&session.classify(&partition.val).unwrap(), &floats(&case["probabilities"]));
            assert!(error < 1e-5, "{settings}: probabilities differ by {error}");
        }
    }
}

#[test]
fn the_candle_trainer_follows_pytorch_and_keras() {
    follows_its_peers(&CandleTrainer { device: Device::Cpu });
}

#[test]
fn the_fused_trainer_follows_pytorch_and_keras_on_every_instruction_set() {
    for isa in crate::simd::Isa::available() {
        follows_its_peers(&FusedTrainer::with_isa(isa, 1));
    }
}

/// Clouds of points, 3 classes, larger than a chunk and no multiple of anything.
fn cloud(rows: usize, dim: usize, many: bool) -> (Matrix, Labels, Partition) {
    let philox = crate::rng::Philox::new(3, 0);
    let label = |row: usize| (row * 7 % 3) as u32;
    let value =
        |row: usize, i: usize| philox.uniform([row as u32, i as u32, 0, 0])[0] - 0.5 + if i % 3 == label(row) as usize { 0.1 } else { 0.0 };
    let x = Matrix::new(dim, (0..rows).flat_map(|r| (0..dim).map(move |i| value(r, i))).collect()).unwrap();
    let labels =
        if many { Labels::Many((0..rows).map(|r| (0..label(r)).collect()).collect()) } else { Labels::One((0..rows).map(label).collect()) };
    let cut = rows * 4 / 5;
    (x, labels, Partition { train: (0..cut).collect(), val: (cut..rows).collect(), test: vec![] })
}

type Course = (Vec<f64>, Vec<f32>, Vec<f32>);

/// Losses and accuracies of a few epochs, the weights and the probabilities of val.
fn course(trainer: &dyn Trainer, x: &Arc<dyn FeatureTable>, labels: &Labels, partition: &Partition, spec: &HeadSpec) -> Course {
    let features = Augmented::table(spec.params(), vec![x.clone()], &partition.train).unwrap();
    let task = Task { features: &*features, labels, partition };
    let mut session = trainer.begin(task, Head::initial(spec)).unwrap();
    let rate = LearningRate::new(spec.params());
    let mut epoch = |e| {
        features.begin_epoch(e);
        session.epoch(e, rate.at(e)).unwrap()
    };
    let losses = (0..3).map(&mut epoch).flat_map(|pass| [pass.loss, pass.acc1]).collect();
    let head = session.head().unwrap();
    let mut weights: Vec<f32> = head.layers().iter().flat_map(|l| l.weight.iter().chain(&l.bias)).copied().collect();
    weights.extend(head.batch_norm().iter().flat_map(|n| n.mean.iter().chain(&n.variance)));
    (losses, weights, session.classify(&task.partition.val).unwrap())
}

/// Heads with every option that changes what a step computes.
fn variants() -> Vec<Params> {
    let base = Params { batch_size: 24, lr: 1e-3, seed: 5, ..Params::default() };
    let dense = Params { head: HeadKind::Dense, hidden: vec![40], dropout: 0.5, ..base.clone() };
    let sgd = OptimizerKind::Sgd;
    vec![
        base.clone(),
        Params { dropout: 0.3, optimizer: OptimizerKind::Rmsprop, ..base.clone() },
        Params { mixup: 0.3, brightness: 0.1, class_weights: ClassWeights::Balanced, label_smoothing: 0.1, ..base.clone() },
        Params { batch_norm: true, dropout: 0.2, optimizer: sgd, momentum: 0.9, lr: 1e-2, ..base.clone() },
        Params { batch_size: 1, optimizer: sgd, lr: 1e-2, ..base.clone() },
        Params { batch_size: 10_000, ..base.clone() },
        dense.clone(),
        Params { input_dropout: 0.2, activation: Activation::Gelu, clip_norm: Some(0.5), optimizer: sgd, lr: 0.1, ..dense.clone() },
        Params { hidden: vec![150, 20], label_smoothing: 0.1, class_weights: ClassWeights::Balanced, ..dense.clone() },
        Params { hidden: vec![7], loss: Loss::Sigmoid, optimizer: OptimizerKind::Adamw, weight_decay: 0.1, ..dense },
    ]
}

#[test]
fn both_trainers_agree_step_by_step() {
    for many in [false, true] {
        let (x, labels, partition) = cloud(151, 300, many);
        let x: Arc<dyn FeatureTable> = Arc::new(x);
        for params in variants() {
            if many && params.loss == Loss::Softmax {
                continue;
            }
            let spec = params.check(Fit { tap: "gap", shape: &[300], classes: 3, many }).unwrap();
            let (losses, weights, answers) = course(&CandleTrainer { device: Device::Cpu }, &x, &labels, &partition, &spec);
            for isa in crate::simd::Isa::available() {
                let (fused_losses, fused_weights, fused_answers) = course(&FusedTrainer::with_isa(isa, 1), &x, &labels, &partition, &spec);
                for (a, b) in losses.iter().zip(&fused_losses) {
                    assert!((a - b).abs() < 2e-5 * a.abs().max(1.0), "{isa:?} {params:?}: {losses:?} {fused_losses:?}");
                }
                let wide: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
                let error = largest_difference(&fused_weights, &wide);
                assert!(error < 1e-4, "{isa:?} {params:?}: weights differ by {error}");
                let wide: Vec<f64> = answers.iter().map(|&p| f64::from(p)).collect();
                let error = largest_difference(&fused_answers, &wide);
                assert!(error < 1e-4, "{isa:?} {params:?}: probabilities differ by {error}");
            }
        }
    }
}

#[test]
fn the_fused_trainer_gives_the_same_bits_on_any_number_of_threads() {
    let (x, labels, partition) = cloud(400, 700, false);
    let x: Arc<dyn FeatureTable> = Arc::new(x);
    for params in variants() {
        let spec = params.check(Fit { tap: "gap", shape: &[700], classes: 3, many: false }).unwrap();
        let one = course(&FusedTrainer::eager(1), &x, &labels, &partition, &spec);
        for threads in [2, 3, 4] {
            assert_eq!(course(&FusedTrainer::eager(threads), &x, &labels, &partition, &spec), one, "{threads} threads, {params:?}");
        }
    }
}

#[test]
fn training_accuracy_is_that_of_the_head_where_nothing_moves() {
    let trainers: [Box<dyn Trainer>; 2] = [Box::new(CandleTrainer { device: Device::Cpu }), Box::new(FusedTrainer::new(2))];
    for (trainer, many) in trainers.iter().flat_map(|t| [(t, false), (t, true)]) {
        let (x, labels, partition) = cloud(90, 20, many);
        let task = Task { features: &x, labels: &labels, partition: &partition };
        let spec = Params { batch_size: 7, ..Params::default() }.check(Fit { tap: "t", shape: &[20], classes: 3, many }).unwrap();
        let mut session = trainer.begin(task, Head::initial(&spec)).unwrap();
        let pass = session.epoch(0, 0.0).unwrap();
        let rows = &partition.train;
        let want = Metrics::of(&session.classify(rows).unwrap(), 3, &labels, rows).acc1;
        assert!(want > 0.0 && (pass.acc1 - want).abs() < 1e-9, "{}: {} instead of {want}", trainer.name(), pass.acc1);
    }
}

#[test]
fn a_classifier_starts_from_the_backbones_weights_and_both_trainers_agree_on_it() {
    let (x, labels, partition) = cloud(90, 150, false);
    let x: Arc<dyn FeatureTable> = Arc::new(x);
    let hidden = |inputs: usize, outputs: usize| Layer {
        weight: wave(inputs * outputs, 0.9, 0.1).map(|v| v * 0.1).collect(),
        bias: wave(outputs, 2.3, 0.0).map(|v| v * 0.1).collect(),
    };
    let shape = HiddenLayers { tap: "avgpool".into(), hidden: vec![40, 20], dropouts: vec![true, true, false] };
    let classifier = PretrainedLayers::new(shape, move || Ok(vec![hidden(150, 40), hidden(40, 20)]));
    let fit = Fit { tap: "avgpool", shape: &[150], classes: 3, many: false };
    let params = Params { batch_size: 16, epochs: 3, ..Params::of(HeadKind::Classifier) };
    let spec = params.check_with(fit, Some(&classifier.hidden)).unwrap();
    let start = classifier.start(&spec).unwrap();
    assert_eq!(start.layers()[1], hidden(40, 20));
    assert_eq!(start.layers()[2].weight.len(), 60);
    let random = Params { init: Init::Random, ..params.clone() }.check_with(fit, Some(&classifier.hidden)).unwrap();
    assert_eq!(classifier.start(&random).unwrap(), Head::initial(&random));
    let task = Task { features: &*x, labels: &labels, partition: &partition };
    let trained = |trainer: &dyn Trainer| {
        let mut training = Training::begin(trainer, task, start.clone(), Metric { name: "acc1", more: true }).unwrap();
        training.advance(3, &mut |_| Watch::Continue).unwrap();
        training.finish().unwrap().head
    };
    let (candle, fused) = (trained(&CandleTrainer { device: Device::Cpu }), trained(&FusedTrainer::new(2)));
    assert_ne!(candle.layers()[0], start.layers()[0]);
    for (a, b) in candle.layers().iter().zip(fused.layers()) {
        let wide: Vec<f64> = a.weight.iter().map(|&w| f64::from(w)).collect();
        assert!(largest_difference(&b.weight, &wide) < 1e-4);
    }

    let refused = |params: &Params, fit, classifier| params.check_with(fit, classifier).unwrap_err().to_string();
    assert!(refused(&params, fit, None).contains("the backbone of these features has none"));
    let gap = Fit { tap: "gap", ..fit };
    assert!(refused(&params, gap, Some(&classifier.hidden)).contains("lies behind tap `avgpool`, not behind `gap`"));
    let linear = Params { init: Init::Pretrained, ..Params::default() };
    assert!(refused(&linear, gap, None).contains("`init: pretrained` is for head `classifier`"));
}

/// Epochs and head of heads that were brought to their ends side by side, as many at once as the
/// trainer takes.
fn side_by_side(trainer: &dyn Trainer, task: Task<'_>, specs: &[HeadSpec], metric: Metric) -> Vec<(Vec<[f64; 4]>, Trained)> {
    let mut all: Vec<(Vec<[f64; 4]>, Trained)> = vec![];
    while all.len() < specs.len() {
        let starts = specs[all.len()..].iter().map(Head::initial).collect();
        let mut begun = Training::begin_lockstep(trainer, task, starts, metric).unwrap();
        let mut seen = vec![vec![]; begun.len()];
        while begun.iter().any(|training| !training.ended()) {
            let mut heads: Vec<_> = begun.iter_mut().collect();
            Training::advance_lockstep(&mut heads, &mut |at, e| {
                seen[at].push([e.lr, e.train.loss, e.train.acc1, e.val.loss]);
                Watch::Continue
            })
            .unwrap();
        }
        all.extend(seen.into_iter().zip(begun.into_iter().map(|training| training.finish().unwrap())));
    }
    all
}

#[test]
fn heads_side_by_side_are_bit_by_bit_the_heads_alone_even_where_memory_holds_fewer_of_them() {
    let trainer = CandleTrainer { device: Device::Cpu };
    for many in [false, true] {
        let (x, labels, partition) = cloud(60, 40, many);
        let x: Arc<dyn FeatureTable> = Arc::new(x);
        for params in variants().into_iter().filter(|p| !many || p.loss != Loss::Softmax) {
            let features = Augmented::table(&params, vec![x.clone()], &partition.train).unwrap();
            let task = Task { features: &*features, labels: &labels, partition: &partition };
            let spec = |(lr, weight_decay, epochs, dropout, patience)| {
                let (lr, dropout) = (params.lr * lr, params.dropout * dropout);
                let params = Params { lr, weight_decay, epochs, dropout, patience, schedule: Schedule::Cosine, ..params.clone() };
                params.check(Fit { tap: "gap", shape: &[40], classes: 3, many }).unwrap()
            };
            // One ends first, one has no dropout, one may stop because it gets worse.
            let differing =
                [(1.0, 0.0, 3, 0.5, 0), (0.3, 0.01, 1, 1.0, 0), (2.0, 0.1, 3, 0.0, 0), (30.0, 0.0, 5, 0.2, 1), (0.7, 0.0, 4, 0.2, 3)];
            let specs = differing.map(spec);
            assert!(specs.iter().all(|spec| trainer.in_common(spec, 100) == trainer.in_common(&specs[0], 100)));
            let metric = Metric { name: "loss", more: false };
            let alone: Vec<_> = specs.iter().flat_map(|spec| side_by_side(&trainer, task, std::slice::from_ref(spec), metric)).collect();
            assert_eq!(side_by_side(&trainer, task, &specs, metric), alone, "{params:?}");
            for holds in [[5, 2], [3, 1]] {
                candle::memory::HOLDS.set(holds);
                assert_eq!(side_by_side(&trainer, task, &specs, metric), alone, "memory for {holds:?}, {params:?}");
            }
            candle::memory::HOLDS.set([usize::MAX; 2]);
            let epochs = alone.iter().map(|(seen, _)| seen.len());
            assert!(epochs.zip(&specs).all(|(seen, spec)| seen == spec.params().epochs || spec.params().patience > 0 && seen >= 2));
        }
    }
}

/// A batch that is packed once for all heads; more batches than a window has, heads of different
/// shapes and optimisers, some of which end first.
#[test]
fn heads_that_share_their_batches_are_bit_by_bit_the_heads_alone() {
    let metric = Metric { name: "loss", more: false };
    let trainers = [[FusedTrainer::new(2), FusedTrainer::eager(2)], [FusedTrainer::eager(5), FusedTrainer::with_isa(Isa::Portable, 1)]];
    for (&batch_size, trainers) in [7, 50].iter().zip(&trainers) {
        let (x, labels, partition) = cloud(310, 140, false);
        let x: Arc<dyn FeatureTable> = Arc::new(x);
        for params in variants() {
            let params = Params { batch_size, ..params };
            let features = Augmented::table(&params, vec![x.clone()], &partition.train).unwrap();
            let task = Task { features: &*features, labels: &labels, partition: &partition };
            let spec = |(hidden, lr, optimizer, epochs, patience, clip_norm)| {
                let params = Params { hidden: vec![hidden], lr, optimizer, epochs, patience, clip_norm, ..params.clone() };
                params.check(Fit { tap: "gap", shape: &[140], classes: 3, many: false }).unwrap()
            };
            let (adam, sgd) = (OptimizerKind::Adam, OptimizerKind::Sgd);
            let differing =
                [(40, 1e-3, adam, 2, 0, None), (44, 3.0, sgd, 4, 1, None), (40, 1e-2, sgd, 1, 0, Some(0.1)), (36, 1e-4, adam, 3, 0, None)];
            let specs = differing.map(spec);
            for trainer in trainers {
                assert!(specs.iter().all(|spec| trainer.in_common(spec, 100) == trainer.in_common(&specs[0], 100)));
                let alone: Vec<_> = specs.iter().flat_map(|spec| side_by_side(trainer, task, std::slice::from_ref(spec), metric)).collect();
                assert_eq!(side_by_side(trainer, task, &specs, metric), alone, "{params:?}");
            }
        }
    }
    let spec = |params: Params| params.check(Fit { tap: "gap", shape: &[10], classes: 3, many: false }).unwrap();
    let trainer = FusedTrainer::new(2);
    let common = |params| trainer.in_common(&spec(params), 100);
    let base = || Params { dropout: 0.5, ..Params::default() };
    assert_eq!(common(base()), common(Params { head: HeadKind::Dense, hidden: vec![3], input_dropout: 0.5, ..Params::default() }));
    let others = [
        Params { dropout: 0.4, ..base() },
        Params { seed: 1, ..base() },
        Params { batch_size: 9, ..base() },
        Params { batch_norm: true, ..base() },
        Params { mixup: 0.2, ..base() },
        Params { head: HeadKind::Dense, input_dropout: 0.5, ..base() },
    ];
    assert!(others.into_iter().all(|params| common(params) != common(base())));
    let large = Params { head: HeadKind::Dense, hidden: vec![30_000, 30_000], ..Params::default() };
    assert_eq!(common(large), None, "memory holds one at a time");
}

/// Counts the values that are read of it.
struct Counted(Matrix, AtomicUsize);

impl FeatureTable for Counted {
    fn rows(&self) -> usize {
        self.0.rows()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        self.1.fetch_add(columns.len(), Ordering::Relaxed);
        self.0.read(row, columns, out);
    }
}

#[test]
fn heads_side_by_side_read_each_batch_once() {
    let (x, labels, partition) = cloud(300, 200, false);
    let table = Counted(x, AtomicUsize::new(0));
    let task = Task { features: &table, labels: &labels, partition: &partition };
    let spec = Params { batch_size: 5, ..Params::default() }.check(Fit { tap: "t", shape: &[200], classes: 3, many: false }).unwrap();
    for heads in [1, 6] {
        let starts = (0..heads).map(|_| Head::initial(&spec)).collect();
        let mut sessions = FusedTrainer::new(2).begin_lockstep(task, starts).unwrap();
        table.1.store(0, Ordering::Relaxed);
        sessions.iter_mut().for_each(|session| assert!(session.epoch(0, 1e-3).unwrap().loss.is_finite()));
        assert_eq!(table.1.load(Ordering::Relaxed), partition.train.len() * 200, "{heads} heads");
    }
}

/// More than memory holds, as far as anybody can tell; nothing is read of it that was not asked
/// for, and values of training rows are counted.
#[derive(Default)]
struct Far(Mutex<HashSet<usize>>, AtomicUsize);

/// Rows of [`Far`] to be judged; others are trained on.
fn is_judged(row: usize) -> bool {
    row.is_multiple_of(8)
}

impl FeatureTable for Far {
    fn rows(&self) -> usize {
        5000
    }

    fn dim(&self) -> usize {
        1 << 18
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        assert!(self.0.lock().unwrap().contains(&row), "row {row} was not asked for");
        self.1.fetch_add(if is_judged(row) { 0 } else { columns.len() }, Ordering::Relaxed);
        out.iter_mut().zip(columns).for_each(|(x, column)| *x = ((row * 31 + column * 17) % 23) as f32 * 1e-3 - 0.01);
    }

    fn will_read(&self, rows: &[usize]) {
        self.0.lock().unwrap().extend(rows);
    }

    fn block_rows(&self) -> usize {
        16
    }
}

#[test]
fn a_table_larger_than_memory_is_read_once_for_several_heads_and_asked_for_in_time() {
    let labels = Labels::One((0..5000).map(|row| row % 3).collect());
    let (val, train): (Vec<usize>, Vec<usize>) = (0..320).partition(|&row| is_judged(row));
    let once = train.len() << 18;
    let partition = Partition { train, val, test: vec![] };
    let spec = |lr| {
        let params = Params { lr, batch_size: 16, epochs: 2, ..Params::default() };
        params.check(Fit { tap: "gap", shape: &[1 << 18], classes: 3, many: false }).unwrap()
    };
    let specs = [1e-3, 1e-4].map(spec);
    let trained = |trainer: &dyn Trainer, specs: &[HeadSpec]| {
        let table = Far::default();
        let trained = side_by_side(
            trainer,
            Task { features: &table, labels: &labels, partition: &partition },
            specs,
            Metric { name: "acc1", more: true },
        );
        assert_eq!(table.1.into_inner(), 2 * once, "each value once an epoch");
        trained
    };
    let trainer = FusedTrainer::eager(2);
    assert_eq!((trainer.at_once(&specs[0], 300), trainer.in_common(&specs[0], 300)), (1, None), "in memory each by itself");
    assert!(trainer.at_once(&specs[0], 5000) > 1 && trainer.in_common(&specs[0], 5000) == trainer.in_common(&specs[1], 5000));
    let alone: Vec<_> = specs.iter().flat_map(|spec| trained(&trainer, std::slice::from_ref(spec))).collect();
    assert_eq!(trained(&trainer, &specs), alone);
    assert_eq!(trained(&FusedTrainer::eager(5), &specs), alone, "two threads a head");
    let candle = trained(&CandleTrainer { device: Device::Cpu }, &specs[..1]);
    assert!((candle[0].0[1][3] - alone[0].0[1][3]).abs() < 1e-3, "{:?} {:?}", candle[0].0, alone[0].0);
}

#[test]
fn what_no_device_holds_is_an_error_and_heads_stay_in_step() {
    let trainer = CandleTrainer { device: Device::Cpu };
    let (x, labels, partition) = cloud(30, 10, false);
    let task = Task { features: &x, labels: &labels, partition: &partition };
    let spec = |params: Params| params.check(Fit { tap: "gap", shape: &[10], classes: 3, many: false }).unwrap();
    let base = spec(Params::default());
    for other in [Params { seed: 9, ..Params::default() }, Params { batch_size: 7, ..Params::default() }, Params::of(HeadKind::Dense)] {
        assert_ne!(trainer.in_common(&base, 100), trainer.in_common(&spec(other), 100));
    }
    let two = || trainer.begin_lockstep(task, vec![Head::initial(&base), Head::initial(&base)]);
    let mut sessions = two().unwrap();
    sessions[0].epoch(0, 0.1).unwrap();
    assert!(sessions[0].epoch(1, 0.1).unwrap_err().to_string().contains("ahead"));
    sessions.pop();
    sessions[0].epoch(1, 0.1).unwrap();
    candle::memory::HOLDS.set([2, 0]);
    let before = two().unwrap();
    let mut sessions = two().unwrap();
    assert!(sessions[0].epoch(0, 0.1).unwrap_err().is_out_of_memory());
    assert_eq!(sessions[0].head().unwrap(), before[0].head().unwrap(), "a step that fails changes nothing");
    candle::memory::HOLDS.set([0, 0]);
    assert!(two().map(|_| ()).unwrap_err().is_out_of_memory());
}
