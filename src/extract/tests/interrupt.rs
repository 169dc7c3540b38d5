//! Interrupted or not, on any number of threads: the same bytes.

use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs};

use super::fixture::{World, copy, counts};
use crate::extract::{Observer, Progress, Silent, run_in};
use crate::rng::Philox;
use crate::store::{LocalFiles, Objects, Writer};
use crate::{Error, Result};

/// Says stop after some calls.
struct StopAfter(usize);

impl Observer for StopAfter {
    fn progress(&mut self, _: &Progress) -> ControlFlow<()> {
        self.0 -= 1;
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn world() -> World {
    let world = World { views: 2, ..World::new(29) };
    fs::write(world.path("train/cats/010.png"), b"\x89PNG broken").unwrap();
    world
}

#[test]
fn threads_do_not_matter() {
    let one = world();
    // A job must not be started inside the pool that it uses, so the pool is this process's own:
    // another cache, other threads.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
    assert!(pool.install(|| one.try_run()).unwrap_err().to_string().contains("plain thread"));
    one.run();
    let other = world();
    other.watched(&mut Yielding).unwrap();
    assert_eq!(one.files(), other.files());
}

/// Disturbs the order in which threads get on.
struct Yielding;

impl Observer for Yielding {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        assert!(progress.seconds.wall > 0.0, "whoever draws a rate divides by it");
        std::thread::sleep(Duration::from_millis((progress.done % 3) as u64));
        ControlFlow::Continue(())
    }
}

#[test]
fn stopped_at_any_batch_and_resumed() {
    let whole = world();
    whole.run();
    let want = whole.files();
    for stop in 1..10 {
        let world = World { cache: whole.folder.path().join(format!("stop-{stop}")), ..world() };
        let first = world.watched(&mut StopAfter(stop)).unwrap();
        let second = world.run();
        assert_eq!(second.reused, first.computed, "what was stored is reused");
        assert_eq!(counts(&second), [28 - first.computed, first.computed, 0, 1]);
        assert_eq!(world.files(), want, "stopped at batch {stop}");
    }
}

/// Takes some shards, then has no room.
#[derive(Debug)]
struct Full {
    files: LocalFiles,
    room: AtomicUsize,
}

impl Objects for Full {
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        if self.room.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |r| r.checked_sub(1)).is_err() {
            return Err(Error::io("write", name)(std::io::ErrorKind::StorageFull.into()));
        }
        self.files.put_if_absent(name, bytes)
    }
    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.files.list(prefix)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.files.remove(name)
    }
}

#[test]
fn a_disk_that_fills_up_is_named_and_the_next_run_goes_on() {
    let whole = world();
    whole.run();
    let want = whole.files();
    for room in 0..8 {
        let world = World { cache: whole.folder.path().join(format!("room-{room}")), ..world() };
        let full = Box::new(Full { files: LocalFiles::new(&world.cache), room: AtomicUsize::new(room) });
        let error = world.with_job(|job| run_in(job, full, &mut Silent)).unwrap_err().to_string();
        assert!(error.contains("no storage space"), "{error}");
        let second = world.run();
        assert_eq!(second.reused, if room < 4 { 0 } else { 7 }, "a group has four shards, the first one a broken image");
        assert_eq!(world.files(), want, "room for {room}");
    }
}

const CHILD: &str = "HEADSTART_TEST_EXTRACTION";

/// Not a test of its own: the process that `killed_at_random_moments_and_resumed` kills.
#[test]
#[ignore = "run by another test, in a process that is killed"]
fn child() {
    let Ok(folder) = env::var(CHILD) else { return };
    let world = World { cache: folder.into(), pause: Duration::from_millis(2), ..world() };
    world.run();
}

#[test]
fn killed_at_random_moments_and_resumed() {
    let whole = world();
    whole.run();
    let want = whole.files();
    let cache = whole.folder.path().join("killed");
    let mut moments = Philox::new(7, 0).draws([0, 0]);
    let mut reused = vec![];
    for round in 0..6 {
        let folder = whole.folder.path().join(format!("killed-{round}"));
        for _ in 0..3 {
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--exact", "extract::tests::interrupt::child", "--ignored"])
                .env(CHILD, &folder)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Moments are counted in shards, not in seconds: machines differ.
            let shards = || LocalFiles::new(&folder).list("features/").unwrap().len();
            let target = shards() + (8.0 * moments.uniform()) as usize;
            while shards() < target && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(300));
            }
            std::thread::sleep(Duration::from_secs_f32(0.01 * moments.uniform()));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        // A copy tells how many rows have all their shards, whether the manifest knew them or not.
        let _ = fs::remove_dir_all(&cache);
        fs::create_dir_all(&folder).unwrap();
        copy(&folder, &cache);
        let world = World { cache: folder, ..world() };
        let finished = finished_rows(&World { cache: cache.clone(), ..self::world() });
        let outcome = world.run();
        assert_eq!(outcome.reused, finished);
        reused.push(finished);
        assert_eq!(world.files(), want, "round {round}");
    }
    assert!(reused.iter().any(|r| (1..28).contains(r)), "some kills must fall between shards: {reused:?}");
}

/// Rows of which every tap and view is there under its final name.
fn finished_rows(world: &World) -> usize {
    let files = LocalFiles::new(&world.cache);
    let firsts = |prefix: &str| -> Vec<u64> {
        let names = files.list(prefix).unwrap();
        names.iter().map(|n| n.trim_start_matches(prefix).trim_end_matches(".safetensors").parse().unwrap()).collect()
    };
    let sets = ["features/gap/v0-", "features/gap/v1-", "features/map/v0-", "features/map/v1-"].map(firsts);
    let whole = sets[0].iter().filter(|first| sets.iter().all(|s| s.contains(first)));
    // Groups begin at multiples of eight; row 5 (cats/010) is broken; there are 29.
    whole
        .map(|first| match first {
            0 => 7,
            24 => 5,
            _ => 8,
        })
        .sum()
}

#[test]
fn two_at_once_are_one_after_the_other() {
    let world = world();
    let writer = Writer::open(&world.cache, &world.key(), "photos", crate::store::Wait::Moment).unwrap();
    let error = world.try_run().unwrap_err().to_string();
    assert!(error.contains("another process") && error.contains("process id"), "{error}");
    drop(writer);
    assert_eq!(counts(&world.run()), [28, 0, 0, 1]);
}
