//! An index in memory over concerts, for many different searches a second.
//!
//! It answers what [`ConcertSearch::page`] answers. Concerts are numbered by their ids. Each letter and each pair of letters
//! has the list of the concerts whose folded text has it, and each order is an array of concerts. If few concerts have the
//! rarest pair of a search, they are looked at; if many have it, the order is followed until the page is full.
//!
//! An index does not change. A changed concert is kept beside it in the next one, until there are so many that another
//! index is built.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    ops::Range,
    sync::Arc,
};

use super::search::{ConcertKey, ConcertOrder, ConcertSearch, ListedConcert, Rank, SearchWords, Stage};
use crate::{
    ConcertId, Timestamp,
    page::{Page, PageRequest},
};

/// With at most this many candidates, the order is not followed at all.
const CANDIDATES_FEW: usize = 256;
/// How many times as far as expected an order is followed before the candidates are looked at instead.
const PATIENCE: usize = 4;
/// A list of candidates of this length is not made shorter by further pairs.
const INTERSECTED_MIN: usize = 32;

/// Concerts by what a search asks for.
#[derive(Clone, Debug, Default)]
pub struct ConcertIndex {
    built: Arc<Built>,
    /// What has changed since it was built, by id; `None` for a concert that is gone.
    changed: BTreeMap<ConcertId, Option<Arc<Indexed>>>,
}

#[derive(Debug)]
struct Indexed {
    listed: ListedConcert,
    text: Box<str>,
}

/// The place of a concert in [`Built::concerts`].
type Number = u32;

#[derive(Debug, Default)]
struct Built {
    /// By id.
    concerts: Vec<Arc<Indexed>>,
    grams: Grams,
    /// The starts of performances, each with its concert.
    starts: Vec<(Timestamp, Number)>,
    /// The concerts with a performance by the start of the first one.
    by_first_start: Vec<Number>,
    undated: Vec<Number>,
    by_opening: Vec<Number>,
    newest_first: Vec<Number>,
}

/// What is asked.
struct Question<'s> {
    search: &'s ConcertSearch,
    now: Timestamp,
    first_page_at: Timestamp,
    after: Option<ConcertKey>,
    /// How many concerts are wanted.
    wanted: usize,
}

impl Question<'_> {
    fn rank(&self, key: &ConcertKey) -> Rank {
        self.search.order.rank(key)
    }

    /// The key of a concert on one of the pages to come, apart from the words.
    fn place(&self, listed: &ListedConcert) -> Option<ConcertKey> {
        let key = self.search.place(listed, self.now, self.first_page_at)?;
        self.follows(&key).then_some(key)
    }

    fn follows(&self, key: &ConcertKey) -> bool {
        self.after.is_none_or(|after| self.rank(key) > self.rank(&after))
    }
}

impl ConcertIndex {
    /// The index of these concerts, each of which is there once.
    pub fn new(concerts: Vec<ListedConcert>) -> Self {
        let indexed = |listed: ListedConcert| {
            let text = listed.folded_text().into_boxed_str();
            Arc::new(Indexed { listed, text })
        };
        Self::of(concerts.into_iter().map(indexed).collect())
    }

    fn of(concerts: Vec<Arc<Indexed>>) -> Self {
        Self { built: Arc::new(Built::new(concerts)), changed: BTreeMap::new() }
    }

    /// How many concerts changed since the index was built.
    pub fn changes_count(&self) -> usize {
        self.changed.len()
    }

    /// A concert.
    pub fn get(&self, id: ConcertId) -> Option<&ListedConcert> {
        let changed = self.changed.get(&id).map(Option::as_ref);
        changed.unwrap_or_else(|| self.built.get(id)).map(|indexed| &indexed.listed)
    }

    /// The index with these concerts as they are now; `None` for one that is gone. It costs little as long as few have
    /// changed since the index was built.
    #[must_use]
    pub fn with(&self, changes: impl IntoIterator<Item = (ConcertId, Option<ListedConcert>)>) -> Self {
        let mut next = self.clone();
        for (id, listed) in changes {
            if next.get(id) != listed.as_ref() {
                let indexed = listed.map(|listed| {
                    let text = listed.folded_text().into_boxed_str();
                    Arc::new(Indexed { listed, text })
                });
                next.changed.insert(id, indexed);
            }
        }
        next
    }

    /// The index of all concerts as they are now. It is built again only if more than `changes_max` have changed since it
    /// was built.
    #[must_use]
    pub fn renewed(&self, concerts: Vec<ListedConcert>, changes_max: usize) -> Self {
        let known: HashMap<ConcertId, usize> =
            concerts.iter().enumerate().map(|(place, listed)| (listed.id(), place)).collect();
        let gone = self.ids().filter(|id| !known.contains_key(id));
        let gone = gone.filter(|id| self.get(*id).is_some()).map(|id| (id, None)).collect::<Vec<_>>();
        let changed = concerts.iter().filter(|listed| self.get(listed.id()) != Some(*listed)).count();
        if self.changed.len() + changed + gone.len() > changes_max {
            return Self::new(concerts);
        }
        self.with(concerts.into_iter().map(|listed| (listed.id(), Some(listed))).chain(gone))
    }

    fn ids(&self) -> impl Iterator<Item = ConcertId> {
        self.built.concerts.iter().map(|indexed| indexed.listed.id()).chain(self.changed.keys().copied())
    }

    /// One page of what matches at `now`.
    pub fn page(
        &self,
        search: &ConcertSearch,
        now: Timestamp,
        request: &PageRequest<ConcertKey>,
    ) -> Page<&ListedConcert, ConcertKey> {
        let question = Question {
            search,
            now,
            first_page_at: ConcertSearch::first_page_at(request, now),
            after: request.after,
            wanted: request.limit as usize + 1,
        };
        let built = self.built.find(&question, |id| self.changed.contains_key(&id));
        let changed = self.changed.values().flatten().filter_map(|indexed| {
            let key = question.place(&indexed.listed)?;
            search.words.are_in(&indexed.text).then_some((key, &indexed.listed))
        });
        let built = built.into_iter().map(|(key, number)| (key, &self.built.at(number).listed));
        let mut found: Vec<_> = built.chain(changed).collect();
        found.sort_unstable_by_key(|(key, _)| question.rank(key));
        found.truncate(question.wanted);
        let page = Page::from_rows(found, request.limit, |(key, _)| *key);
        Page { items: page.items.into_iter().map(|(_, listed)| listed).collect(), next: page.next }
    }
}

impl Built {
    fn new(mut concerts: Vec<Arc<Indexed>>) -> Self {
        concerts.sort_unstable_by_key(|indexed| indexed.listed.id());
        let numbered = || concerts.iter().map(|indexed| &indexed.listed).zip(0..);
        let starts_of = |(listed, number): (&ListedConcert, Number)| {
            listed.starts().iter().map(move |starts_at| (*starts_at, number)).collect::<Vec<_>>()
        };
        let mut starts: Vec<_> = numbered().flat_map(starts_of).collect();
        starts.sort_unstable();
        let first_of = |number: &Number| concerts[*number as usize].listed.starts().first();
        let (undated, mut by_first_start): (Vec<_>, Vec<_>) =
            numbered().map(|(_, number)| number).partition(|number| first_of(number).is_none());
        by_first_start.sort_unstable_by_key(|number| (first_of(number), *number));
        let concert = |number: &Number| &concerts[*number as usize].listed.summary.concert;
        let mut by_opening: Vec<_> = numbered().map(|(_, number)| number).collect();
        let mut newest_first = by_opening.clone();
        by_opening.sort_unstable_by_key(|number| (concert(number).sales.open_at(), *number));
        newest_first.sort_unstable_by_key(|number| Reverse((concert(number).created_at, *number)));
        let grams = Grams::new(&concerts);
        Self { concerts, grams, starts, by_first_start, undated, by_opening, newest_first }
    }

    fn at(&self, number: Number) -> &Indexed {
        &self.concerts[number as usize]
    }

    fn get(&self, id: ConcertId) -> Option<&Arc<Indexed>> {
        let found = self.concerts.binary_search_by_key(&id, |indexed| indexed.listed.id());
        found.ok().map(|place| &self.concerts[place])
    }

    /// The first concerts of an answer, in no order. Concerts that are `hidden` are left out.
    fn find(&self, question: &Question<'_>, hidden: impl Fn(ConcertId) -> bool) -> Vec<(ConcertKey, Number)> {
        let ConcertSearch { words, from, to, .. } = question.search;
        let Some(lists) = self.grams.lists(words) else { return Vec::new() };
        let dated = (from.is_some() || to.is_some()).then(|| &self.starts[self.within(*from, *to)]);
        let fewest = lists.first().map(|list| list.len()).into_iter().chain(dated.map(<[_]>::len)).min();
        let steps_max = match fewest {
            None => usize::MAX,
            Some(fewest) if fewest <= CANDIDATES_FEW => 0,
            Some(fewest) => PATIENCE * question.wanted * self.concerts.len().div_ceil(fewest),
        };
        let mut walk = Walk { built: self, question, hidden: &hidden, steps_left: steps_max, found: Vec::new() };
        if walk.follow_order() { walk.found } else { self.look_at_candidates(question, &lists, dated, &hidden) }
    }

    /// The places in `starts` of the performances in a range.
    fn within(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Range<usize> {
        let before = |limit: Timestamp| self.starts.partition_point(|(at, _)| *at < limit);
        let end = to.map_or(self.starts.len(), before);
        from.map_or(0, before).min(end)..end
    }

    /// Looks at all concerts that have the pairs of the words, or a performance in the range.
    fn look_at_candidates(
        &self,
        question: &Question<'_>,
        lists: &[&[Number]],
        dated: Option<&[(Timestamp, Number)]>,
        hidden: &impl Fn(ConcertId) -> bool,
    ) -> Vec<(ConcertKey, Number)> {
        let in_range = || {
            let mut numbers: Vec<_> = dated.unwrap_or_default().iter().map(|(_, number)| *number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let (mut candidates, further) = match (lists, dated) {
            ([rarest, further @ ..], dated) if dated.is_none_or(|dated| rarest.len() <= dated.len()) => {
                (rarest.to_vec(), further)
            }
            _ => (in_range(), lists),
        };
        for list in further {
            if candidates.len() <= INTERSECTED_MIN {
                break;
            }
            intersect(&mut candidates, list);
        }
        let placed = candidates.into_iter().filter_map(|number| {
            let key = question.place(&self.at(number).listed)?;
            Some(Reverse((question.rank(&key), number)))
        });
        // Only as many texts are looked at as there have to be.
        let mut placed: BinaryHeap<_> = placed.collect();
        let mut found = Vec::new();
        while found.len() < question.wanted
            && let Some(Reverse((_, number))) = placed.pop()
        {
            let Indexed { listed, text } = self.at(number);
            if question.search.words.are_in(text)
                && !hidden(listed.id())
                && let Some(key) = question.place(listed)
            {
                found.push((key, number));
            }
        }
        found
    }
}

/// Removes the numbers that are not in a list; both are ascending.
fn intersect(candidates: &mut Vec<Number>, list: &[Number]) {
    let mut rest = list;
    candidates.retain(|number| {
        // Lists of the same length are walked, and a long list is searched.
        let mut step = 1;
        while step < rest.len() && rest[step] < *number {
            step *= 2;
        }
        let reach = rest.len().min(step + 1);
        rest = &rest[rest[..reach].partition_point(|other| other < number)..];
        rest.first() == Some(number)
    });
}

/// Follows an order from where a list goes on.
struct Walk<'w, H> {
    built: &'w Built,
    question: &'w Question<'w>,
    hidden: &'w H,
    steps_left: usize,
    found: Vec<(ConcertKey, Number)>,
}

impl<H: Fn(ConcertId) -> bool> Walk<'_, H> {
    /// Whether the page is full, or the order has ended, before the steps are used up.
    fn follow_order(&mut self) -> bool {
        let Built { concerts, by_opening, newest_first, .. } = self.built;
        match self.question.search.order {
            ConcertOrder::Published => {
                let seen = |after: ConcertKey| concerts.partition_point(|indexed| indexed.listed.id() <= after.id);
                let begin = self.question.after.map_or(0, seen);
                self.take((begin..concerts.len()).map(|place| (Number::try_from(place).unwrap_or(Number::MAX), None)))
            }
            ConcertOrder::SalesOpenAt => self.take_after(by_opening),
            ConcertOrder::NewestFirst => self.take_after(newest_first),
            ConcertOrder::StartsAt => self.follow_starts(),
        }
    }

    fn follow_starts(&mut self) -> bool {
        let Question { search: ConcertSearch { from, to, .. }, first_page_at, after, .. } = *self.question;
        let built = self.built;
        let (from, to) = (*from, *to);
        let id = |number: &Number| built.at(*number).listed.id();
        let first = |number: &Number| built.at(*number).listed.starts().first().copied();
        let at_stage = |stage: Stage| after.filter(|after| after.stage == stage);
        let is_past = |stage: Stage| after.is_some_and(|after| after.stage > stage);
        if !is_past(Stage::ToCome) {
            let to_come = &built.starts[built.within(from.or(Some(first_page_at)), to)];
            let seen = at_stage(Stage::ToCome)
                .map_or(0, |after| to_come.partition_point(|(at, number)| (*at, id(number)) <= (after.at, after.id)));
            if !self.take(to_come[seen..].iter().map(|(at, number)| (*number, Some((Stage::ToCome, *at))))) {
                return false;
            }
        }
        // With a beginning of the range, no performance in it counts as started.
        if self.is_full() || from.is_some() {
            return true;
        }
        if !is_past(Stage::Started) {
            let order = &built.by_first_start;
            let seen = at_stage(Stage::Started).map_or(0, |after| {
                order.partition_point(|number| (first(number), id(number)) <= (Some(after.at), after.id))
            });
            let started =
                order[seen..].iter().filter_map(|number| Some((*number, Some((Stage::Started, first(number)?)))));
            if !self.take(started) {
                return false;
            }
        }
        if self.is_full() || to.is_some() {
            return true;
        }
        let order = &built.undated;
        let seen = at_stage(Stage::Undated).map_or(0, |after| order.partition_point(|number| id(number) <= after.id));
        self.take(order[seen..].iter().map(|number| (*number, None)))
    }

    fn is_full(&self) -> bool {
        self.found.len() >= self.question.wanted
    }

    /// Goes through concerts in an order that does not depend on the search.
    fn take_after(&mut self, order: &[Number]) -> bool {
        let question = self.question;
        let without_filters = ConcertSearch { order: question.search.order, ..ConcertSearch::default() };
        let is_seen = |number: &Number| {
            let key = without_filters.place(&self.built.at(*number).listed, question.now, question.first_page_at);
            key.is_some_and(|key| !question.follows(&key))
        };
        let begin = order.partition_point(is_seen);
        self.take(order[begin..].iter().map(|number| (*number, None)))
    }

    /// Goes through concerts, each with the place in the order at which it is met, if it may be met at several.
    fn take(&mut self, concerts: impl Iterator<Item = (Number, Option<(Stage, Timestamp)>)>) -> bool {
        for (number, met_at) in concerts {
            if self.is_full() {
                return true;
            }
            if self.steps_left == 0 {
                return false;
            }
            self.steps_left -= 1;
            let Indexed { listed, text } = self.built.at(number);
            if let Some(key) = self.question.place(listed)
                && met_at.is_none_or(|met_at| met_at == (key.stage, key.at))
                && self.question.search.words.are_in(text)
                && !(self.hidden)(listed.id())
            {
                self.found.push((key, number));
            }
        }
        true
    }
}

/// Letters and pairs of letters, each with the concerts that have it, ascending.
#[derive(Debug, Default)]
struct Grams {
    lists: HashMap<u64, (u32, u32), BuildHasherDefault<GramHasher>>,
    numbers: Vec<Number>,
}

impl Grams {
    fn new(concerts: &[Arc<Indexed>]) -> Self {
        let mut lists: HashMap<u64, (u32, u32), BuildHasherDefault<GramHasher>> = HashMap::default();
        let mut grams = Vec::new();
        let mut total = 0;
        for indexed in concerts {
            collect_grams(&indexed.text, &mut grams);
            for gram in &grams {
                lists.entry(*gram).or_default().1 += 1;
                total += 1;
            }
        }
        // Each list gets its part of one array, which is then filled.
        let mut begin = 0;
        for list in lists.values_mut() {
            let length = std::mem::take(&mut list.1);
            list.0 = begin;
            begin += length;
        }
        let mut numbers = vec![0; total];
        for (indexed, number) in concerts.iter().zip(0..) {
            collect_grams(&indexed.text, &mut grams);
            for gram in &grams {
                if let Some((begin, length)) = lists.get_mut(gram) {
                    numbers[(*begin + *length) as usize] = number;
                    *length += 1;
                }
            }
        }
        Self { lists, numbers }
    }

    /// The lists of the letters and pairs of all words, the shortest first; `None` if no concert has one of them.
    fn lists(&self, words: &SearchWords) -> Option<Vec<&[Number]>> {
        let (mut lists, mut grams) = (Vec::new(), Vec::new());
        for word in words.iter() {
            collect_grams(word, &mut grams);
            // A word of several letters is found by its pairs.
            let has_pairs = grams.iter().any(|gram| *gram >> 32 != 0);
            for gram in grams.iter().filter(|gram| !has_pairs || **gram >> 32 != 0) {
                let (begin, length) = self.lists.get(gram)?;
                lists.push(&self.numbers[*begin as usize..(begin + length) as usize]);
            }
        }
        lists.sort_unstable_by_key(|list| list.len());
        Some(lists)
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
