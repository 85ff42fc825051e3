//! Importing whole catalogs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use boxoffice_domain::{
    PerformanceId,
    catalog::{
        ConcertChange, ConcertSummary, DrawError, ImportError, ImportReport, ImportedCatalog, ImportedConcert,
        ImportedPerformance, ImportedVenue, PriceList, Row, SalesWindow, SeatingPlan, Section,
    },
    fixtures::instant,
    page::PageRequest,
    seats::SeatStatus,
    text::Description,
};

use super::{PRICE_A, PRICE_B, Stage, at_once, name, part, plan, points};

fn hall(key: &str, plan: SeatingPlan) -> ImportedVenue {
    ImportedVenue { key: name(key), name: name("Hall"), location: name("부산"), plan }
}

fn performance(key: &str, price_a: i64) -> ImportedPerformance {
    let prices = [(part("A"), points(price_a)), (part("B"), points(PRICE_B))];
    ImportedPerformance {
        key: name(key),
        venue_index: 0,
        starts_at: instant(365 * 86_400),
        prices: PriceList::new(&plan(), &prices).expect("a price for each section"),
    }
}

/// A venue, and a concert with two performances.
fn catalog(price_a: i64) -> ImportedCatalog {
    let concert = ImportedConcert {
        key: name("concert"),
        title: name("Imported"),
        artist: name("Haneul"),
        description: Description::default(),
        sales: SalesWindow::new(instant(-86_400), instant(364 * 86_400)).expect("opens before it closes"),
        max_seats_per_account: 4,
        max_active: 500,
        draw: false,
        performances: vec![performance("first", price_a), performance("second", price_a)],
    };
    ImportedCatalog { venues: vec![hall("hall", plan())], concerts: vec![concert] }
}

async fn import(stage: &Stage, catalog: &ImportedCatalog) -> Result<ImportReport, ImportError> {
    let counted = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&counted);
    let count = move |seats| {
        progress.fetch_add(seats, Ordering::Relaxed);
    };
    let report = stage.storage.import.import(catalog, None, Arc::new(count)).await?;
    assert_eq!(counted.load(Ordering::Relaxed), catalog.seats_count(), "progress goes to the last seat");
    Ok(report)
}

async fn concerts(stage: &Stage) -> Vec<ConcertSummary> {
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
    let second = import(stage, &catalog(PRICE_A)).await.unwrap();
    let updated =
        ImportReport { venues_updated: 1, concerts_updated: 1, performances_updated: 2, ..ImportReport::default() };
    assert_eq!(second, updated);
    assert_eq!(concerts(stage).await, stored);
    let mut renamed = catalog(PRICE_A);
    renamed.concerts[0].title = name("Another title");
    renamed.venues[0].location = name("Seoul");
    import(stage, &renamed).await.unwrap();
    let changed = &concerts(stage).await[0].concert;
    assert_eq!((changed.id, changed.version), (stored[0].concert.id, 2));
    assert_eq!(changed.title, name("Another title"));
    let performances = stage.storage.catalog.performances(changed.id, false, PageRequest::first(2)).await.unwrap();
    assert_eq!(performances.items[0].venue.location, name("Seoul"));
}

/// New prices are for free seats; a held or sold seat keeps its price.
pub async fn an_import_changes_the_prices_of_free_seats_alone(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let imported = concerts(stage).await.remove(0).concert;
    let performances = stage.storage.catalog.performances(imported.id, false, PageRequest::first(2)).await.unwrap();
    let mut show = stage.show().await;
    show.performance_id = performances.items[0].id;
    show.concert = imported;
    let account_id = stage.account_with(100_000).await;
    let lapsed = stage.holds(&show, account_id, &["A-1-3"]).await;
    stage.clock.set(lapsed.held_until);
    let sold = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.pays(&sold).await;
    let held = stage.holds(&show, account_id, &["A-1-2"]).await;
    import(stage, &catalog(7_777)).await.unwrap();
    let map = stage.seats(&show).await;
    for seat in map.seats() {
        let (price, status) = match (seat.label.as_str(), seat.section) {
            ("A-1-1", _) => (PRICE_A, SeatStatus::Sold),
            ("A-1-2", _) => (PRICE_A, SeatStatus::Held),
            (_, "A") => (7_777, SeatStatus::Available),
            _ => (PRICE_B, SeatStatus::Available),
        };
        assert_eq!((seat.price.get(), seat.status), (price, status), "{}", seat.label);
    }
    let summary = stage.storage.catalog.performance(show.performance_id).await.unwrap().unwrap();
    assert_eq!((summary.price_min.get(), summary.price_max.get()), (PRICE_B, 7_777));
    assert_eq!(stage.pays(&held).await.payment.payment.amount.get(), PRICE_A);
    let dearer = stage.holds(&show, account_id, &["A-1-3"]).await;
    assert_eq!(dearer.total_amount.get(), 7_777);
    assert_eq!(stage.sales(&show).await.revenue.get(), 2 * PRICE_A);
}

/// A catalog is taken whole or not at all.
pub async fn an_import_that_is_refused_writes_nothing(stage: &Stage) {
    let row = Row { name: part("1"), seats: 3 };
    let other_plan = SeatingPlan::new(vec![Section { name: part("Z"), rows: vec![row] }]).unwrap();
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let stored = concerts(stage).await;

    let mut changed = catalog(PRICE_A);
    changed.venues = vec![hall("new hall", plan()), hall("hall", other_plan)];
    changed.concerts[0].title = name("Never written");
    let refused = import(stage, &changed).await;
    assert!(matches!(refused, Err(ImportError::PlanChanged { venue_index: 1 })), "{refused:?}");
    assert_eq!(concerts(stage).await, stored);

    let mut moved = catalog(PRICE_A);
    let mut another = moved.concerts[0].clone();
    another.key = name("another concert");
    moved.concerts[0].title = name("Never written");
    moved.concerts[0].performances = vec![performance("third", PRICE_A)];
    another.performances = vec![performance("fourth", PRICE_A), performance("second", PRICE_A)];
    moved.concerts.push(another);
    let refused = import(stage, &moved).await;
    let expected = ImportError::PerformanceMoved { concert_index: 1, performance_index: 1 };
    assert_eq!(refused.unwrap_err().to_string(), expected.to_string());
    assert_eq!(concerts(stage).await, stored);

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
        drawn.concerts[0].sales = SalesWindow::new(instant(seconds), instant(364 * 86_400)).unwrap();
        drawn.concerts[0].draw = draw;
        drawn
    };
    import(stage, &opening_at(100, true)).await.unwrap();
    let stored = concerts(stage).await.remove(0).concert;
    let draw = stored.draw.expect("the catalog has a draw");
    let change = ConcertChange { paused: Some(true), emptied_at: Some(instant(3)), ..ConcertChange::default() };
    let run = change.apply(&stored, stage.now()).unwrap();
    stage.storage.catalog.update_concert(run.clone()).await.unwrap();

    // Moved, with the draw in the catalog or not.
    for (seconds, draw_again) in [(200, true), (300, false)] {
        import(stage, &opening_at(seconds, draw_again)).await.unwrap();
        let moved = concerts(stage).await.remove(0).concert;
        assert_eq!((moved.draw, moved.sales.open_at()), (Some(draw), instant(seconds)));
        assert_eq!((moved.paused, moved.emptied_at), (run.paused, run.emptied_at));
    }
    let stored = concerts(stage).await;
    stage.clock.set(instant(300));
    let refused_as = async |catalog, expected| {
        let refused = import(stage, &catalog).await;
        assert!(
            matches!(refused, Err(ImportError::Draw { concert_index: 0, error }) if error == expected),
            "{refused:?}"
        );
    };
    for seconds in [400, 250] {
        refused_as(opening_at(seconds, true), DrawError::Held).await;
    }
    import(stage, &opening_at(300, true)).await.unwrap();
    assert_eq!(concerts(stage).await, stored);

    let mut plain = opening_at(500, false);
    plain.concerts[0].key = name("plain");
    plain.concerts[0].performances = vec![];
    import(stage, &plain).await.unwrap();
    plain.concerts[0].draw = true;
    refused_as(plain, DrawError::Changed).await;
}

/// Two imports of one catalog that come together make each thing once.
pub async fn two_imports_at_once_make_one_catalog(stage: &Stage) {
    let reports = at_once(0..2, |_| {
        let stage = stage.clone();
        // An attempt that is repeated reports its progress again, so it is not compared here.
        async move { stage.storage.import.import(&catalog(PRICE_A), None, Arc::new(|_| ())).await.unwrap() }
    })
    .await;
    assert_eq!(reports.iter().map(|report| report.performances_created).sum::<u32>(), 2);
    assert_eq!(reports.iter().map(|report| report.venues_created).sum::<u32>(), 1);
    let stored = concerts(stage).await;
    assert_eq!((stored.len(), stored[0].performances_count), (1, 2));
    let performances = stage.storage.catalog.performances(stored[0].concert.id, false, PageRequest::first(9)).await;
    let ids: Vec<PerformanceId> = performances.unwrap().items.iter().map(|summary| summary.id).collect();
    assert_eq!(ids.len(), 2);
}
