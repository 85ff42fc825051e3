//! JSON pointers (RFC 6901) to what is wrong in a body.

use serde_path_to_error::{Path, Segment};

pub(crate) fn of_path(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } | Segment::Enum { variant: key } => push(&mut pointer, key),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Adds a step.
pub(crate) fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// Adds a step unless the pointer ends with it.
pub(crate) fn push_if_missing(pointer: &mut String, step: &str) {
    let mut last = String::new();
    push(&mut last, step);
    if !pointer.ends_with(&last) {
        pointer.push_str(&last);
    }
}
