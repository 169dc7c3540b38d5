//! How a head is trained, whichever trainer computes its epochs.
//!
//! | file | what for |
//! |---|---|
//! | `lockstep` | heads that go through their epochs side by side |
//! | `loss` | targets, losses and their gradients |
//! | `run` | the trait of a trainer; epochs, evaluation on val, early stopping |

pub(super) mod lockstep;
pub(super) mod loss;
pub(super) mod run;
