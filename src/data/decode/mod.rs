//! From file bytes to RGB pixels, as near to Pillow's `Image.open(file).convert("RGB")` as the
//! decoders allow.
//!
//! | file | what for |
//! |---|---|
//! | `file` | any file: what it is, its decoder, its turn |
//! | `sniff`, `raw` | what a file is; cameras' RAW files, which are not read |
//! | `limits` | how large an image may be |
//! | `turn`, `ifd` | orientation, in EXIF, XMP and TIFF; the directories of tags that both are written in |
//! | `jpeg`, `png`, `webp`, `gif`, `bmp` | one kind of file each; `raster`: those that the `image` crate decodes |
//! | `tiff/` | TIFF and BigTIFF of scientists and scanners |

mod bmp;
mod file;
mod gif;
mod ifd;
mod jpeg;
mod limits;
mod png;
mod raster;
mod raw;
mod sniff;
mod tiff;
mod turn;
mod webp;

#[allow(unreachable_pub, reason = "re-exported further up")]
pub use file::decode;
pub(crate) use file::{DECODER_VERSION, is_deep_gray};
pub(crate) use image::metadata::Orientation as Turn;
pub(crate) use raw::is_camera_raw;
pub(crate) use sniff::{is_image_extension, sniff};
#[allow(unreachable_pub, reason = "re-exported further up")]
pub use turn::Orientation;
pub(crate) use turn::recorded_turn;
