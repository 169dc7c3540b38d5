//! The files of a fitted head.
//!
//! | file | what for |
//! |---|---|
//! | `model` | `model.json` as data |
//! | `check` | whether the parts of a `model.json` fit each other |
//! | `parse` | reading `model.json` |
//! | `digests` | the digests in `model.json`: its own, and that of the weights |
//! | `folder` | the folder that holds the files |
//! | `predictor` | `model.json` and `head.safetensors` together: features in, probabilities out |

pub(super) mod check;
pub(super) mod digests;
pub(super) mod folder;
pub(super) mod model;
pub(super) mod parse;
pub(super) mod predictor;
