//! The evaluation of heads.
//!
//! | file | what for |
//! |---|---|
//! | `metric` | a metric, its name and its direction |
//! | `metrics` | accuracy, loss, recall, F1, calibration error, area under the curve, confusion |
//! | `calibration` | temperature scaling |

pub(super) mod calibration;
pub(super) mod metric;
pub(super) mod metrics;
