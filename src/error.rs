//! The library's one error type: every message names the file (or setting) and the way out.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::text::{visible, visible_path};

/// Result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, by who can mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", visible_path(path))]
    Io {
        /// What was tried, as a verb: "read", "create", "rename".
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
        /// What is wrong with it.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A weights file that cannot be opened, fetched or understood.
    #[error("{}: {problem}\n  help: {hint}", visible_path(path))]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A readable weights file whose tensors are not those of the backbone.
    #[error(
        "{}: does not hold the weights of {backbone}\n{audit}  help: name the backbone whose weights these are, or leave --weights out for its own",
        visible_path(path)
    )]
    WeightsMismatch {
        /// The file.
        path: PathBuf,
        /// The backbone's name.
        backbone: String,
        /// Missing, unexpected and wrongly shaped tensors by name.
        audit: Box<crate::weights::Audit>,
    },
    /// A cache, shard or manifest that is damaged, foreign or in another format.
    #[error("{}: {problem}\n  help: {hint}", visible_path(path))]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
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
        /// What is wrong there.
        problem: String,
        /// The way out: usually the nearest valid word.
        hint: String,
    },
    /// A value given on the command line or through the API that cannot be used.
    #[error("{problem}\n  help: {hint}")]
    Setting {
        /// The parameter of a sweep that is to blame, where one is: it has a line of its own.
        key: Option<&'static str>,
        /// What is wrong with it.
        problem: String,
        /// The way out.
        hint: String,
    },
    /// A graph that does not fit its input or itself.
    #[error("graph node `{node}`: {problem}")]
    Graph {
        /// The node's module path.
        node: String,
        /// What does not fit.
        problem: String,
    },
    /// An engine or trainer failed while computing.
    #[error("{engine}: {doing}: {reason}")]
    Engine {
        /// `candle`, `native`, …
        engine: &'static str,
        /// What it was doing.
        doing: String,
        /// Its own reason.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was tried and on which path.
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

    /// Wraps an engine's own error (candle's, say) with what it was doing.
    pub fn engine<E: Display>(engine: &'static str, doing: impl Display) -> impl FnOnce(E) -> Error {
        let doing = doing.to_string();
        move |e| Error::Engine { engine, doing, reason: e.to_string() }
    }

    /// Whether a device ran out of memory, as CUDA, its libraries and Metal say it: less at once may work.
    pub fn is_out_of_memory(&self) -> bool {
        const WORDS: [&str; 4] = ["OUT_OF_MEMORY", "out of memory", "Out of memory", "ALLOC"];
        matches!(self, Error::Engine { reason, .. } if WORDS.iter().any(|w| reason.contains(w)))
    }

    /// Whether the input or usage is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_unusable_input(&self) -> bool {
        !matches!(self, Error::Io { .. } | Error::Cache { .. } | Error::Graph { .. } | Error::Engine { .. })
    }
}

/// The candidate nearest to a mistyped word, for "did you mean": `None` where nothing is near.
///
/// Jaro–Winkler finds words that begin alike, Damerau–Levenshtein short ones with letters swapped.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
}
