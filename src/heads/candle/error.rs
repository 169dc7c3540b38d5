//! Errors of candle as those of this library.

use crate::Error;

/// An error of candle with what was being done.
pub(super) fn failed(doing: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |e| Error::candle(doing)(e)
}
