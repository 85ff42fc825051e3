//! Searching concerts: what matches, and in which order.
//!
//! Texts are compared folded: without regard to case, accents, strokes, ligatures, full width and the way in which a
//! character is composed. A word matches where it is part of the title, the artist or the name of a venue, and all words of a search have to.

mod latin;

use std::ops::Range;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::concert::{Concert, ConcertSummary};
use crate::{
    ConcertId, Timestamp,
    page::{Page, PageRequest},
    text::Name,
};

/// The most characters of the words of a search, composed or folded: folding leaves out some, and makes two of others.
pub const SEARCH_CHARACTERS_MAX: usize = 100;
/// The most words of a search.
pub const SEARCH_WORDS_MAX: usize = 10;

/// Stands between the folded texts of a concert. No word has it, so none matches across two of them.
const BETWEEN_TEXTS: char = '\n';

/// A text as it is compared: in lower case, without accents and strokes, composed.
///
/// ```
/// use boxoffice_domain::catalog::folded;
/// assert_eq!(folded("Beyoncé ＬＩＶＥ"), "beyonce live");
/// assert_eq!(folded("\u{1112}\u{1161}\u{11ab}"), "한");
/// assert_eq!(folded("Łódź, Ærø"), "lodz, aero");
/// ```
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // Upper case first: `ß` is `SS`, and both forms of the small sigma are one. Accents go before, since one of them has an
    // upper case; what the change of case has composed is taken apart again. Last, a letter that an accent was on may have a
    // stroke, too.
    let letters = text.nfkd().filter(|c| !is_ignored(*c));
    let lower = letters.flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    lower.nfkd().filter(|c| !is_ignored(*c)).flat_map(plain).nfc().collect()
}

/// A letter, or the letters of ASCII that it stands for.
fn plain(letter: char) -> impl Iterator<Item = char> {
    let plain = latin::plain(letter);
    plain.is_none().then_some(letter).into_iter().chain(plain.unwrap_or_default().chars())
}

/// Whether a character makes no difference: an accent, or one that is not visible. The marks of Japanese that make another
/// letter do.
fn is_ignored(c: char) -> bool {
    let invisible = matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    invisible || (is_combining_mark(c) && !matches!(c, '\u{3099}' | '\u{309a}'))
}

/// The words of a search, folded. Searches for the same are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct SearchWords(Vec<String>);

/// Why words cannot be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchWordsError {
    /// There is nothing to look for.
    #[error("must not be empty")]
    Empty,
    /// More than [`SEARCH_CHARACTERS_MAX`].
    #[error("must have at most {SEARCH_CHARACTERS_MAX} characters")]
    TooLong,
    /// More than [`SEARCH_WORDS_MAX`].
    #[error("must have at most {SEARCH_WORDS_MAX} words")]
    TooMany,
}

impl SearchWords {
    /// Folds a text and splits it at spaces.
    pub fn new(text: &str) -> Result<Self, SearchWordsError> {
        let composed = text.trim().nfc().take(SEARCH_CHARACTERS_MAX + 1).count();
        let text = folded(text);
        if composed > SEARCH_CHARACTERS_MAX && text.trim().chars().count() > SEARCH_CHARACTERS_MAX {
            return Err(SearchWordsError::TooLong);
        }
        let mut words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(SearchWordsError::Empty);
        }
        if words.len() > SEARCH_WORDS_MAX {
            return Err(SearchWordsError::TooMany);
        }
        // A word that is part of another one adds nothing. Longer words come first.
        words.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        let mut kept: Vec<String> = Vec::new();
        for word in words {
            if !kept.iter().any(|longer| longer.contains(&word)) {
                kept.push(word);
            }
        }
        Ok(Self(kept))
    }

    /// The words.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether there are none: then every text matches.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of them are part of a folded text.
    pub(super) fn are_in(&self, folded: &str) -> bool {
        self.0.iter().all(|word| folded.contains(word.as_str()))
    }
}

/// In which order concerts are listed. Concerts that are equal in it are ordered by their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub enum ConcertOrder {
    /// As they were published.
    #[default]
    Published,
    /// By their next performance: the first one that starts in the range of the search or, if the search does not say from
    /// when, after the first page was read. Then those whose performances have all started, by the first of them, and those
    /// without any.
    StartsAt,
    /// By the opening of their sales.
    SalesOpenAt,
    /// The newest first.
    NewestFirst,
}

/// Which concerts are listed, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize))]
pub struct ConcertSearch {
    /// What all of them have in their title, artist or venues.
    pub words: SearchWords,
    /// Only those with a performance that starts then or later, and before `to`.
    pub from: Option<Timestamp>,
    /// Only those with a performance that starts before, and not before `from`.
    pub to: Option<Timestamp>,
    /// Only those that are bookable, or with `Some(false)` only the others. Of the bookable ones, a search leaves out those
    /// that are not [on sale](ConcertSummary::is_on_sale); which of the rest are sold out, it does not know.
    pub bookable: Option<bool>,
    /// Their order.
    pub order: ConcertOrder,
}

/// A concert as a search looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedConcert {
    /// What is shown of it.
    pub summary: ConcertSummary,
    /// When its performances start, ascending.
    starts: Vec<Timestamp>,
    venues: Vec<Name>,
    is_abridged: bool,
}

/// What decides where a concert is in a list, apart from its texts.
#[derive(Clone, Debug)]
pub(super) struct Times<'c> {
    pub(super) id: ConcertId,
    pub(super) created_at: Timestamp,
    pub(super) on_sale: Range<Timestamp>,
    /// When its performances start, ascending.
    pub(super) starts: &'c [Timestamp],
}

/// How a concert stands to the instant from which an order by start counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub(super) enum Stage {
    ToCome,
    Started,
    Undated,
}

/// Where a list of concerts goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct ConcertKey {
    pub(super) stage: Stage,
    pub(super) at: Timestamp,
    /// The last concert that was seen.
    pub id: ConcertId,
    /// When the first page was read: for the later ones, the performances to come are those that were to come then.
    pub(super) first_page_at: Timestamp,
}

/// A place in an order, to be compared with others of the same order.
pub(super) type Rank = (Stage, i64, u128);

impl ConcertKey {
    /// The key of a concert in the order of publication.
    pub fn published(id: ConcertId) -> Self {
        Self { stage: Stage::ToCome, at: Timestamp::UNIX_EPOCH, id, first_page_at: Timestamp::UNIX_EPOCH }
    }
}

impl ConcertOrder {
    pub(super) fn rank(self, key: &ConcertKey) -> Rank {
        let (at, id) = (key.at.timestamp_micros(), key.id.uuid().as_u128());
        if self == Self::NewestFirst { (key.stage, -at, !id) } else { (key.stage, at, id) }
    }
}

impl ListedConcert {
    /// A concert with the starts and the venues of its performances, in any order.
    pub fn new(summary: ConcertSummary, performances: impl IntoIterator<Item = (Timestamp, Name)>) -> Self {
        let (mut starts, mut venues): (Vec<_>, Vec<_>) = performances.into_iter().unzip();
        starts.sort_unstable();
        starts.dedup();
        starts.shrink_to_fit();
        venues.sort_unstable();
        venues.dedup();
        venues.shrink_to_fit();
        Self { summary, starts, venues, is_abridged: false }
    }

    /// The concert.
    pub fn id(&self) -> ConcertId {
        self.summary.concert.id
    }

    /// The concert without its description, which may be long. A search does not need it.
    #[must_use]
    pub fn abridged(mut self) -> Self {
        self.summary.concert.description = crate::text::Description::default();
        self.is_abridged = true;
        self
    }

    /// Whether the description was left out.
    pub fn is_abridged(&self) -> bool {
        self.is_abridged
    }

    pub(super) fn times(&self) -> Times<'_> {
        let Concert { id, created_at, .. } = self.summary.concert;
        Times { id, created_at, on_sale: self.summary.on_sale(), starts: &self.starts }
    }

    /// The text that words are looked for in.
    pub(super) fn folded_text(&self) -> String {
        let concert = &self.summary.concert;
        let mut text = folded(concert.title.as_str());
        for further in [&concert.artist].into_iter().chain(&self.venues) {
            text.push(BETWEEN_TEXTS);
            text.push_str(&folded(further.as_str()));
        }
        text
    }
}

impl<'c> Times<'c> {
    fn starts_within(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> &'c [Timestamp] {
        let before = |limit: Timestamp| self.starts.partition_point(|at| *at < limit);
        let end = to.map_or(self.starts.len(), before);
        let begin = from.map_or(0, before).min(end);
        &self.starts[begin..end]
    }
}

impl ConcertSearch {
    /// Whether it asks for no more than the plain list does: all concerts, those on sale or not, as they were published.
    pub fn is_plain(&self) -> bool {
        let Self { words, from, to, bookable: _, order } = self;
        words.is_empty() && from.is_none() && to.is_none() && *order == ConcertOrder::Published
    }

    /// The instant from which an order by start counts, on the page of this request.
    pub(super) fn first_page_at(request: &PageRequest<ConcertKey>, now: Timestamp) -> Timestamp {
        request.after.map_or(now, |after| after.first_page_at)
    }

    /// Where a concert is in the list, if it is, apart from the words.
    pub(super) fn place(&self, times: &Times<'_>, now: Timestamp, first_page_at: Timestamp) -> Option<ConcertKey> {
        if self.bookable == Some(true) && !times.on_sale.contains(&now) {
            return None;
        }
        let starts = times.starts_within(self.from, self.to);
        if starts.is_empty() && (self.from.is_some() || self.to.is_some()) {
            return None;
        }
        let (stage, at) = match self.order {
            ConcertOrder::Published => (Stage::ToCome, Timestamp::UNIX_EPOCH),
            ConcertOrder::SalesOpenAt => (Stage::ToCome, times.on_sale.start),
            ConcertOrder::NewestFirst => (Stage::ToCome, times.created_at),
            ConcertOrder::StartsAt => {
                let since = self.from.unwrap_or(first_page_at);
                let next = starts.get(starts.partition_point(|at| *at < since));
                match (next, starts.first()) {
                    (Some(next), _) => (Stage::ToCome, *next),
                    (None, Some(first)) => (Stage::Started, *first),
                    (None, None) => (Stage::Undated, Timestamp::UNIX_EPOCH),
                }
            }
        };
        Some(ConcertKey { stage, at, id: times.id, first_page_at })
    }

    /// One page of what matches among all concerts at `now`, by looking at each of them. This is the rule: whatever a
    /// storage does to be faster, it answers the same.
    pub fn page(
        &self,
        all: impl IntoIterator<Item = ListedConcert>,
        now: Timestamp,
        request: &PageRequest<ConcertKey>,
    ) -> Page<ConcertSummary, ConcertKey> {
        let first_page_at = Self::first_page_at(request, now);
        let after = request.after.as_ref().map(|after| self.order.rank(after));
        let found = all.into_iter().filter_map(|listed| {
            let key = self.place(&listed.times(), now, first_page_at)?;
            self.words.are_in(&listed.folded_text()).then_some((key, listed.summary))
        });
        let mut found: Vec<_> =
            found.filter(|(key, _)| after.is_none_or(|after| self.order.rank(key) > after)).collect();
        found.sort_unstable_by_key(|(key, _)| self.order.rank(key));
        found.truncate(request.limit as usize + 1);
        let page = Page::from_rows(found, request.limit, |(key, _)| *key);
        Page { items: page.items.into_iter().map(|(_, summary)| summary).collect(), next: page.next }
    }
}

#[cfg(test)]
mod tests;
