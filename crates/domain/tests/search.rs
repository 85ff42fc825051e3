//! However concerts are searched for and changed, an index answers what looking at each concert answers.

use std::collections::BTreeMap;

use boxoffice_domain::{
    ConcertId, Timestamp,
    catalog::{
        Concert, ConcertIndex, ConcertKey, ConcertOrder, ConcertSearch, ConcertSummary, ListedConcert, SalesWindow,
        SearchWords, folded,
    },
    fixtures::{self, instant},
    page::{Page, PageRequest},
    text::Name,
};
use proptest::{prelude::*, sample::select};
use uuid::Uuid;

/// Few words of few letters, so that much matches, also by chance.
const WORDS: [&str; 18] = [
    "한강",
    "한",
    "강밴드",
    "밴드",
    "라이브",
    "Night",
    "night",
    "Éte",
    "ete",
    "AB",
    "BA",
    "ABAB",
    "Ｌｉｖｅ",
    "Łødź",
    "LODZ",
    "Ærø",
    "aero",
    "\u{1112}\u{1161}\u{11ab}",
];
const ORDERS: [ConcertOrder; 4] =
    [ConcertOrder::Published, ConcertOrder::StartsAt, ConcertOrder::SalesOpenAt, ConcertOrder::NewestFirst];

fn text(words_max: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(select(&WORDS[..]), 1..=words_max).prop_map(|words| words.join(" "))
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

const PAGES_COMPARED: usize = 4;

/// Instants are few, so that many are equal.
fn at() -> impl Strategy<Value = i64> {
    -4..=4_i64
}

fn listed(ids: std::ops::Range<u128>) -> impl Strategy<Value = ListedConcert> {
    let starts = prop::collection::vec((at(), text(1)), 0..4);
    (ids, text(3), text(1), starts, at(), at()).prop_map(|(id, title, artist, starts, opens_at, created_at)| {
        let concert = Concert {
            id: ConcertId::new(Uuid::from_u128(id)),
            title: name(&title),
            artist: name(&artist),
            sales: SalesWindow::new(instant(opens_at), instant(opens_at + 3)).unwrap(),
            created_at: instant(created_at),
            ..fixtures::concert()
        };
        let at: Vec<Timestamp> = starts.iter().map(|(seconds, _)| instant(*seconds)).collect();
        let venues = starts.iter().map(|(seconds, venue)| (instant(*seconds), name(venue)));
        ListedConcert::new(ConcertSummary::new(concert, &at), venues)
    })
}

fn search() -> impl Strategy<Value = ConcertSearch> {
    let word = prop_oneof![4 => text(2), 1 => Just("h".to_owned()), 1 => Just("없다".to_owned())];
    let words = prop::option::weighted(0.7, word);
    let bound = || prop::option::weighted(0.3, at());
    (words, bound(), bound(), prop::option::weighted(0.3, prop::bool::ANY), select(&ORDERS[..])).prop_map(
        |(words, from, to, bookable, order)| ConcertSearch {
            words: words.map_or_else(SearchWords::default, |words| SearchWords::new(&words).unwrap()),
            from: from.map(instant),
            to: to.map(instant),
            bookable,
            order,
        },
    )
}

fn seen(page: Page<&ListedConcert, ConcertKey>) -> Page<ConcertSummary, ConcertKey> {
    Page { items: page.items.into_iter().map(|listed| listed.summary.clone()).collect(), next: page.next }
}

/// The concerts that are there, by id: of several with one id, the last.
type All = BTreeMap<ConcertId, ListedConcert>;

fn all_of(concerts: Vec<ListedConcert>) -> All {
    concerts.into_iter().map(|listed| (listed.id(), listed)).collect()
}

/// Compares the first pages.
fn compare(index: &ConcertIndex, all: &All, search: &ConcertSearch, limit: u32) -> Result<(), TestCaseError> {
    let (mut after, mut now) = (None, instant(0));
    for _ in 0..PAGES_COMPARED {
        let request = PageRequest { limit, after };
        let page = search.page(all.values().cloned(), now, &request);
        prop_assert_eq!(&seen(index.page(search, now, &request)), &page);
        after = page.next;
        // While the pages are read time passes, which makes some concerts bookable and others not.
        now += chrono::TimeDelta::milliseconds(300);
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_index_answers_what_looking_at_each_concert_answers(
        concerts in prop::collection::vec(listed(1..100), 0..60),
        changed in prop::collection::vec(listed(1..100), 0..20),
        gone in prop::collection::vec(1..100_u128, 0..5),
        searches in prop::collection::vec((search(), 1..20_u32), 1..4),
        changes_max in select(&[0_usize, 10, 1_000][..]),
    ) {
        let mut all = all_of(concerts);
        let built = ConcertIndex::new(all.values().cloned().collect());
        for (search, limit) in &searches {
            compare(&built, &all, search, *limit)?;
        }
        let gone: Vec<_> = gone.into_iter().map(|id| ConcertId::new(Uuid::from_u128(id))).collect();
        let changed = all_of(changed);
        all.extend(changed.clone());
        all.retain(|id, _| !gone.contains(id));
        let changes = changed.into_iter().map(|(id, listed)| (id, Some(listed))).chain(gone.iter().map(|id| (*id, None)));
        let with = built.with(changes);
        let renewed = built.renewed(all.values().cloned().collect(), changes_max);
        prop_assert!(renewed.changes_count() <= changes_max);
        for (search, limit) in &searches {
            compare(&with, &all, search, *limit)?;
            compare(&renewed, &all, search, *limit)?;
        }
    }

    #[test]
    fn every_concert_is_on_one_page_while_others_are_published(
        concerts in prop::collection::vec(listed(1..200), 0..60),
        added in prop::collection::vec(listed(200..400), 0..30),
        search in search(),
        limit in 1..4_u32,
    ) {
        let search = ConcertSearch { bookable: None, ..search };
        let mut index = ConcertIndex::new(all_of(concerts.clone()).into_values().collect());
        let first = PageRequest::first(1_000);
        let expected: Vec<_> = seen(index.page(&search, instant(0), &first)).items;
        let (mut found, mut after, mut now) = (Vec::new(), None, instant(0));
        let mut added = all_of(added).into_iter();
        loop {
            let page = seen(index.page(&search, now, &PageRequest { limit, after }));
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
            index = index.with(added.next().map(|(id, listed)| (id, Some(listed))));
            now += chrono::TimeDelta::seconds(1);
        }
        found.retain(|summary| summary.concert.id.uuid().as_u128() < 200);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn folding_a_folded_text_changes_nothing(text in any::<String>()) {
        prop_assert_eq!(folded(&folded(&text)), folded(&text));
    }
}

#[test]
fn an_index_is_built_again_when_more_has_changed_than_may() {
    let concert = |number: u128, title: &str| {
        let id = ConcertId::new(Uuid::from_u128(number));
        let concert = Concert { id, title: name(title), ..fixtures::concert() };
        ListedConcert::new(ConcertSummary::new(concert, &[]), [])
    };
    let before = [concert(1, "one"), concert(2, "two"), concert(3, "three"), concert(4, "four")];
    let index = ConcertIndex::new(before.to_vec());
    let changed = index.with([(before[0].id(), Some(concert(1, "other"))), (before[1].id(), Some(before[1].clone()))]);
    assert_eq!((index.changes_count(), changed.changes_count()), (0, 1));
    let now = || vec![concert(1, "other"), concert(2, "another"), concert(4, "four")];
    assert_eq!(changed.renewed(now(), 3).changes_count(), 3, "one before, one now, and one is gone");
    assert_eq!(changed.renewed(now(), 2).changes_count(), 0);
}

/// With thousands of concerts the order is followed for common words, and candidates are looked at for rare ones.
#[test]
fn common_and_rare_words_are_found_in_every_order_among_thousands() {
    let concerts: Vec<_> = (0..5_000_u32)
        .map(|number| {
            let title = if number % 997 == 0 {
                "드문 노래"
            } else {
                ["밤의 노래", "Nacht", "노래하는 밤", "night"][number as usize % 4]
            };
            let created_at = instant(i64::from(number.wrapping_mul(2_654_435_761) % 1_000));
            let concert = Concert {
                id: ConcertId::new(Uuid::from_u128(u128::from(number))),
                title: name(title),
                sales: SalesWindow::new(created_at, instant(2_000)).unwrap(),
                created_at,
                ..fixtures::concert()
            };
            let starts_at = instant(i64::from(number.wrapping_mul(40_503) % 777) - 300);
            ListedConcert::new(ConcertSummary::new(concert, &[starts_at]), [(starts_at, name("Hall"))])
        })
        .collect();
    let all = all_of(concerts);
    let index = ConcertIndex::new(all.values().cloned().collect());
    for (words, expected) in [("노래", 2_503), ("드문 노래", 6), ("래노", 0), ("c", 1_248), ("nacht hall", 1_248)]
    {
        for order in ORDERS {
            let search = ConcertSearch { words: SearchWords::new(words).unwrap(), order, ..ConcertSearch::default() };
            let count = index.page(&search, instant(0), &PageRequest::first(9_999)).items.len();
            assert_eq!(count, expected, "{words} {order:?}");
            compare(&index, &all, &search, 20).unwrap();
        }
    }
}
