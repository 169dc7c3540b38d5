//! TIFF and BigTIFF, as Pillow reads them. The `tiff` crate refuses or misreads many kinds that
//! scientists' instruments write (palettes, tiles of separate planes, premultiplied alpha, twelve
//! bits, …), so that what lies between the tags and the colours is here; what strips and tiles are
//! compressed with is left to the crates that do it for other formats.
//!
//! | file | what for |
//! |---|---|
//! | `image` | the first image, strip by strip or tile by tile |
//! | `layout` | what the tags say about how pixels are stored |
//! | `chunks`, `fax` | a strip or tile, unpacked |
//! | `colour`, `convert`, `lab` | what samples mean; from samples to RGB |

mod chunks;
mod colour;
mod convert;
mod fax;
mod image;
mod lab;
mod layout;
#[cfg(test)]
mod tests;

pub(super) use image::{is_deep_gray, pixels};
