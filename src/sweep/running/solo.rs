//! Trials that are trained one by one; those of a family share the work of solving.

use std::sync::PoisonError;
use std::time::Instant;

use super::runner::{Family, Runner};
use super::state::{InTraining, KeptHead, Member, Run, State};
use crate::Result;
use crate::heads::{Solver, Training, Watch, solve};
use crate::sweep::results::record::Status;
use crate::sweep::results::result::TrialResult;
use crate::sweep::search::trial::Trial;
use crate::sweep::settings::method::Method;

/// Brings trials to the end of epoch `until`, or to their own end.
pub(super) fn advance<'p>(runner: &'p Runner<'_>, family: Option<&Family>, members: &mut [Member<'_, 'p>], until: usize) -> Result<()> {
    let lock = || runner.solvers.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out while they are in use: a lock that is held while products run in parallel could be
    // waited for by its own thread.
    let mut solvers = family.and_then(|family| lock().remove(family)).unwrap_or_default();
    solvers.resize_with(runner.job.config.protocol().runs(), Solver::default);
    let outcome = members.iter_mut().try_for_each(|member| advance_trial(runner, member, &mut solvers, until));
    // All trials of a family are in one cohort, unless cohorts follow each other: then the solvers
    // are kept.
    let config = &runner.job.config;
    if let Some(family) = family.filter(|_| config.method == Method::Bayes || config.early_terminate.is_some()) {
        lock().insert(family.clone(), solvers);
    }
    outcome
}

fn advance_trial<'p>(runner: &'p Runner<'_>, member: &mut Member<'_, 'p>, solvers: &mut [Solver], until: usize) -> Result<()> {
    let (trial, state) = (member.trial, &mut *member.state);
    runner.reuse_past(state, until);
    runner.leave_out_late(state);
    if matches!(state, State::Waiting) {
        let runs = runner.runs(trial, member.runs)?;
        if trial.spec.params().head.is_solved() {
            *state = State::Ended(solve_trial(runner, trial, runs, solvers)?);
            return Ok(());
        }
        let begin =
            |run: &'p Run| Training::begin(&*runner.job.trainer, runner.task(trial, run), runner.start(trial, &run.spec)?, runner.metric());
        *state = State::Training(InTraining::new(runs, runs.iter().map(begin).collect::<Result<_>>()?));
    }
    if let State::Training(training) = state {
        train(runner, trial, training, until)?;
    }
    runner.end_if_done(trial, state)
}

fn train(runner: &Runner<'_>, trial: &Trial, training: &mut InTraining<'_>, until: usize) -> Result<()> {
    let start = Instant::now();
    for (number, run) in training.runs.iter_mut().enumerate() {
        let mut logged = Ok(());
        run.advance(until, &mut |epoch| {
            logged = runner.record_epoch(trial, number, epoch, &mut training.history);
            if logged.is_err() { Watch::Stop } else { Watch::Continue }
        })?;
        logged?;
    }
    training.seconds += start.elapsed().as_secs_f64();
    Ok(())
}

fn solve_trial(runner: &Runner<'_>, trial: &Trial, runs: &[Run], solvers: &mut [Solver]) -> Result<TrialResult> {
    let start = Instant::now();
    let (mut history, mut heads) = (vec![], vec![]);
    for (number, (run, solver)) in runs.iter().zip(solvers).enumerate() {
        let mut logged = Ok(());
        let trained = solve(solver, runner.task(trial, run), &run.spec, runner.metric(), &mut |epoch| {
            logged = runner.record_epoch(trial, number, epoch, &mut history);
            Watch::Continue
        });
        let trained = trained.map_err(|e| runner.refuse_non_finite(trial).err().unwrap_or(e))?;
        logged?;
        heads.push(KeptHead { trained, transform: run.transform.clone() });
    }
    runner.record_end(trial, history, heads, Status::Done, start.elapsed().as_secs_f64())
}
