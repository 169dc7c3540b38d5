pub(crate) mod config;
pub(crate) mod domain;
pub(crate) mod fields;
pub(crate) mod space;
pub(crate) mod yaml;
