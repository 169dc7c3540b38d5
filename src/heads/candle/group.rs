//! Heads that train in lockstep: their batches, and their division into stacks if memory does not
//! hold all at once.

use candle_core::{Device, Result as CandleResult};

use super::batch::Batch;
use super::common::Common;
use super::error::failed;
use super::member::Member;
use super::rates::Rates;
use super::stack::{Answer, Stack};
use crate::Result;
use crate::heads::features::order::{order, window_rows};
use crate::heads::features::prefetch::Prefetch;
use crate::heads::features::task::Task;
use crate::heads::fitted::batch_norm::BatchNorm;
use crate::heads::fitted::head::Head;
use crate::heads::training::lockstep::{self, Members};
use crate::heads::training::objective::Targets;
use crate::heads::training::trainer::Pass;

/// Heads that share the settings of `CandleTrainer::in_common`.
pub(super) struct Group<'a> {
    task: Task<'a>,
    common: Common,
    members: Members<Member>,
    /// Their weights in order: one stack, or several if memory does not hold a step of all heads at
    /// once.
    stacks: Vec<Stack>,
    batch_norm: Option<BatchNorm>,
    steps: i32,
}

impl lockstep::Group for Group<'_> {
    fn pass(&mut self, id: usize, epoch: usize, lr: f64) -> Result<Pass> {
        if let Some(pass) = self.members.take_pass(id, epoch)? {
            return Ok(pass);
        }
        self.remove_left().map_err(failed("dropping heads that ended"))?;
        let lrs = self.members.rates(id, epoch, lr)?;
        let passes = self.epoch(epoch, &lrs)?;
        self.members.distribute(id, epoch, passes)
    }

    fn leave(&mut self, id: usize) {
        self.members.leave(id);
    }

    fn head(&self, id: usize) -> Result<Head> {
        let (mut at, spec) = (self.members.position(id)?, self.members.value(id)?.spec.clone());
        let holds = |stack: &&Stack| {
            let here = at < stack.heads;
            at -= if here { 0 } else { stack.heads };
            here
        };
        let stack = self.stacks.iter().find(holds);
        let layers = stack.map_or_else(|| Ok(vec![]), |stack| stack.layers(at)).map_err(failed("reading weights"))?;
        Ok(Head::new(&spec, self.batch_norm.clone(), layers))
    }

    fn classify(&self, id: usize, rows: &[usize]) -> Result<Vec<f32>> {
        Ok(self.head(id)?.classify(self.task.features, rows))
    }
}

impl<'a> Group<'a> {
    /// Heads before their first step.
    pub(super) fn new(device: &Device, task: Task<'a>, starts: &[Head]) -> CandleResult<Group<'a>> {
        let first = starts.first().ok_or_else(|| candle_core::Error::Msg("a group of no heads".into()))?;
        let common = Common::new(device, &first.spec, task);
        let stacks = vec![Stack::new(&common, starts)?];
        let members = Members::new(starts.iter().map(|head| (&head.spec, Member::new(&head.spec))));
        Ok(Group { task, common, members, stacks, batch_norm: first.batch_norm().cloned(), steps: 0 })
    }

    fn remove_left(&mut self) -> CandleResult<()> {
        let stays = self.members.remove_left();
        let mut rest = &*stays;
        for stack in &mut self.stacks {
            let (of_stack, others) = rest.split_at(stack.heads);
            rest = others;
            let stay: Vec<u32> = (0..).zip(of_stack).filter(|(_, stays)| **stays).map(|(at, _)| at).collect();
            if stay.len() < stack.heads {
                stack.keep(&self.common, stay)?;
            }
        }
        self.stacks.retain(|stack| stack.heads > 0);
        Ok(())
    }

    fn epoch(&mut self, epoch: usize, lrs: &[f64]) -> Result<Vec<Pass>> {
        let (task, params) = (self.task, self.common.spec.params());
        let train = &task.partition.train;
        let (seed, rows_a_step) = (params.seed, params.batch_size);
        let order = order(seed, epoch, train, task.features.block_rows(), window_rows(task.features.dim()));
        let mut targets = Targets::default();
        let mut sums = vec![(0.0, 0usize); self.members.len()];
        let mut rates = self.rates(lrs)?;
        let mut prefetch = Prefetch::new(task.features, train, (seed, epoch));
        let mut read = 0;
        for rows in order.chunks(rows_a_step) {
            read += rows.len();
            prefetch.before(read);
            self.common.objective.targets(task, rows, &mut targets);
            let x = self.features(rows);
            let members: Vec<&Member> = self.members.values().collect();
            let batch = Batch::new(&self.common, &members, (epoch, rows), x, &targets).map_err(failed("copying features"))?;
            self.steps += 1;
            for ((sum, all_right), Answer { loss, logits }) in sums.iter_mut().zip(self.step(&batch, lrs, &mut rates)?) {
                *sum += rows.len() as f64 * f64::from(loss);
                let right = |(row, z): &(&usize, &Vec<f32>)| self.common.objective.is_right(z, task.labels.of(**row));
                *all_right += rows.iter().zip(&logits).filter(right).count();
            }
        }
        Ok(sums.into_iter().map(|(sum, right)| Pass::new(sum, right as f64, train.len())).collect())
    }

    /// Features of a training batch, normalised: `[rows, dim]`.
    fn features(&mut self, rows: &[usize]) -> Vec<f32> {
        let dim = self.task.features.dim();
        let mut x = vec![0.0; rows.len() * dim];
        x.chunks_exact_mut(dim).zip(rows).for_each(|(out, &row)| self.task.features.read(row, 0..dim, out));
        if let Some(norm) = &mut self.batch_norm {
            norm.train(&mut x);
        }
        x
    }

    /// One step of all heads; for each its loss and its logits. A stack whose step the device's
    /// memory does not hold goes on as two.
    fn step(&mut self, batch: &Batch, lrs: &[f64], rates: &mut Vec<Rates>) -> Result<Vec<Answer>> {
        let mut answers = vec![];
        let mut at = 0;
        while at < self.stacks.len() {
            match self.stacks[at].step(&self.common, &rates[at], batch, self.steps).map_err(failed("training heads")) {
                Err(e) if e.is_out_of_memory() && self.stacks[at].heads > 1 => {
                    let halves = self.stacks.remove(at).halves(&self.common).map_err(failed("training fewer heads at once"))?;
                    self.stacks.splice(at..at, halves);
                    *rates = self.rates(lrs)?;
                }
                done => {
                    answers.extend(done?);
                    at += 1;
                }
            }
        }
        Ok(answers)
    }

    /// The rates of each stack.
    fn rates(&self, lrs: &[f64]) -> Result<Vec<Rates>> {
        let all: Vec<&Member> = self.members.values().collect();
        let mut rest = (&*all, lrs);
        let of_stack = |stack: &Stack| {
            let (members, others) = rest.0.split_at(stack.heads);
            let (lrs, other_lrs) = rest.1.split_at(stack.heads);
            rest = (others, other_lrs);
            Rates::new(&self.common, members, lrs).map_err(failed("training heads"))
        };
        self.stacks.iter().map(of_stack).collect()
    }
}
