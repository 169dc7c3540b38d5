//! The format of a file, by its content; for other files, a name for their kind.

use super::file::Problem;

/// Formats that can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Safetensors,
    /// A zip: PyTorch 1.6 and later, or Keras 3.
    Zip,
    /// PyTorch before 1.6: pickles, then storages.
    LegacyTorch,
    Hdf5,
}

const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
/// The pickled number that opens every legacy file: PROTO 2, LONG1 of ten bytes, STOP.
const LEGACY_TORCH: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// Recognises the format.
pub(super) fn format(bytes: &[u8]) -> Result<Format, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new("the file is empty", "get it again: the download did not even start"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::Zip);
    }
    // An HDF5 file may carry a user block of 512, 1024, … bytes before its signature.
    if std::iter::once(0).chain((9..20).map(|n| 1 << n)).any(|at| bytes.get(at..).is_some_and(|b| b.starts_with(HDF5))) {
        return Ok(Format::Hdf5);
    }
    if bytes.first() == Some(&0x80) && bytes.get(2..).is_some_and(|b| b.starts_with(LEGACY_TORCH)) {
        return Ok(Format::LegacyTorch);
    }
    if looks_like_safetensors(bytes) {
        return Ok(Format::Safetensors);
    }
    Err(stranger(bytes))
}

/// A header length that is followed by JSON. The file may be cut short, even inside the header.
fn looks_like_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|b| u64::from_le_bytes(*b));
    length.is_some_and(|n| (2..1 << 32).contains(&n)) && bytes.get(8) == Some(&b'{')
}

/// The kind of a file that does not hold weights.
fn stranger(bytes: &[u8]) -> Problem {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"version https://git-lfs") {
        let hint = "it stands for a file that Git LFS stores elsewhere: run `git lfs pull` in that repository, or download the file itself";
        return Problem::new("a Git LFS pointer, not the weights themselves", hint);
    }
    if text.starts_with(b"<") {
        let hint = "the server answered with a page (a login, a warning, an error) instead of the file: open the address in a browser, then save the file again";
        return Problem::new("an HTML or XML page, not a weights file", hint);
    }
    let packed = match bytes {
        [0x1F, 0x8B, ..] => Some("gzip"),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => Some("xz"),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Some("zstd"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        _ if bytes.get(257..262) == Some(b"ustar") => Some("tar"),
        _ => None,
    };
    if let Some(packed) = packed {
        return Problem::new(format!("packed with {packed}"), "unpack it and give the file inside");
    }
    if bytes.first() == Some(&0x80) {
        return Problem::new(
            "a Python pickle that torch.save did not write",
            "load it in Python, then save a plain state dict with `torch.save` or `safetensors`",
        );
    }
    Problem::new(
        "no weights file of a known format",
        "safetensors, PyTorch's .pth and Keras's .h5 and .keras files are read, whatever they are called",
    )
}
