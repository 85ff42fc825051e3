//! Short texts that people write: names, titles, descriptions.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// The most characters of a name or a title.
pub const NAME_CHARACTERS_MAX: usize = 255;
/// The most characters of a description.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 4_000;

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
    /// A control character, such as a line break, in a text that is one line.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// A character with a meaning of its own in this place.
    #[error("must not contain `{0}`")]
    Forbidden(char),
}

/// A name or a title: 1 to 255 characters after trimming, none of them a control character.
///
/// ```
/// use boxoffice_domain::text::{Name, TextError};
/// assert_eq!(Name::new("  한여름 밴드 ")?.as_str(), "한여름 밴드");
/// assert_eq!(Name::new(" \t "), Err(TextError::Empty));
/// # Ok::<(), TextError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Name(String);

/// A longer text: up to 4,000 characters after trimming, possibly none; line breaks and tabs are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Description(String);

impl Name {
    /// Trims and checks a text.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        check_length(text, NAME_CHARACTERS_MAX)?;
        if text.chars().any(char::is_control) {
            return Err(TextError::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Description {
    /// Trims and checks a text.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        check_length(text, DESCRIPTION_CHARACTERS_MAX)?;
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(TextError::ControlCharacter);
        }
        Ok(Self(text.to_owned()))
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
}
