//! Threads that work on one head together: they meet at barriers many thousand times a second, so
//! they spin before they yield.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::aligned::Aligned;

/// Number of spins before a thread yields the processor: some ten microseconds. That is longer than
/// members usually wait for each other, and short where they have to share a processor until the
/// system separates them.
const SPINS: u32 = 500;

/// Threads that wait for each other.
pub(super) struct Team {
    members: usize,
    waiting: AtomicUsize,
    round: AtomicUsize,
    /// Number of each member's own items that were taken since the last barrier.
    taken: Vec<Counter>,
    broken: AtomicBool,
}

/// On a line of its own: members count at the same time.
#[repr(align(128))]
#[derive(Default)]
struct Counter(AtomicUsize);

/// One thread of a team.
pub(super) struct Member<'a> {
    team: &'a Team,
    /// Its number.
    pub index: usize,
}

impl Team {
    fn new(members: usize) -> Team {
        let [waiting, round] = Default::default();
        let taken = (0..members).map(|_| Counter::default()).collect();
        Team { members, waiting, round, taken, broken: AtomicBool::new(false) }
    }

    /// Runs `work` on the calling thread, a team by itself.
    pub(super) fn alone(work: impl FnOnce(&Member<'_>)) {
        work(&Member { team: &Team::new(1), index: 0 });
    }

    /// Runs `work` on `members` threads, the calling one among them, and waits for all.
    pub(super) fn run(members: usize, work: impl Fn(&Member<'_>) + Sync) {
        let team = Team::new(members);
        std::thread::scope(|scope| {
            for index in 1..members {
                let (team, work) = (&team, &work);
                scope.spawn(move || work(&Member { team, index }));
            }
            work(&Member { team: &team, index: 0 });
        });
    }
}

impl Member<'_> {
    /// A barrier: waits until every member has arrived. Writes before it are visible to all after
    /// it.
    pub(super) fn meet(&self) {
        let Team { members, waiting, round, taken, broken } = self.team;
        let now = round.load(Ordering::Acquire);
        if waiting.fetch_add(1, Ordering::AcqRel) + 1 == *members {
            waiting.store(0, Ordering::Relaxed);
            taken.iter().for_each(|taken| taken.0.store(0, Ordering::Relaxed));
            round.store(now + 1, Ordering::Release);
            return;
        }
        let mut turns = 0;
        while round.load(Ordering::Acquire) == now {
            assert!(!broken.load(Ordering::Relaxed), "another thread of the team has panicked");
            turns += 1;
            if turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// The next item of `0..n` that no member has taken since the last barrier: first of this
    /// member's own, whose data its cache may still hold, then of another's, since threads are not
    /// always equally fast.
    pub(super) fn take(&self, n: usize) -> Option<usize> {
        let Team { members, ref taken, .. } = *self.team;
        (0..members).map(|next| (self.index + next) % members).find_map(|of| {
            let own = n.saturating_sub(of).div_ceil(members);
            let item = taken[of].0.fetch_add(1, Ordering::Relaxed);
            (item < own).then_some(of + item * members)
        })
    }

    /// This member's share of `0..n`: neighbouring items, as many as the others' or one more or
    /// less.
    pub(super) fn share(&self, n: usize) -> Range<usize> {
        n * self.index / self.team.members..n * (self.index + 1) / self.team.members
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.team.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// A buffer that the members of a team share: between two barriers each of its parts is either
/// written by one of them or read by any.
pub(super) struct Shared(UnsafeCell<Aligned>);

// SAFETY: access is through `read` and `part`, whose callers promise that no part is written while
// another thread uses it.
unsafe impl Sync for Shared {}

impl Shared {
    /// A buffer of zeros.
    pub(super) fn new(len: usize) -> Shared {
        Shared(UnsafeCell::new(Aligned::zeros(len)))
    }

    /// The values, when the team is done.
    pub(super) fn into_values(self) -> Vec<f32> {
        self.0.into_inner().to_vec()
    }

    /// The first value's address and the number of values, for kernels that write some columns of
    /// some rows.
    pub(super) fn pointer(&self) -> (*mut f32, usize) {
        // SAFETY: while shared, only the values behind the buffer's own pointer change, never the
        // buffer.
        let values = unsafe { &*self.0.get() };
        (values.pointer(), values.len())
    }

    /// Some of the values.
    ///
    /// # Safety
    /// Until the next barrier no thread writes to the range.
    pub(super) unsafe fn read(&self, range: Range<usize>) -> &[f32] {
        let (start, len) = self.pointer();
        assert!(range.start <= range.end && range.end <= len, "a part of the buffer");
        // SAFETY: the range lies within the buffer, as asserted; the caller promises that no thread
        // writes to it meanwhile.
        unsafe { std::slice::from_raw_parts(start.add(range.start), range.len()) }
    }

    /// Some of the values, to be written.
    ///
    /// # Safety
    /// Until the next barrier no other thread uses the range, nor this one through another
    /// reference.
    #[expect(clippy::mut_from_ref, reason = "the caller promises that the range is its own")]
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &mut [f32] {
        let (start, len) = self.pointer();
        assert!(range.start <= range.end && range.end <= len, "a part of the buffer");
        // SAFETY: the range lies within the buffer, as asserted; the caller promises that it is
        // used by no one else meanwhile.
        unsafe { std::slice::from_raw_parts_mut(start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_before_a_barrier_is_read_after_it() {
        for members in [1, 2, 5] {
            let buffer = Shared::new(100);
            Team::run(members, |member| {
                for round in 1..50 {
                    // SAFETY: shares do not overlap, and barriers separate writing from reading.
                    unsafe {
                        buffer.part(member.share(100)).fill(round as f32);
                        member.meet();
                        assert!(buffer.read(0..100).iter().all(|&v| v == round as f32));
                    }
                    member.meet();
                }
            });
        }
    }

    #[test]
    fn between_two_meetings_each_item_is_taken_once() {
        for members in [1, 3] {
            let times = Shared::new(20);
            Team::run(members, |member| {
                for _ in 0..50 {
                    while let Some(item) = member.take(20) {
                        // SAFETY: between two barriers an item is taken by one member alone.
                        unsafe { times.part(item..item + 1)[0] += 1.0 };
                    }
                    member.meet();
                }
            });
            assert_eq!(times.into_values(), [50.0; 20]);
        }
    }

    #[test]
    fn a_panic_ends_the_whole_team() {
        let outcome = std::panic::catch_unwind(|| {
            Team::run(2, |member| {
                assert!(member.index != 1, "as if something were wrong");
                member.meet();
            });
        });
        assert!(outcome.is_err());
    }
}
