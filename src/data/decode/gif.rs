//! GIF: the first frame on its canvas, as Pillow composes it.

use std::borrow::Cow;
use std::num::NonZeroU64;

use gif::{DecodeOptions, DecodingError, MemoryLimit};

use super::limits::{MAX_PIXELS, check_size};
use crate::data::Pixels;

/// Bytes of the header, up to a palette of the whole file, and where that palette is announced.
const HEADER: usize = 13;
const FLAGS: usize = 10;

/// Pixels of the first frame. What it leaves free is of the transparent colour, or of the palette's
/// first one; colours outside a palette are black.
pub(super) fn pixels(bytes: &[u8]) -> Result<Pixels, String> {
    let reason = |e: DecodingError| match e {
        DecodingError::UnexpectedEof => "the GIF is truncated or damaged: its data ends too early".into(),
        e => format!("damaged or unsupported GIF: {e}"),
    };
    let bytes = with_palette(bytes);
    let mut options = DecodeOptions::new();
    options.set_memory_limit(NonZeroU64::new(MAX_PIXELS).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
    let mut decoder = options.read_info(&*bytes).map_err(reason)?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    let frame = decoder.next_frame_info().map_err(reason)?.ok_or("the GIF holds no image")?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (columns, rows) = (usize::from(frame.width), usize::from(frame.height));
    let background = frame.transparent.unwrap_or(0);
    let own = frame.palette.clone();
    // A frame that is larger than the canvas makes it larger.
    let (width, height) = (width.max(left + columns), height.max(top + rows));
    check_size(width as u64, height as u64)?;
    check_size(columns as u64, rows as u64)?;
    let mut indices = vec![0; columns * rows];
    decoder.read_into_buffer(&mut indices).map_err(reason)?;

    let palette = own.as_deref().or(decoder.global_palette()).unwrap_or_default();
    let colours = colours(palette);
    let mut rgb = colours[usize::from(background)].repeat(width * height);
    for (y, row) in indices.chunks_exact(columns).enumerate() {
        let at = ((top + y) * width + left) * 3;
        let pixels = rgb[at..at + columns * 3].chunks_exact_mut(3);
        pixels.zip(row).for_each(|(pixel, &index)| pixel.copy_from_slice(&colours[usize::from(index)]));
    }
    Ok(Pixels { width, height, rgb })
}

/// The colour of each index. A palette in which each colour is its own number in gray goes on like
/// that to the end.
fn colours(palette: &[u8]) -> [[u8; 3]; 256] {
    let gray = palette.chunks_exact(3).enumerate().all(|(i, colour)| colour.iter().all(|&v| usize::from(v) == i));
    let beyond = |i: usize| if gray { [i as u8; 3] } else { [0; 3] };
    std::array::from_fn(|i| palette.get(i * 3..i * 3 + 3).map_or_else(|| beyond(i), |colour| [colour[0], colour[1], colour[2]]))
}

/// A file that has no palette for all frames gets one of grays: the decoder refuses a frame without
/// any, Pillow takes its numbers for grays.
fn with_palette(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.get(FLAGS) {
        Some(flags) if flags & 0x80 == 0 && bytes.len() > HEADER => {
            let mut file = bytes[..HEADER].to_vec();
            file[FLAGS] = flags & 0x78 | 0x87;
            file.extend((0..=255).flat_map(|v| [v; 3]));
            file.extend_from_slice(&bytes[HEADER..]);
            Cow::Owned(file)
        }
        _ => Cow::Borrowed(bytes),
    }
}
