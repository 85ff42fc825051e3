//! Points, the prepaid money.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// A whole, non-negative number of points; 1 point is 1 won.
///
/// Arithmetic is checked: there is no way to reach a negative amount or to wrap around.
///
/// ```
/// use boxoffice_domain::Points;
/// let price = Points::new(55_000)?;
/// assert_eq!(price.checked_add(price), Points::new(110_000).ok());
/// assert_eq!(Points::ZERO.checked_sub(price), None);
/// assert!(Points::new(-1).is_err());
/// # Ok::<(), boxoffice_domain::NegativePoints>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "i64"))]
pub struct Points(i64);

/// A negative number was offered as points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("points are never negative")]
pub struct NegativePoints;

impl Points {
    /// No points.
    pub const ZERO: Self = Self(0);

    /// Takes a number of points.
    pub const fn new(points: i64) -> Result<Self, NegativePoints> {
        if points < 0 { Err(NegativePoints) } else { Ok(Self(points)) }
    }

    /// The number itself.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it cannot be represented.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The sum of all, or `None` where it cannot be represented.
    pub fn checked_sum(points: impl IntoIterator<Item = Self>) -> Option<Self> {
        points.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// The difference, or `None` where it would be negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).filter(|points| *points >= 0).map(Self)
    }
}

impl TryFrom<i64> for Points {
    type Error = NegativePoints;

    fn try_from(points: i64) -> Result<Self, Self::Error> {
        Self::new(points)
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_are_exact_or_none() {
        let [two, three, five, most] = [2, 3, 5, i64::MAX].map(|number| Points::new(number).unwrap());
        assert_eq!((five.checked_sub(three), five.checked_sub(five)), (Some(two), Some(Points::ZERO)));
        assert_eq!((three.checked_sub(five), most.checked_add(two)), (None, None));
        assert_eq!((Points::checked_sum([two, three]), Points::checked_sum([two, most])), (Some(five), None));
        assert_eq!((Points::try_from(5), Points::try_from(-1)), (Ok(five), Err(NegativePoints)));
        assert_eq!(five.to_string(), "5");
    }
}
