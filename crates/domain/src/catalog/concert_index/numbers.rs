//! Sets of concerts.

use fixedbitset::FixedBitSet;

/// The place of a concert among those of an index.
pub(super) type Number = u32;

/// Sets of at least one in so many concerts have a bit for each concert: from there on, a list would be larger.
const CONCERTS_FOR_EACH_LISTED: usize = Number::BITS as usize;

/// A set of concerts.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    /// Ascending.
    Listed(Vec<Number>),
    /// A bit for each concert, and how many are set.
    Bits(FixedBitSet, usize),
}

impl Numbers {
    /// An empty set that will have so many of all concerts.
    pub(super) fn with_capacity(count: usize, concerts_count: usize) -> Self {
        if count * CONCERTS_FOR_EACH_LISTED < concerts_count {
            Self::Listed(Vec::with_capacity(count))
        } else {
            Self::Bits(FixedBitSet::with_capacity(concerts_count), 0)
        }
    }

    /// Adds a concert that is behind all others.
    pub(super) fn push(&mut self, number: Number) {
        match self {
            Self::Listed(list) => list.push(number),
            Self::Bits(bits, count) => {
                bits.insert(number as usize);
                *count += 1;
            }
        }
    }

    /// The set of some of all concerts, in any order.
    pub(super) fn collect(numbers: impl Iterator<Item = Number>, concerts_count: usize) -> Self {
        Self::of_bits(bits_of(numbers, concerts_count))
    }

    fn of_bits(bits: FixedBitSet) -> Self {
        let count = bits.count_ones(..);
        Self::Bits(bits, count)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Listed(list) => list.len(),
            Self::Bits(_, count) => *count,
        }
    }

    /// What is in both sets.
    #[must_use]
    pub(super) fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Listed(mut list), Self::Listed(other)) => {
                intersect(&mut list, other);
                Self::Listed(list)
            }
            (Self::Listed(mut list), Self::Bits(bits, _)) => {
                list.retain(|number| bits.contains(*number as usize));
                Self::Listed(list)
            }
            (Self::Bits(bits, _), Self::Listed(list)) => {
                Self::Listed(list.iter().copied().filter(|number| bits.contains(*number as usize)).collect())
            }
            (Self::Bits(mut bits, _), Self::Bits(other, _)) => {
                bits.intersect_with(other);
                Self::of_bits(bits)
            }
        }
    }

    /// The concerts, ascending.
    pub(super) fn to_list(&self) -> Vec<Number> {
        match self {
            Self::Listed(list) => list.clone(),
            Self::Bits(bits, _) => bits.ones().filter_map(|number| Number::try_from(number).ok()).collect(),
        }
    }

    /// A bit for each of all concerts.
    pub(super) fn into_bits(self, concerts_count: usize) -> FixedBitSet {
        match self {
            Self::Listed(list) => bits_of(list.into_iter(), concerts_count),
            Self::Bits(bits, _) => bits,
        }
    }
}

fn bits_of(numbers: impl Iterator<Item = Number>, concerts_count: usize) -> FixedBitSet {
    let mut bits = FixedBitSet::with_capacity(concerts_count);
    numbers.for_each(|number| bits.insert(number as usize));
    bits
}

/// Removes the numbers that are not in a list; both are ascending.
fn intersect(candidates: &mut Vec<Number>, list: &[Number]) {
    let mut rest = list;
    candidates.retain(|number| {
        rest = &rest[rest.partition_point(|other| other < number)..];
        rest.first() == Some(number)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 1_000;

    /// The multiples, as a list and as bits.
    fn multiples(of: Number) -> [Numbers; 2] {
        let list: Vec<_> = (0..1_000).filter(|number| number % of == 0).collect();
        let mut listed = Numbers::Listed(Vec::new());
        for number in &list {
            listed.push(*number);
        }
        [listed, Numbers::collect(list.into_iter().rev(), COUNT)]
    }

    #[test]
    fn a_set_is_listed_until_the_list_is_as_large_as_the_bits() {
        for (count, is_listed) in [(0, true), (31, true), (32, false), (1_000, false)] {
            assert_eq!(matches!(Numbers::with_capacity(count, 1_000), Numbers::Listed(_)), is_listed, "{count}");
        }
        assert!(matches!(Numbers::with_capacity(1, 32), Numbers::Bits(..)));
        assert!(matches!(Numbers::with_capacity(1, 33), Numbers::Listed(_)));
    }

    #[test]
    fn sets_are_equal_in_both_forms() {
        for (one, other, both) in [(2, 3, 6), (1, 50, 50), (50, 1, 50), (7, 7, 7), (250, 333, 1_000)] {
            let expected = multiples(both)[0].to_list();
            for one in multiples(one) {
                for other in multiples(other) {
                    let and = one.clone().and(&other);
                    assert_eq!(and.to_list(), expected);
                    assert_eq!(and.len(), expected.len());
                    let bits: Vec<_> = and.into_bits(COUNT).ones().collect();
                    assert_eq!(bits, expected.iter().map(|number| *number as usize).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn what_is_pushed_into_bits_is_counted() {
        let mut numbers = Numbers::with_capacity(2, 40);
        numbers.push(3);
        numbers.push(39);
        assert_eq!((numbers.len(), numbers.to_list()), (2, vec![3, 39]));
    }
}
