//! Early termination: successive halving (Jamieson and Talwalkar, AISTATS 2016) and Hyperband (Li
//! et al., JMLR 2018).
//!
//! After `min_iter`, `min_iter · eta`, … epochs (the *rungs*) one trial in `eta` goes on, the best
//! by val. All trials of a cohort reach a rung before any is judged there, and they are judged
//! among all that reached it before: the choice does not depend on which trial was faster.
//! Hyperband deals trials to *brackets*, the later of which leave out the first rungs, so that a
//! head that learns slowly has its chance.

use std::collections::HashMap;

use crate::sweep::settings::early::EarlyTermination;
use crate::sweep::settings::metric::Rank;

/// A trial's place in the order of its bracket at a rung.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standing {
    /// Number of the trial.
    pub(crate) trial: usize,
    pub(crate) rank: Rank,
}

/// The trials that reached each rung, and how well they did there.
pub(crate) struct Halving {
    settings: EarlyTermination,
    /// By bracket and rung, the best first.
    reached: HashMap<(usize, usize), Vec<Standing>>,
}

impl Halving {
    pub(crate) fn new(settings: EarlyTermination) -> Halving {
        Halving { settings, reached: HashMap::new() }
    }

    /// The rungs of heads of at most `epochs` epochs, ascending.
    pub(crate) fn rungs(&self, epochs: usize) -> Vec<usize> {
        let EarlyTermination { min_iter, eta, .. } = self.settings;
        std::iter::successors(Some(min_iter), |rung| rung.checked_mul(eta)).take_while(|&rung| rung < epochs).collect()
    }

    /// The bracket of a trial: the number of rungs that it leaves out.
    ///
    /// Hyperband gives each bracket about the same number of epochs, so of every round those with a
    /// long first rung get fewer trials.
    pub(crate) fn bracket(&self, trial: usize, epochs: usize) -> usize {
        if !self.settings.brackets {
            return 0;
        }
        let most = self.rungs(epochs).len();
        let size = |bracket: usize| {
            let left = most - bracket;
            ((most + 1) as f64 / (left + 1) as f64 * (self.settings.eta as f64).powi(left as i32)).ceil().min(1e12) as usize
        };
        let mut place = trial % (0..=most).map(size).sum::<usize>();
        (0..most)
            .find(|&bracket| match place.checked_sub(size(bracket)) {
                Some(rest) => {
                    place = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(most)
    }

    /// Whether trials of this many epochs and this number are judged at a rung.
    pub(crate) fn judges(&self, trial: usize, epochs: usize, rung: usize) -> bool {
        self.rungs(epochs).iter().skip(self.bracket(trial, epochs)).any(|&r| r == rung)
    }

    /// Judges the trials of a cohort that reached a rung in a bracket; returns those that do not go
    /// on.
    pub(crate) fn judge(&mut self, bracket: usize, rung: usize, cohort: &[Standing]) -> Vec<usize> {
        let reached = self.reached.entry((bracket, rung)).or_default();
        reached.extend_from_slice(cohort);
        reached.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(a.trial.cmp(&b.trial)));
        let places = reached.len().div_ceil(self.settings.eta);
        let goes_on = |trial: usize| reached[..places].iter().any(|other| other.trial == trial);
        cohort.iter().map(|standing| standing.trial).filter(|&trial| !goes_on(trial)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halving(brackets: bool) -> Halving {
        Halving::new(EarlyTermination { brackets, min_iter: 3, eta: 3 })
    }

    fn standing(trial: usize, score: f64) -> Standing {
        Standing { trial, rank: Rank { score, loss: 0.0 } }
    }

    #[test]
    fn rungs_grow_by_eta_below_the_last_epoch() {
        assert_eq!(halving(false).rungs(30), [3, 9, 27]);
        assert_eq!(halving(false).rungs(27), [3, 9]);
        assert!(halving(false).rungs(3).is_empty());
    }

    #[test]
    fn one_in_eta_goes_on_and_earlier_cohorts_count() {
        let mut halving = halving(false);
        let first: Vec<Standing> = (0..6).map(|t| standing(t, t as f64)).collect();
        assert_eq!(halving.judge(0, 3, &first), [0, 1, 2, 3]);
        // Of nine, three: 4 and 5 hold two of the places.
        assert_eq!(halving.judge(0, 3, &[standing(6, 4.5), standing(7, 0.0), standing(8, 0.0)]), [7, 8]);
        // Another bracket has places of its own.
        assert!(halving.judge(1, 3, &[standing(9, -1.0)]).is_empty());
    }

    #[test]
    fn hyperband_deals_fewer_trials_to_brackets_that_begin_later() {
        let halving = halving(true);
        // 27 epochs: rungs 3 and 9; brackets of 9, 5 and 3 trials.
        let dealt: Vec<usize> = (0..17).map(|t| halving.bracket(t, 27)).collect();
        let count = |b| dealt.iter().filter(|&&d| d == b).count();
        assert_eq!([count(0), count(1), count(2)], [9, 5, 3]);
        assert_eq!(halving.bracket(17, 27), 0);
        assert!(halving.judges(0, 27, 3) && !halving.judges(9, 27, 3) && halving.judges(9, 27, 9) && !halving.judges(14, 27, 9));
    }
}
