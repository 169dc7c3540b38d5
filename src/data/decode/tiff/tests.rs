use super::super::{Orientation, decode};
use super::*;

/// A file of one directory of numbers that fit beside their tags, in front of some data.
fn file(tags: &[(u16, u32)], data: &[u8]) -> Vec<u8> {
    let mut file = b"II*\0".to_vec();
    file.extend((8 + data.len() as u32).to_le_bytes());
    file.extend(data);
    file.extend((tags.len() as u16).to_le_bytes());
    for &(tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend([4, 0, 1, 0, 0, 0]);
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file
}

/// Tags of a gray image of eight bits in one strip, with some changed.
fn gray(width: u32, height: u32, changes: &[(u16, u32)]) -> Vec<(u16, u32)> {
    let mut tags = vec![(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, width)];
    for &(tag, value) in changes {
        tags.retain(|&(other, _)| other != tag);
        tags.push((tag, value));
    }
    tags
}

fn refusal(tags: &[(u16, u32)]) -> String {
    decode(&file(tags, &[7; 64]), "scan.tif", Orientation::AsStored).unwrap_err().to_string()
}

#[test]
fn a_kind_that_is_not_read_is_named() {
    for (changes, named) in [
        (&[(259, 50000)][..], "compressed with Zstandard"),
        (&[(259, 34925)], "compressed with LZMA"),
        (&[(259, 4711)], "compressed with method 4711"),
        (&[(258, 64), (339, 3)], "64-bit floating point gray"),
        (&[(262, 2), (277, 3), (258, 32)], "32-bit unsigned RGB of 3 samples"),
        (&[(262, 2)], "RGB of 1 samples"),
        (&[(262, 32803)], "raw samples of a camera's sensor"),
        (&[(262, 99)], "colours of kind 99"),
        (&[(277, 1000)], "1000 samples a pixel"),
        (&[(259, 8)], "damaged"),
    ] {
        let text = refusal(&gray(8, 8, changes));
        assert!(text.starts_with("scan.tif: ") && text.contains(named), "{named}: {text}");
    }
}

#[test]
fn a_few_bytes_do_not_ask_for_much_memory() {
    for (changes, named) in [
        (&[(256, 1 << 20), (257, 1 << 20)][..], "more than the"),
        (&[(256, 10_000), (257, 10_000)], "ends too early"),
        (&[(277, 16), (262, 2), (256, 13_000), (257, 13_000)], "too large to be unpacked"),
    ] {
        let text = refusal(&gray(8, 8, changes));
        assert!(text.contains(named), "{named}: {text}");
    }
    let mut tiles = gray(8, 8, &[(322, u32::MAX), (323, u32::MAX), (324, 8)]);
    tiles.retain(|&(tag, _)| tag != 273);
    let text = refusal(&tiles);
    assert!(text.contains("too large to be unpacked"), "{text}");
}

#[test]
fn a_directory_that_lacks_what_it_needs_is_refused() {
    assert!(refusal(&[]).contains("has no pixels"));
    assert!(refusal(&gray(8, 8, &[(273, 4000)])).contains("ends too early"));
    assert!(decode(b"II*\0\xff\xff\xff\xff", "scan.tif", Orientation::AsStored).unwrap_err().to_string().contains("no directory"));
    assert!(pixels(&file(&gray(8, 8, &[]), &[7; 64])).is_ok());
}
