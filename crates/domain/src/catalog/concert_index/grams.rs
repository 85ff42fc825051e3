//! Letters and pairs of letters, each with the concerts that have it.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::numbers::Numbers;
use crate::catalog::search::SearchWords;

/// Sets of so few concerts are not made smaller by further pairs.
const INTERSECTED_MIN: usize = 32;

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
            collect_grams(word, &mut grams);
            // A word of several letters is found by its pairs.
            let has_pairs = grams.iter().any(|gram| *gram >> 32 != 0);
            for gram in grams.iter().filter(|gram| !has_pairs || **gram >> 32 != 0) {
                let Some(numbers) = self.0.get(gram) else { return Some(Numbers::Listed(Vec::new())) };
                sets.push(numbers);
            }
        }
        sets.sort_unstable_by_key(|numbers| numbers.len());
        let (rarest, further) = sets.split_first()?;
        let mut concerts = Numbers::clone(rarest);
        for numbers in further {
            if concerts.len() <= INTERSECTED_MIN {
                break;
            }
            concerts = concerts.and(numbers);
        }
        Some(concerts)
    }
}

/// The letters and pairs of letters of a folded text, each once.
fn collect_grams(text: &str, grams: &mut Vec<u64>) {
    grams.clear();
    let mut before = None;
    for letter in text.chars() {
        let letter = Some(u64::from(letter)).filter(|_| !letter.is_whitespace());
        if let Some(letter) = letter {
            grams.push(letter);
            // No letter of a word is the character 0, so that the upper half of a pair is never zero.
            grams.extend(before.filter(|before| *before != 0).map(|before: u64| (before << 32) | letter));
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
