//! Trials that are trained side by side, epoch by epoch, where the trainer is quicker so.

use std::time::Instant;

use super::{Course, Member, Run, Runner, State, rows};
use crate::Result;
use crate::heads::{Training, Watch};
use crate::sweep::search::plan::Trial;

impl Runner<'_> {
    /// As [`Runner::advance`] for trials of which the trainer takes many at once: those begun already, then as many at a time as it takes.
    pub(crate) fn advance_together<'p>(&'p self, members: &mut [Member<'_, 'p>], until: usize) -> Result<()> {
        members.iter_mut().for_each(|member| self.settle_past(member.state, until));
        loop {
            for run in 0..self.job.config.protocol().runs() {
                while self.advance_by_one(members, run, until)? {}
            }
            for Member { trial, state, .. } in members.iter_mut() {
                self.end_if_done(trial, state)?;
                self.leave_out_late(state);
            }
            let mut waiting = members.iter_mut().filter(|member| matches!(member.state, State::Waiting)).peekable();
            let at_once = waiting.peek().map_or(0, |first| self.job.trainer.at_once(&first.trial.spec, rows(self.job, first.trial)));
            let mut waiting: Vec<&mut Member<'_, 'p>> = waiting.take(at_once).collect();
            if waiting.is_empty() {
                return Ok(());
            }
            self.begin_together(&mut waiting)?;
        }
    }

    /// Begins the first of the trials, as many as the trainer takes.
    fn begin_together<'p>(&'p self, members: &mut [&mut Member<'_, 'p>]) -> Result<()> {
        let runs = members.iter().map(|m| self.runs(m.trial, m.runs)).collect::<Result<Vec<&'p [Run]>>>()?;
        let mut count = members.len();
        let mut begun = vec![];
        for number in 0..self.job.config.protocol().runs() {
            let starts = members.iter().zip(&runs).take(count).map(|(m, runs)| self.start(m.trial, &runs[number].spec));
            let task = self.task(members[0].trial, &runs[0][number]);
            let of_run = Training::begin_together(&*self.job.trainer, task, starts.collect::<Result<_>>()?, self.metric())?;
            count = of_run.len();
            begun.push(of_run.into_iter());
        }
        for (member, runs) in members.iter_mut().zip(runs).take(count) {
            *member.state = State::Training(Course::new(runs, begun.iter_mut().filter_map(Iterator::next).collect()));
        }
        Ok(())
    }

    /// Brings one training of each trial that is behind epoch `until` on by an epoch; whether there were any.
    fn advance_by_one<'p>(&'p self, members: &mut [Member<'_, 'p>], run: usize, until: usize) -> Result<bool> {
        let start = Instant::now();
        let mut trials: Vec<&Trial> = vec![];
        let (mut heads, mut histories, mut seconds) = (vec![], vec![], vec![]);
        for Member { trial, state, .. } in members.iter_mut() {
            let State::Training(course) = &mut **state else { continue };
            let training = &mut course.runs[run];
            if !training.ended() && training.epochs() < until {
                trials.push(trial);
                heads.push(training);
                histories.push(&mut course.history);
                seconds.push(&mut course.seconds);
            }
        }
        if heads.is_empty() {
            return Ok(false);
        }
        let mut logged = Ok(());
        Training::advance_together(&mut heads, &mut |at, epoch| {
            if logged.is_ok() {
                logged = self.write_down(trials[at], run, epoch, histories[at]);
            }
            if logged.is_err() { Watch::Stop } else { Watch::Continue }
        })?;
        let each = start.elapsed().as_secs_f64() / seconds.len() as f64;
        seconds.into_iter().for_each(|seconds| *seconds += each);
        logged.map(|()| true)
    }
}
