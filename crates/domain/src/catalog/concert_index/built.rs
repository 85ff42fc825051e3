//! The concerts of an index as they were when it was built.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range, sync::Arc};

use fixedbitset::FixedBitSet;

use super::{
    Indexed, Question,
    grams::Grams,
    numbers::{Number, Numbers},
};
use crate::{
    ConcertId, Timestamp,
    catalog::search::{ConcertKey, ConcertOrder, ConcertSearch, Stage, Times},
};

/// Of at most this many candidates, and one of so many concerts, each is looked at; of more, the order is followed.
const CANDIDATES_FEW_MAX: usize = 1_024;
const CONCERTS_FOR_EACH_OF_FEW: usize = 16;
/// A range of dates with at most one performance for so many concerts is made a set of candidates.
const CONCERTS_FOR_EACH_DATED: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Built {
    /// By id.
    concerts: Vec<Arc<Indexed>>,
    /// The times of the concerts. A search looks at those of many, so they lie together.
    rows: Vec<Row>,
    /// When the performances of the rows start.
    starts: Vec<Timestamp>,
    grams: Grams,
    /// The starts of performances, each with its concert.
    by_start: Vec<(Timestamp, Number)>,
    /// The concerts with a performance by the start of the first one.
    by_first_start: Vec<Number>,
    undated: Vec<Number>,
    by_opening: Vec<Number>,
    newest_first: Vec<Number>,
}

/// The times of a concert: as large as a line of the processor's cache.
#[derive(Debug)]
struct Row {
    id: ConcertId,
    created_at: Timestamp,
    on_sale: Range<Timestamp>,
    starts: Range<u32>,
}

impl Built {
    pub(super) fn new(mut concerts: Vec<Arc<Indexed>>) -> Self {
        concerts.sort_unstable_by_key(|indexed| indexed.listed.id());
        let grams = Grams::new(concerts.iter().map(|indexed| &*indexed.text));
        let mut built = Self { rows: Vec::with_capacity(concerts.len()), grams, ..Self::default() };
        for (indexed, number) in concerts.iter().zip(0..) {
            let Times { id, created_at, on_sale, starts } = indexed.listed.times();
            let begin = built.starts_count();
            built.starts.extend(starts);
            built.by_start.extend(starts.iter().map(|starts_at| (*starts_at, number)));
            built.rows.push(Row { id, created_at, on_sale, starts: begin..built.starts_count() });
        }
        built.concerts = concerts;
        built.by_start.sort_unstable();
        let Self { rows, starts, .. } = &built;
        let row = |number: &Number| &rows[*number as usize];
        let first_of = |number: &Number| starts[range(&row(number).starts)].first();
        let numbers = (0..).zip(rows).map(|(number, _)| number);
        let (undated, mut by_first_start): (Vec<_>, Vec<_>) =
            numbers.clone().partition(|number| first_of(number).is_none());
        by_first_start.sort_unstable_by_key(|number| (first_of(number), *number));
        let mut by_opening: Vec<_> = numbers.collect();
        let mut newest_first = by_opening.clone();
        by_opening.sort_unstable_by_key(|number| (row(number).on_sale.start, *number));
        newest_first.sort_unstable_by_key(|number| Reverse((row(number).created_at, *number)));
        Self { by_first_start, undated, by_opening, newest_first, ..built }
    }

    fn starts_count(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ConcertId> {
        self.rows.iter().map(|row| row.id)
    }

    pub(super) fn at(&self, number: Number) -> &Indexed {
        &self.concerts[number as usize]
    }

    pub(super) fn get(&self, id: ConcertId) -> Option<&Arc<Indexed>> {
        let found = self.rows.binary_search_by_key(&id, |row| row.id);
        found.ok().map(|place| &self.concerts[place])
    }

    fn times(&self, number: Number) -> Times<'_> {
        let Row { id, created_at, on_sale, starts } = &self.rows[number as usize];
        Times { id: *id, created_at: *created_at, on_sale: on_sale.clone(), starts: &self.starts[range(starts)] }
    }

    /// The first concerts of an answer, in no order. Concerts that are `hidden` are left out.
    pub(super) fn find(
        &self,
        question: &Question<'_>,
        hidden: impl Fn(ConcertId) -> bool,
    ) -> Vec<(ConcertKey, Number)> {
        match self.candidates(question.search) {
            Some(candidates) if candidates.len() <= self.few_candidates() => {
                self.look_at_each(question, &candidates.to_list(), hidden)
            }
            candidates => {
                let candidates = candidates.map(|candidates| candidates.into_bits(self.rows.len()));
                let mut walk = Walk { built: self, question, candidates, hidden, found: Vec::new() };
                walk.follow_order();
                walk.found
            }
        }
    }

    fn few_candidates(&self) -> usize {
        (self.rows.len() / CONCERTS_FOR_EACH_OF_FEW).min(CANDIDATES_FEW_MAX)
    }

    /// The concerts that may match, unless all may.
    fn candidates(&self, search: &ConcertSearch) -> Option<Numbers> {
        let ConcertSearch { words, from, to, order, .. } = search;
        let with_words = self.grams.concerts_with(words);
        if from.is_none() && to.is_none() {
            return with_words;
        }
        let dated = &self.by_start[self.within(*from, *to)];
        // An order by start follows the range itself.
        let few = if *order == ConcertOrder::StartsAt {
            self.few_candidates()
        } else {
            self.rows.len() / CONCERTS_FOR_EACH_DATED
        };
        if dated.len() > few {
            return with_words;
        }
        let dated = Numbers::collect(dated.iter().map(|(_, number)| *number), self.rows.len());
        Some(if let Some(with_words) = with_words { with_words.and(&dated) } else { dated })
    }

    /// The places in `by_start` of the performances in a range.
    fn within(&self, from: Option<Timestamp>, to: Option<Timestamp>) -> Range<usize> {
        let before = |limit: Timestamp| self.by_start.partition_point(|(at, _)| *at < limit);
        let end = to.map_or(self.by_start.len(), before);
        from.map_or(0, before).min(end)..end
    }

    /// The first concerts of an answer, by looking at each candidate.
    fn look_at_each(
        &self,
        question: &Question<'_>,
        candidates: &[Number],
        hidden: impl Fn(ConcertId) -> bool,
    ) -> Vec<(ConcertKey, Number)> {
        let placed = candidates.iter().filter_map(|number| {
            let key = question.place(&self.times(*number))?;
            Some(Reverse((question.rank(&key), *number)))
        });
        // Only as many texts are looked at as there have to be.
        let mut placed: BinaryHeap<_> = placed.collect();
        let mut found = Vec::new();
        while found.len() < question.wanted
            && let Some(Reverse((_, number))) = placed.pop()
        {
            let key = question.place(&self.times(number));
            found.extend(key.filter(|key| self.matches(question, key, number, &hidden)).map(|key| (key, number)));
        }
        found
    }

    /// Whether a concert that has its place in the order also has the words.
    fn matches(
        &self,
        question: &Question<'_>,
        key: &ConcertKey,
        number: Number,
        hidden: impl Fn(ConcertId) -> bool,
    ) -> bool {
        question.search.words.are_in(&self.at(number).text) && !hidden(key.id)
    }
}

fn range(starts: &Range<u32>) -> Range<usize> {
    starts.start as usize..starts.end as usize
}

/// Follows an order from where a list goes on, until the page is full.
struct Walk<'w, H> {
    built: &'w Built,
    question: &'w Question<'w>,
    /// `None` if all concerts are.
    candidates: Option<FixedBitSet>,
    hidden: H,
    found: Vec<(ConcertKey, Number)>,
}

impl<H: Fn(ConcertId) -> bool> Walk<'_, H> {
    fn follow_order(&mut self) {
        let Built { rows, by_opening, newest_first, .. } = self.built;
        match self.question.search.order {
            ConcertOrder::Published => {
                let begin = self.question.after.map_or(0, |after| rows.partition_point(|row| row.id <= after.id));
                let numbers = (begin..rows.len()).filter_map(|number| Number::try_from(number).ok());
                self.take(numbers.map(|number| (number, None)));
            }
            ConcertOrder::SalesOpenAt => self.take_after(by_opening),
            ConcertOrder::NewestFirst => self.take_after(newest_first),
            ConcertOrder::StartsAt => self.follow_starts(),
        }
    }

    fn follow_starts(&mut self) {
        let Question { search: ConcertSearch { from, to, .. }, first_page_at, after, .. } = *self.question;
        let built = self.built;
        let (from, to) = (*from, *to);
        let id = |number: &Number| built.rows[*number as usize].id;
        let first = |number: &Number| built.times(*number).starts.first().copied();
        let at_stage = |stage: Stage| after.filter(|after| after.stage == stage);
        let is_past = |stage: Stage| after.is_some_and(|after| after.stage > stage);
        if !is_past(Stage::ToCome) {
            let to_come = &built.by_start[built.within(from.or(Some(first_page_at)), to)];
            let seen = at_stage(Stage::ToCome)
                .map_or(0, |after| to_come.partition_point(|(at, number)| (*at, id(number)) <= (after.at, after.id)));
            self.take(to_come[seen..].iter().map(|(at, number)| (*number, Some((Stage::ToCome, *at)))));
        }
        // With a beginning of the range, no performance in it counts as started.
        if from.is_none() && !is_past(Stage::Started) {
            let order = &built.by_first_start;
            let seen = at_stage(Stage::Started).map_or(0, |after| {
                order.partition_point(|number| (first(number), id(number)) <= (Some(after.at), after.id))
            });
            self.take(
                order[seen..].iter().filter_map(|number| Some((*number, Some((Stage::Started, first(number)?))))),
            );
        }
        if from.is_none() && to.is_none() {
            let order = &built.undated;
            let seen =
                at_stage(Stage::Undated).map_or(0, |after| order.partition_point(|number| id(number) <= after.id));
            self.take(order[seen..].iter().map(|number| (*number, None)));
        }
    }

    /// Goes through concerts in an order that does not depend on the search.
    fn take_after(&mut self, order: &[Number]) {
        let question = self.question;
        let without_filters = ConcertSearch { order: question.search.order, ..ConcertSearch::default() };
        let is_seen = |number: &Number| {
            let key = without_filters.place(&self.built.times(*number), question.now, question.first_page_at);
            key.is_some_and(|key| !question.follows(&key))
        };
        let begin = order.partition_point(is_seen);
        self.take(order[begin..].iter().map(|number| (*number, None)));
    }

    /// Goes through concerts, each with the place in the order at which it is met, if it may be met at several.
    fn take(&mut self, mut concerts: impl Iterator<Item = (Number, Option<(Stage, Timestamp)>)>) {
        while self.found.len() < self.question.wanted
            && let Some((number, met_at)) = concerts.next()
        {
            if self.candidates.as_ref().is_none_or(|candidates| candidates.contains(number as usize))
                && let Some(key) = self.question.place(&self.built.times(number))
                && met_at.is_none_or(|met_at| met_at == (key.stage, key.at))
                && self.built.matches(self.question, &key, number, &self.hidden)
            {
                self.found.push((key, number));
            }
        }
    }
}
