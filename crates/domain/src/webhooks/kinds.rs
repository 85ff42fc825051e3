//! Which kinds of events a webhook gets.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// The most patterns of one webhook.
pub const KIND_PATTERNS_MAX: usize = 20;
/// The most characters of a pattern.
pub const KIND_PATTERN_CHARACTERS_MAX: usize = 64;

/// Which kinds of events a webhook gets: 1 to 20 patterns. A pattern is a kind, such as `reservation.held`, all kinds of a
/// group, `reservation.*`, or all events, `*`. Kinds that do not exist yet may be named.
///
/// ```
/// use boxoffice_domain::webhooks::EventKinds;
/// let kinds = EventKinds::new(["payment.*", "reservation.held"])?;
/// assert!(kinds.include("payment.refunded") && kinds.include("reservation.held"));
/// assert!(!kinds.include("reservation.expired"));
/// # Ok::<(), boxoffice_domain::webhooks::InvalidEventKinds>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Vec<String>", into = "Vec<String>"))]
pub struct EventKinds(Vec<String>);

/// Why patterns are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEventKinds {
    /// There are none, or too many.
    #[error("a webhook has 1 to {KIND_PATTERNS_MAX} kinds")]
    Count,
    /// One of them is no pattern.
    #[error(
        "a kind is `GROUP.WHAT`, `GROUP.*` or `*`, of lower-case letters and `_`, at most {KIND_PATTERN_CHARACTERS_MAX}"
    )]
    Pattern,
}

impl EventKinds {
    /// Checks patterns. One that is there twice is kept once.
    pub fn new<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Result<Self, InvalidEventKinds> {
        let mut kept: Vec<String> = Vec::new();
        for (index, pattern) in patterns.into_iter().map(Into::into).enumerate() {
            if index >= KIND_PATTERNS_MAX {
                return Err(InvalidEventKinds::Count);
            }
            if !is_pattern(&pattern) {
                return Err(InvalidEventKinds::Pattern);
            }
            if !kept.contains(&pattern) {
                kept.push(pattern);
            }
        }
        if kept.is_empty() { Err(InvalidEventKinds::Count) } else { Ok(Self(kept)) }
    }

    /// The patterns.
    pub fn patterns(&self) -> &[String] {
        &self.0
    }

    /// Whether a kind is among them.
    pub fn include(&self, kind: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind == pattern,
        })
    }
}

fn is_pattern(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_pair = text.split_once('.').is_some_and(|(group, what)| is_word(group) && (what == "*" || is_word(what)));
    text.len() <= KIND_PATTERN_CHARACTERS_MAX && (text == "*" || is_pair)
}

impl TryFrom<Vec<String>> for EventKinds {
    type Error = InvalidEventKinds;

    fn try_from(patterns: Vec<String>) -> Result<Self, InvalidEventKinds> {
        Self::new(patterns)
    }
}

impl From<EventKinds> for Vec<String> {
    fn from(kinds: EventKinds) -> Self {
        kinds.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_kind_a_group_or_everything() {
        let all = EventKinds::new(["*", "*"]).unwrap();
        assert_eq!(all.patterns(), ["*"]);
        assert!(all.include("reservation.held"));
        let group = EventKinds::new(["charge.*"]).unwrap();
        assert!(group.include("charge.completed") && !group.include("charges.completed") && !group.include("charge"));
        for wrong in
            ["", "held", "reservation.", ".held", "Reservation.held", "reservation.h*", "a.b.c", "*.held", "**"]
        {
            assert_eq!(EventKinds::new([wrong]), Err(InvalidEventKinds::Pattern), "{wrong}");
        }
        assert_eq!(EventKinds::new([format!("a.{}", "b".repeat(63))]), Err(InvalidEventKinds::Pattern));
        assert!(EventKinds::new([format!("a.{}", "b".repeat(62))]).is_ok());
    }

    #[test]
    fn patterns_are_bounded() {
        let kinds = |count: usize| EventKinds::new((0..count).map(|_| "*"));
        assert_eq!((kinds(0), kinds(21)), (Err(InvalidEventKinds::Count), Err(InvalidEventKinds::Count)));
        assert!(kinds(20).is_ok());
    }
}
