//! The training of heads, whichever trainer computes the epochs.
//!
//! | file | what for |
//! |---|---|
//! | `trainer` | the trait of a trainer |
//! | `run` | epochs, evaluation on val, early stopping |
//! | `lockstep` | heads that go through their epochs side by side |
//! | `objective` | targets, losses and their gradients |
//! | `dropout` | which units survive |
//! | `clipping` | gradient clipping |

pub(super) mod clipping;
pub(super) mod dropout;
pub(super) mod lockstep;
pub(super) mod objective;
pub(super) mod run;
pub(super) mod trainer;
