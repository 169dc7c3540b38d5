//! Fitted heads: weights or neighbours, and their application to rows.
//!
//! | file | what for |
//! |---|---|
//! | `head` | the head itself |
//! | `layer` | a fully connected layer and its initial weights |
//! | `batch_norm` | batch norm without parameters |
//! | `activation` | activations and their slopes |
//! | `neighbours` | the rows that nearest neighbours are looked for among |
//! | `probabilities` | from logits to the probabilities of classes |
//! | `pretrained` | the fully connected layers of a backbone as the start of a head |

pub(super) mod activation;
pub(super) mod batch_norm;
pub(super) mod head;
pub(super) mod layer;
pub(super) mod neighbours;
pub(super) mod pretrained;
pub(super) mod probabilities;
