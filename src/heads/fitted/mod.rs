//! What a fitted head is: weights or neighbours, applied to rows.
//!
//! | file | what for |
//! |---|---|
//! | `head` | layers, batch norm, and their product with rows |
//! | `pretrained` | the fully connected layers of a backbone as the start of a head |

pub(super) mod head;
pub(super) mod pretrained;
