//! Solved heads against scikit-learn, and their independence of threads and neighbours.

use serde_json::Value;

use super::*;
use crate::heads::{Fit, HeadKind, HeadSpec, Labels, Matrix, Params, Partition, Task, most_probable};

/// The data of `tests/goldens/make_solvers.py`.
fn data(rows: usize, dim: usize, classes: usize) -> (Matrix, Labels, Partition) {
    let label = |i: usize| i * 7 % classes;
    let value = |i: usize, j: usize| {
        let (l, i, j) = (label(i) as f64, i as f64, j as f64);
        let scale = if j % 5.0 == 0.0 { 4.0 } else { 1.0 };
        (((i * 12.9898 + j * 78.233 + i * j * 0.37).sin() + 0.6 * (l * 2.1 + j).sin() + 0.5) * scale) as f32
    };
    let x = Matrix::new(dim, (0..rows).flat_map(|i| (0..dim).map(move |j| value(i, j))).collect()).unwrap();
    let cut = rows * 3 / 4;
    let partition = Partition { train: (0..cut).collect(), val: (cut..rows).collect(), test: vec![] };
    (x, Labels::One((0..rows).map(|i| label(i) as u32).collect()), partition)
}

/// Each row of its class and of those beside it.
fn several(labels: &Labels, classes: usize) -> Labels {
    let beside = |row| (0..classes as u32).filter(|c| labels.of(row)[0].abs_diff(*c) < 2).collect();
    Labels::Many((0..labels.len()).map(beside).collect())
}

fn spec(settings: &Value, dim: usize, classes: usize, many: bool) -> HeadSpec {
    let params: Params = serde_json::from_value(settings.clone()).unwrap();
    params.check(Fit { tap: "gap", shape: &[dim], classes, many }).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The largest difference, relative to the largest value where that is above 1.
fn difference(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1f64, |m, w| m.max(w.abs()));
    got.iter().zip(want).map(|(g, w)| (f64::from(*g) - w).abs()).fold(0.0, f64::max) / scale
}

#[test]
fn solved_heads_are_those_of_scikit_learn() {
    let golden: Value = serde_json::from_str(include_str!("../../../tests/goldens/solvers.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let settings = &case["settings"];
        let [rows, dim, classes] = [0, 1, 2].map(|i| case["shape"][i].as_u64().unwrap() as usize);
        let many = case["several"] == true;
        let (x, one, partition) = data(rows, dim, classes);
        let labels = if many { several(&one, classes) } else { one };
        let task = Task { features: &x, labels: &labels, partition: &partition };
        let head = Solver::default().solve(task, &spec(settings, dim, classes, many)).unwrap();
        let answers = head.classify(&x, &partition.val);
        let called: Vec<f64> = match many {
            true => answers.iter().map(|&p| f64::from(u8::from(p >= 0.5))).collect(),
            false => answers.chunks_exact(classes).map(|p| most_probable(p) as f64).collect(),
        };
        assert_eq!(called, floats(&case["predictions"]), "{settings}");
        if case["coef"].is_array() {
            // Of two classes scikit-learn keeps the second one's weights alone.
            let rows = case["intercept"].as_array().unwrap().len();
            let (weight, bias) = (&head.layers()[0].weight, &head.layers()[0].bias);
            let error = difference(&weight[weight.len() - rows * dim..], &floats(&case["coef"]));
            assert!(error < 1e-4, "{settings} of {rows}×{dim}: weights differ by {error}");
            let error = difference(&bias[bias.len() - rows..], &floats(&case["intercept"]));
            assert!(error < 1e-4, "{settings}: biases differ by {error}");
        }
        if case["probabilities"].is_array() {
            let error = difference(&answers, &floats(&case["probabilities"]));
            assert!(error < 1e-4, "{settings}: probabilities differ by {error}");
        }
    }
}

#[test]
fn numbers_depend_neither_on_threads_nor_on_what_was_solved_before() {
    for (rows, dim) in [(700, 30), (300, 400)] {
        let (x, labels, partition) = data(rows, dim, 3);
        let task = Task { features: &x, labels: &labels, partition: &partition };
        for settings in [r#"{"head": "ridge", "alpha": 0.3}"#, r#"{"head": "logreg", "C": 0.3}"#, r#"{"head": "nearest-mean"}"#] {
            let spec = spec(&serde_json::from_str(settings).unwrap(), dim, 3, false);
            let with = |threads: usize, solver: &mut Solver| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| solver.solve(task, &spec).unwrap())
            };
            let alone = with(1, &mut Solver::default());
            let mut used = Solver::default();
            for (alpha, c, tol) in [(9.0, 100.0, 1e-4), (1e-3, 1e-3, 1e-2), (1.0, 0.1, 1e-4)] {
                let other = spec.with(Params { alpha, c, tol, ..spec.params().clone() });
                used.solve(task, &other).unwrap();
            }
            assert_eq!(with(2, &mut used), alone, "{settings}");
            assert_eq!(with(4, &mut Solver::default()), alone, "{settings}");
        }
    }
}

#[test]
fn the_nearest_mean_is_refused_where_rows_have_several_classes() {
    let fit = Fit { tap: "gap", shape: &[6], classes: 3, many: true };
    assert!(Params { head: HeadKind::NearestMean, ..Params::default() }.check(fit).is_err());
}

#[test]
fn features_that_are_not_finite_are_refused() {
    let heads = [HeadKind::Ridge, HeadKind::Logreg, HeadKind::Knn, HeadKind::NearestMean];
    for (value, head) in [f32::NAN, -f32::NAN, f32::INFINITY].into_iter().flat_map(|value| heads.map(|head| (value, head))) {
        let x = Matrix::new(2, vec![1.0, 5.0, 1.5, value, 1.0, 4.0]).unwrap();
        let partition = Partition { train: vec![0, 1, 2], ..Partition::default() };
        let task = Task { features: &x, labels: &Labels::One(vec![0, 1, 1]), partition: &partition };
        let spec = Params { head, ..Params::default() }.check(Fit { tap: "gap", shape: &[2], classes: 2, many: false }).unwrap();
        let message = Solver::default().solve(task, &spec).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{head}: {message}");
    }
}

#[test]
fn one_row_and_features_that_do_not_vary_are_no_trouble() {
    let x = Matrix::new(2, vec![1.0, 5.0, 1.0, 5.0, 1.0, 5.0]).unwrap();
    let labels = Labels::One(vec![0, 1, 1]);
    for rows in [vec![1], vec![0, 1, 2]] {
        let partition = Partition { train: rows, val: vec![0, 1, 2], test: vec![] };
        let task = Task { features: &x, labels: &labels, partition: &partition };
        for head in [HeadKind::Ridge, HeadKind::Logreg, HeadKind::Knn, HeadKind::NearestMean] {
            let spec = Params { head, ..Params::default() }.check(Fit { tap: "gap", shape: &[2], classes: 2, many: false }).unwrap();
            let answers = Solver::default().solve(task, &spec).unwrap().classify(&x, &partition.val);
            assert!(answers.iter().all(|p| p.is_finite()), "{head}: {answers:?}");
        }
    }
}

#[test]
fn what_memory_cannot_hold_is_refused_with_a_way_out() {
    let spec = |head, dim| Params { head, ..Params::default() }.check(Fit { tap: "gap", shape: &[dim], classes: 2, many: false }).unwrap();
    let refused = |head, dim, rows| fits(&spec(head, dim), rows).unwrap_err().to_string();
    let message = refused(HeadKind::Knn, 2048, 1_200_000);
    assert!(message.contains("1200000 training rows: 9.8 GB") && message.contains("`shots`"), "{message}");
    let message = refused(HeadKind::Ridge, 25_088, 20_000);
    assert!(message.contains("20000×20000") && message.contains("`logreg`"), "{message}");
    for (head, dim, rows) in [(HeadKind::Knn, 2048, 100_000), (HeadKind::Ridge, 2048, 10_000_000), (HeadKind::Logreg, 25_088, 10_000_000)] {
        fits(&spec(head, dim), rows).unwrap();
    }
}
