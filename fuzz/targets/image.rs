//! Image files of every format. Decoders of others may give up on an image, which is caught; a panic in headstart's own code is not.
#![no_main]

use std::io::Cursor;
use std::panic;

use headstart::data::{Orientation, decode};
use image::ImageReader;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Larger images are slow rather than wrong.
const MANY: u64 = 1 << 21;

fuzz_target!(
    init: {
        let abort = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |place| place.file());
            if !file.contains("/registry/") && !file.contains("/rustc/") && !file.contains("/library/") {
                abort(info);
            }
        }));
    },
    |data: &[u8]| -> Corpus {
        if !panic::catch_unwind(|| pixels(data)).is_ok_and(|n| n <= MANY) {
            return Corpus::Reject;
        }
        for orientation in [Orientation::AsStored, Orientation::Exif] {
            if let Ok(pixels) = decode(data, "image", orientation) {
                assert_eq!(pixels.rgb.len(), pixels.width * pixels.height * 3);
            }
        }
        Corpus::Keep
    }
);

/// The most pixels that the header may mean.
fn pixels(data: &[u8]) -> u64 {
    let in_frame = data.windows(9).filter(|w| w[0] == 0xFF && (0xC0..=0xC2).contains(&w[1]));
    let of_frame = |w: &[u8]| u64::from(u16::from_be_bytes([w[5], w[6]])) * u64::from(u16::from_be_bytes([w[7], w[8]]));
    if data.starts_with(b"\xff\xd8") {
        return in_frame.map(of_frame).max().unwrap_or(0);
    }
    let reader = ImageReader::new(Cursor::new(data)).with_guessed_format().ok();
    reader.and_then(|r| r.into_dimensions().ok()).map_or(0, |(width, height)| u64::from(width) * u64::from(height))
}
