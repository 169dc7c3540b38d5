//! `headstart speedup` from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

use super::common::{headstart, object, photos};

/// A folder with 28 photos, and a quick comparison over them: a small network with formula weights on small inputs.
fn scene() -> (TempDir, impl Fn(&Path, &[&str]) -> Command) {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("photos");
    photos(&data, &["cats", "dogs"], 14);
    let run = move |out: &Path, more: &[&str]| {
        let mut command = headstart();
        command.args(["speedup", "--backbone", "squeezenet1_1", "--weights", "random:1", "--size", "48", "--batch", "4"]);
        command.args(["--split", "hash:70/20/10", "--data"]).arg(&data).arg("--out").arg(out);
        command.args(["hidden=16", "lr=1e-3", "epochs=4"]).args(more);
        command
    };
    (dir, run)
}

fn told(mut command: Command) -> serde_json::Value {
    let output = command.arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    object(&output.stdout)
}

#[test]
fn both_ways_predict_the_same_and_their_times_are_told() {
    let (dir, run) = scene();
    let out = dir.path().join("out");
    run(&out, &[]).assert().success().stderr(contains("images of test are left out")).stdout(
        contains("base in the loop")
            .and(contains("scaled from 2"))
            .and(contains("val images after 2 epochs: identical"))
            .and(contains("break-even")),
    );
    let found = told(run(&out, &[]));
    let length = |arm: &str| found[arm]["epochs"].as_array().unwrap().len();
    assert_eq!((length("in_loop"), length("cached"), found["in_loop"]["scaled"].as_bool()), (2, 4, Some(true)), "{found}");
    assert_eq!(
        (found["predictions"]["identical"].as_bool(), found["predictions"]["images"].as_u64()),
        (Some(true), found["images"]["val"].as_u64())
    );
    // The head learns the same in both ways, and the base costs something in every epoch.
    for (a, b) in found["in_loop"]["epochs"].as_array().unwrap().iter().zip(found["cached"]["epochs"].as_array().unwrap()) {
        assert_eq!((&a["loss"], &a["acc1"]), (&b["loss"], &b["acc1"]));
        assert!(a["base"]["infer"].as_f64().unwrap() > 0.0 && b["base"].is_null(), "{found}");
    }
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("speedup.json")).unwrap()).unwrap(), found);
    assert!(fs::read_to_string(out.join("speedup.html")).unwrap().contains("(scaled)"));
    assert_eq!(fs::read_to_string(out.join("speedup.csv")).unwrap().lines().count(), 1 + 2 * 4);

    // What is cached is a cache like any other, and its head the one that a sweep with these settings finds.
    let sweep = dir.path().join("sweep");
    let config = dir.path().join("head.yaml");
    fs::write(&config, headstart::speedup::DEFAULT).unwrap();
    let mut command = headstart();
    command.arg("sweep").arg(found["about"]["cache"].as_str().unwrap()).arg("--config").arg(&config).arg("--out").arg(&sweep);
    command.args(["hidden=16", "lr=1e-3", "epochs=4"]);
    let best = told(command);
    let difference = best["best"]["metrics"]["val.loss"].as_f64().unwrap() - found["val"]["loss"].as_f64().unwrap();
    assert!(difference.abs() < 1e-9, "{best}");
}

#[test]
fn what_was_measured_stays_and_a_full_run_adds_the_rest() {
    let (dir, run) = scene();
    let out = dir.path().join("out");
    let first = told(run(&out, &[]));
    run(&out, &[])
        .assert()
        .success()
        .stderr(contains("on cached features: measured by an earlier run").and(contains("in the loop: measured")));
    assert_eq!(told(run(&out, &[])), first);
    let full = told(run(&out, &["--full"]));
    assert_eq!((full["in_loop"]["scaled"].as_bool(), full["predictions"]["epochs"].as_u64()), (Some(false), Some(4)));
    assert_eq!(full["cached"], first["cached"], "the finished arm is kept");
    assert!(full["predictions"]["identical"].as_bool().unwrap());
    run(&out, &[]).assert().success().stdout(contains("scaled").not());
}

#[test]
fn a_killed_comparison_starts_again_and_leaves_nothing_half_done() {
    let (dir, run) = scene();
    let out = dir.path().join("out");
    for ms in [60_u64, 150, 300, 450] {
        let command = run(&out, &["--full", "epochs=40"]);
        let mut child =
            Process::new(command.get_program()).args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let found = told(run(&out, &["--full", "epochs=40"]));
    assert!(found["predictions"]["identical"].as_bool().unwrap(), "{found}");
    let left: Vec<PathBuf> =
        fs::read_dir(&out).unwrap().map(|e| e.unwrap().path()).filter(|p| p.to_string_lossy().contains(".tmp-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn mistakes_are_refused_before_anything_is_measured() {
    let (dir, run) = scene();
    let out = dir.path().join("out");
    let refused = |command: Command, said: &str| {
        let mut command = command;
        command.assert().code(2).stderr(contains(said).and(contains("help:")));
    };
    refused(run(&out, &["lr=1e-3,1e-4"]), "2 trials");
    refused(run(&out, &["head=ridge"]), "`ridge` is solved for");
    refused(run(&out, &["folds=3"]), "folds");
    refused(run(&out, &["hiden=3"]), "hidden");
    refused(run(&out, &["--tap", "gpa"]), "gap");
    refused(run(&out, &["--limit", "0"]), "--limit");
    assert!(!out.exists());
    let others = dir.path().join("others");
    photos(&others, &["a"], 1);
    refused(run(&others, &[]), "does not hold a comparison");
    told(run(&out, &["epochs=1"]));
    refused(run(&out, &["epochs=2"]), "holds another comparison");
}
