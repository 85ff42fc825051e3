//! What responses are made of.

mod code;
pub(crate) mod cursor;
pub(crate) mod encoding;
pub(crate) mod etag;
mod list;
mod made;
mod mirror;
mod problem;
mod refusals;

pub use code::Code;
pub(crate) use cursor::decode;
pub(crate) use etag::{CacheScope, NotModified, Tagged};
pub(crate) use list::ListResponse;
pub(crate) use made::{IDEMPOTENCY_REPLAYED, made};
pub(crate) use mirror::mirror;
pub(crate) use problem::{Members, PROBLEM_JSON, Problem, ProblemDocument, Violation, problem_from};
pub(crate) use refusals::{CODES, OWN_CODES, documented, header, refusals, sets};
