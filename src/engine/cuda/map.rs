//! Layout of a value on the device: channels last.

/// Shape of a value as it lies in memory: a vector is a map of one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Map {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Channels that a pixel has room for.
    pub stored: usize,
}

impl Map {
    /// The map of a value, without room to spare.
    pub(super) fn of(shape: &[usize]) -> Map {
        let (channels, rows, columns) = match *shape {
            [c, h, w] => (c, h, w),
            _ => (shape.iter().product(), 1, 1),
        };
        Map { channels, rows, columns, stored: channels }
    }

    /// Pixels of an image.
    pub(super) fn pixels(&self) -> usize {
        self.rows * self.columns
    }
}
