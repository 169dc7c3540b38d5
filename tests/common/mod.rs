//! Photos that tests make for themselves, and the binary under test.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

mod photos;

pub(crate) use photos::{image, photos};

/// The `headstart` binary, with nothing of the user's settings in its environment.
pub(crate) fn headstart() -> Command {
    let mut command = Command::cargo_bin("headstart").unwrap();
    command.env_remove("HEADSTART_ISA").env_remove("RUST_BACKTRACE");
    command
}

/// Arguments of a quick extraction: a small network with formula weights on small inputs.
pub(crate) fn features(data: &Path, cache: &Path) -> Command {
    let mut command = headstart();
    command.args([
        "features",
        "--backbone",
        "efficientnet_lite0",
        "--weights",
        "random:1",
        "--size",
        "32",
        "--batch",
        "8",
        "--name",
        "photos",
    ]);
    command.arg("--data").arg(data).arg("--cache").arg(cache);
    command
}

/// Every file below a folder but logs, locks and stat caches, with its bytes: what must not differ between runs.
pub(crate) fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = vec![];
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if !name.ends_with(".jsonl")
                && !name.contains("lock")
                && !["files.csv", "origin.json", ".checked.csv"].contains(&name.as_str())
            {
                found.push((path.strip_prefix(dir).unwrap().to_path_buf(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The one JSON object that a `--json` run printed.
pub(crate) fn object(output: &[u8]) -> serde_json::Value {
    let text = String::from_utf8_lossy(output);
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"))
}
