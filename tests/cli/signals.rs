//! Ctrl-C, SIGTERM, kill -9 and limits: what is finished is kept and said, nothing half-written is left.
#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;

use super::common::{contents, features, headstart, object};
use super::{run_features, scene};

fn start(command: &Command) -> Child {
    let mut process = Process::new(command.get_program());
    process.args(command.get_args()).env_remove("RUST_BACKTRACE").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(signal: &str, child: &Child) {
    assert!(Process::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

fn until(what: &str, happens: impl Fn() -> bool) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what} never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Files in the making, anywhere below.
fn half_written(dir: &Path) -> Vec<std::path::PathBuf> {
    let all = walkdir::WalkDir::new(dir).into_iter().flatten();
    all.filter(|e| e.file_name().to_string_lossy().starts_with(".tmp")).map(walkdir::DirEntry::into_path).collect()
}

#[test]
fn ctrl_c_writes_the_running_shard_and_the_rest_comes_later() {
    let (dir, data, whole) = scene(&["a", "b"], 600);
    run_features(&data, &whole, &[]);
    let cut = dir.path().join("cut");
    let child = start(&features(&data, &cut));
    let rows = cut.join("photos");
    until("a cache", || walkdir::WalkDir::new(&rows).into_iter().flatten().any(|e| e.file_name() == "rows.csv"));
    send("-INT", &child);
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("SIGINT: stopping") && said.contains("features of 1,024 of 1,200 images are stored"), "{said}");
    assert!(output.stdout.is_empty() && half_written(&cut).is_empty());
    let rest = run_features(&data, &cut, &[]);
    assert_eq!((rest["reused"].as_u64(), rest["computed"].as_u64()), (Some(1024), Some(176)), "{rest}");
    assert_eq!(contents(&cut), contents(&whole));

    let twice = dir.path().join("twice");
    let child = start(&features(&data, &twice));
    until("a cache", || walkdir::WalkDir::new(&twice).into_iter().flatten().any(|e| e.file_name() == "rows.csv"));
    send("-INT", &child);
    send("-TERM", &child);
    let output = child.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(130 | 143)), "{}", stderr(&output));
    assert!(half_written(&twice).is_empty());
}

#[test]
fn ctrl_c_keeps_the_finished_trials_of_a_sweep() {
    let (dir, data, cache) = scene(&["a", "b"], 20);
    run_features(&data, &cache, &[]);
    let (sweep, trials) = (dir.path().join("sweep"), dir.path().join("sweep/trials.jsonl"));
    let mut command = headstart();
    command.arg("sweep").arg(cache.join("photos")).arg("--out").arg(&sweep).args(["head=logreg,linear", "lr=1e-3,1e-4", "epochs=20000"]);
    let child = start(&command);
    let finished = || fs::read_to_string(&trials).unwrap_or_default().matches("\"record\":\"final\"").count();
    until("a trial", || finished() > 0);
    send("-INT", &child);
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("finished trials are kept in") && said.contains("the same command goes on"), "{said}");
    assert!(half_written(&sweep).is_empty());
    assert!(finished() >= 1);
}

/// A weights file that takes a while to convert: a hole on the disk.
fn large_weights(dir: &Path) -> std::path::PathBuf {
    let file = dir.join("large.safetensors");
    let (tensors, each) = (64_usize, 1 << 20);
    let entries = (0..tensors).map(|i| {
        format!("\"t{i:02}\":{{\"dtype\":\"F32\",\"shape\":[{each}],\"data_offsets\":[{},{}]}}", 4 * i * each, 4 * (i + 1) * each)
    });
    let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    fs::write(&file, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()).unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len((8 + header.len() + 4 * tensors * each) as u64).unwrap();
    file
}

#[test]
fn what_a_signal_or_a_kill_leaves_half_written_goes() {
    let dir = tempfile::tempdir().unwrap();
    let large = large_weights(dir.path());
    let to = dir.path().join("out");
    fs::create_dir(&to).unwrap();
    let convert = || {
        let mut command = headstart();
        command.args(["weights", "convert"]).arg(&large).arg(to.join("w.safetensors"));
        command
    };
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let child = start(&convert());
        until("a file in the making", || !half_written(&to).is_empty());
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(stderr(&output).contains("nothing half-written is left"), "{}", stderr(&output));
        assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
    }
    let mut child = start(&convert());
    until("a file in the making", || !half_written(&to).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(half_written(&to).len(), 1);
    // Somebody else's, and what a live process writes.
    fs::write(to.join(".tmp-others"), "").unwrap();
    let live = fs::File::create(to.join(".tmp-headstart-live")).unwrap();
    live.try_lock().unwrap();
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/weights/plain.safetensors");
    headstart().args(["weights", "convert"]).arg(small).arg(to.join("w.safetensors")).assert().success();
    let mut left: Vec<_> = fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, [".tmp-headstart-live", ".tmp-others", "w.safetensors"]);
}

/// Runs the command under a limit of the shell's.
fn limited(limit: &str, command: &Command) -> Output {
    let mut shell = Process::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(command.get_program()).args(command.get_args());
    shell.output().unwrap()
}

#[test]
fn limits_of_the_shell_are_errors_and_not_signals() {
    let dir = tempfile::tempdir().unwrap();
    let large = large_weights(dir.path());
    let to = dir.path().join("out");
    let mut convert = headstart();
    convert.args(["weights", "convert"]).arg(&large).arg(to.join("w.safetensors"));
    // 512 blocks of 512 bytes or 1 KiB each.
    let output = limited("-f 512", &convert);
    assert_eq!(output.status.code(), Some(1), "{:?} {}", output.status.signal(), stderr(&output));
    assert!(stderr(&output).contains("too large") && stderr(&output).contains("w.safetensors"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);

    let mut predicts = headstart();
    predicts.args([
        "bench",
        "forward",
        "--backbone",
        "vgg16",
        "--weights",
        "random:0",
        "--size",
        "224",
        "--batch",
        "256",
        "--threads",
        "1",
    ]);
    let output = limited("-v 2000000", &predicts);
    assert_eq!(output.status.code(), Some(1), "{:?} {}", output.status.signal(), stderr(&output));
    assert!(!stderr(&output).trim().is_empty());
    // The limit does not hold where it is not reached.
    let mut lists = headstart();
    lists.args(["backbones", "--json", "vgg16"]);
    assert!(object(&limited("-v 4000000", &lists).stdout).is_object());
}
