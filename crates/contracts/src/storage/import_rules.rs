//! The rules that an import keeps to.

use boxoffice_domain::{
    catalog::{
        ConcertSearch, ImportOptions, ImportPlace, ImportRule, ImportedCatalog, ImportedPerformance, Named,
        SalesTimeError, StartError,
    },
    fixtures::{self, instant},
    page::PageRequest,
    payments::PayRefusal,
    reservations::{CancelRefusal, HoldRefusal},
};
use chrono::TimeDelta;

use super::{
    PRICE_A, Show, Stage,
    catalog_import::{
        STARTS, assert_refused, catalog, changes, concerts, hall, import, import_as, imported, imported_show, owned_by,
        performance, performances, performances_of, without_fields,
    },
    name, plan,
    show::new_performance,
};

const FIRST: ImportPlace = ImportPlace::Performance(0, 0);

/// A key is unique for its owner. What another one has under it is refused, and stays as it is.
pub async fn a_key_is_unique_for_its_owner(stage: &Stage) {
    let (one, other) = (stage.account().await, stage.account().await);
    import_as(stage, &catalog(PRICE_A), owned_by(Some(one))).await.unwrap();
    let stored = concerts(stage).await;
    assert_eq!(stored[0].concert.promoter_id, Some(one));
    let mut changed = catalog(5);
    changed.concerts[0].title = Some(name("Stolen"));
    for owner in [Some(other), None] {
        let refused = import_as(stage, &changed, owned_by(owner)).await;
        assert_refused(refused, (ImportPlace::Venue(0), "key"), ImportRule::OtherOwner);
        changed.venues[0].key = name("own hall");
        let refused = import_as(stage, &changed, owned_by(owner)).await;
        assert_refused(refused, (ImportPlace::Concert(0), "key"), ImportRule::OtherOwner);
        changed.concerts[0].key = name("own concert");
        let refused = import_as(stage, &changed, owned_by(owner)).await;
        assert_refused(refused, (FIRST, "key"), ImportRule::OtherOwner);
        changed.venues[0].key = name("hall");
        changed.concerts[0].key = name("concert");
    }
    assert_eq!(concerts(stage).await, stored);
    let again = import_as(stage, &catalog(PRICE_A), owned_by(Some(one))).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
}

/// A promoter adopts what the operator has imported, and then has it for good.
pub async fn what_has_no_owner_is_adopted(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let before = imported(stage).await;
    let promoter_id = stage.account().await;
    let report = import_as(stage, &catalog(PRICE_A), owned_by(Some(promoter_id))).await.unwrap();
    let adopted = |named| format!("{named}: owner: operator -> {promoter_id}");
    let named = ["venue `hall`", "concert `concert`", "performance `first`", "performance `second`"];
    assert_eq!(changes(&report), named.map(adopted));
    let after = imported(stage).await;
    assert_eq!((after.id, after.promoter_id, after.version), (before.id, Some(promoter_id), before.version + 1));
    let again = import_as(stage, &catalog(PRICE_A), owned_by(Some(promoter_id))).await.unwrap();
    assert!(again.is_unchanged(), "{again:?}");
    for owner in [None, Some(stage.account().await)] {
        let refused = import_as(stage, &catalog(PRICE_A), owned_by(owner)).await;
        assert_refused(refused, (ImportPlace::Venue(0), "key"), ImportRule::OtherOwner);
    }
}

/// A concert is adopted with all of its performances, also those that the catalog does not name. Its venue stays the
/// operator's.
pub async fn a_concert_is_adopted_with_its_performances(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(stage).await;
    let promoter_id = stage.account().await;
    let mut alone = catalog(PRICE_A);
    alone.venues.clear();
    alone.concerts[0].performances = None;
    let report = import_as(stage, &alone, owned_by(Some(promoter_id))).await.unwrap();
    let named = ["concert `concert`", "performance `first`", "performance `second`"];
    assert_eq!(changes(&report), named.map(|named| format!("{named}: owner: operator -> {promoter_id}")));
    assert!(import_as(stage, &alone, owned_by(Some(promoter_id))).await.unwrap().is_unchanged());
    let mut dearer = alone.clone();
    let first = ImportedPerformance { venue_index: None, ..performance("first", 0, 5) };
    dearer.concerts[0].performances = Some(vec![first]);
    let report = import_as(stage, &dearer, owned_by(Some(promoter_id))).await.unwrap();
    assert_eq!(changes(&report), ["performance `first`: price of A: 1000 -> 5"]);
    assert!(import(stage, &ImportedCatalog { concerts: vec![], ..catalog(PRICE_A) }).await.unwrap().is_unchanged());

    performances_of(&mut dearer).clear();
    let withdrawing = ImportOptions { withdraw: true, ..owned_by(Some(promoter_id)) };
    let report = import_as(stage, &dearer, withdrawing).await.unwrap();
    let withdrawn = ["first", "second"].map(|key| format!("performance `{key}`: withdrawn: false -> true"));
    assert_eq!(changes(&report), withdrawn);
    assert!(performances(stage, &show.concert).await.iter().all(|performance| performance.withdrawn));
    // Of what is withdrawn nothing is to come, so it is not missed.
    let nothing = ImportedCatalog { venues: vec![], concerts: vec![] };
    let report = import_as(stage, &nothing, withdrawing).await.unwrap();
    assert_eq!(report.no_longer_named, []);
}

/// Another start harms the buyers of paid seats. If that is allowed, they get their points back until the later start.
pub async fn a_sold_performance_is_moved_only_if_harm_is_allowed_and_is_refunded_then(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(stage).await;
    let buyer = stage.account_with(10_000).await;
    let moved_to = |seconds| {
        let mut moved = catalog(PRICE_A);
        performances_of(&mut moved)[0].starts_at = Some(instant(seconds));
        moved
    };
    // Without a paid seat no buyer is harmed.
    let held = stage.holds(&show, buyer, &["A-1-1"]).await;
    import(stage, &moved_to(STARTS + 60)).await.unwrap();
    import(stage, &moved_to(STARTS)).await.unwrap();
    stage.pays(&held).await;
    let paid = stage.holds(&show, buyer, &["A-1-2"]).await;
    stage.pays(&paid).await;
    let sooner = moved_to(5_000);
    assert_refused(import(stage, &sooner).await, (FIRST, "starts_at"), ImportRule::Harm);
    // Nothing but the start harms them.
    let mut dearer = catalog(5);
    performances_of(&mut dearer)[0].duration_minutes = Some(60);
    import(stage, &dearer).await.unwrap();
    import(stage, &catalog(PRICE_A)).await.unwrap();

    let harming = ImportOptions { harm: true, ..owned_by(None) };
    let report = import_as(stage, &sooner, harming).await.unwrap();
    assert_eq!(changes(&report).len(), 1, "{report:?}");
    stage.clock.set(instant(4_000));
    let later = stage.holds(&show, buyer, &["A-1-3"]).await;
    stage.pays(&later).await;
    stage.clock.set(instant(5_000));
    let refused = stage.cancel(fixtures::cancel_request(&later)).await;
    assert_eq!(refused, Err(CancelRefusal::Closed), "it was bought for the new start");
    let new = stage.hold(show.hold_request(buyer, &["A-1-4"])).await;
    assert_eq!(new, Err(HoldRefusal::PerformanceStarted));
    let latest = instant(STARTS + 60);
    stage.clock.set(latest - TimeDelta::microseconds(1));
    stage.cancels(&paid).await;
    assert_eq!(stage.balance(buyer).await, 10_000 - 2 * PRICE_A);
    stage.clock.set(latest);
    assert_eq!(stage.cancel(fixtures::cancel_request(&held)).await, Err(CancelRefusal::Closed));
}

/// What a catalog no longer names is reported. When asked, the performances of the owner are taken from sale: no seat of
/// them is held or paid, and what is paid can be refunded. Naming one again brings it back.
pub async fn what_is_no_longer_named_is_reported_and_taken_from_sale_when_asked(stage: &Stage) {
    let mut whole = catalog(PRICE_A);
    performances_of(&mut whole).push(performance("third", 2, PRICE_A));
    import(stage, &whole).await.unwrap();
    let show = imported_show(stage).await;
    let buyer = stage.account_with(10_000).await;
    let paid = stage.holds(&show, buyer, &["A-1-1"]).await;
    stage.pays(&paid).await;
    let held = stage.holds(&show, buyer, &["A-1-2"]).await;
    let mut less = catalog(PRICE_A);
    *performances_of(&mut less) = vec![performance("second", 1, PRICE_A)];
    let missing = ["first", "third"].map(|key| Named::Performance(name(key))).to_vec();
    let report = import(stage, &less).await.unwrap();
    assert_eq!((&report.no_longer_named, report.is_unchanged()), (&missing, true));
    assert_eq!(stage.storage.catalog.concert(show.concert.id).await.unwrap().unwrap().performances_count, 3);

    // A catalog that says nothing about performances misses none, and only those of the owner are withdrawn.
    let withdrawing = ImportOptions { withdraw: true, ..owned_by(None) };
    let mut silent = less.clone();
    silent.concerts[0].performances = None;
    assert!(import_as(stage, &silent, withdrawing).await.unwrap().is_unchanged());
    let other = ImportedCatalog { venues: vec![], concerts: vec![] };
    let report = import_as(stage, &other, withdrawing).await.unwrap();
    assert_eq!((report.no_longer_named, report.changes), (vec![Named::Concert(name("concert"))], vec![]));

    let report = import_as(stage, &less, withdrawing).await.unwrap();
    let expected = ["first", "third"].map(|key| format!("performance `{key}`: withdrawn: false -> true"));
    assert_eq!((changes(&report), report.no_longer_named), (expected.to_vec(), vec![]));
    assert!(import_as(stage, &less, withdrawing).await.unwrap().is_unchanged());
    assert_withdrawn(stage, &show).await;
    assert_eq!(stage.hold(show.hold_request(buyer, &["A-1-3"])).await, Err(HoldRefusal::PerformanceWithdrawn));
    assert_eq!(stage.pay(stage.pay_request(&held)).await, Err(PayRefusal::PerformanceWithdrawn));
    stage.cancels(&held).await;

    // It comes back by its key, with its seats and prices as they were.
    performances_of(&mut less).push(without_fields("first"));
    let report = import_as(stage, &less, withdrawing).await.unwrap();
    assert_eq!(changes(&report), ["performance `first`: withdrawn: true -> false"]);
    stage.holds(&show, buyer, &["A-1-3"]).await;
    performances_of(&mut less).pop();
    import_as(stage, &less, withdrawing).await.unwrap();
    stage.clock.set(show.starts_at + TimeDelta::hours(1));
    // After its start it does not come back, so that its buyers can still cancel.
    performances_of(&mut less).push(without_fields("first"));
    assert!(import_as(stage, &less, withdrawing).await.unwrap().is_unchanged());
    performances_of(&mut less).pop();
    stage.clock.set(show.starts_at + TimeDelta::days(1));
    stage.cancels(&paid).await;
    assert_eq!(stage.balance(buyer).await, 10_000);

    // What has been already is not taken from sale any more.
    let mut none = less;
    performances_of(&mut none).clear();
    let report = import_as(stage, &none, withdrawing).await.unwrap();
    assert!(report.is_unchanged() && report.no_longer_named.is_empty(), "{report:?}");
}

async fn assert_withdrawn(stage: &Stage, show: &Show) {
    let listed = performances(stage, &show.concert).await;
    assert_eq!(listed.iter().map(|performance| performance.withdrawn).collect::<Vec<_>>(), [true, false, true]);
    let summary = stage.storage.catalog.concert(show.concert.id).await.unwrap().unwrap();
    let starts_at = listed[1].starts_at;
    assert_eq!((summary.performances_count, summary.first_performance_at), (1, Some(starts_at)));
    assert_eq!(summary.last_performance_at, Some(starts_at));
    let (port, id) = (&stage.storage.catalog, show.concert.id);
    let found = port.find_concerts(&ConcertSearch::default(), instant(0), PageRequest::first(100)).await.unwrap();
    assert_eq!(found.items.iter().find(|found| found.concert.id == id), Some(&summary));
    let dates = port.dates(id, instant(0)).await.unwrap();
    assert_eq!(dates.iter().map(|date| date.id).collect::<Vec<_>>(), [listed[1].id]);
    let stocks = port.stocks(&[id], instant(0)).await.unwrap();
    assert_eq!(stocks[&id].total, u64::from(listed[1].seats_total));

    for (available, expected) in [(true, vec![&listed[1]]), (false, vec![&listed[0], &listed[2]])] {
        let page = stage.storage.catalog.performances(show.concert.id, Some(available), PageRequest::first(9)).await;
        assert_eq!(page.unwrap().items.iter().collect::<Vec<_>>(), expected, "{available}");
    }
    let bookable = async |seconds| {
        let page = stage.storage.catalog.concerts(Some(instant(seconds)), PageRequest::first(9)).await.unwrap();
        page.items.iter().any(|summary| summary.concert.id == show.concert.id)
    };
    assert!(bookable(0).await && !bookable(STARTS + 86_400).await);
}

/// A performance that was not imported belongs to its concert all the same: an import judges it, and takes it from sale.
pub async fn an_import_has_to_do_with_performances_that_it_did_not_make(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let show = imported_show(stage).await;
    let day = |number: i64| instant(number * 86_400);
    let venue =
        stage.storage.catalog.venue(performances(stage, &show.concert).await[0].venue.id).await.unwrap().unwrap();
    let publisher = stage.account().await;
    let published = stage.publish(publisher, &new_performance(&show.concert, &venue, day(100))).await;
    let mut later = catalog(PRICE_A);
    later.concerts[0].sales_open_at = Some(day(200));
    let place = (ImportPlace::Concert(0), "sales_open_at");
    assert_refused(import(stage, &later).await, place, SalesTimeError::OpensAfterStart.into());
    let report = import(stage, &catalog(PRICE_A)).await.unwrap();
    assert_eq!(report.no_longer_named, [Named::Performance(name(&published.id.to_string()))]);

    let withdrawing = ImportOptions { withdraw: true, ..owned_by(None) };
    let report = import_as(stage, &later, withdrawing).await.unwrap();
    assert!(changes(&report).contains(&format!("performance `{}`: withdrawn: false -> true", published.id)));
    let listed = performances(stage, &show.concert).await;
    assert_eq!(listed.iter().map(|performance| performance.withdrawn).collect::<Vec<_>>(), [true, false, false]);
}

/// A venue has one performance at a time, as the catalog is after the import; dates may change places.
pub async fn an_import_takes_a_venue_once_at_a_time(stage: &Stage) {
    import(stage, &catalog(PRICE_A)).await.unwrap();
    let mut twice = catalog(PRICE_A);
    performances_of(&mut twice).push(performance("third", 1, PRICE_A));
    let taken = || ImportRule::Overlaps(instant(STARTS + 86_400));
    let third = (ImportPlace::Performance(0, 2), "starts_at");
    assert_refused(import(stage, &twice).await, third, taken());
    let mut longer = catalog(PRICE_A);
    performances_of(&mut longer)[0].starts_at = Some(instant(STARTS + 1));
    performances_of(&mut longer)[0].duration_minutes = Some(1_440);
    assert_refused(import(stage, &longer).await, (FIRST, "starts_at"), taken());

    let mut swapped = catalog(PRICE_A);
    performances_of(&mut swapped)[0].starts_at = Some(instant(STARTS + 86_400));
    performances_of(&mut swapped)[1].starts_at = Some(instant(STARTS));
    import(stage, &swapped).await.unwrap();
    import(stage, &catalog(PRICE_A)).await.unwrap();

    // A house with two stages has two at once, and stays one while it has.
    twice.venues[0].overlaps_allowed = Some(true);
    import(stage, &twice).await.unwrap();
    twice.venues[0].overlaps_allowed = Some(false);
    let venue = (ImportPlace::Venue(0), "overlaps_allowed");
    assert_refused(import(stage, &twice).await, venue, ImportRule::Overlapping);
    // One that is taken from sale gives its time away, unless seats of it are sold.
    let withdrawing = ImportOptions { withdraw: true, ..owned_by(None) };
    let mut once = twice.clone();
    performances_of(&mut once).pop();
    import_as(stage, &once, withdrawing).await.unwrap();
    assert_refused(import(stage, &twice).await, third, taken());

    let show = imported_show(stage).await;
    let paid = stage.holds(&show, stage.account_with(PRICE_A).await, &["A-1-1"]).await;
    stage.pays(&paid).await;
    let mut without = once;
    performances_of(&mut without).remove(0);
    import_as(stage, &without, withdrawing).await.unwrap();
    performances_of(&mut without).push(performance("fourth", 0, PRICE_A));
    let fourth = (ImportPlace::Performance(0, 1), "starts_at");
    assert_refused(import(stage, &without).await, fourth, ImportRule::Overlaps(instant(STARTS)));
    stage.cancels(&paid).await;
    import(stage, &without).await.unwrap();
}

/// The times of an import are those that the API allows; only an import of history may be of the past.
pub async fn an_import_keeps_to_the_times_that_can_be(stage: &Stage) {
    let starting = |seconds| {
        let mut new = catalog(PRICE_A);
        performances_of(&mut new)[0].starts_at = Some(instant(seconds));
        new
    };
    let history = ImportOptions { history: true, ..owned_by(None) };
    let decade = 10 * 366 * 86_400;
    for (seconds, rule) in [(0, StartError::Past), (-90_000, StartError::Past), (decade, StartError::TooFarAhead)] {
        assert_refused(import(stage, &starting(seconds)).await, (FIRST, "starts_at"), rule.into());
    }
    let before_sale = import_as(stage, &starting(-86_400), history).await;
    assert_refused(before_sale, (FIRST, "starts_at"), StartError::BeforeSale.into());
    let mut late = catalog(PRICE_A);
    late.concerts[0].sales_close_at = Some(instant(decade));
    let close = (ImportPlace::Concert(0), "sales_close_at");
    assert_refused(import(stage, &late).await, close, SalesTimeError::ClosesTooFarAhead.into());
    assert_eq!(concerts(stage).await, vec![]);

    import_as(stage, &starting(-80_000), history).await.unwrap();
    // What is stored is not judged again.
    assert!(import(stage, &starting(-80_000)).await.unwrap().is_unchanged());
    stage.clock.set(instant(STARTS + 2 * 86_400));
    assert!(import(stage, &starting(-80_000)).await.unwrap().is_unchanged());
    stage.clock.set(instant(0));
    assert_refused(import(stage, &starting(-70_000)).await, (FIRST, "starts_at"), StartError::Past.into());

    // A sale opens before each performance that is still to come, whether the catalog names it or not.
    let mut reopened = starting(-80_000);
    reopened.concerts[0].sales_open_at = Some(instant(STARTS + 86_400));
    reopened.concerts[0].sales_close_at = Some(instant(STARTS + 2 * 86_400));
    let open = (ImportPlace::Concert(0), "sales_open_at");
    assert_refused(import(stage, &reopened).await, open, SalesTimeError::OpensAfterStart.into());
    performances_of(&mut reopened).pop();
    assert_refused(import(stage, &reopened).await, open, SalesTimeError::OpensAfterStart.into());
    let mut other = catalog(PRICE_A);
    other.venues = vec![hall("other hall", plan())];
    other.concerts.clear();
    import(stage, &other).await.unwrap();
}
