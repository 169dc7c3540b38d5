//! Heads that train side by side, epoch by epoch: who is among them, the batches that all of them see, and memory that holds fewer at once.

use candle_core::{Device, Result as CandleResult};

use super::failed;
use super::stack::{Batch, Common, Rates, Stack};
use crate::heads::head::{BatchNorm, Head};
use crate::heads::loss::Targets;
use crate::heads::optimizer::LearningRate;
use crate::heads::params::HeadSpec;
use crate::heads::random::{Dropout, order, window_rows};
use crate::heads::train::{Pass, Task};
use crate::{Error, Result};

/// A head of the group.
pub struct Member {
    id: usize,
    spec: HeadSpec,
    rate: LearningRate,
    /// Of each layer's input.
    pub dropouts: Vec<Dropout>,
    /// An epoch that went by with the others and that nobody asked for yet.
    pass: Option<(usize, Pass)>,
    left: bool,
}

impl Member {
    fn new(id: usize, spec: &HeadSpec) -> Member {
        let seed = spec.params().seed;
        let dropouts = spec.dropouts().iter().enumerate().map(|(layer, &rate)| Dropout::new(seed, layer, rate)).collect();
        Member { id, spec: spec.clone(), rate: LearningRate::new(spec.params()), dropouts, pass: None, left: false }
    }

    pub fn weight_decay(&self) -> f64 {
        self.spec.params().weight_decay
    }
}

/// Heads that agree in what `CandleTrainer::in_common` keeps.
pub struct Group<'a> {
    task: Task<'a>,
    common: Common,
    members: Vec<Member>,
    /// Their weights in turn: one stack, or several where memory does not hold a step of all heads at once.
    stacks: Vec<Stack>,
    batch_norm: Option<BatchNorm>,
    steps: i32,
}

impl<'a> Group<'a> {
    /// Heads before their first step.
    pub fn new(device: &Device, task: Task<'a>, starts: &[Head]) -> CandleResult<Group<'a>> {
        let first = starts.first().ok_or_else(|| candle_core::Error::Msg("a group of no heads".into()))?;
        let common = Common::new(device, &first.spec, task);
        let stacks = vec![Stack::new(&common, starts)?];
        let members = starts.iter().enumerate().map(|(id, head)| Member::new(id, &head.spec)).collect();
        Ok(Group { task, common, members, stacks, batch_norm: first.batch_norm.clone(), steps: 0 })
    }

    /// An epoch of one head: the first that asks computes it for all, the others find it done.
    pub fn pass(&mut self, id: usize, epoch: usize, lr: f64) -> Result<Pass> {
        let asks = self.member(id)?;
        if let Some((done, pass)) = asks.pass.take() {
            return if done == epoch { Ok(pass) } else { Err(misused("a head was left behind")) };
        }
        self.drop_who_left().map_err(failed("dropping heads that ended"))?;
        if self.members.iter().any(|m| m.pass.is_some()) {
            return Err(misused("a head ran ahead of the others"));
        }
        let lrs: Vec<f64> = self.members.iter().map(|m| if m.id == id { lr } else { m.rate.at(epoch) }).collect();
        let passes = self.epoch(epoch, &lrs)?;
        self.members.iter_mut().zip(passes).for_each(|(member, pass)| member.pass = Some((epoch, pass)));
        let (_, pass) = self.member(id)?.pass.take().ok_or_else(|| misused("a head was left out"))?;
        Ok(pass)
    }

    /// A head goes; the others go on without it from their next epoch.
    pub fn leave(&mut self, id: usize) {
        if let Some(member) = self.members.iter_mut().find(|m| m.id == id) {
            (member.pass, member.left) = (None, true);
        }
    }

    /// One head as it is now.
    pub fn head(&self, id: usize) -> Result<Head> {
        let missing = || misused("a head that left is asked for");
        let mut at = self.members.iter().position(|m| m.id == id).ok_or_else(missing)?;
        let spec = self.members[at].spec.clone();
        for stack in &self.stacks {
            if at < stack.heads {
                let layers = stack.layers(at).map_err(failed("reading weights"))?;
                return Ok(Head { spec, batch_norm: self.batch_norm.clone(), layers, neighbours: None });
            }
            at -= stack.heads;
        }
        Err(missing())
    }

    fn member(&mut self, id: usize) -> Result<&mut Member> {
        self.members.iter_mut().find(|m| m.id == id).ok_or_else(|| misused("a head that left is trained"))
    }

    fn drop_who_left(&mut self) -> CandleResult<()> {
        let mut first = 0;
        for stack in &mut self.stacks {
            let members = &self.members[first..first + stack.heads];
            first += stack.heads;
            let stay: Vec<u32> = (0..).zip(members).filter(|(_, m)| !m.left).map(|(at, _)| at).collect();
            if stay.len() < stack.heads {
                stack.keep(&self.common, stay)?;
            }
        }
        self.stacks.retain(|stack| stack.heads > 0);
        self.members.retain(|m| !m.left);
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
        for rows in order.chunks(rows_a_step) {
            self.common.objective.targets(task, rows, &mut targets);
            let x = self.features(rows);
            let batch = Batch::new(&self.common, &self.members, (epoch, rows), x, &targets).map_err(failed("copying features"))?;
            self.steps += 1;
            for ((sum, all_right), (loss, logits)) in sums.iter_mut().zip(self.step(&batch, lrs, &mut rates)?) {
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

    /// One step of all heads; for each its loss and its logits. A stack whose step the device's memory does not hold goes on as two.
    fn step(&mut self, batch: &Batch, lrs: &[f64], rates: &mut Vec<Rates>) -> Result<Vec<(f32, Vec<Vec<f32>>)>> {
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

    /// What differs from head to head, of each stack.
    fn rates(&self, lrs: &[f64]) -> Result<Vec<Rates>> {
        let mut rest = (&*self.members, lrs);
        let of_stack = |stack: &Stack| {
            let (members, others) = rest.0.split_at(stack.heads);
            let (lrs, other_lrs) = rest.1.split_at(stack.heads);
            rest = (others, other_lrs);
            Rates::new(&self.common, members, lrs).map_err(failed("training heads"))
        };
        self.stacks.iter().map(of_stack).collect()
    }
}

fn misused(how: &str) -> Error {
    Error::engine("candle", "training heads side by side")(how)
}
