//! Training a cohort of trials side by side, from rung to rung where some are ended early, and on
//! from where an earlier run stopped.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::features::Recipe;
use super::runner::{Family, Runner};
use super::state::{Member, Run, State};
use super::{lockstep, solo};
use crate::Result;
use crate::heads::{HeadSpec, is_large};
use crate::sweep::results::record::{EpochRecord, FinalRecord, FinishedTrial, Record, Status};
use crate::sweep::results::result::{TrialResult, kept_epochs, rank_at};
use crate::sweep::search::halving::{Halving, Standing};
use crate::sweep::search::trial::Trial;
use crate::sweep::sources::splits::Rows;

/// The work that some trials share.
#[derive(PartialEq)]
enum Shared {
    Nothing,
    /// The work of solving.
    Solver(Family),
    /// Every batch: the heads have this in common, and are trained on the same features and rows.
    Batches(Box<HeadSpec>, Recipe, Option<usize>),
}

/// Trials that share work.
struct Group<'m, 'p> {
    shared: Shared,
    members: Vec<Member<'m, 'p>>,
}

/// Trains a cohort. Trials for which there is no time left are not among the results.
pub(super) fn train(runner: &Runner<'_>, cohort: &[Trial], halving: &mut Option<Halving>) -> Result<Vec<TrialResult>> {
    let runs: Vec<OnceLock<Vec<Run>>> = cohort.iter().map(|_| OnceLock::new()).collect();
    let past = |trial: &Trial| match runner.finished.get(&trial.id) {
        Some(past) => {
            State::Past(FinishedTrial { epochs: past.epochs.clone(), end: FinalRecord { trial: trial.number, ..past.end.clone() } })
        }
        None => State::Waiting,
    };
    let mut states: Vec<State<'_>> = cohort.iter().map(past).collect();
    let mut rungs: Vec<usize> = halving.iter().flat_map(|h| cohort.iter().flat_map(move |t| h.rungs(t.spec.params().epochs))).collect();
    rungs.sort_unstable();
    rungs.dedup();
    for until in rungs.into_iter().chain([usize::MAX]) {
        let members = cohort.iter().zip(&runs).zip(&mut states).map(|((trial, runs), state)| Member { trial, runs, state });
        // Side by side, groups whose features memory does not hold would each read them by itself,
        // from two places of the disk at once.
        let is_large = |trial| is_large(runner.source(trial).labels.len(), width(runner, trial));
        let (mut large, mut others): (Vec<_>, Vec<_>) =
            groups(runner, members).into_iter().partition(|group| is_large(group.members[0].trial));
        large.iter_mut().try_for_each(|group| advance(runner, group, until))?;
        others.par_iter_mut().with_max_len(1).try_for_each(|group| advance(runner, group, until))?;
        if let Some(halving) = halving.as_mut().filter(|_| until != usize::MAX) {
            judge(runner, cohort, &mut states, halving, until)?;
        }
    }
    let ended = |state| if let State::Ended(result) = state { Some(result) } else { None };
    Ok(states.into_iter().filter_map(ended).collect())
}

fn advance<'p>(runner: &'p Runner<'_>, Group { shared, members }: &mut Group<'_, 'p>, until: usize) -> Result<()> {
    match shared {
        Shared::Batches(..) => lockstep::advance(runner, members, until),
        Shared::Solver(family) => solo::advance(runner, Some(family), members, until),
        Shared::Nothing => solo::advance(runner, None, members, until),
    }
}

/// Groups members that share work, those first that take longest; every other member is a group of
/// its own.
fn groups<'m, 'p>(runner: &Runner<'_>, members: impl Iterator<Item = Member<'m, 'p>>) -> Vec<Group<'m, 'p>> {
    let mut groups: Vec<Group<'m, 'p>> = vec![];
    for member in members {
        let shared = shared(runner, member.trial);
        match groups.iter_mut().find(|group| shared != Shared::Nothing && group.shared == shared) {
            Some(group) => group.members.push(member),
            None => groups.push(Group { shared, members: vec![member] }),
        }
    }
    groups.sort_by_key(|group| group.shared == Shared::Nothing);
    groups
}

fn shared(runner: &Runner<'_>, trial: &Trial) -> Shared {
    let (head, shots) = (trial.spec.params().head, trial.shots);
    let recipe = Recipe::of(trial, Rows::Run { run: 0, shots });
    if head.is_solved() {
        return Shared::Solver(Family { head, recipe, shots });
    }
    match runner.job.trainer.in_common(&trial.spec, runner.source(trial).labels.len()) {
        Some(common) => Shared::Batches(common.into(), recipe, shots),
        None => Shared::Nothing,
    }
}

/// Number of features of a row, as a trial's head sees it.
fn width(runner: &Runner<'_>, trial: &Trial) -> usize {
    let taps = trial.inputs.iter().map(|input| &runner.job.sources[input.source].taps[input.tap]);
    if trial.spec.pools() { taps.map(|tap| tap.shape[0]).sum() } else { taps.map(|tap| tap.features.dim()).sum() }
}

/// The trials of one bracket at a rung.
struct Bracket {
    number: usize,
    standings: Vec<Standing>,
}

/// Judges a cohort at a rung, bracket by bracket, and ends the trials that do not go on.
fn judge(runner: &Runner<'_>, cohort: &[Trial], states: &mut [State<'_>], halving: &mut Halving, rung: usize) -> Result<()> {
    let mut brackets: Vec<Bracket> = vec![];
    for (trial, state) in cohort.iter().zip(&*states) {
        let history = match state {
            State::Past(past) => &past.epochs,
            State::Training(training) => &training.history,
            State::Ended(result) if result.status != Status::Stopped => &result.history,
            _ => continue,
        };
        let params = trial.spec.params();
        if params.head.is_solved() || !halving.judges(trial.number, params.epochs, rung) {
            continue;
        }
        let number = halving.bracket(trial.number, params.epochs);
        let standing = Standing { trial: trial.number, rank: rank_at(history, rung, &runner.job.config.metric) };
        match brackets.iter_mut().find(|bracket| bracket.number == number) {
            Some(bracket) => bracket.standings.push(standing),
            None => brackets.push(Bracket { number, standings: vec![standing] }),
        }
    }
    let out: Vec<usize> = brackets.iter().flat_map(|bracket| halving.judge(bracket.number, rung, &bracket.standings)).collect();
    for (trial, state) in cohort.iter().zip(states).filter(|(trial, _)| out.contains(&trial.number)) {
        match state {
            State::Training(_) => runner.end(trial, state, Status::Stopped)?,
            State::Past(past) if past.end.status == Status::Stopped || past.epochs.iter().any(|e| e.epoch > rung) => {
                let result = cut(runner, trial, past, rung)?;
                runner.observer.reused(&result);
                *state = State::Ended(result);
            }
            // It had come to its own end before.
            _ => {}
        }
    }
    Ok(())
}

/// The result of a trial of an earlier run, ended at a rung: as that run recorded it, if it was
/// ended there then too.
fn cut(runner: &Runner<'_>, trial: &Trial, FinishedTrial { epochs, end }: &FinishedTrial, rung: usize) -> Result<TrialResult> {
    let history: Vec<EpochRecord> = epochs.iter().filter(|e| e.epoch <= rung).cloned().collect();
    if end.status == Status::Stopped {
        return Ok(TrialResult::new(history, end.clone()));
    }
    history.iter().try_for_each(|e| runner.log.append(&Record::Epoch(e.clone())))?;
    let kept = kept_epochs(&history, trial.spec.params().patience, &runner.job.config.metric);
    runner.record_final(trial, history, &kept, Status::Stopped, end.seconds)
}
