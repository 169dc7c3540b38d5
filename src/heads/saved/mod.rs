//! The files of a fitted head.
//!
//! | file | what for |
//! |---|---|
//! | `model` | `model.json` as data |
//! | `check` | whether the parts of a `model.json` fit each other |
//! | `parse` | reading `model.json` |
//! | `promise` | digests by which the files are known to belong together |
//! | `folder` | where the files lie |
//! | `predictor` | `model.json` and `head.safetensors` together: features in, probabilities out |

pub(super) mod check;
pub(super) mod folder;
pub(super) mod model;
pub(super) mod parse;
pub(super) mod predictor;
pub(super) mod promise;
