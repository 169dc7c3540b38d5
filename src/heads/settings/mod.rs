//! What a head is to be: settings as people write them, and the ones that have been checked.
//!
//! | file | what for |
//! |---|---|
//! | `choices` | words of a sweep file: kinds of heads, losses, optimisers, schedules |
//! | `keys` | `KEYS`, the table of all settings: the values that each takes and the heads that it counts for |
//! | `optimizer` | optimisers with their constants, learning rates, gradient clipping |
//! | `params` | settings unchecked, and the head that they make once checked against its features |

pub(super) mod choices;
pub(super) mod keys;
pub(super) mod optimizer;
pub(super) mod params;
