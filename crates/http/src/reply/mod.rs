//! What responses are made of.

pub(crate) mod code;
pub(crate) mod encoding;
pub(crate) mod etag;
pub(crate) mod list;
pub(crate) mod made;
pub(crate) mod problem;
pub(crate) mod refusals;
