//! Training rows that differ from epoch to epoch: a random view, features shifted at random.
//!
//! The shift is the channel-wise brightness of "Frozen Feature Augmentation for few-shot image classification" (Bär et al., CVPR 2024): of a
//! row scaled to its smallest and largest feature, each feature moves by a number of its own from ±brightness, and is cut off at 0 and 1.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::params::Params;
use super::random::AUGMENT;
use super::table::FeatureTable;
use crate::rng::Philox;

/// Tables of the same rows, one a view. A training row is read from another one each epoch and shifted; every other row is view 0 as it is.
pub struct Augmented {
    views: Vec<Arc<dyn FeatureTable>>,
    /// Smallest and largest feature of each row of each view; empty where nothing is shifted.
    ends: Vec<Vec<[f32; 2]>>,
    is_train: Vec<bool>,
    brightness: f32,
    philox: Philox,
    epoch: AtomicUsize,
}

impl Augmented {
    /// The features as the settings ask for them: `views` themselves where they ask for nothing.
    pub fn table(params: &Params, views: Vec<Arc<dyn FeatureTable>>, train: &[usize]) -> Option<Arc<dyn FeatureTable>> {
        let first = views.first()?.clone();
        if views.len() == 1 && params.brightness == 0.0 {
            return Some(first);
        }
        let mut is_train = vec![false; first.rows()];
        train.iter().for_each(|&row| is_train[row] = true);
        let ends = if params.brightness > 0.0 { views.iter().map(|v| ends(&**v)).collect() } else { vec![] };
        let philox = Philox::new(params.seed, AUGMENT);
        Some(Arc::new(Augmented { views, ends, is_train, brightness: params.brightness, philox, epoch: AtomicUsize::new(0) }))
    }
}

fn ends(table: &dyn FeatureTable) -> Vec<[f32; 2]> {
    let mut x = vec![0.0; table.dim()];
    let mut of = |row| {
        table.read(row, 0..x.len(), &mut x);
        x.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &x| [low.min(x), high.max(x)])
    };
    (0..table.rows()).map(&mut of).collect()
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
        let epoch = self.epoch.load(Ordering::Relaxed) as u32;
        let place = |block: usize| [block as u32, row as u32, epoch, 0];
        // Block 0 chooses the view, block b + 1 shifts features 4 b to 4 b + 3.
        let view = (f64::from(self.philox.uniform(place(0))[0]) * self.views.len() as f64) as usize;
        self.views[view].read(row, columns.clone(), out);
        let Some([low, high]) = self.ends.get(view).map(|ends| ends[row]) else { return };
        let reach = self.brightness * (high - low);
        let mut drawn = (usize::MAX, [0.0; 4]);
        for (column, x) in columns.zip(out) {
            if drawn.0 != column / 4 {
                drawn = (column / 4, self.philox.uniform(place(column / 4 + 1)));
            }
            *x = (*x + reach * (2.0 * drawn.1[column % 4] - 1.0)).clamp(low, high);
        }
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
    use crate::heads::Matrix;

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
}
