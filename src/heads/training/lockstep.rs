//! Heads that go through their epochs side by side: who is among them, and who has asked for what was computed for all.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::heads::features::task::Task;
use crate::heads::fitted::head::Head;
use crate::heads::settings::learning_rate::LearningRate;
use crate::heads::settings::spec::HeadSpec;
use crate::heads::training::trainer::Pass;
use crate::heads::training::trainer::Session;
use crate::{Error, Result};

/// Heads that a trainer brings on together.
pub trait Group: Send + Sync {
    /// An epoch of one head: the first that asks has it computed for all, the others find it done.
    ///
    /// # Errors
    /// The device's own failure.
    fn pass(&mut self, id: usize, epoch: usize, lr: f64) -> Result<Pass>;

    /// A head goes; the others go on without it from their next epoch.
    fn leave(&mut self, id: usize);

    /// One head as it is now.
    ///
    /// # Errors
    /// The device's own failure.
    fn head(&self, id: usize) -> Result<Head>;

    /// Class probabilities of rows of the task, `[rows, classes]`, as one head has them now.
    ///
    /// # Errors
    /// The device's own failure.
    fn classify(&self, id: usize, rows: &[usize]) -> Result<Vec<f32>>;
}

/// Who is in a group, with what it keeps of each.
pub struct Roll<M> {
    seats: Vec<Seat<M>>,
}

struct Seat<M> {
    id: usize,
    rate: LearningRate,
    /// An epoch that went by with the others and that nobody asked for yet.
    pass: Option<(usize, Pass)>,
    left: bool,
    member: M,
}

impl<M> Roll<M> {
    /// All heads, numbered in this order.
    pub fn new<'s>(members: impl Iterator<Item = (&'s HeadSpec, M)>) -> Roll<M> {
        let seat = |(id, (spec, member)): (usize, (&HeadSpec, M))| {
            let rate = LearningRate::new(spec.params());
            Seat { id, rate, pass: None, left: false, member }
        };
        Roll { seats: members.enumerate().map(seat).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// In the order of their numbers.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &M> {
        self.seats.iter().map(|seat| &seat.member)
    }

    /// As [`Roll::members`].
    pub fn members_mut(&mut self) -> impl ExactSizeIterator<Item = &mut M> {
        self.seats.iter_mut().map(|seat| &mut seat.member)
    }

    /// What went by with the others before this head asked for it.
    ///
    /// # Errors
    /// A head that left, or that skips an epoch.
    pub fn done(&mut self, id: usize, epoch: usize) -> Result<Option<Pass>> {
        let at = self.place(id)?;
        match self.seats[at].pass.take() {
            Some((done, _)) if done != epoch => Err(misused("a head was left behind")),
            done => Ok(done.map(|(_, pass)| pass)),
        }
    }

    /// Forgets who left; `true` for each that stays, in the order before.
    pub fn drop_who_left(&mut self) -> Vec<bool> {
        let stays = self.seats.iter().map(|seat| !seat.left).collect();
        self.seats.retain(|seat| !seat.left);
        stays
    }

    /// Learning rates of all heads in an epoch for which head `id` asks with its own.
    ///
    /// # Errors
    /// A head that is an epoch ahead of another one.
    pub fn rates(&self, id: usize, epoch: usize, lr: f64) -> Result<Vec<f64>> {
        if self.seats.iter().any(|seat| seat.pass.is_some()) {
            return Err(misused("a head ran ahead of the others"));
        }
        Ok(self.seats.iter().map(|seat| if seat.id == id { lr } else { seat.rate.at(epoch) }).collect())
    }

    /// Keeps what was computed for all until they ask for it; head `id` has asked.
    ///
    /// # Errors
    /// Fewer passes than heads.
    pub fn hand_out(&mut self, id: usize, epoch: usize, passes: Vec<Pass>) -> Result<Pass> {
        self.seats.iter_mut().zip(passes).for_each(|(seat, pass)| seat.pass = Some((epoch, pass)));
        self.done(id, epoch)?.ok_or_else(|| misused("a head was left out"))
    }

    /// A head goes.
    pub fn leave(&mut self, id: usize) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.id == id) {
            (seat.pass, seat.left) = (None, true);
        }
    }

    /// Where in the order a head is.
    ///
    /// # Errors
    /// A head that left.
    pub fn place(&self, id: usize) -> Result<usize> {
        self.seats.iter().position(|seat| seat.id == id && !seat.left).ok_or_else(|| misused("a head that left is asked for"))
    }

    /// What is kept of one head.
    ///
    /// # Errors
    /// As [`Roll::place`].
    pub fn member(&self, id: usize) -> Result<&M> {
        Ok(&self.seats[self.place(id)?].member)
    }
}

fn misused(how: &str) -> Error {
    Error::engine("trainer", "training heads side by side")(how)
}

/// A session for each head of a group.
pub fn sessions<'a, G: Group + 'a>(group: G, heads: usize, task: Task<'a>) -> Vec<Box<dyn Session + 'a>> {
    let group = Arc::new(RwLock::new(group));
    let session = |id| Box::new(InGroup { task, group: group.clone(), id, settled: None }) as Box<dyn Session + 'a>;
    (0..heads).map(session).collect()
}

/// One head of a group.
struct InGroup<'a, G: Group> {
    task: Task<'a>,
    group: Arc<RwLock<G>>,
    id: usize,
    /// The head once it is not trained further, while the group goes on without it.
    settled: Option<Head>,
}

/// Whoever failed while holding the group told so, and left every head as it was before that step.
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

    fn settle(&mut self) -> Result<()> {
        if self.settled.is_none() {
            self.settled = Some(self.head()?);
            self.group_mut().leave(self.id);
        }
        Ok(())
    }

    fn head(&self) -> Result<Head> {
        match &self.settled {
            Some(head) => Ok(head.clone()),
            None => self.group().head(self.id),
        }
    }

    fn classify(&self, rows: &[usize]) -> Result<Vec<f32>> {
        match &self.settled {
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
