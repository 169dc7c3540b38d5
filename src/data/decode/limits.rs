//! How large an image may be.

/// Pixels of the largest image that is decoded: Pillow's limit for decompression bombs.
pub(crate) const MAX_PIXELS: u64 = 178_956_970;

/// Refuses empty images and decompression bombs.
pub(super) fn check_size(width: u64, height: u64) -> Result<(), String> {
    match width.saturating_mul(height) {
        0 => Err("has no pixels".into()),
        n if n > MAX_PIXELS => Err(format!("has {width}×{height} pixels, more than the {MAX_PIXELS} that are decoded")),
        _ => Ok(()),
    }
}
