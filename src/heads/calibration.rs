//! Temperature scaling (Guo et al., "On calibration of modern neural networks", ICML 2017): all logits divided by one number, chosen so that
//! the probabilities of rows that were not trained on are as likely as can be. It changes no answer.
//!
//! Logits are not needed: up to a constant they are the logarithms of the probabilities.

use rayon::prelude::*;

use super::metrics::ln;
use super::table::Labels;

/// Largest temperature, and one over the smallest.
const LARGEST: f64 = 100.0;

/// Rows whose slopes one thread adds up.
const PART: usize = 1024;

/// The temperature at which `rows`, whose class probabilities lie row by row in `probabilities`, are most likely; 1 where there are none, and
/// where some are no numbers.
/// `each`: every class has a probability of its own, rather than all one distribution.
pub fn temperature(probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize], each: bool) -> f64 {
    if rows.is_empty() || probabilities.iter().any(|p| p.is_nan()) {
        return 1.0;
    }
    // The mean loss is convex in one over the temperature: its slope has one zero.
    let of_part = |(rows, p): (&[usize], &[f32]), inverse| -> f64 {
        rows.iter().zip(p.chunks_exact(classes)).map(|(&row, p)| slope(p, labels.of(row), each, inverse)).sum()
    };
    let slope = |inverse: f64| -> f64 {
        let parts = rows.par_chunks(PART).zip(probabilities.par_chunks(PART * classes));
        // Added up in order, whatever the number of threads.
        parts.map(|part| of_part(part, inverse)).collect::<Vec<f64>>().iter().sum()
    };
    let (mut low, mut high) = (-LARGEST.ln(), LARGEST.ln());
    if slope(low.exp()) >= 0.0 {
        return LARGEST;
    }
    if slope(high.exp()) <= 0.0 {
        return 1.0 / LARGEST;
    }
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if slope(middle.exp()) < 0.0 { low = middle } else { high = middle }
    }
    (-f64::midpoint(low, high)).exp()
}

/// Slope of one row's loss where its logits are multiplied by `inverse`.
fn slope(p: &[f32], labels: &[u32], each: bool, inverse: f64) -> f64 {
    if each {
        let of = |(class, &p): (usize, &f32)| {
            let z = logit(p);
            let yes = f64::from(u8::from(labels.contains(&(class as u32))));
            (1.0 / (1.0 + (-inverse * z).exp()) - yes) * z
        };
        return p.iter().enumerate().map(of).sum();
    }
    let Some(&label) = labels.first() else { return 0.0 };
    let largest = p.iter().fold(0f32, |m, &p| m.max(p));
    let (mut sum, mut weighted) = (0.0, 0.0);
    for &p in p {
        let z = ln(p) - ln(largest);
        let e = (inverse * z).exp();
        sum += e;
        weighted += e * z;
    }
    weighted / sum - (ln(p[label as usize]) - ln(largest))
}

/// Probabilities as they would be with all logits divided by a temperature, row by row in place.
pub fn rescale(probabilities: &mut [f32], classes: usize, each: bool, temperature: f64) {
    if temperature == 1.0 {
        return;
    }
    for p in probabilities.chunks_exact_mut(classes) {
        if each {
            p.iter_mut().for_each(|p| *p = (1.0 / (1.0 + (-logit(*p) / temperature).exp())) as f32);
            continue;
        }
        let largest = p.iter().fold(0f32, |m, &p| m.max(p));
        let scaled: Vec<f64> = p.iter().map(|&p| ((ln(p) - ln(largest)) / temperature).exp()).collect();
        let sum: f64 = scaled.iter().sum();
        p.iter_mut().zip(scaled).for_each(|(p, scaled)| *p = (scaled / sum) as f32);
    }
}

fn logit(p: f32) -> f64 {
    ln(p) - ln(1.0 - p)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::heads::Metrics;

    /// Probabilities of `tests/goldens/make_metrics.py`: overconfident, right more often than not.
    fn table(rows: usize, classes: usize) -> (Vec<f32>, Vec<u32>) {
        let label = |i: usize| i * 5 % classes;
        let score = |i: usize, c: usize| 3.0 * (i as f64 * 12.9898 + c as f64 * 78.233).sin() + if c == label(i) { 2.0 } else { 0.0 };
        let mut p = vec![];
        for i in 0..rows {
            let e: Vec<f64> = (0..classes).map(|c| score(i, c).exp()).collect();
            let sum: f64 = e.iter().sum();
            p.extend(e.iter().map(|e| (e / sum) as f32));
        }
        (p, (0..rows).map(|i| label(i) as u32).collect())
    }

    #[test]
    fn metrics_before_and_after_scaling_are_those_of_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../tests/goldens/metrics.json")).unwrap();
        for case in golden["cases"].as_array().unwrap() {
            let [rows, classes] = [0, 1].map(|i| case["shape"][i].as_u64().unwrap() as usize);
            let (mut p, labels) = table(rows, classes);
            let (labels, all) = (Labels::One(labels), (0..rows).collect::<Vec<_>>());
            let check = |p: &[f32], want: &Value| {
                let metrics = Metrics::with_auc(p, classes, &labels, &all);
                for (name, want) in want.as_object().unwrap() {
                    let got = metrics.get(name).unwrap();
                    assert!((got - want.as_f64().unwrap()).abs() < 1e-5, "{rows}×{classes}: {name} is {got}, not {want}");
                }
            };
            check(&p, &case["before"]);
            let t = temperature(&p, classes, &labels, &all, false);
            assert!((t - case["temperature"].as_f64().unwrap()).abs() < 1e-4, "{t} {}", case["temperature"]);
            rescale(&mut p, classes, false, t);
            check(&p, &case["after"]);
        }
    }

    #[test]
    fn probabilities_of_several_classes_are_scaled_each() {
        let labels = Labels::Many(vec![vec![0, 1], vec![1], vec![0], vec![]]);
        let p = [0.99, 0.97, 0.02, 0.95, 0.9, 0.96, 0.97, 0.01];
        let t = temperature(&p, 2, &labels, &[0, 1, 2, 3], true);
        assert!(t > 1.0, "{t}");
        let loss = |t: f64| {
            let mut p = p;
            rescale(&mut p, 2, true, t);
            Metrics::of(&p, 2, &labels, &[0, 1, 2, 3]).loss
        };
        assert!(loss(t) < loss(t * 1.05) && loss(t) < loss(t / 1.05) && loss(t) < loss(1.0));
    }

    #[test]
    fn what_is_no_number_is_not_scaled_to_one() {
        for each in [false, true] {
            let mut p = [f32::NAN, f32::NAN];
            rescale(&mut p, 2, each, 2.0);
            assert!(p.iter().all(|p| p.is_nan()), "{p:?}");
        }
    }

    #[test]
    fn rows_that_tell_nothing_of_a_temperature_leave_it_in_bounds() {
        let labels = Labels::One(vec![0, 1]);
        assert_eq!(temperature(&[], 2, &labels, &[], false), 1.0);
        assert_eq!(temperature(&[f32::NAN; 4], 2, &labels, &[0, 1], false), 1.0);
        assert_eq!(temperature(&[0.9, 0.1, 0.2, 0.8], 2, &labels, &[0, 1], false), 1.0 / LARGEST);
        assert_eq!(temperature(&[0.1, 0.9, 0.8, 0.2], 2, &labels, &[0, 1], false), LARGEST);
    }
}
