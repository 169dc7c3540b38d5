//! Training rows that differ from epoch to epoch: a random view, features shifted at random, rows
//! mixed.
//!
//! The shift is the channel-wise brightness of "Frozen Feature Augmentation for few-shot image
//! classification" (Bär et al., CVPR 2024): of a row scaled to its smallest and largest feature,
//! each feature moves by a number of its own from ±brightness, and is clamped to 0 and 1.
//!
//! Mixing is that of "mixup: Beyond Empirical Risk Minimization" (Zhang et al., ICLR 2018) on
//! features, for each row by itself: x becomes λ x + (1 − λ) x', with x' a random training row and
//! λ from Beta(α, α); targets likewise (see `Objective::mixed_targets`). λ is replaced by 1 − λ
//! where that is larger, so that a row stays nearest to its own class; by symmetry this changes
//! nothing else.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::heads::features::order::window_rows;
use crate::heads::features::prefetch::for_each_row;
use crate::heads::features::table::{FeatureTable, Mix};
use crate::heads::settings::params::Params;
use crate::heads::streams::{AUGMENT, MIXUP};
use crate::rng::{Draws, Philox};

/// Tables of the same rows, one per view. A training row is read from a random view each epoch,
/// shifted and mixed with another row; all other rows are read from view 0 unchanged.
pub(crate) struct Augmented {
    views: Vec<Arc<dyn FeatureTable>>,
    /// Smallest and largest feature of each row of each view; empty where nothing is shifted.
    ends: Vec<Vec<[f32; 2]>>,
    train: Vec<usize>,
    is_train: Vec<bool>,
    brightness: f32,
    mixup: f64,
    shifts: Philox,
    mixes: Philox,
    epoch: AtomicUsize,
}

impl Augmented {
    /// The features with the augmentation that the settings ask for; the first of `views` itself
    /// where they ask for none.
    pub(crate) fn table(params: &Params, views: Vec<Arc<dyn FeatureTable>>, train: &[usize]) -> Option<Arc<dyn FeatureTable>> {
        let first = views.first()?.clone();
        if views.len() == 1 && params.brightness == 0.0 && params.mixup == 0.0 {
            return Some(first);
        }
        // The first view is prefetched in the first epoch, larger ones whenever they are read.
        if train.len() <= window_rows(first.stored_dim()) {
            views[1..].iter().for_each(|view| view.will_read(train));
        }
        let mut is_train = vec![false; first.rows()];
        train.iter().for_each(|&row| is_train[row] = true);
        let ends = if params.brightness > 0.0 { views.iter().map(|v| ends(&**v)).collect() } else { vec![] };
        Some(Arc::new(Augmented {
            views,
            ends,
            train: train.to_vec(),
            is_train,
            brightness: params.brightness,
            mixup: params.mixup,
            shifts: Philox::new(params.seed, AUGMENT),
            mixes: Philox::new(params.seed, MIXUP),
            epoch: AtomicUsize::new(0),
        }))
    }

    /// The view that a training row is read from in this epoch.
    fn view(&self, row: usize) -> usize {
        let epoch = self.epoch.load(Ordering::Relaxed) as u32;
        (f64::from(self.shifts.uniform([0, row as u32, epoch, 0])[0]) * self.views.len() as f64) as usize
    }

    /// A training row before it is mixed: its view of this epoch, shifted.
    fn read_shifted(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        let epoch = self.epoch.load(Ordering::Relaxed) as u32;
        let view = self.view(row);
        self.views[view].read(row, columns.clone(), out);
        let Some([low, high]) = self.ends.get(view).map(|ends| ends[row]) else { return };
        let reach = self.brightness * (high - low);
        let mut drawn = (usize::MAX, [0.0; 4]);
        for (column, x) in columns.zip(out) {
            if drawn.0 != column / 4 {
                // Block 0 chooses the view, block b + 1 shifts features 4 b to 4 b + 3.
                let block = (column / 4 + 1) as u32;
                drawn = (column / 4, self.shifts.uniform([block, row as u32, epoch, 0]));
            }
            *x = (*x + reach * (2.0 * drawn.1[column % 4] - 1.0)).clamp(low, high);
        }
    }
}

fn ends(table: &dyn FeatureTable) -> Vec<[f32; 2]> {
    let mut ends = Vec::with_capacity(table.rows());
    for_each_row(table, &(0..table.rows()).collect::<Vec<_>>(), |_, x| {
        ends.push(x.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &x| [low.min(x), high.max(x)]));
    });
    ends
}

/// A share λ from Beta(α, α), or 1 − λ if that is less.
fn lesser_share(alpha: f64, draws: &mut Draws) -> f32 {
    let difference = ln_gamma_variate(alpha, draws) - ln_gamma_variate(alpha, draws);
    (1.0 / (1.0 + difference.abs().exp())) as f32
}

/// The logarithm of a number from Gamma(α, 1): of one from Gamma(α + 1, 1), as Marsaglia and Tsang
/// (2000) draw it, times U^(1/α). It is a logarithm because for small α the number itself would
/// underflow to 0.
fn ln_gamma_variate(alpha: f64, draws: &mut Draws) -> f64 {
    // Never 0, whose logarithm would be infinite.
    let mut uniform = || (f64::from(draws.bits()) + 0.5) / 4_294_967_296.0;
    let d = alpha + 1.0 - 1.0 / 3.0;
    loop {
        let normal = (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        let v = (1.0 + normal / (9.0 * d).sqrt()).powi(3);
        if v > 0.0 && uniform().ln() < 0.5 * normal * normal + d - d * v + d * v.ln() {
            return (d * v).ln() + uniform().ln() / alpha;
        }
    }
}

impl FeatureTable for Augmented {
    fn rows(&self) -> usize {
        self.views[0].rows()
    }

    fn dim(&self) -> usize {
        self.views[0].dim()
    }

    fn read(&self, row: usize, columns: Range<usize>, out: &mut [f32]) {
        if !self.is_train[row] {
            return self.views[0].read(row, columns, out);
        }
        self.read_shifted(row, columns.clone(), out);
        if let Some(Mix { row: other, share }) = self.mixed(row) {
            let mut others = vec![0.0; out.len()];
            self.read_shifted(other, columns, &mut others);
            out.iter_mut().zip(others).for_each(|(x, other)| *x += share * (other - *x));
        }
    }

    fn stored_dim(&self) -> usize {
        self.views[0].stored_dim()
    }

    /// Rows that are mixed into these lie anywhere and are not prefetched.
    fn will_read(&self, rows: &[usize]) {
        for (view, table) in self.views.iter().enumerate() {
            let of_view = |&&row: &&usize| if self.is_train[row] { self.view(row) == view } else { view == 0 };
            table.will_read(&rows.iter().filter(of_view).copied().collect::<Vec<_>>());
        }
    }

    fn mixed(&self, row: usize) -> Option<Mix> {
        if self.mixup == 0.0 || !self.is_train[row] {
            return None;
        }
        let mut draws = self.mixes.draws([row as u32, self.epoch.load(Ordering::Relaxed) as u32]);
        let other = self.train[draws.below(self.train.len() as u32) as usize];
        Some(Mix { row: other, share: lesser_share(self.mixup, &mut draws) })
    }

    fn block_rows(&self) -> usize {
        self.views[0].block_rows()
    }

    fn begin_epoch(&self, epoch: usize) {
        self.epoch.store(epoch, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::{Fit, Labels, Matrix, Objective, Partition, Task};

    #[test]
    fn training_rows_change_from_epoch_to_epoch_and_others_never() {
        let view = |shift: f32| -> Arc<dyn FeatureTable> {
            Arc::new(Matrix::new(10, (0..200).map(|i| (i as f32 * 0.7).sin() + shift).collect()).unwrap())
        };
        let params = Params { brightness: 0.1, ..Params::default() };
        let train: Vec<usize> = (0..15).collect();
        let table = Augmented::table(&params, vec![view(0.0), view(10.0)], &train).unwrap();
        let read = |epoch, row| {
            table.begin_epoch(epoch);
            let mut x = vec![0.0; 10];
            table.read(row, 0..10, &mut x);
            x
        };
        let plain = |row| view(0.0).row(row).unwrap().to_vec();
        assert!((0..20).all(|epoch| read(epoch, 17) == plain(17)));
        let firsts: Vec<f32> = (0..100).map(|epoch| read(epoch, 3)[0]).collect();
        let second = firsts.iter().filter(|&&x| x > 5.0).count();
        assert!((30..70).contains(&second), "{second} of 100 epochs read the second view");
        let x = read(4, 3);
        let own: Vec<f32> = if x[0] > 5.0 { view(10.0).row(3).unwrap().to_vec() } else { plain(3) };
        assert!(x.iter().zip(&own).all(|(a, b)| (a - b).abs() <= 0.2001) && x != own);
        // Parts are those of the whole.
        table.begin_epoch(4);
        let mut part = [0.0; 5];
        table.read(3, 3..8, &mut part);
        assert_eq!(part, x[3..8]);
        let one = Augmented::table(&Params::default(), vec![view(0.0)], &train).unwrap();
        assert_eq!(one.row(3).unwrap(), plain(3));
    }

    #[test]
    fn rows_are_mixed_as_the_plain_formula_says_and_targets_alike() {
        let (dim, rows) = (10, 40);
        let plain: Arc<dyn FeatureTable> = Arc::new(Matrix::new(dim, (0..dim * rows).map(|i| (i as f32 * 0.7).sin()).collect()).unwrap());
        let train: Vec<usize> = (0..30).collect();
        let params = Params { mixup: 0.4, label_smoothing: 0.1, seed: 9, ..Params::default() };
        let table = Augmented::table(&params, vec![plain.clone()], &train).unwrap();
        let labels = Labels::One((0..rows as u32).map(|row| row % 3).collect());
        let partition = Partition { train: train.clone(), ..Partition::default() };
        let task = Task { features: &*table, labels: &labels, partition: &partition };
        let spec = params.check(Fit { tap: "gap", shape: &[dim], classes: 3, many: false }).unwrap();
        let objective = Objective::new(&spec, &labels, &train);
        let mut partners = vec![];
        for epoch in [0, 1, 7] {
            table.begin_epoch(epoch);
            for &row in &train {
                let Mix { row: other, share } = table.mixed(row).unwrap();
                assert!(other < 30 && (0.0..=0.5).contains(&share));
                partners.push(other);
                let (mut x, mut q) = ([0.0; 10], [0.0; 3]);
                table.read(row, 0..dim, &mut x);
                let (a, b) = (plain.row(row).unwrap(), plain.row(other).unwrap());
                assert!(x.iter().zip(a).zip(b).all(|((x, a), b)| (x - ((1.0 - share) * a + share * b)).abs() < 1e-6));
                assert!((objective.mixed_targets(task, row, &mut q) - 1.0).abs() < 1e-6);
                for (class, q) in q.into_iter().enumerate() {
                    let hot = |row: usize| if row % 3 == class { 0.9 + 0.1 / 3.0 } else { 0.1 / 3.0 };
                    assert!((q - ((1.0 - share) * hot(row) + share * hot(other))).abs() < 1e-6);
                }
            }
            assert!(table.mixed(35).is_none());
        }
        partners.sort_unstable();
        partners.dedup();
        assert!(partners.len() > 25, "{partners:?}");
    }

    #[test]
    fn shares_have_the_moments_of_the_beta_distribution() {
        for alpha in [0.001, 0.2, 1.0, 4.0] {
            let n = 20_000;
            let share = |i| f64::from(lesser_share(alpha, &mut Philox::new(3, MIXUP).draws([i, 0])));
            let squares = (0..n).map(|i| (share(i) - 0.5).powi(2)).sum::<f64>() / f64::from(n);
            let variance = 0.25 / (2.0 * alpha + 1.0);
            assert!((squares / variance - 1.0).abs() < 0.03, "{alpha}: variance {squares}, not {variance}");
        }
    }
}
