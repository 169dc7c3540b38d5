//! The work of `headstart bench` that no other command needs.
//!
//! | file | what for |
//! |---|---|
//! | `heads` | training heads on random features, timed |
//! | `peak` | the rate of multiply-adds that profiles are compared with |

pub(super) mod heads;
pub(super) mod peak;
