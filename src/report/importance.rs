//! Importance of the settings: permutation importance in a random forest that predicts the metric
//! from the settings (Breiman, "Random forests", Machine Learning 45, 2001).
//!
//! Each tree grows on a bootstrap sample of the trials. The importance of a setting is the growth
//! of a tree's squared error on the trials outside its sample when that setting is shuffled among
//! them, in the mean over the trees. Unlike the mean decrease in impurity it does not favour
//! settings with many values (Strobl et al., "Bias in random forest variable importance measures",
//! BMC Bioinformatics 8, 2007).

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::rng::{Draws, Philox};

/// Number of trees of the forest.
const TREES: u32 = 128;
/// Largest number of trials in a tree's sample, so that the work stays small.
const MOST_SAMPLED: usize = 1024;
/// Smallest number of trials in a leaf.
const LEAF: usize = 2;
/// Smallest number of trials that a forest is grown from.
const FEWEST: usize = 10;
/// Seed and stream of the bootstrap samples and shuffles.
const SEED: u64 = 0;
const STREAM: u64 = 0x464f_5245;

/// Importance of the settings of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Importance {
    /// Every setting that differs between trials, the most important first.
    pub settings: Vec<SettingImportance>,
    /// Share of the metric's variance that the forest predicts on trials outside its trees' samples
    /// (R²).
    pub explained: f64,
    /// Number of trials that the forest has seen.
    pub trials: usize,
}

/// Importance of one setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SettingImportance {
    /// The setting's name.
    pub name: String,
    /// Its part of the importance of all settings, from 0 to 1.
    pub share: f64,
    /// Spearman's rank correlation with the metric, where the setting's values are numbers.
    pub correlation: Option<f64>,
}

impl Importance {
    /// Importance of `keys` for the metric that each of the trials reached; `None` where there are
    /// few trials, or all reach the same.
    pub(crate) fn of(trials: &[(&Map<String, Value>, f64)], keys: &[String]) -> Option<Importance> {
        let targets: Vec<f64> = trials.iter().map(|(_, y)| *y).collect();
        let mean = mean(&targets);
        let variance = targets.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / targets.len() as f64;
        // A variance of rounding errors is none.
        if trials.len() < FEWEST || keys.is_empty() || variance <= 1e-20 * (1.0 + mean * mean) {
            return None;
        }
        let columns: Vec<Column> = keys.iter().map(|key| Column::of(trials, key)).collect();
        let (growth, explained) = forest(&columns, &targets, variance);
        let all: f64 = growth.iter().sum();
        if all <= 0.0 {
            return None;
        }
        let setting = |((key, column), growth): ((&String, &Column), &f64)| SettingImportance {
            name: key.clone(),
            share: growth / all,
            correlation: column.correlation(&targets),
        };
        let mut settings: Vec<SettingImportance> = keys.iter().zip(&columns).zip(&growth).map(setting).collect();
        settings.sort_by(|a, b| b.share.total_cmp(&a.share));
        Some(Importance { settings, explained, trials: trials.len() })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Growth of the squared error outside the samples for each column, and the share of the variance
/// that is explained there.
fn forest(columns: &[Column], targets: &[f64], variance: f64) -> (Vec<f64>, f64) {
    let philox = Philox::new(SEED, STREAM);
    let mut growth = vec![0f64; columns.len()];
    let mut predicted = vec![(0f64, 0usize); targets.len()];
    for tree_number in 0..TREES {
        let mut draws = philox.draws([tree_number, 0]);
        let (sample, outside) = bootstrap(targets.len(), &mut draws);
        let mut tree = Tree { columns, targets, nodes: vec![] };
        tree.grow(sample);
        let plain: Vec<f64> = outside.iter().map(|&row| tree.predict(|column| columns[column].levels[row])).collect();
        for (&row, value) in outside.iter().zip(&plain) {
            predicted[row] = (predicted[row].0 + value, predicted[row].1 + 1);
        }
        let squared = |values: &[f64]| outside.iter().zip(values).map(|(&row, v)| (targets[row] - v).powi(2)).sum::<f64>();
        let error = squared(&plain);
        for (number, growth) in growth.iter_mut().enumerate().filter(|(number, _)| tree.asks_for(*number)) {
            let mut shuffled = outside.clone();
            draws.shuffle(&mut shuffled);
            let level = |row: usize, donor: usize, column: usize| columns[column].levels[if column == number { donor } else { row }];
            let values: Vec<f64> =
                outside.iter().zip(&shuffled).map(|(&row, &donor)| tree.predict(|column| level(row, donor, column))).collect();
            *growth += (squared(&values) - error) / (outside.len().max(1) as f64 * f64::from(TREES));
        }
    }
    growth.iter_mut().for_each(|g| *g = g.max(0.0));
    let seen = || predicted.iter().zip(targets).filter(|((_, times), _)| *times > 0);
    let error = seen().map(|((sum, times), y)| (y - sum / *times as f64).powi(2)).sum::<f64>() / seen().count().max(1) as f64;
    (growth, 1.0 - error / variance)
}

/// Rows of a tree's sample, drawn with replacement, and the rows that it leaves out.
fn bootstrap(rows: usize, draws: &mut Draws) -> (Vec<usize>, Vec<usize>) {
    let sample: Vec<usize> = (0..rows.min(MOST_SAMPLED)).map(|_| draws.below(rows as u32) as usize).collect();
    let mut inside = vec![false; rows];
    sample.iter().for_each(|&row| inside[row] = true);
    let outside = (0..rows).filter(|&row| !inside[row]).take(MOST_SAMPLED).collect();
    (sample, outside)
}

/// A setting's values in all trials, as levels: distinct values, numbered.
struct Column {
    levels: Vec<u32>,
    /// The levels' numbers, where all values are numbers or absent: the absent one comes first, the
    /// others ascend.
    numbers: Option<Vec<Option<f64>>>,
    count: usize,
}

impl Column {
    fn of(trials: &[(&Map<String, Value>, f64)], key: &str) -> Column {
        let values: Vec<Value> = trials.iter().map(|(settings, _)| settings.get(key).cloned().unwrap_or_default()).collect();
        let is_number = values.iter().all(|v| v.is_null() || v.is_number());
        let mut distinct: Vec<&Value> = vec![];
        let mut number_of: HashMap<String, usize> = HashMap::new();
        for value in &values {
            number_of.entry(value.to_string()).or_insert_with(|| {
                distinct.push(value);
                distinct.len() - 1
            });
        }
        if is_number {
            distinct.sort_by(|a, b| a.as_f64().unwrap_or(f64::NEG_INFINITY).total_cmp(&b.as_f64().unwrap_or(f64::NEG_INFINITY)));
            number_of = distinct.iter().enumerate().map(|(i, value)| (value.to_string(), i)).collect();
        }
        Column {
            levels: values.iter().map(|value| number_of[&value.to_string()] as u32).collect(),
            numbers: is_number.then(|| distinct.iter().map(|value| value.as_f64()).collect()),
            count: distinct.len(),
        }
    }

    /// Spearman's rank correlation with the targets over the trials that have a number.
    fn correlation(&self, targets: &[f64]) -> Option<f64> {
        let numbers = self.numbers.as_ref()?;
        let (x, y): (Vec<f64>, Vec<f64>) =
            self.levels.iter().zip(targets).filter_map(|(&level, y)| Some((numbers[level as usize]?, *y))).unzip();
        let (x, y) = (ranks(&x), ranks(&y));
        let (mx, my) = (mean(&x), mean(&y));
        let product = |a: &[f64], ma: f64, b: &[f64], mb: f64| a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>();
        let spread = (product(&x, mx, &x, mx) * product(&y, my, &y, my)).sqrt();
        (spread > 0.0).then(|| product(&x, mx, &y, my) / spread)
    }
}

/// Ranks from 0; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    for same in order.chunk_by(|&a, &b| values[a] == values[b]).scan(0, |start, same| {
        *start += same.len();
        Some((*start - same.len(), same))
    }) {
        let (start, rows) = same;
        rows.iter().for_each(|&row| ranks[row] = start as f64 + (rows.len() - 1) as f64 / 2.0);
    }
    ranks
}

/// A regression tree over levels.
struct Tree<'a> {
    columns: &'a [Column],
    targets: &'a [f64],
    nodes: Vec<Node>,
}

enum Node {
    Leaf(f64),
    /// Levels for which `left[level]` holds go to the node after this one, the others to `right`.
    Split {
        column: usize,
        left: Vec<bool>,
        right: usize,
    },
}

impl Tree<'_> {
    /// Adds the node of these rows and all below it.
    fn grow(&mut self, rows: Vec<usize>) {
        let Some((column, left)) = self.best_split(&rows) else {
            let values: Vec<f64> = rows.iter().map(|&row| self.targets[row]).collect();
            return self.nodes.push(Node::Leaf(mean(&values)));
        };
        let (here, there): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|&row| left[self.columns[column].levels[row] as usize]);
        let own = self.nodes.len();
        self.nodes.push(Node::Split { column, left, right: 0 });
        self.grow(here);
        let next = self.nodes.len();
        if let Node::Split { right, .. } = &mut self.nodes[own] {
            *right = next;
        }
        self.grow(there);
    }

    /// The split that lowers the squared error most: a threshold between numbers; for other values,
    /// which is optimal for a squared error, a threshold between levels in the order of their means
    /// (Breiman et al., "Classification and regression trees", 1984, 9.4).
    fn best_split(&self, rows: &[usize]) -> Option<(usize, Vec<bool>)> {
        let all: f64 = rows.iter().map(|&row| self.targets[row]).sum();
        let mut best: Option<(f64, usize, Vec<bool>)> = None;
        for (number, column) in self.columns.iter().enumerate() {
            let mut sums = vec![(0usize, 0f64); column.count];
            for &row in rows {
                let sum = &mut sums[column.levels[row] as usize];
                *sum = (sum.0 + 1, sum.1 + self.targets[row]);
            }
            let mut order: Vec<u32> = (0..column.count as u32).filter(|&level| sums[level as usize].0 > 0).collect();
            if column.numbers.is_none() {
                let mean = |level: u32| sums[level as usize].1 / sums[level as usize].0 as f64;
                order.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
            }
            let (mut count, mut sum) = (0usize, 0f64);
            for at in 0..order.len().saturating_sub(1) {
                let level = sums[order[at] as usize];
                (count, sum) = (count + level.0, sum + level.1);
                if count < LEAF || rows.len() - count < LEAF {
                    continue;
                }
                let gain = sum * sum / count as f64 + (all - sum).powi(2) / (rows.len() - count) as f64 - all * all / rows.len() as f64;
                if gain > 1e-12 && best.as_ref().is_none_or(|(known, ..)| gain > *known) {
                    let left = match column.numbers {
                        // Half-way between the two, where other trials have values too.
                        Some(_) => (0..column.count as u32).map(|level| level <= order[at].midpoint(order[at + 1])).collect(),
                        // A value that the node has not seen goes with most of its trials.
                        None => {
                            let mut left = vec![2 * count > rows.len(); column.count];
                            order.iter().enumerate().for_each(|(i, &level)| left[level as usize] = i <= at);
                            left
                        }
                    };
                    best = Some((gain, number, left));
                }
            }
        }
        best.map(|(_, column, left)| (column, left))
    }

    fn predict(&self, level: impl Fn(usize) -> u32) -> f64 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf(value) => return *value,
                Node::Split { column, left, right } => at = if left[level(*column) as usize] { at + 1 } else { *right },
            }
        }
    }

    fn asks_for(&self, number: usize) -> bool {
        self.nodes.iter().any(|node| matches!(node, Node::Split { column, .. } if *column == number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HEADS: [&str; 3] = ["dense", "linear", "ridge"];

    /// Trials whose metric is `score` of the number of the learning rate and of the head; `dropout`
    /// and `seed` vary too.
    fn planted(trials: u32, score: impl Fn(f64, &str, f64) -> f64) -> Vec<(Map<String, Value>, f64)> {
        let philox = Philox::new(7, 1);
        let trial = |i: u32| {
            let mut draws = philox.draws([i, 0]);
            let (lr, head) = (10f64.powf(-4.0 * f64::from(draws.uniform())), HEADS[draws.below(3) as usize]);
            let settings = json!({ "lr": lr, "head": head, "dropout": f64::from(draws.below(3)) / 4.0, "seed": draws.below(1000) });
            let Value::Object(settings) = settings else { unreachable!() };
            (settings, score(lr.log10(), head, f64::from(draws.uniform()) - 0.5))
        };
        (0..trials).map(trial).collect()
    }

    fn importance(trials: &[(Map<String, Value>, f64)], keys: &[&str]) -> Option<Importance> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        Importance::of(&trials.iter().map(|(settings, y)| (settings, *y)).collect::<Vec<_>>(), &keys)
    }

    const KEYS: [&str; 4] = ["dropout", "head", "lr", "seed"];

    #[test]
    fn planted_settings_are_found_in_their_order() {
        let bonus = |head: &str| if head == "ridge" { 0.1 } else { 0.0 };
        let trials = planted(120, |lr, head, noise| 0.9 - 0.1 * (lr + 4.0) + bonus(head) + 0.02 * noise);
        let found = importance(&trials, &KEYS).unwrap();
        let names: Vec<&str> = found.settings.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[..2], ["lr", "head"], "{found:?}");
        assert!(found.settings[0].share > 0.6 && found.settings[2].share < 0.02, "{found:?}");
        assert!((found.settings.iter().map(|s| s.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(found.explained > 0.9 && found.settings[0].correlation.unwrap() < -0.8, "{found:?}");
        assert_eq!(found.settings[1].correlation, None, "names have no order");
        assert_eq!(importance(&trials, &KEYS).unwrap(), found, "the same trials give the same numbers");
    }

    #[test]
    fn settings_that_act_only_together_are_found() {
        let trials = planted(200, |lr, head, noise| if (lr > -2.0) == (head == "dense") { 1.0 } else { 0.0 } + 0.1 * noise);
        let found = importance(&trials, &KEYS).unwrap();
        assert!(found.settings[..2].iter().all(|s| ["lr", "head"].contains(&s.name.as_str()) && s.share > 0.25), "{found:?}");
    }

    #[test]
    fn noise_is_not_taken_for_importance() {
        let explained = importance(&planted(100, |_, _, noise| noise), &KEYS).map_or(0.0, |found| found.explained);
        assert!(explained < 0.1, "{explained}");
    }

    #[test]
    fn few_trials_equal_trials_and_no_settings_have_no_importance() {
        let trials = planted(40, |lr, _, _| lr);
        assert!(importance(&trials[..FEWEST], &KEYS).is_some());
        assert_eq!(importance(&trials[..FEWEST - 1], &KEYS), None);
        assert_eq!(importance(&trials, &[]), None);
        assert_eq!(importance(&planted(40, |_, _, _| 0.7), &KEYS), None);
    }

    #[test]
    fn settings_that_some_trials_lack_count_too() {
        let mut trials = planted(80, |_, head, _| if head == "dense" { 1.0 } else { 0.0 });
        for (settings, _) in &mut trials {
            let hidden = if settings["head"] == "dense" { json!(64) } else { Value::Null };
            settings.insert("hidden".into(), hidden);
            settings.remove("head");
        }
        let found = importance(&trials, &["hidden", "seed"]).unwrap();
        assert!(found.settings[0].name == "hidden" && found.settings[0].share > 0.95, "{found:?}");
        assert_eq!(ranks(&[3.0, 1.0, 3.0]), [1.5, 0.0, 1.5]);
    }
}
