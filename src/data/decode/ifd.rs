//! Directories of TIFF files, and of EXIF data, which is one in small: tags and their values, found
//! and passed over as Pillow does.

/// The first directory of a file: where it lies, and its tags.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    /// Whether the most significant byte of a number comes first.
    pub big_endian: bool,
    entries: Vec<Entry<'a>>,
}

/// A tag with the bytes of its values.
struct Entry<'a> {
    tag: u16,
    kind: Kind,
    data: &'a [u8],
}

/// How the values of a tag are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Numbers without a sign, of 2, 4 or 8 bytes.
    Unsigned(usize),
    /// Fractions of two such numbers of 4 bytes each.
    Fraction,
    /// Anything else that is known, by the bytes of a value.
    Other(usize),
}

impl Kind {
    fn of(code: u16) -> Option<Kind> {
        Some(match code {
            3 => Kind::Unsigned(2),
            4 | 13 => Kind::Unsigned(4),
            16 => Kind::Unsigned(8),
            1 | 2 | 6 | 7 => Kind::Other(1),
            // Signed numbers: where one counts or points at something, it is not below zero.
            8 => Kind::Unsigned(2),
            9 => Kind::Unsigned(4),
            11 => Kind::Other(4),
            5 => Kind::Fraction,
            10 | 12 => Kind::Other(8),
            _ => return None,
        })
    }

    const fn bytes(self) -> usize {
        match self {
            Kind::Unsigned(n) | Kind::Other(n) => n,
            Kind::Fraction => 8,
        }
    }
}

/// Whether a file begins as a TIFF or BigTIFF does, the two mixed-up spellings that Pillow takes as
/// well included.
pub(super) fn is_tiff(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+"].iter().any(|magic| head.starts_with(*magic))
}

impl<'a> Directory<'a> {
    /// Reads the first directory; nothing where there is none. A directory that is cut short keeps
    /// the tags before the cut.
    pub(super) fn first(bytes: &'a [u8]) -> Option<Directory<'a>> {
        if !is_tiff(bytes) {
            return None;
        }
        let mut directory = Directory { bytes, big_endian: bytes.starts_with(b"MM"), entries: vec![] };
        let big = bytes[2] == 43 || bytes[3] == 43;
        let at = if big { directory.number_at(8, 8)? } else { directory.number_at(4, 4)? };
        directory.read(usize::try_from(at).ok()?, big)?;
        Some(directory)
    }

    /// Reads the entries at `at`; nothing where not even their count is there.
    fn read(&mut self, at: usize, big: bool) -> Option<()> {
        let (word, step) = if big { (8, 20) } else { (4, 12) };
        let width_of_count = if big { 8 } else { 2 };
        let count = self.number_at(at, width_of_count)?;
        let mut at = at.checked_add(width_of_count)?;
        // Values outside the entries may overlap, but no more of them are believed than the file
        // has bytes.
        let mut outside = 0_usize;
        for _ in 0..count {
            let Some(entry) = self.bytes.get(at..at.saturating_add(step)) else { break };
            let tag = self.number(&entry[..2]) as u16;
            let kind = Kind::of(self.number(&entry[2..4]) as u16);
            let values = self.number(&entry[4..4 + word]);
            let inline = &entry[4 + word..];
            at += step;
            let Some(kind) = kind.filter(|_| self.find(tag).is_none()) else { continue };
            let size = usize::try_from(values).unwrap_or(usize::MAX).saturating_mul(kind.bytes());
            let data = if size <= word {
                &inline[..size]
            } else {
                outside = outside.saturating_add(size);
                if outside > self.bytes.len() {
                    continue;
                }
                let from = usize::try_from(self.number(inline)).unwrap_or(usize::MAX);
                let Some(data) = self.bytes.get(from..from.saturating_add(size)) else { break };
                data
            };
            if !data.is_empty() {
                self.entries.push(Entry { tag, kind, data });
            }
        }
        Some(())
    }

    fn find(&self, tag: u16) -> Option<&Entry<'a>> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The bytes of a tag's values, whatever they are.
    pub(super) fn data(&self, tag: u16) -> Option<&'a [u8]> {
        self.find(tag).map(|entry| entry.data)
    }

    /// The whole numbers of a tag; nothing where it is not there or holds something else.
    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let entry = self.find(tag)?;
        let Kind::Unsigned(width) = entry.kind else { return None };
        Some(entry.data.chunks_exact(width).map(|value| self.number(value)).collect())
    }

    /// The first of a tag's whole numbers.
    pub(super) fn first_number(&self, tag: u16) -> Option<u64> {
        let entry = self.find(tag)?;
        let Kind::Unsigned(width) = entry.kind else { return None };
        entry.data.get(..width).map(|value| self.number(value))
    }

    /// The fractions of a tag, as far as they are any.
    pub(super) fn fractions(&self, tag: u16) -> Option<Vec<f32>> {
        let entry = self.find(tag).filter(|entry| entry.kind == Kind::Fraction)?;
        let fraction = |value: &[u8]| self.number(&value[..4]) as f32 / self.number(&value[4..]) as f32;
        Some(entry.data.chunks_exact(8).map(fraction).collect())
    }

    fn number_at(&self, at: usize, width: usize) -> Option<u64> {
        self.bytes.get(at..at.checked_add(width)?).map(|value| self.number(value))
    }

    fn number(&self, bytes: &[u8]) -> u64 {
        let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
    }
}
