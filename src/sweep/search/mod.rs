pub(crate) mod conflicts;
pub(crate) mod halving;
pub(crate) mod plan;
pub(crate) mod tpe;
