//! Metrics of a head: accuracy, loss, recall, F1, calibration error, area under the curve,
//! confusion. Fractions, not per cent.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::metric::Metric;
use crate::heads::features::labels::Labels;

/// Metrics of one split.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Share of rows whose most probable class is (among) theirs.
    pub acc1: f64,
    /// Share of rows that have a class of theirs among the five most probable.
    pub acc5: f64,
    /// Mean negative log-likelihood in nats (of several sigmoids: mean over classes too).
    pub loss: f64,
    /// Mean over the classes that occur of the share of their rows that were found.
    pub mean_per_class_recall: f64,
    /// Mean F1 over the classes that occur among labels or answers.
    pub macro_f1: f64,
    /// Expected calibration error of the most probable class: 15 bins of equal width.
    pub ece: f64,
    /// Area under the ROC curve: of two classes always, of more by [`Metrics::with_auc`]; `None` if
    /// no class has both positive and negative rows.
    pub auc: Option<f64>,
}

impl Metrics {
    /// One metric by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        match name {
            "acc1" => Some(self.acc1),
            "acc5" => Some(self.acc5),
            "loss" => Some(self.loss),
            "mean_per_class_recall" => Some(self.mean_per_class_recall),
            "macro_f1" => Some(self.macro_f1),
            "ece" => Some(self.ece),
            "auc" => self.auc,
            _ => None,
        }
    }

    /// Metrics of a head whose probabilities are NaN.
    pub const UNKNOWN: Metrics = Metrics {
        acc1: f64::NAN,
        acc5: f64::NAN,
        loss: f64::NAN,
        mean_per_class_recall: f64::NAN,
        macro_f1: f64::NAN,
        ece: f64::NAN,
        auc: None,
    };

    /// Metrics of `rows`, whose class probabilities lie row by row in `probabilities` (`rows ·
    /// classes`). If one of them is NaN, the result is [`Metrics::UNKNOWN`].
    pub fn of(probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize]) -> Metrics {
        Evaluation::new(classes, labels, false).of_all(probabilities, rows)
    }

    /// As [`Metrics::of`] with `auc` for any number of classes, at the cost of a sort per class:
    /// the mean over the classes that have both positive and negative rows, one versus rest or by
    /// label.
    pub fn with_auc(probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize]) -> Metrics {
        Evaluation::new(classes, labels, true).of_all(probabilities, rows)
    }
}

/// Bins of equal width by which calibration is judged.
const BINS: usize = 15;

/// Metrics under accumulation: rows arrive in parts, and only an area under the curve keeps their
/// probabilities.
pub(crate) struct Evaluation<'l> {
    classes: usize,
    labels: &'l Labels,
    rows: usize,
    /// Rows that have a class of theirs among the first one and the first five.
    top: [usize; 2],
    loss: f64,
    counts: Vec<ClassCount>,
    /// Rows, confidences and right answers by confidence: bins `(b/15, (b+1)/15]` of it (Guo et
    /// al., "On calibration of modern neural networks", ICML 2017).
    bins: [(usize, f64, f64); BINS],
    /// Classes whose area under the curve is needed.
    areas: Range<usize>,
    /// Rows and their probabilities, kept for these areas.
    kept: (Vec<usize>, Vec<f32>),
    /// The mean area once all rows have arrived.
    auc: Option<f64>,
    /// Whether a probability was NaN.
    is_unknown: bool,
}

impl<'l> Evaluation<'l> {
    fn new(classes: usize, labels: &'l Labels, auc: bool) -> Evaluation<'l> {
        let areas = match auc {
            // One of two classes that exclude each other suffices.
            _ if classes == 2 && !labels.are_many() => 1..2,
            true => 0..classes,
            false => 0..0,
        };
        Evaluation {
            classes,
            labels,
            rows: 0,
            top: [0; 2],
            loss: 0.0,
            counts: vec![ClassCount::default(); classes],
            bins: [(0, 0.0, 0.0); BINS],
            areas,
            kept: Default::default(),
            auc: None,
            is_unknown: false,
        }
    }

    /// An accumulator for judging by a metric.
    pub(crate) fn by(metric: Metric, classes: usize, labels: &'l Labels) -> Evaluation<'l> {
        Evaluation::new(classes, labels, metric.name == "auc")
    }

    fn of_all(mut self, probabilities: &[f32], rows: &[usize]) -> Metrics {
        self.add(probabilities, rows);
        self.metrics()
    }

    /// Adds rows with their class probabilities.
    pub(crate) fn add(&mut self, probabilities: &[f32], rows: &[usize]) {
        self.is_unknown |= probabilities.iter().any(|p| p.is_nan());
        if self.is_unknown {
            return;
        }
        rows.iter().zip(probabilities.chunks_exact(self.classes)).for_each(|(&row, p)| self.add_row(p, self.labels.of(row)));
        self.rows += rows.len();
        if !self.areas.is_empty() {
            self.kept.0.extend_from_slice(rows);
            self.kept.1.extend_from_slice(probabilities);
        }
    }

    fn add_row(&mut self, p: &[f32], labels: &[u32]) {
        let first = labels.iter().map(|&label| rank(p, label as usize)).min().unwrap_or(usize::MAX);
        for (count, k) in self.top.iter_mut().zip([1, 5]) {
            *count += usize::from(first < k);
        }
        self.loss += negative_log_likelihood(p, labels, self.labels.are_many());
        let answer = most_probable(p);
        count_row(&mut self.counts, p, answer, labels, self.labels.are_many());
        let confidence = f64::from(p[answer]);
        let (rows, sum, right) = &mut self.bins[((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1];
        *rows += 1;
        *sum += confidence;
        *right += f64::from(u8::from(labels.contains(&(answer as u32))));
    }

    /// Computes areas under the curve once all rows have arrived, and frees the probabilities kept
    /// for them.
    pub(crate) fn finish(&mut self) {
        let (rows, probabilities) = std::mem::take(&mut self.kept);
        if rows.is_empty() || self.is_unknown {
            return;
        }
        let area = |class| area_of_class(class, &probabilities, self.classes, self.labels, &rows);
        let areas: Vec<f64> = self.areas.clone().into_par_iter().filter_map(area).collect();
        self.auc = (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64);
    }

    /// The metrics of all rows.
    pub(crate) fn metrics(mut self) -> Metrics {
        self.finish();
        if self.is_unknown {
            return Metrics::UNKNOWN;
        }
        let n = self.rows.max(1) as f64;
        let [acc1, acc5] = self.top.map(|count| count as f64 / n);
        let (mean_per_class_recall, macro_f1) = recall_and_f1(&self.counts);
        let ece = self.bins.iter().map(|(_, confidence, right)| (confidence - right).abs()).sum::<f64>() / n;
        Metrics { acc1, acc5, loss: self.loss / n, mean_per_class_recall, macro_f1, ece, auc: self.auc }
    }
}

/// Counts of one class: its rows, the rows predicted as it, and both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ClassCount {
    /// Rows of the class.
    pub is: usize,
    /// Rows predicted as the class.
    pub called: usize,
    /// Both.
    pub both: usize,
}

/// Counts by class. The prediction is the most probable class, or with several classes per row
/// every class of at least one half.
pub(crate) fn counts(probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize]) -> Vec<ClassCount> {
    let mut counts = vec![ClassCount::default(); classes];
    for (&row, p) in rows.iter().zip(probabilities.chunks_exact(classes)) {
        count_row(&mut counts, p, most_probable(p), labels.of(row), labels.are_many());
    }
    counts
}

fn count_row(counts: &mut [ClassCount], p: &[f32], answer: usize, labels: &[u32], many: bool) {
    let is_called = |class: usize| if many { p[class] >= 0.5 } else { class == answer };
    let distinct = labels.iter().enumerate().filter(|(at, label)| !labels[..*at].contains(label));
    for label in distinct.map(|(_, &label)| label as usize) {
        counts[label].is += 1;
        counts[label].both += usize::from(is_called(label));
    }
    match many {
        true => counts.iter_mut().enumerate().for_each(|(class, count)| count.called += usize::from(is_called(class))),
        false => counts[answer].called += 1,
    }
}

/// `confusion[is][called]`: number of rows of each class by predicted class. Rows with several
/// classes count under each.
pub(crate) fn confusion(probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize]) -> Vec<Vec<usize>> {
    let mut table = vec![vec![0; classes]; classes];
    for (&row, p) in rows.iter().zip(probabilities.chunks_exact(classes)) {
        let best = most_probable(p);
        labels.of(row).iter().for_each(|&label| table[label as usize][best] += 1);
    }
    table
}

/// The most probable class; ties go to the first.
pub(crate) fn most_probable(p: &[f32]) -> usize {
    (1..p.len()).fold(0, |best, class| if p[class] > p[best] { class } else { best })
}

/// Number of classes before `class` when sorted by probability, ties by index.
fn rank(p: &[f32], class: usize) -> usize {
    p.iter().enumerate().filter(|&(other, &q)| q > p[class] || q == p[class] && other < class).count()
}

fn negative_log_likelihood(p: &[f32], labels: &[u32], many: bool) -> f64 {
    // 0 − x rather than −x: certainty costs 0, not −0.
    let cost = |p: f32| 0.0 - ln(p);
    if many {
        let of = |(class, &p): (usize, &f32)| cost(if labels.contains(&(class as u32)) { p } else { 1.0 - p });
        return p.iter().enumerate().map(of).sum::<f64>() / p.len() as f64;
    }
    labels.first().map_or(0.0, |&label| cost(p[label as usize]))
}

/// Logarithm of a probability; finite for 0. NaN stays NaN, which `f32::max` does not guarantee.
pub(crate) fn ln(p: f32) -> f64 {
    f64::from(if p < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { p }).ln()
}

fn recall_and_f1(counts: &[ClassCount]) -> (f64, f64) {
    let mean = |values: Vec<f64>| if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 };
    let recall = counts.iter().filter(|c| c.is > 0).map(|c| c.both as f64 / c.is as f64).collect();
    let f1 = counts.iter().filter(|c| c.is + c.called > 0).map(|c| 2.0 * c.both as f64 / (c.is + c.called) as f64).collect();
    (mean(recall), mean(f1))
}

/// Area under the curve of one class against all others.
fn area_of_class(class: usize, probabilities: &[f32], classes: usize, labels: &Labels, rows: &[usize]) -> Option<f64> {
    let scored = |(&row, p): (&usize, &[f32])| (p[class], labels.of(row).contains(&(class as u32)));
    area_under_curve(rows.iter().zip(probabilities.chunks_exact(classes)).map(scored).collect())
}

/// Mann–Whitney statistic: the share of (positive, negative) pairs in the right order, ties
/// counting half; `None` if one kind is missing.
fn area_under_curve(mut scored: Vec<(f32, bool)>) -> Option<f64> {
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let positives = scored.iter().filter(|s| s.1).count() as f64;
    let negatives = scored.len() as f64 - positives;
    let (mut below, mut pairs) = (0.0, 0.0);
    for tied in scored.chunk_by(|a, b| a.0 == b.0) {
        let (p, n) = (tied.iter().filter(|s| s.1).count() as f64, tied.iter().filter(|s| !s.1).count() as f64);
        pairs += p * (below + n / 2.0);
        below += n;
    }
    (positives > 0.0 && negatives > 0.0).then(|| pairs / (positives * negatives))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::METRICS;

    #[test]
    fn metrics_of_a_small_table_are_those_of_scikit_learn() {
        let labels = Labels::One(vec![0, 1, 2, 2, 1, 0]);
        let p = [0.7, 0.2, 0.1, 0.5, 0.3, 0.2, 0.1, 0.2, 0.7, 0.3, 0.3, 0.4, 0.2, 0.5, 0.3, 0.1, 0.8, 0.1];
        let m = Metrics::of(&p, 3, &labels, &[0, 1, 2, 3, 4, 5]);
        // accuracy_score, balanced_accuracy_score, f1_score(average="macro"), log_loss
        assert!((m.acc1 - 4.0 / 6.0).abs() < 1e-12);
        assert!((m.mean_per_class_recall - 2.0 / 3.0).abs() < 1e-12);
        assert!((m.macro_f1 - 2.0 / 3.0).abs() < 1e-12);
        assert!((m.loss - 0.971_558).abs() < 1e-6, "{}", m.loss);
        assert_eq!(m.acc5, 1.0);
        assert_eq!(confusion(&p, 3, &labels, &[0, 1, 2, 3, 4, 5]), [[1, 1, 0], [1, 1, 0], [0, 0, 2]]);
    }

    #[test]
    fn metrics_of_several_labels_a_row_are_those_of_scikit_learn() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/goldens/metrics.json")).unwrap();
        for case in golden["several"].as_array().unwrap() {
            let [rows, classes] = [0, 1].map(|i| case["shape"][i].as_u64().unwrap() as usize);
            // As `several` of make_metrics.py.
            let is_of = |i: usize, c: usize| (i * (c + 2) + c).is_multiple_of(3) || (i + 2 * c).is_multiple_of(5);
            let score = |i: usize, c: usize| 2.0 * (i as f64 * 12.9898 + c as f64 * 78.233).sin() + if is_of(i, c) { 1.0 } else { -1.0 };
            let cells = (0..rows).flat_map(|i| (0..classes).map(move |c| (i, c)));
            let p: Vec<f32> = cells.map(|(i, c)| (1.0 / (1.0 + (-score(i, c)).exp())) as f32).collect();
            let labels = Labels::Many((0..rows).map(|i| (0..classes).filter(|&c| is_of(i, c)).map(|c| c as u32).collect()).collect());
            let metrics = Metrics::with_auc(&p, classes, &labels, &(0..rows).collect::<Vec<_>>());
            for (name, want) in case["metrics"].as_object().unwrap() {
                let got = metrics.get(name).unwrap();
                assert!((got - want.as_f64().unwrap()).abs() < 1e-6, "{rows}×{classes}: {name} is {got}, not {want}");
            }
        }
    }

    #[test]
    fn rows_that_come_in_parts_count_as_if_together() {
        let (classes, n) = (3, 50);
        let p: Vec<f32> = (0..n).flat_map(|i| [i % 7, i % 5, i % 11].map(|v| (v as f32 + 0.1) / (i % 7 + i % 5 + i % 11) as f32)).collect();
        let p: Vec<f32> = p.iter().map(|p| p.min(1.0)).collect();
        let rows: Vec<usize> = (0..n).rev().collect();
        for labels in
            [Labels::One((0..n as u32).map(|i| i % 3).collect()), Labels::Many((0..n as u32).map(|i| vec![i % 3, i % 2]).collect())]
        {
            for metric in METRICS {
                let mut parts = Evaluation::by(*metric, classes, &labels);
                for (rows, p) in rows.chunks(17).zip(p.chunks(17 * classes)) {
                    parts.add(p, rows);
                }
                let whole = if metric.name == "auc" { Metrics::with_auc } else { Metrics::of };
                assert_eq!(parts.metrics(), whole(&p, classes, &labels, &rows));
            }
        }
    }

    #[test]
    fn answers_that_are_sure_cost_nothing() {
        let loss = Metrics::of(&[1.0, 0.0, 0.0, 1.0], 2, &Labels::One(vec![0, 1]), &[0, 1]).loss;
        assert_eq!((loss, loss.is_sign_positive()), (0.0, true), "not −0, which would be shown as such");
    }

    #[test]
    fn classes_that_do_not_occur_have_no_area() {
        let p = [0.7, 0.2, 0.1, 0.5, 0.3, 0.2, 0.3, 0.6, 0.1];
        let auc = |labels: [u32; 3]| Metrics::with_auc(&p, 3, &Labels::One(labels.to_vec()), &[0, 1, 2]).auc;
        assert_eq!(auc([0, 0, 1]), Some(1.0));
        assert_eq!(auc([0, 1, 0]), Some(0.5));
        assert_eq!(auc([2, 2, 2]), None);
    }

    #[test]
    fn calibration_error_and_area_by_hand() {
        let labels = Labels::One(vec![1, 1, 0, 0]);
        let m = Metrics::of(&[0.1, 0.9, 0.6, 0.4, 0.6, 0.4, 0.9, 0.1], 2, &labels, &[0, 1, 2, 3]);
        // confidences .9 .6 .6 .9; right: yes no yes yes → |1.8 − 2| and |1.2 − 1| over 4
        assert!((m.ece - 0.1).abs() < 1e-6, "{}", m.ece);
        assert!((m.auc.unwrap() - 0.875).abs() < 1e-12);
        assert_eq!(Metrics::of(&[0.1, 0.9], 2, &labels, &[0]).auc, None);
    }

    #[test]
    fn probabilities_that_are_nan_have_no_metrics() {
        let (one, many) = (Labels::One(vec![0, 1]), Labels::Many(vec![vec![0], vec![0, 1]]));
        for p in [[f32::NAN; 4], [1.0, 0.0, f32::NAN, 0.5]] {
            for labels in [&one, &many] {
                let m = Metrics::of(&p, 2, labels, &[0, 1]);
                assert!(METRICS.iter().all(|metric| m.get(metric.name).is_none_or(f64::is_nan)), "{m:?}");
            }
        }
    }

    #[test]
    fn several_classes_a_row() {
        let labels = Labels::Many(vec![vec![0, 1], vec![]]);
        let m = Metrics::of(&[0.9, 0.4, 0.2, 0.6], 2, &labels, &[0, 1]);
        assert_eq!(m.acc1, 0.5);
        assert!((m.mean_per_class_recall - 0.5).abs() < 1e-12);
        let want = (-(0.9f64.ln()) - 0.4f64.ln() - 0.8f64.ln() - 0.4f64.ln()) / 4.0;
        assert!((m.loss - want).abs() < 1e-6);
    }
}
