pub(crate) mod output;
pub(crate) mod record;
pub(crate) mod result;
