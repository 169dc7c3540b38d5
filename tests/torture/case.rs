//! One disturbed run, and what has to hold after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use headstart::internals::rng::Philox;

use crate::scenario::{Calls, GLOBAL, Scenario, binary, files, tried};

/// What the injector does at a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    KillBefore,
    KillAfter,
    Interrupt,
    Shorten,
    /// Lets it fail with this error number.
    Fail(i32),
    /// The same for it and all that follow.
    FailFromHere(i32),
}

impl Act {
    fn word(self) -> String {
        match self {
            Act::KillBefore => "before".into(),
            Act::KillAfter => "after".into(),
            Act::Interrupt => "interrupt".into(),
            Act::Shorten => "short".into(),
            Act::Fail(error) => format!("fail:{error}"),
            Act::FailFromHere(error) => format!("fail-on:{error}"),
        }
    }
}

/// What is done to a command.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// SIGKILL after some time.
    KillAt(Duration),
    /// Something at the n-th of some calls.
    AtCall(Act, Calls, u64),
}

impl Deed {
    /// Its kind in words, for the count.
    pub(crate) fn kind(&self) -> String {
        match self {
            Deed::KillAt(_) => "KillAt".into(),
            Deed::AtCall(act, calls, _) => format!("{act:?} {calls:?}"),
        }
    }

    fn kills(&self) -> bool {
        matches!(self, Deed::KillAt(_) | Deed::AtCall(Act::KillBefore | Act::KillAfter, ..))
    }
}

pub(crate) struct Case {
    pub scenario: usize,
    /// Mostly one; what was disturbed may be disturbed again.
    pub deeds: Vec<Deed>,
}

/// What came of a case.
pub(crate) struct Outcome {
    pub problems: Vec<String>,
    /// The case in words.
    pub what: String,
}

/// How a disturbed run ended.
struct Disturbed {
    /// The exit code, 128 and more after a signal.
    code: i32,
    stderr: String,
    /// The call that was hit, with its path.
    hit: Option<String>,
}

impl Case {
    /// The case of this number: scenarios take turns, the rest is drawn.
    pub(crate) fn new(seed: u64, number: u64, scenarios: &[Scenario]) -> Case {
        const ACTS: [(Act, Calls); 12] = [
            (Act::KillBefore, Calls::Writing),
            (Act::KillBefore, Calls::Writing),
            (Act::KillBefore, Calls::Writing),
            (Act::KillAfter, Calls::Writing),
            (Act::KillAfter, Calls::Writing),
            (Act::Fail(libc::ENOSPC), Calls::Growing),
            (Act::FailFromHere(libc::ENOSPC), Calls::Growing),
            (Act::Fail(libc::EIO), Calls::Writing),
            (Act::Fail(libc::EIO), Calls::Reading),
            (Act::Shorten, Calls::Writing),
            (Act::Interrupt, Calls::Writing),
            (Act::Interrupt, Calls::Reading),
        ];
        let mut draws = Philox::new(seed, 0).draws([number as u32, (number >> 32) as u32]);
        let scenario = (number % scenarios.len() as u64) as usize;
        let Scenario { calls: counts, time, .. } = &scenarios[scenario];
        let mut deed = || match ACTS.get(draws.below(ACTS.len() as u32 + 1) as usize) {
            None => Deed::KillAt(time.mul_f32(draws.range(0.0, 1.2))),
            Some(&(act, calls)) => {
                let count = u32::try_from(counts[calls as usize]).expect("a short command");
                Deed::AtCall(act, calls, 1 + u64::from(draws.below(count.max(1))))
            }
        };
        let deeds = if number / scenarios.len() as u64 % 4 == 3 { vec![deed(), deed()] } else { vec![deed()] };
        Case { scenario, deeds }
    }

    pub(crate) fn run(&self, scenario: &Scenario, injector: &Path) -> Outcome {
        scenario.reset();
        let (mut words, mut problems, mut leftovers) = (vec![], vec![], vec![]);
        for deed in &self.deeds {
            let disturbed = deed.disturb(scenario, injector);
            let at =
                disturbed.hit.as_ref().map(|hit| format!(" ({})", hit.replace(&*scenario.work.to_string_lossy(), "…"))).unwrap_or_default();
            words.push(format!("{deed:?}{at}, exit code {}", disturbed.code));
            problems.extend(deed.problems_at_once(scenario, &disturbed, &mut leftovers));
        }
        problems.extend(problems_after_another_run(scenario));
        Outcome { problems, what: format!("{}: {}", scenario.name, words.join("; ")) }
    }
}

impl Deed {
    fn disturb(&self, scenario: &Scenario, injector: &Path) -> Disturbed {
        match self {
            Deed::KillAt(time) => {
                let mut command = Command::new(binary());
                command.args(GLOBAL).args(&scenario.command).current_dir(&scenario.work).stdout(Stdio::null()).stderr(Stdio::piped());
                let mut child = command.spawn().unwrap();
                std::thread::sleep(*time);
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                Disturbed { code: code(&output), stderr: text(&output.stderr), hit: None }
            }
            Deed::AtCall(act, calls, n) => {
                let log = injector.with_file_name("log");
                let mut command = Command::new(injector);
                command.arg(calls.names()).arg(n.to_string()).arg(act.word()).arg(&scenario.work).arg(&log).arg(binary());
                let output = command.args(GLOBAL).args(&scenario.command).current_dir(&scenario.work).output().unwrap();
                let log = fs::read_to_string(log).unwrap_or_default();
                let hit = log.lines().find_map(|line| line.strip_prefix("hit ")).map(str::to_owned);
                Disturbed { code: code(&output), stderr: text(&output.stderr), hit }
            }
        }
    }

    /// What has to hold when the disturbed run has ended. `leftovers` are temporary files of runs before, which it need not have come to; then also its own.
    fn problems_at_once(&self, scenario: &Scenario, disturbed: &Disturbed, leftovers: &mut Vec<String>) -> Vec<String> {
        let Disturbed { code, stderr, hit } = disturbed;
        let mut problems = vec![];
        let was_killed = self.kills() && *code == 137;
        if stderr.contains("panicked") || (*code > 2 && *code != 130 && !was_killed) {
            problems.push(format!("ended with {code}: {}", stderr.trim()));
        }
        if !was_killed && *code != 0 && *code != 130 && stderr.trim().is_empty() {
            problems.push(format!("ended with {code} and said nothing"));
        }
        let found = files(&scenario.work);
        if *code == 0 {
            problems.extend(differences(scenario, &found).into_iter().map(|d| format!("success was claimed, but {d}")));
        }
        // Where deleting itself fails, what should be deleted stays.
        let cannot_delete = hit.as_ref().is_some_and(|hit| hit.starts_with("unlink"));
        if !was_killed && !cannot_delete {
            let own = temporaries(&found).into_iter().filter(|path| !leftovers.contains(path));
            problems.extend(own.map(|path| format!("left {path} behind")));
        }
        *leftovers = temporaries(&found);
        if let Some(cache) = scenario.cache.as_ref().filter(|_| scenario.is_readable) {
            let output = tried(&scenario.work, &["inspect", cache]);
            if !output.status.success() {
                problems.push(format!("no reader finds the cache: {}", text(&output.stderr).trim()));
            }
        }
        problems
    }
}

/// What has to hold after the same command, undisturbed.
fn problems_after_another_run(scenario: &Scenario) -> Vec<String> {
    let again = tried(&scenario.work, &scenario.command.iter().map(String::as_str).collect::<Vec<_>>());
    if !again.status.success() {
        return vec![format!("the same command again ends with {}: {}", code(&again), text(&again.stderr).trim())];
    }
    let found = files(&scenario.work);
    let mut problems: Vec<String> =
        differences(scenario, &found).into_iter().map(|d| format!("after the same command again {d}")).collect();
    if let Some(cache) = &scenario.cache {
        let output = tried(&scenario.work, &["verify", cache]);
        if !output.status.success() {
            problems.push(format!("verify: {}", text(&output.stderr).trim()));
        }
    }
    problems
}

fn differences(scenario: &Scenario, found: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    let wanted = &scenario.undisturbed;
    let missing = wanted.keys().filter(|path| !found.contains_key(*path)).map(|path| format!("{} is missing", path.display()));
    let other = found.iter().filter_map(|(path, bytes)| match wanted.get(path) {
        None => Some(format!("{} is there", path.display())),
        Some(right) if right != bytes => Some(format!("{} differs", path.display())),
        Some(_) => None,
    });
    missing.chain(other).collect()
}

fn temporaries(found: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<String> {
    found.keys().map(|path| path.display().to_string()).filter(|path| path.contains(".tmp")).collect()
}

fn code(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
