//! Losses over logits: targets for both trainers, and value and gradient on plain slices.
//!
//! Both losses have one form: row `i` has targets `q_i` and a mass `m_i` (their sum, or the row's
//! weight), and the gradient of the batch's loss is `(m_i · p_i − q_i) · scale`, where `p_i` are
//! the softmax or the sigmoids of its logits.

use crate::heads::evaluation::metrics::most_probable;
use crate::heads::features::labels::Labels;
use crate::heads::features::table::Mix;
use crate::heads::features::task::Task;
use crate::heads::math::{sigmoid, softplus};
use crate::heads::settings::choices::{ClassWeights, Loss};
use crate::heads::settings::spec::HeadSpec;

/// Targets of a batch.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Targets {
    /// `rows · outputs` targets, weighted.
    pub q: Vec<f32>,
    /// Mass of each row.
    pub mass: Vec<f32>,
    /// Factor of the sum over rows.
    pub scale: f32,
}

/// The loss with everything that turns labels into targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Objective {
    /// Softmax or sigmoid.
    pub loss: Loss,
    outputs: usize,
    smoothing: f32,
    weights: Vec<f32>,
}

impl Objective {
    /// The objective of a head; class weights are counted over the training rows.
    pub(crate) fn new(spec: &HeadSpec, labels: &Labels, train: &[usize]) -> Objective {
        let classes = spec.classes();
        let mut weights = vec![1.0; classes];
        if spec.params().class_weights == ClassWeights::Balanced {
            let mut counts = vec![0usize; classes];
            train.iter().flat_map(|&row| labels.of(row)).for_each(|&c| counts[c as usize] += 1);
            let total: usize = counts.iter().sum();
            for (weight, count) in weights.iter_mut().zip(counts).filter(|(_, count)| *count > 0) {
                *weight = total as f32 / (classes * count) as f32;
            }
        }
        let outputs = spec.dims().last().copied().unwrap_or(classes);
        Objective { loss: spec.loss(), outputs, smoothing: spec.params().label_smoothing, weights }
    }

    /// Targets of a batch, as `torch.nn.CrossEntropyLoss` (mean over the weights of the rows'
    /// classes) or `BCEWithLogitsLoss` (mean over rows and outputs) weigh them. Smoothing spreads
    /// its share over all classes; for a sigmoid, over yes and no, as in Keras.
    pub(crate) fn targets(&self, task: Task<'_>, rows: &[usize], out: &mut Targets) {
        let c = self.outputs;
        out.q.clear();
        out.q.resize(rows.len() * c, 0.0);
        out.mass.clear();
        out.mass.extend(rows.iter().zip(out.q.chunks_exact_mut(c)).map(|(&row, q)| self.mixed_targets(task, row, q)));
        out.scale = self.scale(task, rows);
    }

    /// Writes the targets of a training row to `q`, mixed like its features. Returns its mass.
    pub(crate) fn mixed_targets(&self, task: Task<'_>, row: usize, q: &mut [f32]) -> f32 {
        let mass = self.row_targets(task.labels.of(row), q);
        let Some(Mix { row: other, share }) = task.features.mixed(row) else { return mass };
        let mut others = vec![0.0; q.len()];
        let others_mass = self.row_targets(task.labels.of(other), &mut others);
        q.iter_mut().zip(others).for_each(|(q, other)| *q += share * (other - *q));
        mass + share * (others_mass - mass)
    }

    /// Writes the targets of one row to `q`. Returns its mass.
    pub(crate) fn row_targets(&self, labels: &[u32], q: &mut [f32]) -> f32 {
        match self.loss {
            Loss::Sigmoid => self.sigmoid_targets(labels, q),
            Loss::Auto | Loss::Softmax => self.softmax_targets(labels, q),
        }
    }

    /// Whether the class with the largest logit is among the row's own. With two classes on one
    /// sigmoid the sign decides.
    pub(crate) fn is_right(&self, logits: &[f32], labels: &[u32]) -> bool {
        let answer = if self.outputs == 1 { usize::from(logits[0] > 0.0) } else { most_probable(logits) };
        labels.contains(&(answer as u32))
    }

    /// Factor of the sum over a batch.
    pub(crate) fn scale(&self, task: Task<'_>, rows: &[usize]) -> f32 {
        let weight = |row: usize| self.weight(task.labels.of(row));
        let mixed = |row: usize| match task.features.mixed(row) {
            Some(Mix { row: other, share }) => weight(row) + share * (weight(other) - weight(row)),
            None => weight(row),
        };
        let total: f32 = rows.iter().map(|&row| mixed(row)).sum();
        1.0 / (total * if self.loss == Loss::Sigmoid { self.outputs as f32 } else { 1.0 })
    }

    /// Weight of a row: that of its class, or the mean of the weights of its classes.
    fn weight(&self, labels: &[u32]) -> f32 {
        match labels {
            [] => 1.0,
            [one] => self.weights[*one as usize],
            several => several.iter().map(|&l| self.weights[l as usize]).sum::<f32>() / several.len() as f32,
        }
    }

    fn softmax_targets(&self, labels: &[u32], q: &mut [f32]) -> f32 {
        let spread = self.smoothing / q.len() as f32;
        q.iter_mut().zip(&self.weights).for_each(|(q, w)| *q = spread * w);
        let label = labels[0] as usize;
        q[label] += (1.0 - self.smoothing) * self.weights[label];
        if self.smoothing == 0.0 { self.weights[label] } else { q.iter().sum() }
    }

    fn sigmoid_targets(&self, labels: &[u32], q: &mut [f32]) -> f32 {
        let weight = self.weight(labels);
        q.fill(self.smoothing / 2.0 * weight);
        for &label in labels {
            let yes = (1.0 - self.smoothing / 2.0) * weight;
            if q.len() > 1 {
                q[label as usize] = yes;
            } else if label == 1 {
                q[0] = yes;
            }
        }
        weight
    }

    /// Loss of one row (unscaled), its logits replaced by their gradient.
    pub(crate) fn row(&self, logits: &mut [f32], q: &[f32], mass: f32, scale: f32) -> f64 {
        match self.loss {
            Loss::Sigmoid => {
                let mut loss = 0.0;
                for (z, &q) in logits.iter_mut().zip(q) {
                    loss += f64::from(mass * softplus(*z) - q * *z);
                    *z = (mass * sigmoid(*z) - q) * scale;
                }
                loss
            }
            Loss::Auto | Loss::Softmax => {
                let largest = logits.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
                let dot: f32 = logits.iter().zip(q).map(|(z, q)| q * (z - largest)).sum();
                logits.iter_mut().for_each(|z| *z = (*z - largest).exp());
                let sum: f32 = logits.iter().sum();
                logits.iter_mut().zip(q).for_each(|(z, q)| *z = (mass * (*z / sum) - q) * scale);
                f64::from(mass * sum.ln() - dot)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::features::matrix::Matrix;
    use crate::heads::features::partition::Partition;
    use crate::heads::settings::params::Params;
    use crate::heads::settings::spec::Fit;

    fn objective(params: Params, classes: usize, many: bool, labels: &Labels) -> Objective {
        let spec = params.check(Fit { tap: "gap", shape: &[4], classes, many }).unwrap();
        Objective::new(&spec, labels, &(0..labels.len()).collect::<Vec<_>>())
    }

    /// Loss of a batch at some logits.
    fn value(objective: &Objective, labels: &Labels, logits: &[f32]) -> (f64, Vec<f32>) {
        let rows: Vec<usize> = (0..labels.len()).collect();
        let mut t = Targets::default();
        let features = Matrix::new(1, vec![0.0; rows.len()]).unwrap();
        let task = Task { features: &features, labels, partition: &Partition::default() };
        objective.targets(task, &rows, &mut t);
        let mut grad = logits.to_vec();
        let c = objective.outputs;
        let rows = grad.chunks_exact_mut(c).zip(t.q.chunks_exact(c)).zip(&t.mass);
        let sum: f64 = rows.map(|((z, q), &mass)| objective.row(z, q, mass, t.scale)).sum();
        (sum * f64::from(t.scale), grad)
    }

    #[test]
    fn gradients_agree_with_finite_differences_and_values_with_pytorch() {
        let one = Labels::One(vec![0, 2, 2]);
        let many = Labels::Many(vec![vec![0, 2], vec![], vec![1]]);
        let binary = Labels::One(vec![1, 0, 1]);
        let weighted = Params { label_smoothing: 0.1, class_weights: ClassWeights::Balanced, ..Params::default() };
        let smooth = Params { label_smoothing: 0.2, ..Params::default() };
        let sigmoid = Params { loss: Loss::Sigmoid, ..Params::default() };
        let golden: serde_json::Value = serde_json::from_str(include_str!("../../../tests/goldens/heads.json")).unwrap();
        let cases = [
            ("plain", objective(Params::default(), 3, false, &one), &one, 9),
            ("weighted", objective(weighted, 3, false, &one), &one, 9),
            ("several", objective(smooth, 3, true, &many), &many, 9),
            ("shared", objective(sigmoid, 2, false, &binary), &binary, 3),
        ];
        for (name, objective, labels, n) in cases {
            let logits: Vec<f32> = (0..n).map(|i| (f64::from(i) * 1.7).sin() as f32).collect();
            let (loss, grad) = value(&objective, labels, &logits);
            let want = golden["losses"][name].as_f64().unwrap();
            assert!((loss - want).abs() < 1e-6, "{name}: {loss} {want}");
            for i in 0..logits.len() {
                let h = 1e-2;
                let mut moved = logits.clone();
                moved[i] += h;
                let up = value(&objective, labels, &moved).0;
                moved[i] -= 2.0 * h;
                let slope = (up - value(&objective, labels, &moved).0) / (2.0 * f64::from(h));
                assert!((slope - f64::from(grad[i])).abs() < 1e-4, "{slope} {}", grad[i]);
            }
        }
    }
}
