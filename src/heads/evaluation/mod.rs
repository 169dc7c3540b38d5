//! How a head is judged.
//!
//! | file | what for |
//! |---|---|
//! | `calibration` | temperature scaling |
//! | `metrics` | accuracy, loss, recall, F1, calibration error, area under the curve, confusion |

pub(super) mod calibration;
pub(super) mod metrics;
