//! What a file is, by its first bytes or its name.

use image::ImageFormat;

use super::ifd;

/// The format of a file by its first bytes, where it is one that this reads.
pub(crate) fn sniff(head: &[u8]) -> Option<ImageFormat> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    if ifd::is_tiff(head) {
        return Some(Tiff);
    }
    image::guess_format(head).ok().filter(|f| matches!(f, Jpeg | Png | WebP | Bmp | Gif))
}

/// Whether files of this extension (lower case, no dot) are taken for images without a look inside.
pub(crate) fn is_image_extension(extension: &str) -> bool {
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"].contains(&extension)
}
