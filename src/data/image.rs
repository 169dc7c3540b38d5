//! One image, in any of the forms in which a program may have it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::local::read_file;
use super::{ImageSource, Pixels};
use crate::{Error, Result};

/// An image to compute with: a file, an entry of an [`ImageSource`], an encoded file in memory, or
/// decoded pixels.
///
/// ```
/// use headstart::data::{Image, Pixels};
///
/// let file = Image::from("photos/cat.jpg");
/// let encoded = Image::from(vec![0xFF, 0xD8, 0xFF]);
/// let decoded = Image::from(Pixels::new(2, 1, vec![255, 0, 0, 0, 255, 0])?);
/// assert_eq!(file.name(), "photos/cat.jpg");
/// assert_eq!(decoded.decode()?.rgb, [255, 0, 0, 0, 255, 0]);
/// assert!(encoded.decode().is_err(), "three bytes are not a JPEG");
/// # Ok::<(), headstart::Error>(())
/// ```
#[derive(Clone)]
pub enum Image<'a> {
    /// An image file.
    Path(Cow<'a, Path>),
    /// An entry of a source, by its URI.
    Uri {
        /// The source that reads it.
        source: &'a dyn ImageSource,
        /// Its identity there.
        uri: Cow<'a, str>,
    },
    /// The bytes of an image file: JPEG, PNG, WebP, BMP, GIF or TIFF.
    Encoded(Cow<'a, [u8]>),
    /// Decoded pixels.
    Pixels(Cow<'a, Pixels>),
}

impl Image<'_> {
    /// Its name in messages: its path, the source's words for it, or `image in memory`.
    pub fn name(&self) -> String {
        match self {
            Image::Path(path) => path.display().to_string(),
            Image::Uri { source, uri } => source.locate(uri),
            Image::Encoded(_) | Image::Pixels(_) => "image in memory".into(),
        }
    }

    /// The bytes of its file. Pixels become an uncompressed BMP: so they have a digest like any
    /// other image, and one way through the decoder.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        Ok(match self {
            Image::Path(path) => read_file(path)?.into(),
            Image::Uri { source, uri } => source.read(uri)?.into(),
            Image::Encoded(bytes) => Cow::Borrowed(bytes),
            Image::Pixels(pixels) => bitmap(pixels).into(),
        })
    }

    /// Its pixels as stored, whatever its EXIF orientation says.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not an image.
    pub fn decode(&self) -> Result<Pixels> {
        super::decode(&self.bytes()?, &self.name(), super::Orientation::AsStored)
    }

    /// The image, owning what it holds, where that does not lie in a source.
    pub(super) fn into_owned(self) -> Result<Image<'static>> {
        Ok(match self {
            Image::Path(path) => Image::Path(path.into_owned().into()),
            Image::Uri { source, uri } => Image::Encoded(source.read(&uri)?.into()),
            Image::Encoded(bytes) => Image::Encoded(bytes.into_owned().into()),
            Image::Pixels(pixels) => Image::Pixels(Cow::Owned(pixels.into_owned())),
        })
    }
}

impl fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({})", self.name())
    }
}

impl<'a> From<&'a Path> for Image<'a> {
    fn from(path: &'a Path) -> Self {
        Image::Path(path.into())
    }
}

impl<'a> From<&'a PathBuf> for Image<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Image::Path(path.into())
    }
}

impl From<PathBuf> for Image<'_> {
    fn from(path: PathBuf) -> Self {
        Image::Path(path.into())
    }
}

/// A path.
impl<'a> From<&'a str> for Image<'a> {
    fn from(path: &'a str) -> Self {
        Image::Path(Path::new(path).into())
    }
}

/// An encoded file.
impl<'a> From<&'a [u8]> for Image<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Image::Encoded(bytes.into())
    }
}

/// An encoded file.
impl From<Vec<u8>> for Image<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Image::Encoded(bytes.into())
    }
}

impl<'a> From<&'a Pixels> for Image<'a> {
    fn from(pixels: &'a Pixels) -> Self {
        Image::Pixels(Cow::Borrowed(pixels))
    }
}

impl From<Pixels> for Image<'_> {
    fn from(pixels: Pixels) -> Self {
        Image::Pixels(Cow::Owned(pixels))
    }
}

impl Pixels {
    /// Pixels of `height · width · 3` bytes, red, green, blue, row by row from the top.
    ///
    /// # Errors
    /// Another number of bytes, or no pixel at all.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Pixels> {
        let wanted = width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3));
        if wanted != Some(rgb.len()) || rgb.is_empty() {
            let problem = format!("{} bytes are not the pixels of an RGB image of {width}×{height}", rgb.len());
            return Err(Error::setting(problem, "give three bytes a pixel, row by row, and at least one pixel"));
        }
        Ok(Pixels { width, height, rgb })
    }
}

/// A BMP of 24 bits a pixel, from the top down.
fn bitmap(pixels: &Pixels) -> Vec<u8> {
    const HEADERS: u32 = 54;
    let stride = (3 * pixels.width).next_multiple_of(4);
    let mut bytes = Vec::with_capacity(HEADERS as usize + stride * pixels.height);
    let size = (HEADERS as usize + stride * pixels.height) as u32;
    bytes.extend(b"BM");
    // File header: size, reserved, start of the pixels. Bitmap header: its size, width, height
    // (negative: from the top), planes, bits, no compression.
    [size, 0, HEADERS, 40, pixels.width as u32].iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    bytes.extend((-(pixels.height as i32)).to_le_bytes());
    [1u16, 24].iter().for_each(|field| bytes.extend(field.to_le_bytes()));
    bytes.resize(HEADERS as usize, 0);
    for row in pixels.rgb.chunks_exact((3 * pixels.width).max(1)) {
        let end = bytes.len() + stride;
        bytes.extend(row.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]));
        bytes.resize(end, 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_come_back_from_their_bitmap_to_the_byte() {
        for (width, height) in [(1, 1), (2, 3), (3, 2), (4, 4), (5, 7), (33, 2)] {
            let rgb: Vec<u8> = (0..width * height * 3).map(|i| (i * 37 + 11) as u8).collect();
            let pixels = Pixels::new(width, height, rgb).unwrap();
            assert_eq!(Image::from(&pixels).decode().unwrap(), pixels, "{width}×{height}");
        }
    }

    #[test]
    fn pixels_of_another_number_are_refused() {
        for (width, height, bytes) in [(2, 2, 11), (0, 0, 0), (usize::MAX, 2, 6)] {
            assert!(Pixels::new(width, height, vec![0; bytes]).unwrap_err().is_unusable_input());
        }
    }

    #[test]
    fn a_path_that_is_not_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Image::from(folder.path()).bytes().unwrap_err().to_string();
        assert!(error.contains("is not a file") && error.contains(&folder.path().display().to_string()), "{error}");
    }
}
