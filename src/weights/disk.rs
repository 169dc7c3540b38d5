//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::{Error, Result};

/// Fills a temporary file in the same folder (made if need be), syncs it and renames it over `path`. An error leaves nothing behind.
pub(super) fn write(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> Result<()>) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    let mut options = tempfile::Builder::new();
    options.prefix(".tmp-");
    // Weights are for everybody whom the umask allows, not only for their owner as temporary files are.
    #[cfg(unix)]
    options.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary = options.tempfile_in(folder).map_err(Error::io("create a temporary file in", folder))?;
    let mut writer = BufWriter::new(temporary.as_file().try_clone().map_err(Error::io("write", path))?);
    fill(&mut writer)?;
    writer.flush().map_err(Error::io("write", path))?;
    drop(writer);
    temporary.as_file().sync_all().map_err(Error::io("sync", path))?;
    temporary.persist(path).map_err(|e| Error::io("rename a temporary file to", path)(e.error))?;
    if cfg!(unix) {
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io("sync the folder", folder))?;
    }
    Ok(())
}
