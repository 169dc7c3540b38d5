//! Words for counts of things.

use crate::text::visible;

/// The first few names, each on one line whatever it holds, and how many more there are.
pub(crate) fn name_some<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names.take(SHOWN).map(visible).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_forges_no_line() {
        assert_eq!(name_some(["x\nerror: fake.jpg", "a\tb"].into_iter()), "x\\nerror: fake.jpg, a\\tb");
    }
}
