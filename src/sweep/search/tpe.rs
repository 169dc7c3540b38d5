//! The tree-structured Parzen estimator (Bergstra et al., "Algorithms for hyper-parameter
//! optimization", NeurIPS 2011) with Optuna's defaults.
//!
//! Trials so far are split into a few good ones and the rest. Each parameter is drawn by itself
//! from a density of the good trials: of 24 candidates, the one with the largest ratio of the good
//! trials' density to that of the rest. Parameters that a head does not use do not count for it.

use serde_json::{Map, Value};

use super::trial::Observed;
use crate::rng::{Draws, Philox};
use crate::sweep::settings::axis::Axis;
use crate::sweep::settings::domain::{Domain, Range};

/// Stream of the draws.
const TPE: u64 = 0x5357_4545_0002;
/// Number of trials that are drawn at random first.
pub(crate) const STARTUP: usize = 10;
/// Number of candidates of which the best is taken.
const CANDIDATES: usize = 24;

/// Settings of the trials so far, split.
pub(crate) struct Tpe<'a> {
    good: Vec<&'a Map<String, Value>>,
    rest: Vec<&'a Map<String, Value>>,
    philox: Philox,
}

impl<'a> Tpe<'a> {
    /// Splits trials, the best first: of `n` the `⌈n / 10⌉` best, at most 25, are good.
    pub(crate) fn new(mut ranked: Vec<Observed<'a>>, seed: u64) -> Tpe<'a> {
        let good = ranked.len().div_ceil(10).min(25);
        let mut rest = ranked.split_off(good);
        // Older trials weigh less: each part in the order of the trials.
        ranked.sort_by_key(|trial| trial.number);
        rest.sort_by_key(|trial| trial.number);
        let settings = |part: Vec<Observed<'a>>| part.into_iter().map(|trial| trial.settings).collect();
        Tpe { good: settings(ranked), rest: settings(rest), philox: Philox::new(seed, TPE) }
    }

    /// Settings for a trial. Another `attempt` gives others.
    pub(crate) fn draw(&self, axes: &[Axis], trial: usize, attempt: usize) -> Map<String, Value> {
        let mut draws = self.philox.draws([trial as u32, attempt as u32]);
        axes.iter().map(|axis| (axis.key.clone(), self.value(&axis.key, &axis.domain, &mut draws))).collect()
    }

    fn value(&self, key: &str, domain: &Domain, draws: &mut Draws) -> Value {
        let seen = |part: &[&'a Map<String, Value>]| part.iter().filter_map(|settings| settings.get(key)).collect::<Vec<_>>();
        let (good, rest) = (seen(&self.good), seen(&self.rest));
        match domain {
            Domain::Values(values) if values.len() == 1 => values[0].value.clone(),
            Domain::Values(values) => {
                let place = |seen: &[&'a Value]| {
                    seen.iter().filter_map(|v| values.iter().position(|choice| choice.value == **v)).collect::<Vec<_>>()
                };
                let (good, rest) = (shares(&place(&good), values.len()), shares(&place(&rest), values.len()));
                let candidates = (0..CANDIDATES).map(|_| pick(&good, draws));
                let best = best_by(candidates, |&i: &usize| good[i].ln() - rest[i].ln());
                values[best.unwrap_or(0)].value.clone()
            }
            Domain::Range(range) => {
                let place = |seen: &[&'a Value]| seen.iter().filter_map(|v| v.as_f64()).map(|x| range.coordinate(x)).collect::<Vec<_>>();
                let [low, high] = ends(range);
                let (good, rest) = (Density::new(&place(&good), low, high), Density::new(&place(&rest), low, high));
                let candidates = (0..CANDIDATES).map(|_| good.draw(draws));
                let best = best_by(candidates, |&x: &f64| good.ln(x) - rest.ln(x));
                let x = best.unwrap_or(f64::midpoint(low, high));
                range.value(if range.log { x.exp() } else { x })
            }
        }
    }
}

/// The candidate with the largest score; of equal ones, the first.
fn best_by<T>(candidates: impl Iterator<Item = T>, score: impl Fn(&T) -> f64) -> Option<T> {
    let scored = candidates.map(|c| (score(&c), c));
    scored.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, c)| c)
}

/// Ends of a range in its own coordinate; rounded numbers lie in the middle of a unit.
fn ends(range: &Range) -> [f64; 2] {
    let margin = range.unit() / 2.0;
    let at = |x: f64, end: f64| range.coordinate(if range.log && x <= 0.0 { end } else { x });
    [at(range.min - margin, range.min), at(range.max + margin, range.max)]
}

/// Weights of observations in the order of the trials, and last of the prior: the latest 25 count
/// fully, older ones less and less.
fn weights(n: usize) -> Vec<f64> {
    let old = n.saturating_sub(25);
    let ramp = |i: usize| if old > 1 { 1.0 / n as f64 + (1.0 - 1.0 / n as f64) * i as f64 / (old - 1) as f64 } else { 1.0 / n as f64 };
    let all: Vec<f64> = (0..n).map(|i| if i < old { ramp(i) } else { 1.0 }).chain([1.0]).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|w| w / sum).collect()
}

/// Probabilities of categories: each observation adds to its own category and, as the prior, a
/// little to all.
fn shares(seen: &[usize], categories: usize) -> Vec<f64> {
    let little = 1.0 / (seen.len() + 1) as f64;
    let whole = 1.0 + little * categories as f64;
    let mut shares = vec![0.0; categories];
    let weights = weights(seen.len());
    for (&category, weight) in seen.iter().zip(&weights) {
        shares.iter_mut().for_each(|s| *s += weight * little / whole);
        shares[category] += weight / whole;
    }
    let prior = weights[seen.len()] / categories as f64;
    shares.iter_mut().for_each(|s| *s += prior);
    shares
}

fn pick(shares: &[f64], draws: &mut Draws) -> usize {
    let mut u = f64::from(draws.uniform());
    shares
        .iter()
        .position(|share| {
            u -= share;
            u < 0.0
        })
        .unwrap_or(shares.len() - 1)
}

/// A mixture of normal distributions truncated at both ends: one around each observation, as wide
/// as the distance to its neighbours, and a wide one in the middle, the prior.
struct Density {
    low: f64,
    high: f64,
    weights: Vec<f64>,
    centres: Vec<f64>,
    widths: Vec<f64>,
}

impl Density {
    fn new(seen: &[f64], low: f64, high: f64) -> Density {
        let span = high - low;
        let centres: Vec<f64> = seen.iter().copied().chain([f64::midpoint(low, high)]).collect();
        let mut sorted: Vec<usize> = (0..centres.len()).collect();
        sorted.sort_by(|&a, &b| centres[a].total_cmp(&centres[b]));
        let least = span / (1 + centres.len()).min(100) as f64;
        let mut widths = vec![span; centres.len()];
        for (place, &i) in sorted.iter().enumerate().filter(|(_, i)| **i < seen.len()) {
            let gap = |other: Option<&usize>| other.map(|&o| (centres[o] - centres[i]).abs());
            let (before, after) = (place.checked_sub(1).and_then(|p| gap(sorted.get(p))), gap(sorted.get(place + 1)));
            // An end counts as a neighbour only where there is no other neighbour.
            let width = before.unwrap_or(0.0).max(after.unwrap_or(0.0));
            widths[i] = width.clamp(least, span);
        }
        Density { low, high, weights: weights(seen.len()), centres, widths }
    }

    fn draw(&self, draws: &mut Draws) -> f64 {
        let i = pick(&self.weights, draws);
        for _ in 0..100 {
            // Box and Muller
            let (u, v) = (1.0 - f64::from(draws.uniform()), f64::from(draws.uniform()));
            let x = self.centres[i] + self.widths[i] * (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            if (self.low..=self.high).contains(&x) {
                return x;
            }
        }
        self.centres[i]
    }

    /// Logarithm of the density.
    fn ln(&self, x: f64) -> f64 {
        let below = |z: f64| 0.5 * (1.0 + libm::erf(z / std::f64::consts::SQRT_2));
        let parts = self.weights.iter().zip(&self.centres).zip(&self.widths).map(|((weight, centre), width)| {
            let inside = below((self.high - centre) / width) - below((self.low - centre) / width);
            weight * (-0.5 * ((x - centre) / width).powi(2)).exp() / (width * inside)
        });
        (parts.sum::<f64>() / std::f64::consts::TAU.sqrt()).max(f64::MIN_POSITIVE).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn densities_sum_to_one_and_draws_keep_to_their_ends() {
        for seen in [vec![], vec![0.2], vec![0.1, 0.15, 0.9, 0.9], (0..60).map(|i| f64::from(i) / 60.0).collect()] {
            let density = Density::new(&seen, 0.0, 1.0);
            let sum: f64 = (0..10_000).map(|i| density.ln((f64::from(i) + 0.5) / 1e4).exp() / 1e4).sum();
            assert!((sum - 1.0).abs() < 1e-3, "{seen:?}: {sum}");
            let mut draws = Philox::new(1, 2).draws([0, 0]);
            assert!((0..500).all(|_| (0.0..=1.0).contains(&density.draw(&mut draws))));
        }
        let shares = shares(&[0, 0, 2], 4);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && shares[0] > shares[2] && shares[2] > shares[1]);
    }

    fn observed(trials: &[Map<String, Value>]) -> Vec<Observed<'_>> {
        trials.iter().enumerate().map(|(number, settings)| Observed { number, settings }).collect()
    }

    /// Draws trials one after the other for a known function, whose optimum late draws must be
    /// near.
    #[test]
    fn draws_gather_where_trials_did_well() {
        let range = |min, max, log| Domain::Range(Range { min, max, log, q: 0.0, whole: false });
        let axis = |key: &str, domain| Axis { key: key.into(), line: 0, domain };
        let heads = Domain::of([json!("linear"), json!("dense")]);
        let axes = [axis("lr", range(1e-5, 1.0, true)), axis("dropout", range(0.0, 0.9, false)), axis("head", heads)];
        let value = |s: &Map<String, Value>| {
            let x = (s["lr"].as_f64().unwrap().log10() + 2.0).powi(2) + (4.0 * (s["dropout"].as_f64().unwrap() - 0.3)).powi(2);
            x + if s["head"] == "dense" { 0.0 } else { 1.0 }
        };
        let mut trials: Vec<Map<String, Value>> = vec![];
        for number in 0..60 {
            let mut ranked = observed(&trials);
            ranked.sort_by(|a, b| value(a.settings).total_cmp(&value(b.settings)));
            let next = Tpe::new(ranked, 7).draw(&axes, number, 0);
            trials.push(next);
        }
        let best = trials.iter().map(value).fold(f64::INFINITY, f64::min);
        let late = trials[40..].iter().filter(|s| value(s) < 1.0).count();
        assert!(best < 0.1 && late >= 10, "best {best}, {late} of 20");
        let again = Tpe::new(observed(&trials), 7).draw(&axes, 3, 1);
        assert_eq!(again, Tpe::new(observed(&trials), 7).draw(&axes, 3, 1));
    }
}
