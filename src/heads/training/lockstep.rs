//! Heads that go through their epochs in lockstep: the members of a group, and the passes that were
//! computed for all of them at once.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::trainer::{Pass, Session};
use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::learning_rate::LearningRate;
use crate::heads::settings::spec::HeadSpec;
use crate::{Error, Result};

/// Heads that a trainer trains in lockstep.
pub(crate) trait Group: Send + Sync {
    /// An epoch of one head. The first head that asks has the epoch computed for all; the others
    /// find theirs done.
    ///
    /// # Errors
    /// A failure of the device.
    fn pass(&mut self, id: usize, epoch: usize, lr: f64) -> Result<Pass>;

    /// Removes a head; the others continue without it from their next epoch.
    fn leave(&mut self, id: usize);

    /// A head in its present state.
    ///
    /// # Errors
    /// A failure of the device.
    fn head(&self, id: usize) -> Result<Head>;

    /// Class probabilities of rows of the task, `[rows, classes]`, by a head in its present state.
    ///
    /// # Errors
    /// A failure of the device.
    fn classify(&self, id: usize, rows: &[usize]) -> Result<Vec<f32>>;
}

/// The members of a group, each with a value of the trainer's own.
pub(crate) struct Members<M> {
    entries: Vec<Entry<M>>,
}

struct Entry<M> {
    id: usize,
    rate: LearningRate,
    /// A pass that was computed together with the others' and that nobody has asked for yet.
    pass: Option<(usize, Pass)>,
    left: bool,
    value: M,
}

impl<M> Members<M> {
    /// All heads, numbered in this order.
    pub(crate) fn new<'s>(members: impl Iterator<Item = (&'s HeadSpec, M)>) -> Members<M> {
        let entry = |(id, (spec, value)): (usize, (&HeadSpec, M))| {
            let rate = LearningRate::new(spec.params());
            Entry { id, rate, pass: None, left: false, value }
        };
        Members { entries: members.enumerate().map(entry).collect() }
    }

    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The values in the order of their numbers.
    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &M> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// As [`Members::values`].
    pub(crate) fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut M> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }

    /// The pass of this head where it was computed before the head asked for it.
    ///
    /// # Errors
    /// A head that left, or that skips an epoch.
    pub(crate) fn take_pass(&mut self, id: usize, epoch: usize) -> Result<Option<Pass>> {
        let at = self.position(id)?;
        match self.entries[at].pass.take() {
            Some((done, _)) if done != epoch => Err(misused("a head was left behind")),
            done => Ok(done.map(|(_, pass)| pass)),
        }
    }

    /// Removes the heads that left. Returns a flag for each head of before: whether it stays.
    pub(crate) fn remove_left(&mut self) -> Vec<bool> {
        let stays = self.entries.iter().map(|entry| !entry.left).collect();
        self.entries.retain(|entry| !entry.left);
        stays
    }

    /// Learning rates of all heads in an epoch that head `id` asks for at its own rate `lr`.
    ///
    /// # Errors
    /// A head that is an epoch ahead of another one.
    pub(crate) fn rates(&self, id: usize, epoch: usize, lr: f64) -> Result<Vec<f64>> {
        if self.entries.iter().any(|entry| entry.pass.is_some()) {
            return Err(misused("a head ran ahead of the others"));
        }
        Ok(self.entries.iter().map(|entry| if entry.id == id { lr } else { entry.rate.at(epoch) }).collect())
    }

    /// Stores the passes of all heads until each asks for its own. Returns that of head `id`.
    ///
    /// # Errors
    /// Fewer passes than heads.
    pub(crate) fn distribute(&mut self, id: usize, epoch: usize, passes: Vec<Pass>) -> Result<Pass> {
        self.entries.iter_mut().zip(passes).for_each(|(entry, pass)| entry.pass = Some((epoch, pass)));
        self.take_pass(id, epoch)?.ok_or_else(|| misused("a head was left out"))
    }

    /// Marks a head as gone.
    pub(crate) fn leave(&mut self, id: usize) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            (entry.pass, entry.left) = (None, true);
        }
    }

    /// Position of a head among those that stay.
    ///
    /// # Errors
    /// A head that left.
    pub(crate) fn position(&self, id: usize) -> Result<usize> {
        self.entries.iter().position(|entry| entry.id == id && !entry.left).ok_or_else(|| misused("a head that left is asked for"))
    }

    /// The value of one head.
    ///
    /// # Errors
    /// As [`Members::position`].
    pub(crate) fn value(&self, id: usize) -> Result<&M> {
        Ok(&self.entries[self.position(id)?].value)
    }
}

fn misused(how: &str) -> Error {
    Error::engine("trainer", "training heads in lockstep")(how)
}

/// A session for each head of a group.
pub(crate) fn sessions<'a, G: Group + 'a>(group: G, heads: usize, task: Task<'a>) -> Vec<Box<dyn Session + 'a>> {
    let group = Arc::new(RwLock::new(group));
    let session = |id| Box::new(InGroup { task, group: group.clone(), id, finished: None }) as Box<dyn Session + 'a>;
    (0..heads).map(session).collect()
}

/// One head of a group.
struct InGroup<'a, G: Group> {
    task: Task<'a>,
    group: Arc<RwLock<G>>,
    id: usize,
    /// The head once its training has ended, while the group continues without it.
    finished: Option<Head>,
}

/// A poisoned lock is no obstacle: a failure while it was held has been reported, and left every
/// head as it was before that step.
impl<G: Group> InGroup<'_, G> {
    fn group(&self) -> RwLockReadGuard<'_, G> {
        self.group.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn group_mut(&self) -> RwLockWriteGuard<'_, G> {
        self.group.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: Group> Session for InGroup<'_, G> {
    fn epoch(&mut self, epoch: usize, lr: f64) -> Result<Pass> {
        self.group_mut().pass(self.id, epoch, lr)
    }

    fn finish(&mut self) -> Result<()> {
        if self.finished.is_none() {
            self.finished = Some(self.head()?);
            self.group_mut().leave(self.id);
        }
        Ok(())
    }

    fn head(&self) -> Result<Head> {
        match &self.finished {
            Some(head) => Ok(head.clone()),
            None => self.group().head(self.id),
        }
    }

    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>> {
        match &self.finished {
            Some(head) => Ok(head.classify(self.task.features, rows)),
            None => self.group().classify(self.id, rows),
        }
    }
}

impl<G: Group> Drop for InGroup<'_, G> {
    fn drop(&mut self) {
        self.group_mut().leave(self.id);
    }
}
