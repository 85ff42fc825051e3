//! Searching concerts, and their dates and prices.

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    catalog::{
        Concert, ConcertChange, ConcertKey, ConcertOrder, ConcertSearch, DATES_SHOWN_MAX, PriceList, PriceRange,
        SalesWindow, SearchWords, Venue,
    },
    fixtures::{self, instant},
    page::PageRequest,
};
use chrono::TimeDelta;

use super::{PRICE_A, PRICE_B, Stage, concert, name, new_performance, part, plan, points, show::pages, venue};

const ALL: PageRequest<ConcertKey> = PageRequest { limit: 100, after: None };

/// A catalog to be searched.
struct Hall<'s> {
    stage: &'s Stage,
    promoter_id: AccountId,
    venue: Venue,
}

impl<'s> Hall<'s> {
    async fn open(stage: &'s Stage, venue_name: &str) -> Self {
        let promoter_id = stage.account().await;
        let venue = Venue { name: name(venue_name), overlaps_allowed: true, ..venue(plan(), stage.now()) };
        stage
            .storage
            .catalog
            .publish_venue(promoter_id, venue.clone(), None, fixtures::staff_act())
            .await
            .expect("the storage works");
        Self { stage, promoter_id, venue }
    }

    /// Publishes a concert with performances at these times, whatever its sale and the time of now are. A performance is
    /// published before it starts, and after the opening of its sale; so the sale opens early, and is then moved.
    async fn publish(&self, concert: Concert, starts: &[Timestamp]) -> ConcertId {
        let (catalog, now) = (&self.stage.storage.catalog, self.stage.now());
        let early = starts.iter().copied().min().unwrap_or(now).min(now) - TimeDelta::hours(1);
        let opens_at = early.min(concert.sales.open_at());
        let sales = SalesWindow::new(opens_at, concert.sales.close_at()).expect("a window");
        let first = Concert { sales, ..concert.clone() };
        self.stage.clock.set(early);
        catalog.publish_concert(first.clone(), None, fixtures::staff_act()).await.expect("the storage works");
        for starts_at in starts {
            self.stage.publish(self.promoter_id, &new_performance(&concert, &self.venue, *starts_at)).await;
        }
        self.stage.clock.set(now);
        let change = ConcertChange { sales_open_at: Some(concert.sales.open_at()), ..ConcertChange::default() };
        let moved = change.apply(&first, now).expect("a change");
        if moved != first {
            catalog.update_concert(moved, fixtures::staff_act()).await.expect("the storage works");
        }
        concert.id
    }

    fn concert(&self, title: &str, artist: &str) -> Concert {
        Concert { title: name(title), artist: name(artist), ..concert(self.promoter_id, self.stage.now()) }
    }

    async fn find(&self, search: &ConcertSearch) -> Vec<ConcertId> {
        let page = self.stage.storage.catalog.find_concerts(search, self.stage.now(), ALL).await;
        let page = page.expect("the storage works");
        assert_eq!(page.next, None);
        page.items.iter().map(|summary| summary.concert.id).collect()
    }

    async fn titles(&self, words: &str) -> Vec<String> {
        let page = self.stage.storage.catalog.find_concerts(&words_of(words), self.stage.now(), ALL).await;
        page.expect("the storage works").items.into_iter().map(|found| found.concert.title.into()).collect()
    }
}

fn words_of(text: &str) -> ConcertSearch {
    ConcertSearch { words: SearchWords::new(text).expect("words"), ..ConcertSearch::default() }
}

/// Case, accents, width and composition make no difference; all words have to match, each anywhere.
pub async fn words_are_found_in_every_script_and_form(stage: &Stage) {
    let hall = Hall::open(stage, "Rolling Hall").await;
    let dome = Hall::open(stage, "고척 스카이돔").await;
    let starts = [instant(86_400)];
    hall.publish(hall.concert("한강의 밤", "아이유"), &starts).await;
    hall.publish(hall.concert("Beyoncé LIVE", "Beyoncé"), &[]).await;
    dome.publish(dome.concert("Nacht der Straße", "Die Ärzte"), &starts).await;
    dome.publish(dome.concert("100% 라이브", "＿밴드_"), &starts).await;
    for (words, expected) in [
        ("한강", &["한강의 밤"][..]),
        ("강의", &["한강의 밤"]),
        // Conjoining letters, as some systems type and store them.
        ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1161}\u{11bc}", &["한강의 밤"]),
        ("밤 아이유", &["한강의 밤"]),
        ("아이유 강", &["한강의 밤"]),
        ("한강 밴드", &[]),
        ("의밤", &[]),
        ("beyonce", &["Beyoncé LIVE"]),
        ("BEYONCE\u{301} ive", &["Beyoncé LIVE"]),
        ("ＬＩＶＥ", &["Beyoncé LIVE"]),
        ("strasse arzte", &["Nacht der Straße"]),
        ("ÄRZTE", &["Nacht der Straße"]),
        ("skydome", &[]),
        ("고척", &["Nacht der Straße", "100% 라이브"]),
        ("스카이돔 라이브", &["100% 라이브"]),
        ("rolling", &["한강의 밤"]),
        // What has a meaning in SQL has none here.
        ("%", &["100% 라이브"]),
        ("_", &["100% 라이브"]),
        ("\'", &[]),
        ("없는말", &[]),
    ] {
        assert_eq!(hall.titles(words).await, expected, "{words}");
    }
}

/// The start, the opening and the publication order concerts; a range and the sale leave some out.
pub async fn each_order_and_filter_is_that_of_the_rule(stage: &Stage) {
    use ConcertOrder::{NewestFirst, Published, SalesOpenAt, StartsAt};

    let hall = Hall::open(stage, "Rolling Hall").await;
    let publish = async |title: &str, opens_at: i64, created_at: i64, starts: &[i64]| {
        let concert = Concert {
            sales: SalesWindow::new(instant(opens_at), instant(1_000)).expect("a window"),
            created_at: instant(created_at),
            ..hall.concert(title, "Band")
        };
        let starts: Vec<_> = starts.iter().map(|seconds| instant(*seconds)).collect();
        hall.publish(concert, &starts).await
    };
    let none = publish("a", -7, 5, &[]).await;
    let tour = publish("b", -9, 1, &[-100, 300, 2_000]).await;
    let past = publish("c", -8, 1, &[-200]).await;
    let soon = publish("d", 50, 9, &[200, 250]).await;
    let late = publish("e", -7, 3, &[3_000]).await;
    let search = |order| ConcertSearch { order, ..ConcertSearch::default() };
    for (order, expected) in [
        (Published, [none, tour, past, soon, late]),
        (StartsAt, [soon, tour, late, past, none]),
        (SalesOpenAt, [tour, past, none, late, soon]),
        (NewestFirst, [soon, none, late, past, tour]),
    ] {
        assert_eq!(hall.find(&search(order)).await, expected, "{order:?}");
        let list = async |page| stage.storage.catalog.find_concerts(&search(order), stage.now(), page).await;
        let paged: Vec<_> = pages(2, list).await.concat();
        let paged: Vec<_> = paged.iter().map(|summary| summary.concert.id).collect();
        assert_eq!(paged, expected, "{order:?}");
    }
    let within = |from: Option<i64>, to: Option<i64>| ConcertSearch {
        from: from.map(instant),
        to: to.map(instant),
        ..search(StartsAt)
    };
    for (from, to, expected) in [
        (Some(300), None, vec![tour, late]),
        (Some(301), None, vec![tour, late]),
        (Some(200), Some(300), vec![soon]),
        (Some(200), Some(301), vec![soon, tour]),
        (None, Some(-100), vec![past]),
        (None, Some(300), vec![soon, past, tour]),
        (Some(-200), Some(0), vec![past, tour]),
        (Some(3_001), None, vec![]),
    ] {
        assert_eq!(hall.find(&within(from, to)).await, expected, "{from:?} {to:?}");
    }
    let bookable = ConcertSearch { bookable: Some(true), ..search(StartsAt) };
    assert_eq!(hall.find(&bookable).await, [tour, late]);
    stage.clock.set(instant(50));
    assert_eq!(hall.find(&bookable).await, [soon, tour, late]);
    stage.clock.set(instant(0));
}

/// Pages are stable while concerts are added, before and after the place that was reached, and while time passes.
pub async fn concerts_that_are_published_meanwhile_neither_hide_nor_repeat_others(stage: &Stage) {
    let hall = Hall::open(stage, "Rolling Hall").await;
    let mut published = Vec::new();
    for seconds in 0..7 {
        let starts_at = instant(100 + seconds);
        published.push(hall.publish(hall.concert("밤", "Band"), &[starts_at, instant(500)]).await);
    }
    let search = ConcertSearch { order: ConcertOrder::StartsAt, ..words_of("밤") };
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let request = PageRequest { limit: 2, after };
        let page = stage.storage.catalog.find_concerts(&search, stage.now(), request).await.expect("the storage works");
        seen.extend(page.items.iter().map(|summary| summary.concert.id));
        after = page.next;
        if after.is_none() {
            break;
        }
        // The performances that have started since the first page still count.
        stage.clock.set(stage.now() + chrono::TimeDelta::seconds(60));
        hall.publish(hall.concert("밤", "Band"), &[instant(90)]).await;
        hall.publish(hall.concert("다른 것", "Band"), &[instant(400)]).await;
    }
    seen.retain(|id| published.contains(id));
    assert_eq!(seen, published);
    stage.clock.set(instant(0));
}

/// After every change that was answered a search finds what is there, and nothing that is not.
pub async fn a_change_is_found_at_once(stage: &Stage) {
    let hall = Hall::open(stage, "Rolling Hall").await;
    assert!(hall.titles("early").await.is_empty());
    for number in 0..40 {
        let title = format!("early {number}");
        let id = hall.publish(hall.concert(&title, "Band"), &[]).await;
        assert_eq!(hall.titles(&title).await.first(), Some(&title));
        assert!(!hall.titles("rolling").await.contains(&title));
        let found = stage.storage.catalog.concert(id).await.expect("the storage works").expect("it was published");
        let performance = new_performance(&found.concert, &hall.venue, instant(86_400));
        stage.publish(hall.promoter_id, &performance).await;
        assert!(hall.titles("rolling").await.contains(&title));
        let late = format!("late {number}");
        let change = ConcertChange { title: Some(name(&late)), ..ConcertChange::default() };
        let changed = change.apply(&found.concert, stage.now()).expect("a change");
        stage.storage.catalog.update_concert(changed, fixtures::staff_act()).await.expect("the storage works");
        assert!(hall.titles(&title).await.is_empty(), "{title}");
        assert_eq!(hall.titles(&late).await.first(), Some(&late));
    }
}

/// The range is over all performances; the dates are those to come, and earlier ones while there is room.
pub async fn a_concert_has_its_prices_and_dates(stage: &Stage) {
    let (hall, dome) = (Hall::open(stage, "Rolling Hall").await, Hall::open(stage, "Dome").await);
    let catalog = &stage.storage.catalog;
    let concert = hall.concert("밤", "Band");
    let id = hall.publish(concert.clone(), &[]).await;
    let summary = async || catalog.concert(id).await.expect("the storage works").expect("it was published");
    assert_eq!(summary().await.prices, None);
    assert!(catalog.dates(id, stage.now()).await.expect("the storage works").is_empty());
    let later = new_performance(&concert, &hall.venue, instant(200));
    let prices = PriceList::new(&dome.venue.plan, &[(part("A"), points(5_000)), (part("B"), points(PRICE_A))]);
    let mut sooner = new_performance(&concert, &dome.venue, instant(100));
    sooner.prices = prices.expect("each section has a price");
    stage.publish(hall.promoter_id, &later).await;
    stage.publish(hall.promoter_id, &sooner).await;
    assert_eq!(summary().await.prices, Some(PriceRange { min: points(PRICE_B), max: points(5_000) }));
    let found = catalog.find_concerts(&words_of("밤"), stage.now(), ALL).await.expect("the storage works");
    assert_eq!(found.items, [summary().await]);
    let dates = catalog.dates(id, stage.now()).await.expect("the storage works");
    let dates: Vec<_> = dates.into_iter().map(|date| (date.id, date.venue, date.starts_at)).collect();
    let expected = [&sooner, &later].map(|new| (new.id, new.venue.summary(), new.starts_at));
    assert_eq!(dates, expected);

    let many = hall.concert("many", "Band");
    let starts: Vec<_> = (0..).take(DATES_SHOWN_MAX + 10).map(|number| instant(number * 100_000)).collect();
    let many = hall.publish(many, &starts).await;
    for (now, first) in [(0, 0), (5, 5), (10, 10), (50, 10)] {
        let dates = catalog.dates(many, instant(now * 100_000)).await.expect("the storage works");
        let shown: Vec<_> = dates.iter().map(|date| date.starts_at).collect();
        assert_eq!(shown, starts[first..first + DATES_SHOWN_MAX], "at {now}");
    }
}
