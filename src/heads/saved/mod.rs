//! The files of a fitted head.
//!
//! | file | what for |
//! |---|---|
//! | `check` | whether the parts of a `model.json` fit each other |
//! | `model` | `model.json` and `head.safetensors` |

pub(super) mod check;
pub(super) mod model;
