//! Extraction with an engine whose features depend on the batch that an image is in: batches that
//! are cut differently are found out.

mod change;
mod device;
mod fixture;
mod interrupt;
mod parts;
mod refuse;
mod sick;
