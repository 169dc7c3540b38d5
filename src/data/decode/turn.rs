//! The turn that a camera wrote beside the pixels, found where Pillow's `ImageOps.exif_transpose`
//! finds it: in EXIF data, else in an XMP packet.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation as Turn;
use image::{DynamicImage, ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};

use super::ifd::Directory;
use super::sniff::sniff;
use crate::data::Pixels;

/// What to do with the orientation that a camera wrote into the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Leave the pixels as they are stored, like Pillow and torchvision.
    #[default]
    AsStored,
    /// Turn and mirror the image as its EXIF data says.
    Exif,
}

impl Orientation {
    /// Its name in cache keys and in the metadata of models.
    pub const fn name(self) -> &'static str {
        match self {
            Orientation::AsStored => "as-stored",
            Orientation::Exif => "exif",
        }
    }
}

/// TIFF's tag of the orientation, and of an XMP packet.
const ORIENTATION: u16 = 274;
const XMP: u16 = 700;
/// Bytes that a compressed text in a PNG may have: Pillow's limit.
const LONGEST_TEXT: u64 = 1 << 20;

/// How an image file asks to be turned and mirrored before it is looked at. Reads the file's
/// headers only, no pixels.
///
/// This is what [`Orientation::Exif`](Orientation::Exif) follows and
/// [`Orientation::AsStored`](Orientation::AsStored) leaves out. A TIFF asks for nothing: it is
/// turned in either way, as in Pillow.
pub(crate) fn recorded_turn(bytes: &[u8]) -> Turn {
    let notes = match sniff(bytes) {
        Some(ImageFormat::Jpeg) => Notes::of_jpeg(bytes),
        Some(ImageFormat::Png) => Notes::of_png(bytes),
        Some(ImageFormat::WebP) => Notes::of_webp(bytes),
        _ => Notes::default(),
    };
    notes.turn()
}

/// The turn of a TIFF file, whose first directory this is.
pub(super) fn turn_of_tiff(directory: &Directory<'_>) -> Turn {
    turn(directory.first_number(ORIENTATION), directory.data(XMP))
}

/// An orientation that EXIF data names, even a meaningless one, stands before that of XMP.
fn turn(exif: Option<u64>, xmp: Option<&[u8]>) -> Turn {
    let number = exif.or_else(|| xmp.and_then(number_in_xmp));
    number.and_then(|n| u8::try_from(n).ok()).and_then(Turn::from_exif).unwrap_or(Turn::NoTransforms)
}

/// The digit of the first `tiff:Orientation="6"` or `<tiff:Orientation>6<`.
fn number_in_xmp(packet: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).find_map(|(at, _)| {
        let rest = &packet[at + NAME.len()..];
        let digit = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?.first()?;
        digit.is_ascii_digit().then(|| u64::from(digit - b'0'))
    })
}

/// What a file says beside its pixels.
#[derive(Default)]
struct Notes<'a> {
    /// EXIF data, with or without its `Exif\0\0`.
    exif: Option<Cow<'a, [u8]>>,
    /// An XMP packet.
    xmp: Option<Cow<'a, [u8]>>,
}

impl<'a> Notes<'a> {
    fn turn(&self) -> Turn {
        let exif = self.exif.as_deref().and_then(|exif| {
            // Some writers put the prefix twice.
            let once = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
            Directory::first(once.strip_prefix(b"Exif\0\0").unwrap_or(once))?.first_number(ORIENTATION)
        });
        turn(exif, self.xmp.as_deref())
    }

    fn of_jpeg(bytes: &'a [u8]) -> Notes<'a> {
        let mut notes = Notes::default();
        for data in app1_segments(bytes) {
            if let Some(more) = data.strip_prefix(b"Exif\0\0") {
                // Long EXIF data goes on in the next segment.
                match &mut notes.exif {
                    Some(exif) => exif.to_mut().extend_from_slice(more),
                    None => notes.exif = Some(Cow::Borrowed(more)),
                }
            } else if let Some(packet) = data.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                notes.xmp = Some(Cow::Borrowed(packet));
            }
        }
        notes
    }

    fn of_png(bytes: &'a [u8]) -> Notes<'a> {
        let mut notes = Notes::default();
        let mut raw_profile = None;
        for (name, data) in png_chunks(bytes) {
            match &name {
                b"eXIf" => notes.exif = Some(Cow::Borrowed(data)),
                b"iTXt" => notes.xmp = xmp_of_text(data).or(notes.xmp),
                b"zTXt" | b"tEXt" => raw_profile = raw_profile_of_text(data, name == *b"zTXt").or(raw_profile),
                _ => {}
            }
        }
        notes.exif = notes.exif.or(raw_profile.map(Cow::Owned));
        notes
    }

    fn of_webp(bytes: &'a [u8]) -> Notes<'a> {
        let mut notes = Notes::default();
        let Some(flags) = bytes.get(20).filter(|_| bytes.get(12..16) == Some(b"VP8X")) else { return notes };
        for (name, data) in webp_chunks(bytes) {
            match &name {
                b"EXIF" if flags & 8 != 0 => notes.exif = notes.exif.or(Some(Cow::Borrowed(data))),
                b"XMP " if flags & 4 != 0 => notes.xmp = notes.xmp.or(Some(Cow::Borrowed(data))),
                _ => {}
            }
        }
        notes
    }
}

/// The data of a JPEG's APP1 segments before its first scan.
fn app1_segments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 2;
    std::iter::from_fn(move || {
        loop {
            at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
            at += bytes[at..].iter().position(|&byte| byte != 0xFF)?;
            let marker = bytes[at];
            at += 1;
            match marker {
                0xDA => return None,
                // These stand alone; all others are followed by their length, which counts itself.
                0x00 | 0x01 | 0xD0..=0xD9 => continue,
                _ => {}
            }
            let length = u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?) as usize;
            let data = bytes.get(at + 2..at + length.max(2))?;
            at += length.max(2);
            if marker == 0xE1 {
                return Some(data);
            }
        }
    })
}

/// Name and data of a PNG's chunks, those behind its pixels as well.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut at = 8_usize;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
        let name = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let data = bytes.get(at + 8..at + 8 + length)?;
        at += length + 12;
        Some((name, data))
    })
}

/// Name and data of a WebP's chunks.
pub(super) fn webp_chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut at = 12_usize;
    std::iter::from_fn(move || {
        let name = bytes.get(at..at + 4)?.try_into().ok()?;
        let length = u32::from_le_bytes(bytes.get(at + 4..at + 8)?.try_into().ok()?) as usize;
        let data = bytes.get(at + 8..at + 8 + length)?;
        at += 8 + length + length % 2;
        Some((name, data))
    })
}

/// The XMP packet of a PNG's `iTXt` chunk: name, compressed or not, method, language, translated
/// name, text.
fn xmp_of_text(data: &[u8]) -> Option<Cow<'_, [u8]>> {
    let rest = data.strip_prefix(b"XML:com.adobe.xmp\0")?;
    let (&[compressed, method], rest) = rest.split_first_chunk::<2>()?;
    let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
    match (compressed, method) {
        (0, _) => Some(Cow::Borrowed(text)),
        (_, 0) => inflate(text).map(Cow::Owned),
        _ => None,
    }
}

/// EXIF data as ImageMagick writes it: hexadecimal digits, behind three lines about them, in a text
/// chunk that may be compressed.
fn raw_profile_of_text(data: &[u8], compressed: bool) -> Option<Vec<u8>> {
    let text = data.strip_prefix(b"Raw profile type exif\0")?;
    let text = if compressed { Cow::Owned(inflate(text.strip_prefix(b"\0")?)?) } else { Cow::Borrowed(text) };
    let lines = text.split(|&byte| byte == b'\n').skip(3);
    let digits: Vec<u8> = lines.flatten().map(|&byte| (byte as char).to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = vec![];
    ZlibDecoder::new(data).take(LONGEST_TEXT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The image as a viewer shows it.
pub(super) fn turned(pixels: Pixels, turn: Turn) -> Result<Pixels, String> {
    if turn == Turn::NoTransforms {
        return Ok(pixels);
    }
    let image = RgbImage::from_raw(pixels.width as u32, pixels.height as u32, pixels.rgb).ok_or("has less data than pixels")?;
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(turn);
    Ok(Pixels { width: image.width() as usize, height: image.height() as usize, rgb: image.into_rgb8().into_raw() })
}
