//! Names of the files and folders in a sweep directory.

/// The sweep file as it ran.
pub(crate) const CONFIG_FILE: &str = "config.yaml";
/// The records of all trials.
pub(crate) const LOG_FILE: &str = "trials.jsonl";
/// Finished trials of other sweeps in the same folder that no folder of an earlier sweep keeps.
pub(crate) const EARLIER_LOG_FILE: &str = "trials-earlier.jsonl";
/// A row for each trial.
pub(crate) const RESULTS_FILE: &str = "results.csv";
/// The answers of the best head.
pub(crate) const PREDICTIONS_FILE: &str = "predictions.csv";
/// Counts of the best head's answers, a row for each class and a column for each answer.
pub(crate) const CONFUSION_FILE: &str = "confusion.csv";
/// Recall, precision and F1 of each class.
pub(crate) const PER_CLASS_FILE: &str = "per_class.csv";
/// Notes for the user, a line each.
pub(crate) const NOTES_FILE: &str = "notes.txt";
/// The command that made the sweep, and when it ended; `report` writes it.
pub(crate) const RUN_FILE: &str = "run.json";
/// The page that `report` writes.
pub(crate) const REPORT_FILE: &str = "report.html";
/// The folder of TensorBoard's event files.
pub(crate) const TENSORBOARD_FOLDER: &str = "tensorboard";
/// The folder of the sweeps that were there before.
pub(crate) const EARLIER_FOLDER: &str = "earlier";

/// The file of the best trials by one parameter.
pub(crate) fn best_by_file(parameter: &str) -> String {
    format!("best_by_{parameter}.csv")
}

/// Whether a file is one of those that [`best_by_file`] names.
pub(crate) fn is_best_by_file(name: &str) -> bool {
    name.starts_with("best_by_") && name.ends_with(".csv")
}
