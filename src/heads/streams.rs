//! Streams of random numbers: everything random about a trial is a function of (seed, stream,
//! counter), so that both trainers draw the same numbers in any order.

/// Stream of initial weights.
pub(super) const INIT: u64 = 0x4845_4144_0001;
/// Stream of dropout masks.
pub(super) const DROPOUT: u64 = 0x4845_4144_0002;
/// Stream of the order of rows.
pub(super) const ORDER: u64 = 0x4845_4144_0003;
/// Stream of the share of train that serves as val, of folds and of few-shot subsets.
pub(super) const HOLD_OUT: u64 = 0x4845_4144_0004;
/// Stream of views and shifts of features.
pub(super) const AUGMENT: u64 = 0x4845_4144_0005;
/// Stream of the rows that are mixed into others, and of their shares.
pub(super) const MIXUP: u64 = 0x4845_4144_0006;
