//! Letters and pairs of letters, each with the concerts that have it.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::numbers::Numbers;
use crate::catalog::search::SearchWords;

type GramMap<T> = HashMap<u64, T, BuildHasherDefault<GramHasher>>;

/// Letters and pairs of letters of folded texts, each with the concerts that have it.
#[derive(Debug, Default)]
pub(super) struct Grams(GramMap<Numbers>);

impl Grams {
    /// Of the texts of all concerts.
    pub(super) fn new<'t>(texts: impl ExactSizeIterator<Item = &'t str> + Clone) -> Self {
        let concerts_count = texts.len();
        let mut grams = Vec::new();
        let mut counts: GramMap<usize> = HashMap::default();
        for text in texts.clone() {
            collect_grams(text, &mut grams);
            for gram in &grams {
                *counts.entry(*gram).or_default() += 1;
            }
        }
        let sets = counts.into_iter().map(|(gram, count)| (gram, Numbers::with_capacity(count, concerts_count)));
        let mut sets: GramMap<_> = sets.collect();
        for (text, number) in texts.zip(0..) {
            collect_grams(text, &mut grams);
            for gram in &grams {
                if let Some(numbers) = sets.get_mut(gram) {
                    numbers.push(number);
                }
            }
        }
        Self(sets)
    }

    /// The concerts that have the letters and pairs of all words, and a few others; `None` without words.
    pub(super) fn concerts_with(&self, words: &SearchWords) -> Option<Numbers> {
        let (mut sets, mut grams) = (Vec::new(), Vec::new());
        for word in words.iter() {
            for gram in grams_of_word(word, &mut grams) {
                let Some(numbers) = self.0.get(gram) else { return Some(Numbers::Listed(Vec::new())) };
                sets.push(numbers);
            }
        }
        sets.sort_unstable_by_key(|numbers| numbers.len());
        let (rarest, further) = sets.split_first()?;
        Some(further.iter().fold(Numbers::clone(rarest), |concerts, numbers| concerts.and(numbers)))
    }
}

/// By what a word is found: its pairs of letters, or its letter if it has only one.
fn grams_of_word<'g>(word: &str, grams: &'g mut Vec<u64>) -> &'g [u64] {
    collect_grams(word, grams);
    let letters_count = grams.partition_point(|gram| u32::try_from(*gram).is_ok());
    if letters_count == grams.len() { grams } else { &grams[letters_count..] }
}

/// The letters and pairs of letters of a folded text, each once. The letters come first.
fn collect_grams(text: &str, grams: &mut Vec<u64>) {
    grams.clear();
    let mut before = None;
    for letter in text.chars() {
        let letter = Some(u64::from(letter)).filter(|_| !letter.is_whitespace());
        if let Some(letter) = letter {
            grams.push(letter);
            // No letter of a word is the character 0, so that the upper half of a pair is never zero.
            grams.extend(before.filter(|before| *before != 0).map(|before: u64| (before << 32) + letter));
        }
        before = letter;
    }
    grams.sort_unstable();
    grams.dedup();
}

/// Spreads the numbers of letters. An unlucky choice of titles makes searches slower, and no more.
#[derive(Default)]
struct GramHasher(u64);

impl Hasher for GramHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, gram: u64) {
        let mixed = (self.0 ^ gram).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pair(first: char, second: char) -> u64 {
        first as u64 * (1 << 32) + second as u64
    }

    #[test]
    fn a_text_has_its_letters_and_pairs_once_and_none_across_words() {
        let mut grams = vec![1];
        collect_grams("aba b\0c", &mut grams);
        let pairs = [pair('a', 'b'), pair('b', '\0'), pair('b', 'a')];
        assert_eq!(grams, [&[0, 'a' as u64, 'b' as u64, 'c' as u64][..], &pairs].concat());
        assert_eq!(grams_of_word("abb", &mut grams), [pair('a', 'b'), pair('b', 'b')]);
        assert_eq!(grams_of_word("b", &mut grams), ['b' as u64]);
    }

    #[test]
    fn the_concerts_with_words_are_those_that_have_their_pairs() {
        let texts = ["abc", "ba", "x ab", "a b", "c\nab"];
        let grams = Grams::new(texts.iter().copied());
        let with = |words: &str| Some(grams.concerts_with(&SearchWords::new(words).ok()?)?.to_list());
        assert_eq!(grams.concerts_with(&SearchWords::default()).map(|numbers| numbers.len()), None);
        assert_eq!(with("ab"), Some(vec![0, 2, 4]));
        assert_eq!(with("c"), Some(vec![0, 4]));
        assert_eq!(with("ab c"), Some(vec![0, 4]));
        assert_eq!(with("abx"), Some(vec![]));
        assert_eq!(with("y"), Some(vec![]));
    }
}
