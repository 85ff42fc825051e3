//! Importing whole catalogs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use boxoffice_domain::{
    AccountId, PerformanceId, TimeZone, Timestamp,
    catalog::{
        Concert, ConcertChange, ConcertSummary, DrawError, ImportError, ImportOptions, ImportPlace, ImportReport,
        ImportRule, ImportedCatalog, ImportedConcert, ImportedPerformance, ImportedVenue, PerformanceSummary, Row,
        SeatingPlan, Section,
    },
    fixtures::{self, instant, selling_rules},
    page::PageRequest,
    seats::SeatStatus,
    text::Description,
};

use super::{PRICE_A, PRICE_B, Show, Stage, at_once, name, part, plan, points};

/// When the first of the performances starts; each of the others starts a day later.
pub(super) const STARTS: i64 = 365 * 86_400;

pub(super) fn hall(key: &str, plan: SeatingPlan) -> ImportedVenue {
    let (name, location) = (Some(name("Hall")), Some(super::name("부산")));
    ImportedVenue {
        key: super::name(key),
        name,
        location,
        plan: Some(plan),
        layout: None,
        overlaps_allowed: None,
        time_zone: None,
    }
}

/// A performance that starts so many days later than the first one.
pub(super) fn performance(key: &str, days: i64, price_a: i64) -> ImportedPerformance {
    ImportedPerformance {
        key: name(key),
        venue_index: Some(0),
        starts_at: Some(instant(STARTS + days * 86_400)),
        duration_minutes: None,
        prices: Some(vec![(part("A"), points(price_a)), (part("B"), points(PRICE_B))]),
    }
}

/// A venue, and a concert with two performances, with this price for section A.
pub fn catalog(price_a: i64) -> ImportedCatalog {
    let concert = ImportedConcert {
        key: name("concert"),
        title: Some(name("Imported")),
        artist: Some(name("Haneul")),
        description: None,
        sales_open_at: Some(instant(-86_400)),
        sales_close_at: Some(instant(364 * 86_400)),
        max_seats_per_account: None,
        holds_need_balance: None,
        requires_verified_email: None,
        max_active: None,
        draw: None,
        performances: Some(vec![performance("first", 0, price_a), performance("second", 1, price_a)]),
    };
    ImportedCatalog { venues: vec![hall("hall", plan())], concerts: vec![concert] }
}

/// The performances of the concert of [`catalog`].
pub fn performances_of(catalog: &mut ImportedCatalog) -> &mut Vec<ImportedPerformance> {
    catalog.concerts[0].performances.as_mut().expect("the catalog has performances")
}

/// An import for this owner that allows nothing special.
pub fn owned_by(promoter_id: Option<AccountId>) -> ImportOptions {
    ImportOptions::new(promoter_id, &selling_rules())
}

pub(super) async fn import_as(
    stage: &Stage,
    catalog: &ImportedCatalog,
    options: ImportOptions,
) -> Result<ImportReport, ImportError> {
    let counted = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&counted);
    let count = move |seats| {
        progress.fetch_add(seats, Ordering::Relaxed);
    };
    let report = stage.storage.import.import(catalog, &options, Arc::new(count)).await?;
    assert!(counted.load(Ordering::Relaxed) >= catalog.seats_count(), "progress goes to the last seat");
    Ok(report)
}

/// Imports a catalog for the operator.
pub async fn import(stage: &Stage, catalog: &ImportedCatalog) -> Result<ImportReport, ImportError> {
    import_as(stage, catalog, owned_by(None)).await
}

/// Fails unless the import is refused by this rule at this place.
pub(super) fn assert_refused(
    imported: Result<ImportReport, ImportError>,
    (place, field): (ImportPlace, &str),
    rule: ImportRule,
) {
    let Err(ImportError::Refused(refusal)) = imported else { panic!("not refused: {imported:?}") };
    assert_eq!((refusal.place, refusal.field.as_str(), refusal.rule), (place, field, rule));
}

/// The changes of a report as they are printed.
pub(super) fn changes(report: &ImportReport) -> Vec<String> {
    report.changes.iter().map(ToString::to_string).collect()
}

/// The only concert that was imported, which comes first.
pub(super) async fn imported(stage: &Stage) -> Concert {
    concerts(stage).await.remove(0).concert
}

pub(super) async fn performances(stage: &Stage, concert: &Concert) -> Vec<PerformanceSummary> {
    let page = stage.storage.catalog.performances(concert.id, None, PageRequest::first(9)).await;
    page.expect("the storage works").items
}

/// The show of which the first performance of the imported concert is.
pub async fn imported_show(stage: &Stage) -> Show {
    let concert = imported(stage).await;
    let performance = performances(stage, &concert).await.remove(0);
    let show = stage.show().await;
    Show { concert, performance_id: performance.id, starts_at: performance.starts_at, ..show }
}

pub(super) async fn concerts(stage: &Stage) -> Vec<ConcertSummary> {
    stage.storage.catalog.concerts(None, PageRequest::first(100)).await.expect("the storage works").items
}

/// The same catalog again finds everything there, and changes nothing.
pub async fn a_second_import_creates_nothing(stage: &Stage) {
    let first = import(stage, &catalog(PRICE_A)).await.unwrap();
    let created = ImportReport {
        venues_created: 1,
        concerts_created: 1,
        performances_created: 2,
        seats_created: 100,
        ..ImportReport::default()
    };
    assert_eq!(first, created);
    let stored = concerts(stage).await;
    assert_eq!((stored.len(), stored[0].performances_count, stored[0].concert.promoter_id), (1, 2, None));
    assert_eq!(performances(stage, &stored[0].concert).await[0].duration_minutes, 180);
    let second = import(stage, &catalog(PRICE_A)).await.unwrap();
    let known = ImportReport { venues_known: 1, concerts_known: 1, performances_known: 2, ..ImportReport::default() };
    assert_eq!(second, known);
    assert_eq!(concerts(stage).await, stored);
    let mut renamed = catalog(PRICE_A);
    renamed.concerts[0].title = Some(name("Another title"));
    renamed.venues[0].location = Some(name("Seoul"));
    let report = import(stage, &renamed).await.unwrap();
    let expected = ["venue `hall`: location: 부산 -> Seoul", "concert `concert`: title: Imported -> Another title"];
    assert_eq!(changes(&report), expected);
    let changed = &concerts(stage).await[0].concert;
    assert_eq!((changed.id, changed.version), (stored[0].concert.id, 2));
    assert_eq!(changed.title, name("Another title"));
    assert_eq!(performances(stage, changed).await[0].venue.location, name("Seoul"));
}

/// A held or sold seat keeps its price for its buyer. Its next buyer pays the new one, however it becomes free.
pub async fn a_new_price_counts_from_the_moment_a_seat_is_free(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(stage).await;
    let account_id = stage.account_with(100_000).await;
    let lapsed = stage.holds(&show, account_id, &["A-1-3"]).await;
    stage.clock.set(lapsed.held_until);
    let sold = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.pays(&sold).await;
    let held = stage.holds(&show, account_id, &["A-1-2"]).await;
    let lapsing = stage.holds(&show, account_id, &["A-1-4"]).await;
    let report = import(stage, &catalog(7_777)).await.unwrap();
    assert_eq!(changes(&report)[0], "performance `first`: price of A: 1000 -> 7777");
    for seat in stage.seats(&show).await.seats() {
        let status = match seat.label.as_str() {
            "A-1-1" => SeatStatus::Sold,
            "A-1-2" | "A-1-4" => SeatStatus::Held,
            _ => SeatStatus::Available,
        };
        let price = if seat.section == "A" { 7_777 } else { PRICE_B };
        assert_eq!((seat.price.get(), seat.status), (price, status), "{}", seat.label);
    }
    let summary = stage.storage.catalog.performance(show.performance_id).await.unwrap().unwrap();
    assert_eq!((summary.price_min.get(), summary.price_max.get()), (PRICE_B, 7_777));
    assert_eq!(stage.pays(&held).await.payment.payment.amount.get(), PRICE_A);
    assert_eq!(stage.sales(&show).await.revenue.get(), 2 * PRICE_A, "the revenue is what was paid");

    let price_of = async |label| {
        let held = stage.holds(&show, account_id, &[label]).await;
        stage.cancels(&held).await;
        held.total_amount.get()
    };
    assert_eq!(price_of("A-1-3").await, 7_777);
    stage.clock.set(lapsing.held_until);
    assert_eq!(price_of("A-1-4").await, 7_777, "its hold has lapsed");
    stage.cancels(&sold).await;
    assert_eq!(price_of("A-1-1").await, 7_777, "its buyer has got the points back");
    assert_eq!(stage.sales(&show).await.revenue.get(), PRICE_A);
    let back = stage.storage.wallets.find(account_id).await.unwrap().unwrap().balance.get();
    assert_eq!(back, 100_000 - PRICE_A);
}

/// A catalog is taken whole or not at all.
pub async fn an_import_that_is_refused_writes_nothing(stage: &Stage) {
    let row = Row { name: part("1"), seats: 3 };
    let other_plan = SeatingPlan::new(vec![Section { name: part("Z"), rows: vec![row] }]).unwrap();
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let stored = concerts(stage).await;

    let mut changed = catalog(PRICE_A);
    changed.venues = vec![hall("new hall", plan()), hall("hall", other_plan)];
    changed.concerts[0].title = Some(name("Never written"));
    assert_refused(import(stage, &changed).await, (ImportPlace::Venue(1), "sections"), ImportRule::PlanChanged);
    assert_eq!(concerts(stage).await, stored);

    let mut moved = catalog(PRICE_A);
    let mut another = moved.concerts[0].clone();
    another.key = name("another concert");
    moved.concerts[0].title = Some(name("Never written"));
    *performances_of(&mut moved) = vec![performance("third", 2, PRICE_A)];
    another.performances = Some(vec![performance("fourth", 3, PRICE_A), performance("second", 1, PRICE_A)]);
    moved.concerts.push(another);
    let refused = import(stage, &moved).await;
    assert_refused(refused, (ImportPlace::Performance(1, 1), "key"), ImportRule::ConcertChanged);
    assert_eq!(concerts(stage).await, stored);

    let mut elsewhere = catalog(PRICE_A);
    elsewhere.venues.push(hall("new hall", plan()));
    performances_of(&mut elsewhere)[1].venue_index = Some(1);
    let refused = import(stage, &elsewhere).await;
    assert_refused(refused, (ImportPlace::Performance(0, 1), "venue"), ImportRule::VenueChanged);

    // The new hall was not written either: it is created now.
    let mut fresh = catalog(PRICE_A);
    fresh.venues.push(hall("new hall", plan()));
    let report = import(stage, &fresh).await.unwrap();
    assert_eq!((report.venues_created, report.performances_created), (1, 0));
}

/// An imported draw keeps its seed, and its time once it has come; a concert that is stored without one gets none. An
/// import changes nothing that the operators of a queue have done to it.
pub async fn an_import_never_changes_a_draw_or_a_pause(stage: &Stage) {
    let opening_at = |seconds, draw| {
        let mut drawn = catalog(PRICE_A);
        drawn.concerts[0].sales_open_at = Some(instant(seconds));
        drawn.concerts[0].draw = draw;
        drawn
    };
    import(stage, &opening_at(100, Some(true))).await.unwrap();
    let stored = imported(stage).await;
    let draw = stored.draw.expect("the catalog has a draw");
    let change = ConcertChange { paused: Some(true), emptied_at: Some(instant(3)), ..ConcertChange::default() };
    let run = change.apply(&stored, stage.now()).unwrap();
    stage.storage.catalog.update_concert(run.clone(), fixtures::staff_act()).await.unwrap();

    let refused = import(stage, &opening_at(100, Some(false))).await;
    assert_refused(refused, (ImportPlace::Concert(0), "draw"), DrawError::Changed.into());
    // Moved, with the draw in the catalog or not.
    for (seconds, draw_again) in [(200, Some(true)), (300, None)] {
        import(stage, &opening_at(seconds, draw_again)).await.unwrap();
        let moved = imported(stage).await;
        assert_eq!((moved.draw, moved.sales.open_at()), (Some(draw), instant(seconds)));
        assert_eq!((moved.paused, moved.emptied_at), (run.paused, run.emptied_at));
    }
    let stored = concerts(stage).await;
    stage.clock.set(instant(300));
    for seconds in [400, 250] {
        let refused = import(stage, &opening_at(seconds, Some(true))).await;
        assert_refused(refused, (ImportPlace::Concert(0), "sales_open_at"), DrawError::Held.into());
    }
    import(stage, &opening_at(300, Some(true))).await.unwrap();
    assert_eq!(concerts(stage).await, stored);

    let mut plain = opening_at(500, Some(false));
    plain.concerts[0].key = name("plain");
    plain.concerts[0].performances = None;
    import(stage, &plain).await.unwrap();
    plain.concerts[0].draw = Some(true);
    assert_refused(import(stage, &plain).await, (ImportPlace::Concert(0), "draw"), DrawError::Changed.into());
}

/// Two imports of one catalog that come together make each thing once.
pub async fn two_imports_at_once_make_one_catalog(stage: &Stage) {
    let reports = at_once(0..2, |_| {
        let stage = stage.clone();
        // An attempt that is repeated reports its progress again, so it is not compared here.
        let options = owned_by(None);
        async move { stage.storage.import.import(&catalog(PRICE_A), &options, Arc::new(|_| ())).await.unwrap() }
    })
    .await;
    assert_eq!(reports.iter().map(|report| report.performances_created).sum::<u32>(), 2);
    assert_eq!(reports.iter().map(|report| report.venues_created).sum::<u32>(), 1);
    let stored = concerts(stage).await;
    assert_eq!((stored.len(), stored[0].performances_count), (1, 2));
    let performances = performances(stage, &stored[0].concert).await;
    let ids: Vec<PerformanceId> = performances.iter().map(|summary| summary.id).collect();
    assert_eq!(ids.len(), 2);
}

/// Only what a catalog names is changed; what is new needs all that has no default.
pub async fn what_is_absent_stays_as_it_is(stage: &Stage) {
    let mut whole = catalog(PRICE_A);
    whole.venues[0].overlaps_allowed = Some(true);
    whole.venues[0].time_zone = Some(TimeZone::new("Europe/Berlin").unwrap());
    whole.venues[0].layout = Some(super::layout());
    let concert = &mut whole.concerts[0];
    (concert.max_active, concert.max_seats_per_account) = (Some(70), Some(3));
    concert.description = Some(Description::new("A night").unwrap());
    performances_of(&mut whole)[0].duration_minutes = Some(90);
    import(stage, &whole).await.unwrap();
    let change = ConcertChange { max_active: Some(3), ..ConcertChange::default() };
    let changed = change.apply(&imported(stage).await, stage.now()).unwrap();
    stage.storage.catalog.update_concert(changed.clone(), fixtures::staff_act()).await.unwrap();
    let stored = (concerts(stage).await, performances(stage, &changed).await);

    let keys_alone = ImportedCatalog {
        venues: vec![ImportedVenue {
            key: name("hall"),
            name: None,
            location: None,
            plan: None,
            layout: None,
            overlaps_allowed: None,
            time_zone: None,
        }],
        concerts: vec![ImportedConcert {
            title: None,
            artist: None,
            sales_open_at: None,
            sales_close_at: None,
            performances: Some(["first", "second"].map(without_fields).to_vec()),
            ..catalog(PRICE_A).concerts.remove(0)
        }],
    };
    let report = import(stage, &keys_alone).await.unwrap();
    assert_eq!((changes(&report), report.performances_known), (vec![], 2));
    assert_eq!((concerts(stage).await, performances(stage, &changed).await), stored);

    // Prices are those of the stored sections, and every other field stays.
    let mut dearer = keys_alone.clone();
    performances_of(&mut dearer)[0].prices = performance("first", 0, 9).prices;
    let report = import(stage, &dearer).await.unwrap();
    assert_eq!(changes(&report), ["performance `first`: price of A: 1000 -> 9"]);
    let found = performances(stage, &changed).await.remove(0);
    assert_eq!((found.duration_minutes, found.price_min.get(), found.price_max.get()), (90, 9, PRICE_B));
    let missing = performances_of(&mut dearer)[0].prices.as_mut().unwrap();
    missing.truncate(1);
    let refused = import(stage, &dearer).await;
    let rule = boxoffice_domain::catalog::PriceError::SectionMissing("B".to_owned());
    assert_refused(refused, (ImportPlace::Performance(0, 0), "prices"), rule.into());

    for (field, place, remove) in [
        ("sections", ImportPlace::Venue(0), (|new| new.venues[0].plan = None) as fn(&mut ImportedCatalog)),
        ("name", ImportPlace::Venue(0), |new| new.venues[0].name = None),
        ("location", ImportPlace::Venue(0), |new| new.venues[0].location = None),
        ("title", ImportPlace::Concert(0), |new| new.concerts[0].title = None),
        ("artist", ImportPlace::Concert(0), |new| new.concerts[0].artist = None),
        ("sales_open_at", ImportPlace::Concert(0), |new| new.concerts[0].sales_open_at = None),
        ("sales_close_at", ImportPlace::Concert(0), |new| new.concerts[0].sales_close_at = None),
        ("venue", ImportPlace::Performance(0, 0), |new| performances_of(new)[0].venue_index = None),
        ("starts_at", ImportPlace::Performance(0, 0), |new| performances_of(new)[0].starts_at = None),
        ("prices", ImportPlace::Performance(0, 0), |new| performances_of(new)[0].prices = None),
    ] {
        let mut new = catalog(PRICE_A);
        new.venues[0].key = name("new hall");
        new.concerts[0].key = name("new concert");
        *performances_of(&mut new) = vec![performance("new", 0, PRICE_A)];
        remove(&mut new);
        assert_refused(import(stage, &new).await, (place, field), ImportRule::Missing);
    }
}

/// A performance of this key with nothing else.
pub(super) fn without_fields(key: &str) -> ImportedPerformance {
    let (venue_index, starts_at, duration_minutes, prices) = (None, None::<Timestamp>, None, None);
    ImportedPerformance { key: name(key), venue_index, starts_at, duration_minutes, prices }
}

/// A dry run reports what would be, and everything stays as it is.
pub async fn a_dry_run_reports_and_writes_nothing(stage: &Stage) {
    let dry = ImportOptions { dry_run: true, ..owned_by(None) };
    let report = import_as(stage, &catalog(PRICE_A), dry).await.unwrap();
    assert_eq!((report.concerts_created, report.seats_created), (1, 100));
    assert_eq!(concerts(stage).await, vec![]);
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let stored = (concerts(stage).await, performances(stage, &imported(stage).await).await);
    let mut changed = catalog(5);
    changed.concerts[0].max_active = Some(7);
    let dry_report = import_as(stage, &changed, dry).await.unwrap();
    assert_eq!(changes(&dry_report)[0], "concert `concert`: max_active: 500 -> 7");
    assert_eq!((concerts(stage).await, performances(stage, &imported(stage).await).await), stored);
    assert_eq!(import(stage, &changed).await.unwrap(), dry_report);
    assert_eq!(imported(stage).await.max_active, 7);
}
