//! Kills and failing calls on purpose: whatever happens to a command, the same command again ends with the bytes of one that nothing happened to.
//!
//! `make torture N=2000 SEED=1` runs so many cases; `CASE=17` one of them again. In `cargo test` some run, as many as 40 seconds allow.
//! Linux on x86-64 with a C compiler; elsewhere the test says that it is skipped.

#[path = "torture/case.rs"]
mod case;
#[path = "common/photos.rs"]
mod photos;
#[path = "torture/scenario.rs"]
mod scenario;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use case::{Case, Outcome};
use scenario::Scenario;

/// Cases in `cargo test`, and the time after which no further one is begun.
const SHORT: (u64, Duration) = (60, Duration::from_secs(40));

#[test]
fn after_any_kill_and_any_failing_call_the_same_command_ends_as_if_undisturbed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(injector) = injector(folder.path()) else {
        eprintln!("skipped: the injector needs Linux on x86-64 and a C compiler");
        return;
    };
    let number = |name: &str| env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse::<u64>().expect(name));
    let (seed, only) = (number("SEED").unwrap_or(1), number("CASE"));
    let (count, time) = number("N").map_or(SHORT, |n| (n, Duration::MAX));
    let cases = only.map_or(0..count, |case| case..case + 1);

    let scenarios = Scenario::all(folder.path(), &injector);
    let (start, mut run, mut violations) = (Instant::now(), 0, vec![]);
    let mut deeds = std::collections::BTreeMap::<String, u32>::new();
    for number in cases {
        if start.elapsed() > time {
            break;
        }
        let case = Case::new(seed, number, &scenarios);
        let Outcome { problems, what } = case.run(&scenarios[case.scenario], &injector);
        *deeds.entry(format!("{} {}", scenarios[case.scenario].name, case.deeds[0].kind())).or_default() += 1;
        run += 1;
        for problem in problems {
            println!("VIOLATION SEED={seed} CASE={number} {what}: {problem}");
            violations.push(problem);
        }
        if only.is_some() || number % 100 == 99 {
            println!("case {number}: {what}; {run} run, {} violations, {:.0} s", violations.len(), start.elapsed().as_secs_f64());
        }
    }
    for (deed, count) in deeds {
        println!("{count:5} {deed}");
    }
    println!("{run} cases of seed {seed}, {} violations, {:.0} s", violations.len(), start.elapsed().as_secs_f64());
    assert!(violations.is_empty(), "{} violations, each with its SEED and CASE above", violations.len());
}

/// Compiles `torture/inject.c`; `None` where that cannot be.
fn injector(folder: &Path) -> Option<PathBuf> {
    let file = folder.join("inject");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/torture/inject.c");
    let is_here = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let compiled = is_here.then(|| Command::new("cc").args(["-O1", "-o"]).arg(&file).arg(source).status().ok())??;
    assert!(compiled.success(), "inject.c does not compile");
    // Some containers forbid tracing.
    let log = folder.join("log");
    let works = Command::new(&file).args(["write", "0", "none", "/"]).arg(&log).arg("true").status().is_ok_and(|s| s.success());
    works.then_some(file)
}
