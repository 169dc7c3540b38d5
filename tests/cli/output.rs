//! What gets to stdout and to the terminal: all of it or an error, to the byte for machines, harmless for people.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

use super::common::{features, headstart, image, object, photos};
use super::{run_features, scene, swept};

/// The same command, for the standard library's own way of starting it.
fn process(command: &Command) -> Process {
    let mut process = Process::new(command.get_program());
    process.args(command.get_args()).env_remove("RUST_BACKTRACE");
    process
}

fn verb(words: &[&str], paths: &[&Path]) -> Command {
    let mut command = headstart();
    command.args(words).args(paths);
    command
}

#[cfg(target_os = "linux")]
#[test]
fn results_that_do_not_fit_are_an_error_that_is_said_once() {
    let (_dir, data, cache, out) = swept(&[]);
    let commands = [
        verb(&["--help"], &[]),
        verb(&["backbones"], &[]),
        verb(&["inspect"], &[&cache]),
        verb(&["inspect", "--json"], &[&cache]),
        verb(&["verify"], &[&cache]),
        verb(&["predict", "--model"], &[&out, &data]),
        verb(&["predict", "--json", "--model"], &[&out, &data]),
        verb(&["predict", "--csv", "--model"], &[&out, &data]),
        features(&data, &cache),
    ];
    for command in commands {
        let full = File::create("/dev/full").unwrap();
        let output = process(&command).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert_eq!(said.matches("cannot write the results to stdout").count(), 1, "{command:?}: {said}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_a_command_quietly() {
    let (dir, _, cache, out) = swept(&[]);
    // More lines than a pipe holds.
    let many = dir.path().join("many");
    fs::create_dir(&many).unwrap();
    let photo = many.join("0.png");
    image(0, 0).save(&photo).unwrap();
    for n in 1..2_000 {
        fs::hard_link(&photo, many.join(format!("{n}{}.png", "long".repeat(40)))).unwrap();
    }
    for how in ["--csv", "--json", "--quiet"] {
        let command = verb(&["predict", how, "--model"], &[&out, &many]);
        let mut child = process(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !line.is_empty() && !said.contains("error"), "{how}: {said}");
    }
    let mut child = process(&verb(&["inspect"], &[&cache])).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_answered_and_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (dir, data, _, out) = swept(&[]);
    let new = dir.path().join("new");
    fs::create_dir(&new).unwrap();
    for name in [&b"a.png"[..], b"caf\xe9.png", b"z.png"] {
        fs::copy(data.join("cats/001.png"), new.join(OsStr::from_bytes(name))).unwrap();
    }
    let told =
        verb(&["predict", "--json", "--model"], &[&out, &new]).assert().success().stderr(contains("names of 1 images are not UTF-8"));
    let lines: Vec<serde_json::Value> =
        told.get_output().stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1]["path"].as_str().unwrap().ends_with("caf\u{fffd}.png") && lines[0]["path_bytes"].is_null(), "{lines:?}");
    assert!(lines[1]["path_bytes"].as_str().unwrap().ends_with("2f636166e92e706e67"), "{lines:?}");
    verb(&["predict", "--csv", "--model"], &[&out, &new]).assert().success().stdout(contains("caf\u{fffd}.png,1,"));

    let odd = dir.path().join(OsStr::from_bytes(b"cach\xe9"));
    let printed = features(&data, &odd).output().unwrap().stdout;
    assert!(Path::new(OsStr::from_bytes(printed.trim_ascii_end())).join("manifest.json").is_file(), "the path is exact");
    for mut command in [
        features(&data, &odd),
        verb(&["inspect"], &[&odd]),
        verb(&["verify"], &[&odd]),
        verb(&["gc"], &[&odd]),
        verb(&["export", "--npz"], &[&odd.join("f.npz"), &odd]),
        verb(&["merge"], &[&odd.join("merged"), &odd]),
    ] {
        let told = command.arg("--json").assert().success();
        assert!(object(&told.get_output().stdout).is_object());
    }
    fs::copy(dir.path().join("sweep/best/head.safetensors"), odd.join("w.safetensors")).unwrap();
    let converted = verb(&["weights", "convert", "--json"], &[&odd.join("w.safetensors"), &odd.join("v.safetensors")]).assert().success();
    assert!(object(&converted.get_output().stdout)["file"].as_str().unwrap().contains('\u{fffd}'));
}

#[cfg(unix)]
#[test]
fn names_do_not_act_on_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (data, cache) = (dir.path().join("photos"), dir.path().join("cache"));
    photos(&data, &["\x1b[31mcats", "dogs\u{202e}"], 6);
    image(0, 0).save(data.join("dogs\u{202e}/line\nbreak\x07.png")).unwrap();
    fs::write(data.join("dogs\u{202e}/broken\u{9b}\nerror: forged.png"), b"\x89PNG\r\n\x1a\nnothing more").unwrap();
    let harmless = |output: &std::process::Output| {
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8(text.clone()).unwrap();
            let acts = text.chars().find(|&c| c != '\n' && (c.is_control() || c == '\u{202e}'));
            assert_eq!(acts, None, "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
        }
    };
    let done = features(&data, &cache).output().unwrap();
    harmless(&done);
    assert!(String::from_utf8_lossy(&done.stderr).contains("broken\\u{9b}\\nerror: forged.png"));
    let folder = run_features(&data, &cache, &[])["cache"].as_str().unwrap().to_owned();
    let (folder, out) = (Path::new(&folder), dir.path().join("sweep"));
    harmless(&verb(&["inspect"], &[folder]).output().unwrap());
    verb(&["sweep", "head=logreg", "--out"], &[&out, folder]).assert().success();
    let answers = verb(&["predict", "--model"], &[&out, &data]).output().unwrap();
    harmless(&answers);
    let text = String::from_utf8(answers.stdout).unwrap();
    assert_eq!(text.lines().count(), 13, "a line an image: {text}");
    assert!(text.contains("line\\nbreak\\u{7}.png: ") && text.contains("\\u{1b}[31mcats "), "{text}");
    // Machines get names as they are.
    let exact = verb(&["predict", "--json", "--model"], &[&out, &data.join("dogs\u{202e}/line\nbreak\x07.png")]).output().unwrap();
    let exact = object(&exact.stdout);
    assert!(exact["path"].as_str().unwrap().ends_with("line\nbreak\x07.png"), "{exact}");
    assert!(exact["classes"].as_array().unwrap().iter().any(|c| c["class"] == "\x1b[31mcats"), "{exact}");
}

#[cfg(unix)]
#[test]
fn all_that_lies_in_a_folder_is_answered_or_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (dir, data, _, out) = swept(&[]);
    let new = dir.path().join("new");
    fs::create_dir_all(new.join("here")).unwrap();
    fs::copy(data.join("cats/001.png"), new.join("here/1.png")).unwrap();
    fs::write(new.join("notes.txt"), "none of these is a dog").unwrap();
    fs::create_dir(new.join(".thumbnails")).unwrap();
    fs::copy(data.join("cats/001.png"), new.join(".thumbnails/1.png")).unwrap();
    symlink(data.join("dogs"), new.join("linked")).unwrap();
    symlink("nowhere.png", new.join("here/gone.png")).unwrap();
    symlink("..", new.join("here/circle")).unwrap();
    let told = verb(&["predict", "--model"], &[&out, &new]).assert().success();
    let named = contains("gone.png: the link is dangling").and(contains("circle: the link leads back")).and(contains("1 .txt"));
    let answered = told.stderr(named).get_output().stdout.clone();
    assert_eq!(answered.iter().filter(|b| **b == b'\n').count(), 13, "{}", String::from_utf8_lossy(&answered));

    let closed = new.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read_dir(&closed).is_ok() {
        return; // The superuser reads everything.
    }
    verb(&["predict", "--model"], &[&out, &new]).assert().code(1).stderr(contains("closed")).stdout(contains("1.png: "));
    verb(&["predict", "--model"], &[&out, &closed]).assert().code(1).stderr(contains("error: cannot read").and(contains("closed")));
}

#[test]
fn a_folder_without_images_is_not_answered() {
    let (dir, _, _, out) = swept(&[]);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    verb(&["predict", "--model"], &[&out, &empty]).assert().code(2).stderr(contains("holds no image"));
    fs::write(empty.join("a.txt"), "").unwrap();
    verb(&["predict", "--model"], &[&out, &empty]).assert().code(2).stderr(contains("passed over 1 file that is not an image: 1 .txt"));
    let (_scene, data, _) = scene(&["a"], 1);
    verb(&["predict", "--model"], &[&out, &data.join("nowhere.png")]).assert().code(2).stderr(contains("is not there"));
}
