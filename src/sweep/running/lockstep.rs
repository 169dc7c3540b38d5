//! Trials that are trained side by side, epoch by epoch, where the trainer is quicker so.

use std::time::Instant;

use super::runner::Runner;
use super::state::{InTraining, Member, Run, State};
use crate::Result;
use crate::heads::{Training, Watch};
use crate::sweep::search::trial::Trial;

/// Brings trials to the end of epoch `until`, or to their own end: those begun already, then as
/// many at a time as the trainer takes.
pub(super) fn advance<'p>(runner: &'p Runner<'_>, members: &mut [Member<'_, 'p>], until: usize) -> Result<()> {
    members.iter_mut().for_each(|member| runner.reuse_past(member.state, until));
    loop {
        for run in 0..runner.job.config.protocol().runs() {
            while advance_by_one(runner, members, run, until)? {}
        }
        for Member { trial, state, .. } in members.iter_mut() {
            runner.end_if_done(trial, state)?;
            runner.leave_out_late(state);
        }
        let mut waiting = members.iter_mut().filter(|member| matches!(member.state, State::Waiting)).peekable();
        let at_once = |trial: &Trial| runner.job.trainer.at_once(&trial.spec, runner.source(trial).labels.len());
        let at_once = waiting.peek().map_or(0, |first| at_once(first.trial));
        let mut waiting: Vec<&mut Member<'_, 'p>> = waiting.take(at_once).collect();
        if waiting.is_empty() {
            return Ok(());
        }
        begin(runner, &mut waiting)?;
    }
}

/// Begins the first of the trials, as many as the trainer takes.
fn begin<'p>(runner: &'p Runner<'_>, members: &mut [&mut Member<'_, 'p>]) -> Result<()> {
    let runs = members.iter().map(|m| runner.runs(m.trial, m.runs)).collect::<Result<Vec<&'p [Run]>>>()?;
    let mut count = members.len();
    let mut begun = vec![];
    for number in 0..runner.job.config.protocol().runs() {
        let starts = members.iter().zip(&runs).take(count).map(|(m, runs)| runner.start(m.trial, &runs[number].spec));
        let task = runner.task(members[0].trial, &runs[0][number]);
        let of_run = Training::begin_lockstep(&*runner.job.trainer, task, starts.collect::<Result<_>>()?, runner.metric())?;
        count = of_run.len();
        begun.push(of_run.into_iter());
    }
    for (member, runs) in members.iter_mut().zip(runs).take(count) {
        *member.state = State::Training(InTraining::new(runs, begun.iter_mut().filter_map(Iterator::next).collect()));
    }
    Ok(())
}

/// Advances one training of each trial that is behind epoch `until` by an epoch. Returns whether
/// there were any.
fn advance_by_one<'p>(runner: &'p Runner<'_>, members: &mut [Member<'_, 'p>], run: usize, until: usize) -> Result<bool> {
    let start = Instant::now();
    let mut trials: Vec<&Trial> = vec![];
    let (mut heads, mut histories, mut seconds) = (vec![], vec![], vec![]);
    for Member { trial, state, .. } in members.iter_mut() {
        let State::Training(of_trial) = &mut **state else { continue };
        let training = &mut of_trial.runs[run];
        if !training.ended() && training.epochs() < until {
            trials.push(trial);
            heads.push(training);
            histories.push(&mut of_trial.history);
            seconds.push(&mut of_trial.seconds);
        }
    }
    if heads.is_empty() {
        return Ok(false);
    }
    let mut logged = Ok(());
    Training::advance_lockstep(&mut heads, &mut |at, epoch| {
        if logged.is_ok() {
            logged = runner.record_epoch(trials[at], run, epoch, histories[at]);
        }
        if logged.is_err() { Watch::Stop } else { Watch::Continue }
    })?;
    let each = start.elapsed().as_secs_f64() / seconds.len() as f64;
    seconds.into_iter().for_each(|seconds| *seconds += each);
    logged.map(|()| true)
}
