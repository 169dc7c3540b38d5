pub(crate) mod names;
pub(crate) mod source;
pub(crate) mod splits;
