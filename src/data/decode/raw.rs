//! Cameras' RAW files, told from other TIFFs.

use std::io::{Read, Seek, SeekFrom};

/// Whether a TIFF-like file is a camera's RAW file: it says so (DNG, CR2), or begins with a preview
/// whose full images lie in directories below (NEF, ARW, PEF). One that begins with the sensor's
/// own samples is named by the decoder.
pub(crate) fn is_camera_raw(file: &mut (impl Read + Seek)) -> bool {
    const NEW_SUBFILE_TYPE: u64 = 254;
    const SUB_DIRECTORIES: u64 = 330;
    const DNG_VERSION: u64 = 50706;
    let mut look = || -> Option<bool> {
        let head = bytes::<16>(file, 0)?;
        let little = match &head[..4] {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return Some(false),
        };
        let number = |bytes: &[u8]| {
            let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
        };
        if &head[8..10] == b"CR" {
            return Some(true);
        }
        let at = number(&head[4..8]);
        let count = number(&bytes::<2>(file, at)?);
        let (mut is_preview, mut has_more) = (false, false);
        for i in 0..count.min(200) {
            let field = bytes::<12>(file, at + 2 + 12 * i)?;
            let value = number(if number(&field[2..4]) == 3 { &field[8..10] } else { &field[8..12] });
            match number(&field[..2]) {
                DNG_VERSION => return Some(true),
                NEW_SUBFILE_TYPE => is_preview = value & 1 == 1,
                SUB_DIRECTORIES => has_more = true,
                _ => {}
            }
        }
        Some(is_preview && has_more)
    };
    look().unwrap_or(false)
}

fn bytes<const N: usize>(file: &mut (impl Read + Seek), at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(at)).ok()?;
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A TIFF of one directory with these fields of one SHORT each.
    pub(super) fn tiff(fields: &[(u16, u16)]) -> Vec<u8> {
        let mut file = b"II*\0\x08\0\0\0".to_vec();
        file.extend((fields.len() as u16).to_le_bytes());
        for (tag, value) in fields {
            file.extend([tag.to_le_bytes(), 3_u16.to_le_bytes(), 1_u16.to_le_bytes(), [0; 2], value.to_le_bytes(), [0; 2]].concat());
        }
        file.extend([0; 4]);
        file
    }

    #[test]
    fn raw_files_of_cameras_are_told_from_other_tiffs() {
        let is_raw = |bytes: Vec<u8>| is_camera_raw(&mut Cursor::new(bytes));
        assert!(is_raw(tiff(&[(254, 0), (50706, 1)])), "a DNG");
        assert!(is_raw(tiff(&[(254, 1), (330, 8)])), "a preview in front");
        assert!(is_raw(b"II*\0\x10\0\0\0CR\x02\0\0\0\0\0".to_vec()), "a CR2");
        for other in [
            tiff(&[(254, 0), (262, 2), (330, 8)]),
            tiff(&[(254, 1)]),
            b"II*\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0".to_vec(),
            b"II*\0".to_vec(),
            vec![],
        ] {
            assert!(!is_raw(other));
        }
    }
}
