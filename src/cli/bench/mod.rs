//! The work of `headstart bench` that no other command needs.
//!
//! | file | what for |
//! |---|---|
//! | `heads` | training heads on random features, timed |

pub mod heads;
