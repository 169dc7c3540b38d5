//! How a head is judged.
//!
//! | file | what for |
//! |---|---|
//! | `metrics` | accuracy, loss, recall, F1, calibration error, area under the curve, confusion |
//! | `calibration` | temperature scaling |

pub(super) mod calibration;
pub(super) mod metrics;
