//! The specification of a head: settings as people write them, and settings that have been checked.
//!
//! | file | what for |
//! |---|---|
//! | `choices` | words of a sweep file: kinds of heads, losses, optimisers, schedules |
//! | `params` | all settings of a trial, unchecked |
//! | `keys` | `KEYS`, the table of all settings: the values that each takes and the heads that it counts for |
//! | `check` | the one step from unchecked settings to a head that fits its features |
//! | `config` | `HeadConfig`: a head by its kind with the settings of this kind |
//! | `spec` | a head whose settings have been checked |
//! | `optimizer` | optimisers with their constants |
//! | `learning_rate` | the learning rate over the epochs |

pub(super) mod check;
pub(super) mod choices;
pub(super) mod config;
pub(super) mod keys;
pub(super) mod learning_rate;
pub(super) mod optimizer;
pub(super) mod params;
pub(super) mod spec;
