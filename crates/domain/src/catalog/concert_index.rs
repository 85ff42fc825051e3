//! An index in memory over concerts, for many different searches a second.
//!
//! It answers what [`ConcertSearch::page`] answers. Concerts are numbered by their ids. Each letter and each pair of letters
//! has the set of the concerts whose folded text has it, and each order is an array of concerts. If few concerts have all
//! pairs of a search, each is looked at; if many have them, the order is followed until the page is full.
//!
//! An index does not change. A changed concert is kept beside it in the next one, until there are so many that another
//! index is built.

mod built;
mod grams;
mod numbers;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use self::built::Built;
use super::search::{ConcertKey, ConcertSearch, ListedConcert, Rank, Times};
use crate::{
    ConcertId, Timestamp,
    page::{Page, PageRequest},
};

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
    fn place(&self, times: &Times<'_>) -> Option<ConcertKey> {
        let key = self.search.place(times, self.now, self.first_page_at)?;
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
        self.built.ids().chain(self.changed.keys().copied())
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
            let key = question.place(&indexed.listed.times())?;
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
