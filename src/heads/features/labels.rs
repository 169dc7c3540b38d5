//! The classes of each row.

/// The classes of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Labels {
    /// Exactly one class per row.
    One(Vec<u32>),
    /// Any number of classes per row.
    Many(Vec<Vec<u32>>),
}

impl Labels {
    /// [`Labels::One`] if every row has exactly one class, else [`Labels::Many`].
    pub fn new(labels: Vec<Vec<u32>>) -> Labels {
        if labels.iter().all(|l| l.len() == 1) { Labels::One(labels.iter().map(|l| l[0]).collect()) } else { Labels::Many(labels) }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Labels::One(l) => l.len(),
            Labels::Many(l) => l.len(),
        }
    }

    /// Whether the number of rows is 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes of one row.
    pub fn of(&self, row: usize) -> &[u32] {
        match self {
            Labels::One(l) => std::slice::from_ref(&l[row]),
            Labels::Many(l) => &l[row],
        }
    }

    /// Whether rows may have several classes.
    pub fn are_many(&self) -> bool {
        matches!(self, Labels::Many(_))
    }
}
