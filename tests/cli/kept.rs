//! What a sweep found is kept, checked before it is used, and never written over.

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;

use crate::common::headstart;
use crate::{run_features, scene};

#[test]
fn sweeps_of_one_data_set_are_all_kept_and_the_newest_is_where_it_always_is() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 12);
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let sweep = |lr: &str| {
        let mut command = headstart();
        command.current_dir(dir.path()).arg("sweep").arg(done["cache"].as_str().unwrap());
        command.args([&format!("lr={lr}"), "epochs=2", "head=linear", "dropout=0"]).assert().success()
    };
    let best = |folder: &str| fs::read(dir.path().join(folder).join("best/head.safetensors")).unwrap();
    sweep("0.01").stderr(contains("is kept").not());
    let first = best("sweeps/photos");
    sweep("0.02").stderr(contains("the sweep that was in sweeps/photos before is kept in sweeps/photos/earlier/1"));
    assert_eq!(best("sweeps/photos/earlier/1"), first);
    assert_ne!(best("sweeps/photos"), first);
    sweep("0.02").stderr(contains("is kept").not());
    for model in ["sweeps/photos", "sweeps/photos/earlier/1"] {
        headstart().current_dir(dir.path()).args(["predict", "--model", model]).arg(data.join("cats/000.png")).assert().success();
        headstart().current_dir(dir.path()).args(["report", model]).assert().success();
    }
}

#[test]
fn a_sweep_that_is_refused_leaves_the_one_before_and_one_without_a_head_says_so() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 6);
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let sweep = |more: &[&str]| {
        let mut command = headstart();
        command.current_dir(dir.path()).arg("sweep").arg(done["cache"].as_str().unwrap()).args([
            "epochs=1",
            "head=linear",
            "--out",
            "mine",
        ]);
        command.args(more).assert()
    };
    let predict = || headstart().current_dir(dir.path()).args(["predict", "--model", "mine"]).arg(data.join("cats/000.png")).assert();
    sweep(&[]).success();
    sweep(&["folds=100"]).code(2).stderr(contains("too few").and(contains("is kept").not()));
    predict().success();
    assert!(!dir.path().join("mine/earlier").exists());
    fs::remove_file(dir.path().join("mine/best/model.json")).unwrap();
    predict().code(2).stderr(contains("has not finished").and(contains("earlier/N")));
}

#[test]
fn a_flipped_bit_in_the_best_head_is_found_by_whoever_uses_it() {
    let (dir, data, cache) = scene(&["cats", "dogs"], 12);
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let out = dir.path().join("sweep");
    headstart()
        .arg("sweep")
        .arg(done["cache"].as_str().unwrap())
        .arg("--out")
        .arg(&out)
        .args(["epochs=2", "head=linear"])
        .assert()
        .success();
    let head = out.join("best/head.safetensors");
    let mut bytes = fs::read(&head).unwrap();
    let at = bytes.len() - 7;
    bytes[at] ^= 4;
    fs::write(&head, bytes).unwrap();
    let said = || contains("best/head.safetensors: is damaged").and(contains("SHA-256"));
    headstart().args(["predict", "--model"]).arg(&out).arg(&data).assert().code(2).stderr(said().and(contains("help:")));
    for (flag, file) in [("--bundle", "b.safetensors"), ("--onnx", "m.onnx")] {
        let file = dir.path().join(file);
        headstart().args(["export", "--model"]).arg(&out).arg(flag).arg(&file).assert().code(2).stderr(said());
        assert!(!file.exists());
    }
    headstart().args(["report", "--quiet"]).arg(&out).assert().success().stderr(said().and(contains("warning: ")));
    headstart().arg("report").arg(&out).arg("--data").arg(out.join("nix")).assert().code(2).stderr(contains("nix: does not exist"));
}

#[test]
fn a_metric_that_no_trial_has_is_wrong_usage_and_those_that_there_are_are_named() {
    let (dir, data, cache) = scene(&[], 0);
    for (split, classes) in [("train", &["cats", "dogs"][..]), ("val", &["cats"])] {
        crate::photos(&data.join(split), classes, 6);
    }
    let done = run_features(&data, &cache, &["--tap", "gap"]);
    let mut sweep = headstart();
    sweep.arg("sweep").arg(done["cache"].as_str().unwrap()).arg("--out").arg(dir.path().join("sweep")).args(["metric=auc", "epochs=1"]);
    sweep.assert().code(2).stderr(contains("no trial has `val.auc`").and(contains("acc1, acc5, loss")));
}
