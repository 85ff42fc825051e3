use super::*;
use crate::{
    catalog::SalesWindow,
    fixtures::{self, instant as at},
};

fn words(text: &str) -> Vec<String> {
    SearchWords::new(text).unwrap().0
}

#[test]
fn folding_leaves_out_what_people_do_not_type() {
    for (text, expected) in [
        ("IU 콘서트", "iu 콘서트"),
        ("Beyoncé", "beyonce"),
        ("BEYONCE\u{301}", "beyonce"),
        ("Straße", "strasse"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευσ"),
        ("Ὀδυσσεύς", "οδυσσευσ"),
        ("İstanbul", "istanbul"),
        ("ＡＢＣ１２３", "abc123"),
        ("ﬁlm", "film"),
        ("ｶﾞｸﾄ", "ガクト"),
        ("か\u{3099}", "が"),
        ("한\u{200b}강", "한강"),
        ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc}", "한강"),
        ("ﾡ", "\u{1100}"),
        ("Ёлка", "елка"),
        ("Łódź", "lodz"),
        ("ØRSTED", "orsted"),
        ("Ǿrsted", "orsted"),
        ("Đặng Ħal Ŧ", "dang hal t"),
        ("Ærø Œuvre ǼB", "aero oeuvre aeb"),
        ("Þór Sigurðsson", "thor sigurdsson"),
        ("STRAẞE straße", "strasse strasse"),
        ("Diyarbakır", "diyarbakir"),
        ("Əliyev Ŋ", "eliyev n"),
        ("ʟɪᴠᴇ", "live"),
        ("ｌｉｖｅ ᴸⁱᵛᵉ", "live live"),
        ("한강 ガクト 東京 Київ Αθήνα ไทย", "한강 ガクト 東京 киів αθηνα ไทย"),
    ] {
        assert_eq!(folded(text), expected, "{text}");
        assert_eq!(folded(&folded(text)), expected, "{text}");
    }
}

#[test]
fn equal_searches_are_equal() {
    assert_eq!(words("  Han  BAND "), ["band", "han"]);
    assert_eq!(words("band han"), words("Han\u{3000}Band\u{a0}ban BAND"));
    assert_eq!(words("한강"), words("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc}"));
    assert_eq!(words("밴드"), words(&"밴드".nfd().collect::<String>()));
}

#[test]
fn words_can_be_looked_at() {
    let searched = SearchWords::new("Night bands").unwrap();
    assert_eq!(searched.iter().collect::<Vec<_>>(), ["bands", "night"]);
    assert!(!searched.is_empty() && SearchWords::default().is_empty());
}

#[test]
fn a_search_is_plain_if_it_asks_for_no_more_than_the_list_has() {
    let plain = ConcertSearch::default();
    assert!(plain.is_plain() && ConcertSearch { bookable: Some(true), ..plain.clone() }.is_plain());
    for more in [
        ConcertSearch { words: SearchWords::new("night").unwrap(), ..plain.clone() },
        ConcertSearch { from: Some(at(1)), ..plain.clone() },
        ConcertSearch { to: Some(at(1)), ..plain.clone() },
        ConcertSearch { order: ConcertOrder::StartsAt, ..plain.clone() },
    ] {
        assert!(!more.is_plain(), "{more:?}");
    }
}

/// A concert whose sale opens then, with performances at these instants.
fn listed(number: u128, title: &str, opens_at: i64, created_at: i64, starts: &[i64]) -> ListedConcert {
    let concert = Concert {
        id: ConcertId::new(uuid::Uuid::from_u128(number)),
        title: Name::new(title).unwrap(),
        sales: SalesWindow::new(at(opens_at), at(100)).unwrap(),
        created_at: at(created_at),
        ..fixtures::concert()
    };
    let starts: Vec<_> = starts.iter().map(|seconds| at(*seconds)).collect();
    let summary = ConcertSummary::new(concert, &starts);
    ListedConcert::new(summary, starts.into_iter().map(|starts_at| (starts_at, Name::new("Hall").unwrap())))
}

fn all() -> [ListedConcert; 4] {
    [
        listed(1, "Night", 5, 3, &[30, 10]),
        listed(2, "밤 밴드 night", 1, 9, &[20]),
        listed(3, "Day", 2, 5, &[]),
        listed(4, "Night and day", 7, 1, &[2, 40]),
    ]
}

/// The numbers of the concerts on a page, and where the list goes on.
fn page(search: &ConcertSearch, now: i64, limit: u32, after: Option<ConcertKey>) -> (Vec<u128>, Option<ConcertKey>) {
    let page = search.page(all(), at(now), &PageRequest { limit, after });
    (page.items.iter().map(|summary| summary.concert.id.uuid().as_u128()).collect(), page.next)
}

#[test]
fn each_order_is_followed_by_its_own_times() {
    for (order, now, expected) in [
        (ConcertOrder::Published, 15, [1, 2, 3, 4]),
        (ConcertOrder::StartsAt, 15, [2, 1, 4, 3]),
        (ConcertOrder::StartsAt, 20, [2, 1, 4, 3]),
        (ConcertOrder::StartsAt, 35, [4, 1, 2, 3]),
        (ConcertOrder::SalesOpenAt, 15, [2, 3, 1, 4]),
        (ConcertOrder::NewestFirst, 15, [2, 3, 1, 4]),
    ] {
        let search = ConcertSearch { order, ..ConcertSearch::default() };
        let (whole, next) = page(&search, now, 4, None);
        assert_eq!((&whole[..], next), (&expected[..], None), "{order:?} at {now}");
        // The pages are those of the instant at which the first one was read.
        let (mut pages, mut after, mut later) = (Vec::new(), None, now);
        loop {
            let (one, next) = page(&search, later, 1, after);
            pages.extend(one);
            (after, later) = (next, later + 10);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(pages, expected, "{order:?} at {now}");
    }
}

#[test]
fn words_dates_and_sales_are_filters() {
    let everything = ConcertSearch::default;
    let dated = |from: Option<i64>, to: Option<i64>| ConcertSearch {
        from: from.map(at),
        to: to.map(at),
        order: ConcertOrder::StartsAt,
        ..everything()
    };
    let with = |words: &str| ConcertSearch { words: SearchWords::new(words).unwrap(), ..everything() };
    let bookable = || ConcertSearch { bookable: Some(true), ..everything() };
    for (search, now, expected) in [
        (with("NIGHT"), 15, &[1, 2, 4][..]),
        (with("day night"), 15, &[4]),
        (with("hall"), 15, &[1, 2, 4]),
        (dated(Some(25), None), 15, &[1, 4]),
        (dated(Some(30), None), 15, &[1, 4]),
        (dated(Some(31), None), 15, &[4]),
        (dated(None, Some(25)), 15, &[2, 4, 1]),
        (dated(Some(11), Some(30)), 15, &[2]),
        (dated(Some(5), Some(35)), 15, &[1, 2]),
        (bookable(), 0, &[]),
        (bookable(), 4, &[2]),
        (bookable(), 25, &[1, 4]),
        (bookable(), 40, &[]),
        // Those on sale may be sold out.
        (ConcertSearch { bookable: Some(false), ..everything() }, 25, &[1, 2, 3, 4]),
    ] {
        assert_eq!(page(&search, now, 4, None).0, expected, "{search:?} at {now}");
    }
}

#[test]
fn a_concert_without_its_description_says_so() {
    let concert = listed(1, "Night", 5, 3, &[]);
    assert!(!concert.is_abridged());
    let abridged = concert.abridged();
    assert!(abridged.is_abridged() && abridged.summary.concert.description.as_str().is_empty());
}

#[test]
fn words_are_bounded() {
    for nothing in ["", " \t", "\u{301}", "\u{200b}"] {
        assert_eq!(SearchWords::new(nothing), Err(SearchWordsError::Empty), "{nothing:?}");
    }
    let decomposed: String = "한".repeat(SEARCH_CHARACTERS_MAX).nfd().collect();
    assert!(SearchWords::new(&decomposed).is_ok());
    assert_eq!(SearchWords::new(&"한".repeat(SEARCH_CHARACTERS_MAX + 1)), Err(SearchWordsError::TooLong));
    // What folding leaves out does not count, and what it makes two of counts once.
    assert!(SearchWords::new(&"e\u{323}\u{302}\u{30A}".repeat(SEARCH_CHARACTERS_MAX)).is_ok());
    assert!(SearchWords::new(&"æ".repeat(SEARCH_CHARACTERS_MAX)).is_ok());
    assert_eq!(SearchWords::new(&"æ".repeat(SEARCH_CHARACTERS_MAX + 1)), Err(SearchWordsError::TooLong));
    let numbers = |count: usize| (10..10 + count).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(words(&numbers(SEARCH_WORDS_MAX)).len(), SEARCH_WORDS_MAX);
    assert_eq!(SearchWords::new(&numbers(SEARCH_WORDS_MAX + 1)), Err(SearchWordsError::TooMany));
}
