//! Temperature scaling (Guo et al., "On calibration of modern neural networks", ICML 2017): all
//! logits are divided by one number, chosen to maximise the likelihood of rows that were not
//! trained on. It changes no answer.
//!
//! Few rows, or rows without a mistake, would drive that number to its bound, because no row speaks
//! against more confidence. The fit is therefore regularised. The logarithm of the temperature has
//! a wide normal prior. Probabilities become more confident than the head's own only as far as it
//! still pays with one mistake more than val has (as Platt, 1999, counts one more). And the fitted
//! number is used only if the loss, cross-validated within val, falls by more than its standard
//! error.
//!
//! Logits are not needed: up to a constant they are the logarithms of the probabilities.

use std::collections::{BTreeMap, HashMap};
use std::f64::consts::LN_10;

use rayon::prelude::*;

use crate::heads::evaluation::metrics::{ln, most_probable};
use crate::heads::features::groups::{Groups, folds};
use crate::heads::features::labels::Labels;

/// Logarithm of the largest temperature, and of one over the smallest.
const BOUND: f64 = 2.0 * LN_10;

/// Standard deviation of the prior on the temperature's logarithm: a factor of ten either way.
const SPREAD: f64 = LN_10;

/// Number of parts of val; each judges the temperature fitted on the others.
const PARTS: usize = 5;

/// Number of rows whose slopes one thread sums.
const PART: usize = 1024;

/// Rows that were not trained on, with a head's probabilities.
#[derive(Clone, Copy)]
pub(crate) struct Answers<'a> {
    /// Class probabilities, row by row.
    pub probabilities: &'a [f32],
    /// Number of classes.
    pub classes: usize,
    /// Labels of all rows.
    pub labels: &'a Labels,
    /// Numbers of these rows.
    pub rows: &'a [usize],
    /// Whether each class has an independent probability.
    pub each: bool,
}

/// A temperature with its evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Calibration {
    /// The divisor of the logits; 1 if the rows give no evidence.
    pub temperature: f64,
    /// The fitted temperature, whether used or not.
    pub fitted: f64,
    /// Number of wrong answers; all rows if probabilities are NaN.
    pub mistakes: usize,
}

impl Calibration {
    /// Whether a temperature was fitted but rejected as noise.
    pub(crate) fn is_refused(&self) -> bool {
        self.temperature != self.fitted
    }
}

/// The temperature of some answers. Rows of one group are judged together.
pub(crate) fn calibrate(answers: Answers<'_>, groups: &Groups) -> Calibration {
    if answers.rows.is_empty() || answers.probabilities.iter().any(|p| p.is_nan()) {
        return Calibration { temperature: 1.0, fitted: 1.0, mistakes: answers.rows.len() };
    }
    let all: Vec<usize> = (0..answers.rows.len()).collect();
    let fitted = answers.fit(&all, 1e-9);
    let mistakes = all.iter().filter(|&&at| answers.is_mistake(at)).count();
    let temperature = if answers.pays(groups) { fitted } else { 1.0 };
    Calibration { temperature, fitted, mistakes }
}

impl Answers<'_> {
    fn p(&self, at: usize) -> &[f32] {
        &self.probabilities[at * self.classes..][..self.classes]
    }

    fn of(&self, at: usize) -> &[u32] {
        self.labels.of(self.rows[at])
    }

    fn is_mistake(&self, at: usize) -> bool {
        let (p, labels) = (self.p(at), self.of(at));
        match self.each {
            true => p.iter().enumerate().any(|(class, &p)| (p >= 0.5) != labels.contains(&(class as u32))),
            false => !labels.contains(&(most_probable(p) as u32)),
        }
    }

    /// The temperature that fits some of the answers best, its logarithm to within `near`.
    fn fit(&self, some: &[usize], near: f64) -> f64 {
        // The mean loss is convex in one over the temperature: its slope by the logarithm has one
        // zero.
        let slope = |u: f64, of: &(dyn Fn(usize, f64) -> f64 + Sync)| -> f64 {
            let inverse = u.exp();
            let part = |some: &[usize]| some.iter().map(|&at| of(at, inverse)).sum::<f64>();
            // Summed in order, whatever the number of threads.
            let sum: f64 = some.par_chunks(PART).map(part).collect::<Vec<f64>>().iter().sum();
            inverse * sum + u / (SPREAD * SPREAD)
        };
        let as_they_are = |at: usize, inverse: f64| slope_of(self.p(at), self.of(at), self.each, inverse);
        if slope(0.0, &as_they_are) >= 0.0 {
            return (-zero(-BOUND, 0.0, near, |u| slope(u, &as_they_are))).exp();
        }
        let share = 1.0 / some.len() as f64;
        let with_another = |at: usize, inverse: f64| as_they_are(at, inverse) + share * slope_of_mistake(self.p(at), self.each, inverse);
        (-zero(0.0, BOUND, near, |u| slope(u, &with_another))).exp()
    }

    /// Whether temperatures fitted on parts of the answers improve the loss of the others by more
    /// than its standard error.
    fn pays(&self, groups: &Groups) -> bool {
        let parts = folds(self.labels, groups, self.rows, PARTS, 0);
        let part_of: HashMap<usize, usize> =
            parts.iter().enumerate().flat_map(|(part, rows)| rows.iter().map(move |&row| (row, part))).collect();
        let places = || 0..self.rows.len();
        let of_others = |part: usize| {
            let others: Vec<usize> = places().filter(|&at| part_of[&self.rows[at]] != part).collect();
            if others.is_empty() { 1.0 } else { self.fit(&others, 1e-4) }
        };
        let temperatures: Vec<f64> = (0..parts.len()).map(of_others).collect();
        let gain = |at: usize| {
            let (p, labels) = (self.p(at), self.of(at));
            let scaled = 1.0 / temperatures[part_of[&self.rows[at]]];
            loss_of(p, labels, self.each, 1.0) - loss_of(p, labels, self.each, scaled)
        };
        let gains: Vec<f64> = places().into_par_iter().map(gain).collect();
        // A group is one observation.
        let mut units = BTreeMap::<usize, f64>::new();
        self.rows.iter().zip(gains).for_each(|(&row, gain)| *units.entry(groups.first(row)).or_default() += gain);
        let n = units.len() as f64;
        let mean = units.values().sum::<f64>() / n;
        let variance = units.values().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n - 1.0);
        // The error of a single observation is NaN, and nothing compares greater.
        mean > (variance / n).sqrt()
    }
}

/// The zero of an ascending function between two points, to within `near`; an end point if there is
/// none. (Regula falsi, Illinois algorithm.)
fn zero(mut low: f64, mut high: f64, near: f64, of: impl Fn(f64) -> f64) -> f64 {
    let (mut at_low, mut at_high) = (of(low), of(high));
    if at_low >= 0.0 {
        return low;
    }
    if at_high <= 0.0 {
        return high;
    }
    let mut side = 0;
    for step in 1..100 {
        // Every fourth step bisects, in case one end hardly moves.
        let falsi = (low * at_high - high * at_low) / (at_high - at_low);
        let next = if step % 4 == 0 { f64::midpoint(low, high) } else { falsi.clamp(low, high) };
        let value = of(next);
        // After two steps on one side the value at the other end is halved, so that it moves too.
        if value < 0.0 {
            (low, at_low) = (next, value);
            at_high *= if side == -1 { 0.5 } else { 1.0 };
            side = -1;
        } else {
            (high, at_high) = (next, value);
            at_low *= if side == 1 { 0.5 } else { 1.0 };
            side = 1;
        }
        if high - low < near || value == 0.0 {
            return next;
        }
    }
    f64::midpoint(low, high)
}

/// Loss of one row where its logits are multiplied by `inverse`.
fn loss_of(p: &[f32], labels: &[u32], each: bool, inverse: f64) -> f64 {
    if each {
        let of = |(class, &p): (usize, &f32)| {
            let z = if labels.contains(&(class as u32)) { -logit(p) } else { logit(p) };
            softplus(inverse * z)
        };
        return p.iter().enumerate().map(of).sum();
    }
    let Some(&label) = labels.first() else { return 0.0 };
    let largest = p.iter().fold(0f32, |m, &p| m.max(p));
    let z = |p: f32| inverse * (ln(p) - ln(largest));
    p.iter().map(|&p| z(p).exp()).sum::<f64>().ln() - z(p[label as usize])
}

/// Slope of one row's loss where its logits are multiplied by `inverse`.
fn slope_of(p: &[f32], labels: &[u32], each: bool, inverse: f64) -> f64 {
    if each {
        let of = |(class, &p): (usize, &f32)| slope_of_sigmoid(logit(p), labels.contains(&(class as u32)), inverse);
        return p.iter().enumerate().map(of).sum();
    }
    labels.first().map_or(0.0, |&label| slope_of_softmax(p, label as usize, inverse))
}

/// As [`slope_of`] if the row had been a mistake: for the second most probable class, or with
/// independent classes for the least certain one.
fn slope_of_mistake(p: &[f32], each: bool, inverse: f64) -> f64 {
    if each {
        let nearest = p.iter().map(|&p| logit(p)).fold(f64::INFINITY, |least, z| if z.abs() < least.abs() { z } else { least });
        return slope_of_sigmoid(nearest, nearest < 0.0, inverse);
    }
    let answer = most_probable(p);
    let others = (0..p.len()).filter(|&class| class != answer);
    let next = others.reduce(|best, class| if p[class] > p[best] { class } else { best });
    next.map_or(0.0, |class| slope_of_softmax(p, class, inverse))
}

fn slope_of_sigmoid(z: f64, is: bool, inverse: f64) -> f64 {
    (1.0 / (1.0 + (-inverse * z).exp()) - f64::from(u8::from(is))) * z
}

fn slope_of_softmax(p: &[f32], label: usize, inverse: f64) -> f64 {
    let largest = p.iter().fold(0f32, |m, &p| m.max(p));
    let (mut sum, mut weighted) = (0.0, 0.0);
    for &p in p {
        let z = ln(p) - ln(largest);
        let e = (inverse * z).exp();
        sum += e;
        weighted += e * z;
    }
    weighted / sum - (ln(p[label]) - ln(largest))
}

/// ln(1 + eᶻ) without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// Probabilities as they would be with all logits divided by a temperature, row by row in place.
pub(crate) fn rescale(probabilities: &mut [f32], classes: usize, each: bool, temperature: f64) {
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

    fn answers<'a>(probabilities: &'a [f32], classes: usize, labels: &'a Labels, rows: &'a [usize], each: bool) -> Answers<'a> {
        Answers { probabilities, classes, labels, rows, each }
    }

    fn of(answers: Answers<'_>) -> Calibration {
        calibrate(answers, &Groups::default())
    }

    #[test]
    fn metrics_before_and_after_scaling_are_those_of_scikit_learn() {
        let golden: Value = serde_json::from_str(include_str!("../../../tests/goldens/metrics.json")).unwrap();
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
            // The likeliest temperature, but for the prior, which weighs as little as a row or two.
            let likeliest = case["temperature"].as_f64().unwrap();
            let found = of(answers(&p, classes, &labels, &all, false));
            assert!((found.temperature / likeliest - 1.0).abs() < 0.03, "{found:?} {likeliest}");
            rescale(&mut p, classes, false, likeliest);
            check(&p, &case["after"]);
        }
    }

    /// Rows of two classes: what the head says of the right one.
    fn two_classes(of_right: &[f32]) -> (Vec<f32>, Labels, Vec<usize>) {
        let p = of_right.iter().enumerate().flat_map(|(row, &p)| if row % 2 == 0 { [p, 1.0 - p] } else { [1.0 - p, p] });
        (p.collect(), Labels::One((0..of_right.len() as u32).map(|row| row % 2).collect()), (0..of_right.len()).collect())
    }

    #[test]
    fn a_val_without_a_mistake_makes_no_answer_surer_than_one_mistake_more_would_allow() {
        // Twenty-four easy photos: surer answers would cost dearly on the first hard one.
        let (p, labels, rows) = two_classes(&[0.97; 24]);
        let found = of(answers(&p, 2, &labels, &rows, false));
        assert_eq!((found.temperature, found.mistakes), (1.0, 0));
        // A head that is far too unsure: three in four, where it is always right. One mistake in 25
        // is what is allowed for.
        let (p, labels, rows) = two_classes(&[0.75; 24]);
        let mut found = of(answers(&p, 2, &labels, &rows, false));
        let mut sure = [0.75, 0.25];
        rescale(&mut sure, 2, false, found.temperature);
        assert!(sure[0] > 0.94 && sure[0] < 0.97, "{found:?} {sure:?}");
        // The more rows, the surer it may become: towards the bound, never at once.
        for n in [100, 1000] {
            let (p, labels, rows) = two_classes(&vec![0.75; n]);
            let more = of(answers(&p, 2, &labels, &rows, false));
            assert!(more.temperature < found.temperature && more.temperature > 0.05, "{more:?}");
            found = more;
        }
    }

    #[test]
    fn many_rows_with_mistakes_are_calibrated_as_they_ask_for() {
        // Right nine times in ten, said with other confidences: the likeliest temperature makes of
        // each 0.9.
        for said in [0.99f32, 0.7] {
            let of_right: Vec<f32> = (0..2000).map(|row| if row % 10 < 9 { said } else { 1.0 - said }).collect();
            let (p, labels, rows) = two_classes(&of_right);
            let likeliest = f64::from((said / (1.0 - said)).ln()) / 9f64.ln();
            let found = of(answers(&p, 2, &labels, &rows, false));
            assert!((found.temperature / likeliest - 1.0).abs() < 0.005, "{found:?} {likeliest}");
            assert!(!found.is_refused() && found.mistakes == 200);
        }
    }

    #[test]
    fn what_one_row_or_copies_of_it_say_is_noise() {
        // One sure mistake among ten: it asks for less sure answers, and nobody else does.
        let mut of_right = vec![0.9; 10];
        of_right[3] = 1e-4;
        let (p, labels, rows) = two_classes(&of_right);
        let found = of(answers(&p, 2, &labels, &rows, false));
        assert!(found.temperature == 1.0 && found.fitted > 1.2 && found.is_refused(), "{found:?}");
        // Ten copies of one photo are one photo.
        let (p, labels, rows) = two_classes(&[0.75; 24]);
        let mut copies = Groups::default();
        copies.join(24, rows.iter().map(|&row| (row, 0)));
        assert!(calibrate(answers(&p, 2, &labels, &rows, false), &copies).is_refused());
    }

    #[test]
    fn scaling_seldom_makes_other_rows_less_likely_and_then_by_little() {
        use crate::rng::Philox;
        // Heads of all kinds (sure, unsure, right) on vals of all sizes, judged by many other rows
        // of the same kind.
        let (mut worse, mut runs, mut total) = (0.0f64, 0.0, 0.0);
        for (case, (n, right, said)) in [12, 40, 200]
            .into_iter()
            .flat_map(|n| [0.7, 0.9, 0.98].map(move |right| (n, right)))
            .flat_map(|(n, right)| [0.6, 0.9, 0.99, 0.999].map(move |said| (n, right, said)))
            .enumerate()
        {
            for seed in 0..20 {
                let mut draws = Philox::new(seed, 0x7E57).draws([case as u32, 0]);
                let mut drawn = |n: usize| -> Vec<f32> {
                    (0..n).map(|_| if f64::from(draws.below(10_000)) < right * 1e4 { said } else { 1.0 - said }).collect()
                };
                let (p, labels, rows) = two_classes(&drawn(n));
                let found = of(answers(&p, 2, &labels, &rows, false));
                let (mut other, labels, rows) = two_classes(&drawn(4000));
                let before = Metrics::of(&other, 2, &labels, &rows).loss;
                rescale(&mut other, 2, false, found.temperature);
                let change = Metrics::of(&other, 2, &labels, &rows).loss - before;
                worse = worse.max(change);
                total += change;
                runs += 1.0;
            }
        }
        assert!(worse < 0.1 && total / runs < -0.05, "at worst {worse}, in the mean {}", total / runs);
    }

    #[test]
    fn probabilities_of_several_classes_are_scaled_each() {
        let n = 40;
        let labels = Labels::Many((0..n).map(|row| [vec![0, 1], vec![1], vec![0], vec![]][row % 4].clone()).collect());
        let p: Vec<f32> = [0.99, 0.97, 0.02, 0.95, 0.9, 0.96, 0.97, 0.01].into_iter().cycle().take(2 * n).collect();
        let rows: Vec<usize> = (0..n).collect();
        let found = of(answers(&p, 2, &labels, &rows, true));
        let t = found.temperature;
        assert!(t > 1.0 && found.mistakes == n / 2, "{found:?}");
        let loss = |t: f64| {
            let mut p = p.clone();
            rescale(&mut p, 2, true, t);
            Metrics::of(&p, 2, &labels, &rows).loss
        };
        assert!(loss(t) < loss(t * 1.1) && loss(t) < loss(t / 1.1) && loss(t) < loss(1.0));
        let sum: f64 = (0..n).map(|row| loss_of(&p[2 * row..][..2], labels.of(row), true, 1.0)).sum();
        assert!((sum / (2 * n) as f64 - loss(1.0)).abs() < 1e-5);
    }

    #[test]
    fn slopes_are_those_of_the_losses() {
        let p = [0.5, 0.3, 0.15, 0.05];
        for each in [false, true] {
            for inverse in [0.3, 1.0, 2.5] {
                let [less, more] = [-1e-5, 1e-5].map(|d| loss_of(&p, &[1], each, inverse + d));
                let slope = slope_of(&p, &[1], each, inverse);
                assert!(((more - less) / 2e-5 - slope).abs() < 1e-6, "{each} {inverse}");
            }
        }
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
        let none = |mistakes| Calibration { temperature: 1.0, fitted: 1.0, mistakes };
        assert_eq!(of(answers(&[], 2, &labels, &[], false)), none(0));
        assert_eq!(of(answers(&[f32::NAN; 4], 2, &labels, &[0, 1], false)), none(2));
        assert_eq!(of(answers(&[0.9, 0.1], 2, &labels, &[0], false)).temperature, 1.0);
        // All wrong, and sure of it: as unsure as can be.
        let (p, labels, rows) = two_classes(&[0.01; 400]);
        let found = of(answers(&p, 2, &labels, &rows, false));
        assert!(found.temperature > 10.0 && found.temperature <= 100.0 + 1e-9, "{found:?}");
    }
}
