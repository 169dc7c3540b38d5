//! The library's one error type: every message names the file (or setting) and the way out.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::text::{visible, visible_path};

/// Result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure, by the party that can mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}{}", visible_path(path), help_line(source))]
    Io {
        /// The action, as a verb: "read", "create", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: io::Error,
    },
    /// One image that cannot be used.
    #[error("{}: {reason}", visible(path))]
    Image {
        /// The image's path or URI.
        path: String,
        /// Why, in the decoder's words where they help.
        reason: String,
    },
    /// A data set (folder, CSV) that cannot be used as it is.
    #[error("{}: {problem}\n  help: {hint}", visible_path(path))]
    Data {
        /// The folder or file.
        path: PathBuf,
        /// The fault.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A weights file that cannot be opened, fetched or understood.
    #[error("{}: {problem}\n  help: {hint}", visible_path(path))]
    Weights {
        /// The file.
        path: PathBuf,
        /// The fault.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A readable weights file whose tensors are not those of the backbone.
    #[error(
        "{}: does not hold the weights of {backbone}\n{audit}  help: name the backbone whose weights these are, or leave out option `weights` for its own",
        visible_path(path)
    )]
    WeightsMismatch {
        /// The file.
        path: PathBuf,
        /// The backbone's name.
        backbone: String,
        /// Missing, unexpected and wrongly shaped tensors by name: whole lines.
        audit: String,
    },
    /// A cache, shard or manifest that is damaged, foreign or in another format.
    #[error("{}: {problem}\n  help: {hint}", visible_path(path))]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The fault.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A configuration file (a sweep file) with a mistake in it.
    #[error("{}{}: {problem}\n  help: {hint}", visible_path(path), line.map(|l| format!(":{l}")).unwrap_or_default())]
    Config {
        /// The file.
        path: PathBuf,
        /// 1-based line where it is known.
        line: Option<usize>,
        /// The fault.
        problem: String,
        /// The way out: usually the nearest valid word.
        hint: String,
    },
    /// A value given on the command line or through the API that cannot be used.
    #[error("{problem}\n  help: {hint}")]
    Setting {
        /// The parameter of a sweep that is to blame, where one is: it has a line of its own.
        key: Option<&'static str>,
        /// The fault.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A graph that does not fit its input or itself.
    #[error("graph node `{node}`: {problem}")]
    Graph {
        /// The node's module path.
        node: String,
        /// The misfit.
        problem: String,
    },
    /// An engine or trainer failed while computing.
    #[error("{engine}: {doing}: {reason}")]
    Engine {
        /// `candle`, `native`, …
        engine: &'static str,
        /// Its task at that moment.
        doing: String,
        /// Its own reason.
        reason: String,
    },
    /// A device had no memory left for a request of an engine or trainer: a smaller request may
    /// succeed.
    #[error("{engine}: {doing}: {reason}")]
    OutOfMemory {
        /// `candle`, `native`, …
        engine: &'static str,
        /// Its task at that moment.
        doing: String,
        /// The device's own reason.
        reason: String,
    },
    /// A promise that the library makes to itself is broken: a bug, whatever the input.
    #[error("internal error: {0}")]
    Internal(String),
}

impl Error {
    /// Wraps an I/O error with the action and its path.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { action, path, source }
    }

    /// An unusable setting and the way out.
    pub fn setting(problem: impl Display, hint: impl Display) -> Error {
        Error::Setting { key: None, problem: problem.to_string(), hint: hint.to_string() }
    }

    /// An unusable value of a sweep's parameter and the way out.
    pub fn parameter(key: &'static str, problem: impl Display, hint: impl Display) -> Error {
        Error::Setting { key: Some(key), problem: problem.to_string(), hint: hint.to_string() }
    }

    /// An unusable data set and the way out.
    pub fn data(path: impl AsRef<Path>, problem: impl Display, hint: impl Display) -> Error {
        Error::Data { path: path.as_ref().into(), problem: problem.to_string(), hint: hint.to_string() }
    }

    /// An unusable weights file and the way out.
    pub fn weights(path: impl AsRef<Path>, problem: impl Display, hint: impl Display) -> Error {
        Error::Weights { path: path.as_ref().into(), problem: problem.to_string(), hint: hint.to_string() }
    }

    /// A damaged or foreign cache and the way out.
    pub fn cache(path: impl AsRef<Path>, problem: impl Display, hint: impl Display) -> Error {
        Error::Cache { path: path.as_ref().into(), problem: problem.to_string(), hint: hint.to_string() }
    }

    /// A node that does not fit.
    pub fn graph(node: impl Display, problem: impl Display) -> Error {
        Error::Graph { node: node.to_string(), problem: problem.to_string() }
    }

    /// Wraps an engine's own error with its task.
    pub fn engine<E: Display>(engine: &'static str, doing: impl Display) -> impl FnOnce(E) -> Error {
        let doing = doing.to_string();
        move |e| Error::Engine { engine, doing, reason: e.to_string() }
    }

    /// Wraps an error of candle's with its task. candle hands on the errors of CUDA, CUDA's
    /// libraries and Metal as texts: a lack of memory is recognised here, by their words for it.
    pub(crate) fn candle(doing: impl Display) -> impl FnOnce(candle_core::Error) -> Error {
        const LACK_OF_MEMORY: [&str; 6] = [
            "OUT_OF_MEMORY",
            "out of memory",
            "ALLOC_FAILED",
            "ALLOCATION_FAILED",
            "OutOfMemory",
            "Failed to create metal resource: Buffer",
        ];
        let doing = doing.to_string();
        move |e| {
            let reason = e.to_string();
            match LACK_OF_MEMORY.iter().any(|words| reason.contains(words)) {
                true => Error::OutOfMemory { engine: "candle", doing, reason },
                false => Error::Engine { engine: "candle", doing, reason },
            }
        }
    }

    /// A device without memory for an engine's task.
    pub fn out_of_memory<E: Display>(engine: &'static str, doing: impl Display) -> impl FnOnce(E) -> Error {
        let doing = doing.to_string();
        move |e| Error::OutOfMemory { engine, doing, reason: e.to_string() }
    }

    /// A broken promise of the library's own.
    pub fn internal(broken: impl Display) -> Error {
        Error::Internal(broken.to_string())
    }

    /// Whether a device ran out of memory: a smaller request may succeed.
    pub fn is_out_of_memory(&self) -> bool {
        matches!(self, Error::OutOfMemory { .. })
    }

    /// Whether the input or usage is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_unusable_input(&self) -> bool {
        match self {
            Error::Io { .. }
            | Error::Cache { .. }
            | Error::Graph { .. }
            | Error::Engine { .. }
            | Error::OutOfMemory { .. }
            | Error::Internal(_) => false,
            Error::Image { .. }
            | Error::Data { .. }
            | Error::Weights { .. }
            | Error::WeightsMismatch { .. }
            | Error::Config { .. }
            | Error::Setting { .. } => true,
        }
    }
}

/// Next steps that messages name in fixed phrases. The library has no commands; a front end may put
/// one in a phrase's place (`headstart` shows "run `headstart features` again"), with the options
/// that follow as "with option `x=v`".
pub mod steps {
    /// For features that are not there yet.
    pub const EXTRACT: &str = "extract the features";
    /// For features that are there in part, damaged, or of another state of the data.
    pub const EXTRACT_AGAIN: &str = "extract the features again";
    /// For a head that is not there yet.
    pub const TRAIN: &str = "train a head";
    /// For a head that is damaged or of another format.
    pub const TRAIN_AGAIN: &str = "train the head again";
    /// For a bundle or an ONNX file that is damaged or of another format.
    pub const EXPORT_AGAIN: &str = "export the model again";
    /// Names of all backbones.
    pub const LIST_OF_BACKBONES: &str = "the list of backbones";
    /// Taps and weights entries of one backbone.
    pub const DESCRIPTION_OF_BACKBONE: &str = "the description of the backbone";
    /// Comparison of a weights file's tensors with a backbone's.
    pub const CHECK_WEIGHTS: &str = "compare the file with the backbone";
    /// For parts of an extraction that are not joined yet.
    pub const MERGE: &str = "merge all parts";
    /// Taps, views, rows and classes of a cache.
    pub const SUMMARY_OF_CACHE: &str = "the summary of the cache";

    /// All of them.
    pub const ALL: [&str; 10] = [
        EXTRACT,
        EXTRACT_AGAIN,
        TRAIN,
        TRAIN_AGAIN,
        EXPORT_AGAIN,
        LIST_OF_BACKBONES,
        DESCRIPTION_OF_BACKBONE,
        CHECK_WEIGHTS,
        MERGE,
        SUMMARY_OF_CACHE,
    ];
}

/// The way out of a refusal of the system's, as a line of its own; empty where the reason says
/// enough.
fn help_line(source: &io::Error) -> String {
    way_out(source).map(|help| format!("\n  help: {help}")).unwrap_or_default()
}

fn way_out(source: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    Some(match source.kind() {
        Kind::StorageFull => "free some space on that disk, or choose a folder on another one",
        Kind::QuotaExceeded => "your quota on that disk is used up: free some of it, or choose a folder on another disk",
        Kind::ReadOnlyFilesystem => "that file system is mounted for reading only: choose a folder on another one",
        Kind::FileTooLarge => "raise the limit on the size of files (`ulimit -f`), or choose a file system that holds larger ones",
        Kind::PermissionDenied => "ask for permission to that path (`ls -ld` shows who has it), or choose another",
        Kind::IsADirectory => "that is a folder: name a file",
        Kind::NotADirectory => "a part of that path is a file: name a folder there",
        Kind::InvalidFilename => "that file system does not take such a name: choose a shorter or plainer one",
        Kind::StaleNetworkFileHandle => "the network file system lost it: mount it again, then start again",
        // The standard library has no stable kind for these.
        _ => match source.raw_os_error()? {
            #[cfg(unix)]
            libc::EMFILE | libc::ENFILE => "raise the limit on open files (`ulimit -n`)",
            #[cfg(unix)]
            libc::EIO => "the disk failed to read or write: the system's log (`dmesg`) may say more",
            _ => return None,
        },
    })
}

/// The candidate nearest to a mistyped word, for "did you mean": `None` where nothing is near.
///
/// Jaro–Winkler finds words that begin alike, Damerau–Levenshtein short ones with letters swapped.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let scored = candidates.into_iter().map(|c| {
        let candidate = c.to_lowercase();
        (strsim::jaro_winkler(&word, &candidate), strsim::normalized_damerau_levenshtein(&word, &candidate), c)
    });
    let near = scored.filter(|(begins, edits, _)| *begins > 0.7 || *edits > 0.6);
    near.max_by(|a, b| (a.0 + a.1).total_cmp(&(b.0 + b.1))).map(|(_, _, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_the_word_that_was_meant() {
        let words = ["gap", "map", "flat", "logits", "layer3.1"];
        for (typed, meant) in [("gpa", "gap"), ("Map", "map"), ("logit", "logits"), ("layer3", "layer3.1"), ("falt", "flat")] {
            assert_eq!(nearest(typed, words), Some(meant), "{typed}");
        }
        assert_eq!(nearest("qqqq", words), None);
    }

    #[cfg(unix)]
    #[test]
    fn what_the_system_refuses_names_the_way_out_by_its_kind() {
        for (code, help) in [
            (libc::ENOSPC, "free some space"),
            (libc::EDQUOT, "quota"),
            (libc::EROFS, "reading only"),
            (libc::EFBIG, "ulimit -f"),
            (libc::EACCES, "permission"),
            (libc::EISDIR, "name a file"),
            (libc::ENOTDIR, "name a folder"),
            (libc::ENAMETOOLONG, "shorter"),
            (libc::EMFILE, "ulimit -n"),
            (libc::ENFILE, "ulimit -n"),
            (libc::EIO, "dmesg"),
        ] {
            let error = Error::io("write", "cache/x")(io::Error::from_raw_os_error(code)).to_string();
            let (says, way_out) = error.split_once("\n  help: ").unwrap_or_else(|| panic!("{error}"));
            assert!(says.starts_with("cannot write cache/x: ") && way_out.contains(help), "{error}");
        }
        let plain = Error::io("read", "x")(io::ErrorKind::NotFound.into()).to_string();
        assert!(!plain.contains("help"), "{plain}");
    }

    #[test]
    fn a_lack_of_memory_is_told_from_candles_other_errors() {
        let wrapped = |text: &str| Error::candle("copying weights")(candle_core::Error::Msg(text.into()));
        for text in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "CudnnError(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)",
            "Metal error Failed to create metal resource: Buffer",
            "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        ] {
            assert!(wrapped(text).is_out_of_memory(), "{text}");
        }
        let other = wrapped("shape mismatch in matmul");
        assert!(!other.is_out_of_memory() && other.to_string() == "candle: copying weights: shape mismatch in matmul", "{other}");
    }

    #[test]
    fn bugs_and_full_devices_are_not_the_inputs_fault() {
        let full = Error::out_of_memory("native", "planning")("no room");
        assert_eq!(full.to_string(), "native: planning: no room");
        assert!(full.is_out_of_memory() && !full.is_unusable_input());
        let bug = Error::internal("two rows share a number");
        assert_eq!(bug.to_string(), "internal error: two rows share a number");
        assert!(!bug.is_out_of_memory() && !bug.is_unusable_input());
    }
}
