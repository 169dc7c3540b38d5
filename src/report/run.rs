//! `run.json` in a sweep directory: the command that made it, and the time of its end.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::replace;
use crate::sweep::RUN_FILE;
use crate::{Error, Result};

/// The last run of a sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// The command line.
    pub command: String,
    /// End of the run in seconds since 1970.
    pub unix_time: u64,
    /// Version of headstart.
    pub headstart: String,
}

/// Records the command line of a sweep that ends now, its words quoted where a shell needs it.
///
/// # Errors
/// A folder that cannot be written to.
pub(crate) fn record_run<'a>(folder: &Path, words: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let command = words.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
    let run = Run { command, unix_time: unix_time(SystemTime::now()), headstart: env!("CARGO_PKG_VERSION").into() };
    let text = serde_json::to_string_pretty(&run).map_err(Error::internal)?;
    replace(&folder.join(RUN_FILE), text.as_bytes())
}

fn unix_time(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}

/// Time of the last change of a file in seconds since 1970.
pub(super) fn written(file: &Path) -> Option<u64> {
    Some(unix_time(file.metadata().ok()?.modified().ok()?))
}

/// A word as a POSIX shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_command_can_be_pasted_into_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        record_run(folder.path(), ["headstart", "sweep", "my photos", "lr=0.1,0.01", "it's", ""]).unwrap();
        let run: Run = serde_json::from_slice(&std::fs::read(folder.path().join(RUN_FILE)).unwrap()).unwrap();
        assert_eq!(run.command, r"headstart sweep 'my photos' lr=0.1,0.01 'it'\''s' ''");
        assert!(run.unix_time > 1_700_000_000 && written(&folder.path().join(RUN_FILE)).unwrap() >= run.unix_time);
    }
}
