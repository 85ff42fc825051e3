//! Short texts that people write: names, titles, descriptions.
//!
//! Equal texts look the same, and texts that look the same are equal as far as Unicode says so: a text is kept in
//! normalization form C, and must not have characters that cannot be seen.

pub(crate) mod characters;

use characters::Purpose;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// The most characters of a name or a title.
pub const NAME_CHARACTERS_MAX: usize = 255;
/// The most characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;
/// The most UTF-16 code units in which one character of a kept text may arrive, since it may arrive decomposed. A bound
/// in bytes has to leave room for them: U+16D6A is three characters of two units each.
pub const CHARACTER_UNITS_MAX: usize = 6;

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More characters than allowed.
    #[error("must have at most {characters_max} characters")]
    TooLong {
        /// The most characters allowed.
        characters_max: usize,
    },
    /// Characters, but none that is seen by itself.
    #[error("must have a visible character")]
    NothingVisible,
    /// A control character, such as a line break, in a text that is one line.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A format or bidirectional control, or another character that cannot be seen.
    #[error("must not contain the invisible character U+{:04X}", u32::from(*.0))]
    Invisible(char),
    /// A character that is for private use, not assigned, or none at all: each font shows something else, or nothing.
    #[error("must not contain U+{:04X}, to which Unicode gives no meaning", u32::from(*.0))]
    Undefined(char),
    /// A character with a meaning of its own in this place.
    #[error("must not contain `{0}`")]
    Forbidden(char),
}

/// A name or a title: one line of 1 to 255 characters, one of them visible, and none a control character.
///
/// A name is trimmed, and kept in normalization form C with single plain spaces. Characters that cannot be seen, or that
/// Unicode gives no meaning, are refused, except joiners and variation selectors where a script or an emoji needs them.
///
/// ```
/// use boxoffice_domain::text::{Name, TextError};
/// assert_eq!(Name::new("  한여름 밴드 ")?.as_str(), "한여름 밴드");
/// assert_eq!(Name::new("Beyonce\u{301}")?, Name::new("Beyonc\u{e9}")?);
/// assert_eq!(Name::new(" \t "), Err(TextError::Empty));
/// assert_eq!(Name::new("\u{200b}"), Err(TextError::Invisible('\u{200b}')));
/// # Ok::<(), TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Name(String);

/// A longer text: up to 4,000 characters after trimming, possibly none; line breaks, tabs and spaces are kept. Like a
/// [`Name`] it is normalized and has no invisible characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Description(String);

impl Name {
    /// Normalizes and checks a text.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = characters::one_line(text);
        let text = text.trim();
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    /// As [`Self::new`], for a name by which things are told apart: two of them differ by what is seen. Variation selectors
    /// are refused, and joiners except where RFC 5892 allows them.
    ///
    /// ```
    /// use boxoffice_domain::text::{Name, TextError};
    /// assert!(Name::new("❤\u{fe0f}").is_ok());
    /// assert_eq!(Name::distinct("❤\u{fe0f}"), Err(TextError::Invisible('\u{fe0f}')));
    /// ```
    pub fn distinct(text: &str) -> Result<Self, TextError> {
        let name = Self::new(text)?;
        Self::check_distinct(name.as_str()).map(|()| name)
    }

    /// The name of what has lost its own.
    pub(crate) fn erased() -> Self {
        Self("erased".to_owned())
    }

    /// Checks a name by which things are told apart.
    pub(crate) fn check_distinct(name: &str) -> Result<(), TextError> {
        characters::check(name, Purpose::Distinction)
    }

    /// Checks a text that is normalized and trimmed.
    pub(crate) fn check(text: &str) -> Result<(), TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        check_length(text, NAME_CHARACTERS_MAX)?;
        characters::check(text, Purpose::Line)?;
        if characters::is_visible(text) { Ok(()) } else { Err(TextError::NothingVisible) }
    }
}

impl Description {
    /// Normalizes and checks a text.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = characters::normalized(text);
        let text = text.trim();
        check_length(text, DESCRIPTION_CHARACTERS_MAX)?;
        characters::check(text, Purpose::Lines)?;
        if text.is_empty() || characters::is_visible(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError::NothingVisible)
        }
    }
}

fn check_length(text: &str, characters_max: usize) -> Result<(), TextError> {
    if text.chars().count() > characters_max { Err(TextError::TooLong { characters_max }) } else { Ok(()) }
}

macro_rules! string_conversions {
    ($($name:ident, $error:ty;)*) => {$(
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                self.0.as_ref()
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(&text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
pub(crate) use string_conversions;

string_conversions! {
    Name, TextError;
    Description, TextError;
}

/// Lets secrets be part of what is printed, without their content.
macro_rules! debug_without_content {
    ($($name:ident;)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
pub(crate) use debug_without_content;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_characters_and_not_bytes() {
        assert!(Name::new(&"가".repeat(255)).is_ok());
        assert_eq!(Name::new(&"가".repeat(256)), Err(TextError::TooLong { characters_max: 255 }));
    }

    #[test]
    fn control_characters_are_refused_in_a_name_and_line_breaks_kept_in_a_description() {
        assert_eq!(Name::new("a\nb"), Err(TextError::ControlCharacter));
        assert_eq!(Name::new("a\u{0}b"), Err(TextError::ControlCharacter));
        assert_eq!(Description::new("a\nb").unwrap().as_str(), "a\nb");
        assert_eq!(Description::new("a\u{7}b"), Err(TextError::ControlCharacter));
    }

    /// A text as macOS composes its file names, and as keyboards type it.
    const DECOMPOSED: &str = "\u{1112}\u{1161}\u{11ab} Cafe\u{301}";
    const COMPOSED: &str = "한 Caf\u{e9}";

    #[test]
    fn a_text_is_kept_in_one_form_and_counted_in_it() {
        assert_eq!(Name::new(DECOMPOSED).unwrap().as_str(), COMPOSED);
        assert_eq!(Description::new(&format!("{DECOMPOSED}\n")).unwrap().as_str(), COMPOSED);
        assert!(Name::new(&"e\u{301}".repeat(255)).is_ok());
        assert!(Name::new(&"e\u{301}".repeat(256)).is_err());
        assert_eq!(Name::new("\u{a0}A\u{2003} B\u{3000}").unwrap().as_str(), "A B");
        assert_eq!(Description::new("A  B").unwrap().as_str(), "A  B");
    }

    #[test]
    fn a_text_that_is_not_empty_can_be_seen() {
        for hidden in ["\u{200b}", "\u{3164}", "\u{2800}", "A\u{202e}B"] {
            assert!(matches!(Name::new(hidden), Err(TextError::Invisible(_))), "{hidden:?}");
            assert!(matches!(Description::new(hidden), Err(TextError::Invisible(_))), "{hidden:?}");
        }
        assert_eq!(Name::new("\u{301}"), Err(TextError::NothingVisible));
        assert_eq!(Description::new("\u{301}"), Err(TextError::NothingVisible));
        assert_eq!(Description::new("").unwrap(), Description::default());
        assert_eq!(Name::new("\u{200b}").unwrap_err().to_string(), "must not contain the invisible character U+200B");
    }

    #[test]
    fn every_way_into_a_text_is_the_same() {
        let expected = Name::new(COMPOSED).unwrap();
        assert_eq!(DECOMPOSED.parse::<Name>().unwrap(), expected);
        assert_eq!(Name::try_from(DECOMPOSED).unwrap(), expected);
        assert_eq!(Name::try_from(DECOMPOSED.to_owned()).unwrap(), expected);
        assert!("\u{200b}".parse::<Description>().is_err());
    }
}
