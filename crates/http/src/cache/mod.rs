//! Responses that are kept for a moment and shown to all who ask for the same.

pub(crate) mod catalog_reads;
pub(crate) mod freshness_marks;
mod read_cache;
pub(crate) mod seat_maps;
