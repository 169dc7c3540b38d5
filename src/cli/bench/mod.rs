//! The work of `headstart bench` that no other command needs.
//!
//! | file | what for |
//! |---|---|
//! | `heads` | training heads on random features, timed |
//! | `peak` | the rate of multiply-adds that profiles are compared with |

pub mod heads;
pub mod peak;
