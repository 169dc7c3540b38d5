//! Fax compression in all four ways, lenient to damaged codes as libtiff is. The code tables are
//! the `fax` crate's, whose own decoders know neither group 3 in two dimensions nor rows without a
//! mark at their end.

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, slice_reader};

use super::layout::Compression;

/// Rows of packed bits, black ones set. What is missing at the end stays white.
pub(super) fn unpack(data: &[u8], width: usize, rows: usize, compression: Compression) -> Vec<u8> {
    // The tables look ahead further than the last code reaches.
    let padded = [data, &[0; 4]].concat();
    let mut reader = slice_reader(&padded);
    let row_bytes = width.div_ceil(8);
    let mut bits = vec![0; row_bytes * rows];
    let mut above = vec![];
    let marked = matches!(compression, Compression::Group3 { .. }) && skip_to_mark(&mut slice_reader(&padded)).is_some();
    for row in bits.chunks_exact_mut(row_bytes.max(1)) {
        let mut changes = vec![];
        let whole = match compression {
            Compression::Group4 => two_dimensional(&mut reader, width, &above, &mut changes),
            Compression::Group3 { two_dimensional: two } => {
                if marked && skip_to_mark(&mut reader).is_none() {
                    break;
                }
                let flat = !two || take_bit(&mut reader);
                if flat {
                    one_dimensional(&mut reader, width, &mut changes)
                } else {
                    two_dimensional(&mut reader, width, &above, &mut changes)
                };
                // The next mark shows where to go on.
                Some(())
            }
            _ => {
                let odd = reader.bits_to_byte_boundary();
                let _ = reader.consume(odd);
                one_dimensional(&mut reader, width, &mut changes)
            }
        };
        for pair in changes.chunks(2) {
            let until = pair.get(1).copied().unwrap_or(width);
            (pair[0]..until).for_each(|x| row[x / 8] |= 0x80 >> (x % 8));
        }
        if whole.is_none() {
            break;
        }
        above = changes;
    }
    bits
}

fn take_bit(reader: &mut impl BitReader) -> bool {
    let bit = reader.peek(1) == Some(1);
    let _ = reader.consume(1);
    bit
}

/// Passes over everything up to the next mark of a row's end: eleven zeros, perhaps more, and a
/// one.
fn skip_to_mark(reader: &mut impl BitReader) -> Option<()> {
    while reader.peek(11)? != 0 {
        reader.consume(1).ok()?;
    }
    while reader.peek(1)? == 0 {
        reader.consume(1).ok()?;
    }
    reader.consume(1).ok()
}

/// A run of one colour: codes of multiples of 64, and one of the rest.
fn run(reader: &mut impl BitReader, dark: bool) -> Option<usize> {
    let mut length = 0;
    loop {
        let code = if dark { black::decode(reader)? } else { white::decode(reader)? };
        length += usize::from(code);
        if code < 64 {
            return Some(length);
        }
    }
}

/// A row of runs, white first; `changes` gets the places where the colour changes.
fn one_dimensional(reader: &mut impl BitReader, width: usize, changes: &mut Vec<usize>) -> Option<()> {
    let (mut at, mut dark) = (0, false);
    while at < width {
        at = (at + run(reader, dark)?).min(width);
        changes.push(at);
        dark = !dark;
    }
    Some(())
}

/// A row that is told by how it differs from the one above.
fn two_dimensional(reader: &mut impl BitReader, width: usize, above: &[usize], changes: &mut Vec<usize>) -> Option<()> {
    let (mut at, mut dark, mut started) = (0, false, false);
    let mut next = 0;
    while at < width {
        // The first change above that lies to the right and is to the other colour; places only
        // grow, but for a step back of three.
        next = usize::min(next, above.len()).saturating_sub(2);
        while above.get(next).is_some_and(|&change| change < at || change == at && started || next % 2 != usize::from(dark)) {
            next += 1;
        }
        let change = |i: usize| above.get(i).copied().unwrap_or(width);
        match mode::decode(reader)? {
            Mode::Pass => at = change(next + 1),
            Mode::Vertical(by) => {
                let place = change(next).checked_add_signed(isize::from(by)).filter(|&place| place >= at)?;
                at = place.min(width);
                changes.push(at);
                dark = !dark;
            }
            Mode::Horizontal => {
                for dark in [dark, !dark] {
                    at = (at + run(reader, dark)?).min(width);
                    changes.push(at);
                }
            }
            Mode::Extension | Mode::EOF => return None,
        }
        started = true;
    }
    Some(())
}
