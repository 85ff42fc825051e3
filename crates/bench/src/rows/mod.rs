//! What is measured. Each part compares within itself, in rounds that alternate.

pub(crate) mod growth;
pub(crate) mod holds;
pub(crate) mod instances;
pub(crate) mod line;
pub(crate) mod lone;
pub(crate) mod money;
pub(crate) mod purchase;
pub(crate) mod reads;
pub(crate) mod start;
