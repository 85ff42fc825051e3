//! What is sold, as it is published, listed and changed.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use boxoffice_domain::{
    ConcertId, EntropySource, PerformanceId, VenueId,
    catalog::{
        Concert, ConcertChange, ConcertSummary, NewPerformance, PerformanceSummary, PriceList, PublishError, Row,
        SalesWindow, SeatingPlan, Section, UpdateConcertError, VENUE_SEATS_MAX, VENUE_SECTIONS_MAX, Venue,
    },
    fixtures::{self, TestEntropy, idempotency, instant},
    idempotency::{Idempotency, Made},
    page::PageRequest,
    reservations::HoldRefusal,
    seats::SeatStatus,
    waiting_room::Draw,
};
use chrono::TimeDelta;

use super::{
    PRICE_A, PRICE_B, SHOW_SEATS, Show, Stage, at_once, concert, name, new_performance, other_request, part, plan,
    points,
    show::{assert_first_of_all, pages},
    unavailable, venue,
};

pub use super::stocks::a_stock_is_what_is_left_of_performances_to_come;

const FIRST: PageRequest<ConcertId> = PageRequest { limit: 100, after: None };

/// A key names one publication: sent again it gives the first one, and with another request it is refused.
async fn assert_published_once<T: PartialEq + Debug>(
    publish: impl AsyncFn(Idempotency) -> Result<Made<T>, PublishError>,
) -> (Idempotency, T) {
    let key = idempotency();
    let first = publish(key.clone()).await.unwrap();
    assert!(!first.replayed);
    let again = publish(key.clone()).await.unwrap();
    assert_eq!((&again.value, again.replayed), (&first.value, true));
    let reused = publish(other_request(&key)).await;
    assert!(matches!(reused, Err(PublishError::KeyReused(_))), "{reused:?}");
    (key, first.value)
}

/// A plan has as many sections, seats and rows, and as long names, as it may.
pub async fn the_largest_venue_with_the_longest_names_is_kept(stage: &Stage) {
    // A character of four bytes in UTF-8, which is the most.
    let text = |index: usize, characters: usize| part(&format!("{index:\u{1d11e}>characters$}"));
    let rows: Vec<_> = (0..200).map(|index| Row { name: text(index, 11), seats: 1 }).collect();
    let sections = (0..VENUE_SECTIONS_MAX).map(|index| Section { name: text(index, 200), rows: rows.clone() });
    let plan = SeatingPlan::new(sections.collect()).unwrap();
    assert_eq!(plan.capacity(), VENUE_SEATS_MAX);
    let (publisher, catalog) = (stage.account().await, &stage.storage.catalog);
    let made =
        catalog.publish_venue(publisher, venue(plan, stage.now()), None, fixtures::staff_act()).await.unwrap().value;
    assert!(catalog.venue(made.id).await.unwrap() == Some(made), "another venue is found");
}

/// A key names one venue of one publisher.
pub async fn a_venue_is_published_once_under_its_key(stage: &Stage) {
    let (one, other) = (stage.account().await, stage.account().await);
    let catalog = &stage.storage.catalog;
    let publish = async |publisher, key| {
        catalog.publish_venue(publisher, venue(plan(), stage.now()), key, fixtures::staff_act()).await
    };
    let (key, first) = assert_published_once(async |key| publish(one, Some(key)).await).await;
    assert_eq!(first, Venue { id: first.id, ..venue(plan(), stage.now()) });
    assert_eq!(catalog.venue(first.id).await.unwrap().as_ref(), Some(&first));
    for (publisher, key) in [(other, Some(key)), (one, Some(idempotency())), (one, None), (one, None)] {
        let made = publish(publisher, key).await.unwrap();
        assert!(!made.replayed && made.value.id != first.id);
    }
}

/// A key names one concert of one promoter.
pub async fn a_concert_is_published_once_under_its_key(stage: &Stage) {
    let (promoter_id, other) = (stage.account().await, stage.account().await);
    let catalog = &stage.storage.catalog;
    let publish = async |promoter_id, key| {
        catalog.publish_concert(concert(promoter_id, stage.now()), key, fixtures::staff_act()).await
    };
    let (key, first) = assert_published_once(async |key| publish(promoter_id, Some(key)).await).await;
    assert_eq!(first, Concert { id: first.id, ..concert(promoter_id, stage.now()) });
    assert!(!publish(other, Some(key)).await.unwrap().replayed);
    assert_eq!(catalog.concert(first.id).await.unwrap(), Some(ConcertSummary::new(first, &[])));
}

/// A key names one performance of one publisher, with its seats.
pub async fn a_performance_is_published_once_under_its_key(stage: &Stage) {
    let show = stage.show().await;
    let catalog = &stage.storage.catalog;
    let later = show.starts_at + TimeDelta::days(1);
    let publish = async |key| {
        let new = new_performance(&show.concert, &show.venue, later);
        catalog.publish_performance(show.promoter_id, new, Some(key), fixtures::staff_act()).await
    };
    let (_, summary) = assert_published_once(publish).await;
    assert_eq!((summary.concert_id, summary.starts_at), (show.concert.id, later));
    assert_eq!((summary.seats_total as usize, summary.seats_available as usize), (SHOW_SEATS, SHOW_SEATS));
    assert_eq!((summary.price_min.get(), summary.price_max.get()), (PRICE_B, PRICE_A));
    assert_eq!((summary.venue.id, &summary.venue.location), (show.venue.id, &show.venue.location));
    assert_eq!(catalog.performance(summary.id).await.unwrap(), Some(summary));
    let found = catalog.concert(show.concert.id).await.unwrap().unwrap();
    assert_eq!(found.performances_count, 2);
    assert_eq!((found.first_performance_at, found.last_performance_at), (Some(show.starts_at), Some(later)));
}

/// Requests under one key that come together make one thing.
pub async fn twenty_publications_at_once_under_one_key_make_one(stage: &Stage) {
    let show = stage.show().await;
    let (promoter_id, key) = (show.promoter_id, idempotency());
    let venues = at_once(0..20, |_| {
        let (catalog, key) = (stage.storage.catalog.clone(), key.clone());
        let venue = venue(plan(), stage.now());
        async move { catalog.publish_venue(promoter_id, venue, Some(key), fixtures::staff_act()).await.unwrap() }
    });
    assert_first_of_all(&venues.await);
    let performances = at_once(0..20, |_| {
        let (catalog, key) = (stage.storage.catalog.clone(), key.clone());
        let new = new_performance(&show.concert, &show.venue, show.starts_at);
        async move { catalog.publish_performance(promoter_id, new, Some(key), fixtures::staff_act()).await.unwrap() }
    });
    let performances = performances.await;
    assert_first_of_all(&performances);
    assert_eq!(performances[0].value.seats_total as usize, SHOW_SEATS);
    assert_eq!(stage.storage.catalog.concert(show.concert.id).await.unwrap().unwrap().performances_count, 2);
}

/// Every concert is on exactly one page, in the order of publication.
pub async fn concerts_are_paged_in_the_order_of_their_publication(stage: &Stage) {
    let promoter_id = stage.account().await;
    let catalog = &stage.storage.catalog;
    let mut published = Vec::new();
    for _ in 0..7 {
        let concert = concert(promoter_id, stage.now());
        published.push(catalog.publish_concert(concert, None, fixtures::staff_act()).await.unwrap().value);
    }
    let pages = pages(3, async |page| catalog.concerts(None, page).await).await;
    let pages: Vec<Vec<_>> =
        pages.into_iter().map(|page| page.into_iter().map(|summary| summary.concert).collect()).collect();
    assert_eq!(pages, [&published[..3], &published[3..6], &published[6..]]);
    let whole = catalog.concerts(None, PageRequest::first(7)).await.unwrap();
    assert_eq!((whole.items.len(), whole.next), (7, None));
}

/// The list of bookable concerts has those that the rule calls bookable, and pages over them alone.
pub async fn only_bookable_concerts_are_listed_when_asked(stage: &Stage) {
    let promoter_id = stage.account().await;
    let hall = Venue { overlaps_allowed: true, ..venue(plan(), stage.now()) };
    stage.storage.catalog.publish_venue(promoter_id, hall.clone(), None, fixtures::staff_act()).await.unwrap();
    stage.clock.set(instant(-200));
    let publish = async |open_at, close_at, starts: &[i64]| {
        let sales = SalesWindow::new(instant(open_at), instant(close_at)).unwrap();
        let concert = Concert { sales, ..concert(promoter_id, stage.now()) };
        stage.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
        for starts_at in starts {
            stage.publish(promoter_id, &new_performance(&concert, &hall, instant(*starts_at))).await;
        }
        concert.id
    };
    let open = publish(0, 10, &[100]).await;
    publish(1, 10, &[100]).await;
    publish(-10, 0, &[100]).await;
    publish(-10, 10, &[0]).await;
    publish(-10, 10, &[]).await;
    let one_to_come = publish(-150, 10, &[-100, 1]).await;
    stage.clock.set(instant(0));
    let list = async |page| {
        let page = stage.storage.catalog.concerts(Some(stage.now()), page).await.unwrap();
        (page.items.iter().map(|summary| summary.concert.id).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(list(FIRST).await, (vec![open, one_to_come], None));
    assert_eq!(list(PageRequest::first(1)).await, (vec![open], Some(open)));
    assert_eq!(list(PageRequest { limit: 1, after: Some(open) }).await, (vec![one_to_come], None));
    for seconds in [-11, -1, 0, 1, 9, 10, 100] {
        stage.clock.set(instant(seconds));
        let all = stage.storage.catalog.concerts(None, FIRST).await.unwrap().items;
        let bookable = all.iter().filter(|summary| summary.is_on_sale(stage.now()));
        let bookable: Vec<_> = bookable.map(|summary| summary.concert.id).collect();
        assert_eq!(list(FIRST).await.0, bookable, "at {seconds}");
    }
    stage.clock.set(instant(0));
}

/// Every performance is on exactly one page, by start and then by id.
pub async fn performances_are_paged_by_their_start(stage: &Stage) {
    let show = stage.show().await;
    stage.show().await;
    for days in [3, -1, 3, 0, 3] {
        stage.another_performance(&show, show.starts_at + TimeDelta::days(days)).await;
    }
    let catalog = &stage.storage.catalog;
    let pages = pages(2, async |page| catalog.performances(show.concert.id, None, page).await).await;
    assert_eq!(pages.len(), 3);
    let all: Vec<_> = pages.concat().iter().map(PerformanceSummary::key).collect();
    let mut sorted = all.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((all.len(), &all), (6, &sorted));
}

/// What has started, and what is all held or sold, is left out.
pub async fn performances_without_a_seat_to_be_had_are_left_out_when_asked(stage: &Stage) {
    let show = stage.show().await;
    let seats = Row { name: part("1"), seats: 2 };
    let small = SeatingPlan::new(vec![Section { name: part("A"), rows: vec![seats] }]).unwrap();
    let hall = Venue { overlaps_allowed: true, ..venue(small, stage.now()) };
    stage.storage.catalog.publish_venue(show.promoter_id, hall.clone(), None, fixtures::staff_act()).await.unwrap();
    let prices = PriceList::new(&hall.plan, &[(part("A"), points(PRICE_A))]).unwrap();
    let new = |seconds| NewPerformance {
        prices: prices.clone(),
        ..NewPerformance { venue: hall.clone(), ..new_performance(&show.concert, &show.venue, instant(seconds)) }
    };
    let (soon, later) = (new(100), new(10_000));
    for performance in [&soon, &later] {
        stage.publish(show.promoter_id, performance).await;
    }
    let at = |new: &NewPerformance| Show { performance_id: new.id, venue: hall.clone(), ..show.clone() };
    let listed = async |available| {
        let page = PageRequest::first(10);
        let page = stage.storage.catalog.performances(show.concert.id, available, page).await.unwrap();
        page.items.into_iter().map(|summary| summary.id).collect::<Vec<_>>()
    };
    let available = async || {
        let available = listed(Some(true)).await;
        let mut others = listed(None).await;
        others.retain(|id| !available.contains(id));
        assert_eq!(listed(Some(false)).await, others);
        available
    };
    let account_id = stage.account_with(5_000).await;
    assert_eq!(available().await, [soon.id, later.id, show.performance_id]);
    let held = stage.holds(&at(&later), account_id, &["A-1-1"]).await;
    assert_eq!(available().await, [soon.id, later.id, show.performance_id]);
    stage.pays(&held).await;
    let lapsing = stage.holds(&at(&later), account_id, &["A-1-2"]).await;
    assert_eq!(available().await, [soon.id, show.performance_id]);
    stage.clock.set(instant(100));
    assert_eq!(available().await, [show.performance_id]);
    stage.clock.set(lapsing.held_until);
    assert_eq!(available().await, [later.id, show.performance_id]);
}

/// Seats come as the plan has them and not as their labels sort, with what they cost and whether they can be had.
pub async fn seats_come_in_the_order_of_the_plan(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let sold = stage.holds(&show, account_id, &["A-1-10"]).await;
    stage.pays(&sold).await;
    stage.holds(&show, account_id, &["B-1-2"]).await;
    let map = stage.seats(&show).await;
    assert_eq!(map.performance_id(), show.performance_id);
    let labels: Vec<_> = map.seats().map(|seat| seat.label.clone()).collect();
    assert_eq!(labels, show.labels());
    assert_eq!((labels[1].as_str(), labels[9].as_str()), ("A-1-2", "A-1-10"));
    for seat in map.seats() {
        let expected = match seat.label.as_str() {
            "A-1-10" => SeatStatus::Sold,
            "B-1-2" => SeatStatus::Held,
            _ => SeatStatus::Available,
        };
        assert_eq!(seat.status, expected, "{}", seat.label);
        assert_eq!(seat.price.get(), if seat.section == "A" { PRICE_A } else { PRICE_B });
        assert_eq!(format!("{}-{}-{}", seat.section, seat.row, seat.number), seat.label.as_str());
    }
}

/// Everywhere seats are counted, those of a lapsed hold can be had.
pub async fn lapsed_holds_count_as_available(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(5_000).await;
    let sold = stage.holds(&show, account_id, &["A-1-1", "B-1-1"]).await;
    stage.pays(&sold).await;
    let lapsing = stage.holds(&show, account_id, &["A-1-2"]).await;
    let catalog = &stage.storage.catalog;
    let counts = async || {
        let summary = catalog.performance(show.performance_id).await.unwrap().unwrap();
        let page = catalog.performances(show.concert.id, None, PageRequest::first(10)).await.unwrap();
        assert_eq!(page.items, std::slice::from_ref(&summary));
        let sales = stage.sales(&show).await;
        assert_eq!(sales.available, summary.seats_available);
        assert_eq!(sales.available as usize, stage.free_labels(&show).await.len());
        (sales.available, sales.held, sales.sold, sales.revenue.get())
    };
    assert_eq!(counts().await, (47, 1, 2, PRICE_A + PRICE_B));
    stage.clock.set(lapsing.held_until);
    assert_eq!(counts().await, (48, 0, 2, PRICE_A + PRICE_B));
    assert_eq!(stage.expire_due(10).await, 1);
    assert_eq!(counts().await, (48, 0, 2, PRICE_A + PRICE_B));
}

/// Hundreds of accounts hold and pay seats while another one reads maps: no map that is asked for after an answer shows
/// less than the answer said. A seat is not available once its hold, its payment or a refusal because of it has been
/// answered.
pub async fn no_map_shows_less_than_was_answered_before(stage: &Stage) {
    let show = stage.show_allowing(50).await;
    let labels = show.labels();
    // The first account that wants a seat can pay it.
    let mut accounts = Vec::new();
    for number in 0..200 {
        accounts.push(if number < labels.len() { stage.account_with(PRICE_A).await } else { stage.account().await });
    }
    let stop = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (stop, stage, show) = (Arc::clone(&stop), stage.clone(), show.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                stage.seats(&show).await;
                // A map from memory is answered without waiting, and the other tasks have to run too.
                tokio::task::yield_now().await;
            }
        }
    });
    let wanted = |number: usize| (stage.clone(), show.clone(), accounts[number], labels[number % labels.len()].clone());
    at_once(0..accounts.len(), |number| {
        let (stage, show, account_id, label) = wanted(number);
        let pays = number < labels.len();
        async move {
            let held = match stage.hold(show.hold_request_for(account_id, vec![label.clone()])).await {
                Ok(held) => held.value.reservation,
                Err(HoldRefusal::SeatUnavailable { .. }) => return,
                Err(refusal) => panic!("another refusal: {refusal}"),
            };
            assert_eq!(stage.seat(&show, label.as_str()).await, SeatStatus::Held, "{label} is held");
            if pays {
                stage.pays(&held).await;
                assert_eq!(stage.seat(&show, label.as_str()).await, SeatStatus::Sold, "{label} is sold");
            }
        }
    })
    .await;
    assert_eq!(stage.free_labels(&show).await, vec![]);
    at_once(0..accounts.len(), |number| {
        let (stage, show, account_id, label) = wanted(number);
        async move {
            let refused = stage.hold(show.hold_request_for(account_id, vec![label.clone()])).await;
            assert_eq!(unavailable(&refused), Some(vec![label.clone()]));
            assert_ne!(stage.seat(&show, label.as_str()).await, SeatStatus::Available, "{label} was refused");
        }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    reader.await.expect("a task does not panic");
}

/// After each change of a seat, a hundred readers at once see it.
pub async fn a_seat_map_follows_every_act_and_the_time(stage: &Stage) {
    let show = stage.show().await;
    let account_id = stage.account_with(100_000).await;
    let all_see = async |status: SeatStatus| {
        let seen = at_once(0..100, |_| {
            let (stage, show) = (stage.clone(), show.clone());
            async move { stage.seat(&show, "A-1-1").await }
        });
        assert!(seen.await.into_iter().all(|seen| seen == status), "{status:?}");
    };
    all_see(SeatStatus::Available).await;
    let held = stage.holds(&show, account_id, &["A-1-1"]).await;
    all_see(SeatStatus::Held).await;
    stage.cancels(&held).await;
    all_see(SeatStatus::Available).await;
    let lapsing = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.clock.set(lapsing.held_until - TimeDelta::microseconds(1));
    all_see(SeatStatus::Held).await;
    stage.clock.set(lapsing.held_until);
    all_see(SeatStatus::Available).await;
    let paid = stage.holds(&show, account_id, &["A-1-1"]).await;
    all_see(SeatStatus::Held).await;
    // The sweep marks the former hold as expired, and leaves the seat to its new owner.
    assert_eq!(stage.expire_due(10).await, 1);
    all_see(SeatStatus::Held).await;
    stage.pays(&paid).await;
    stage.clock.advance_seconds(1_000);
    all_see(SeatStatus::Sold).await;
    stage.cancels(&paid).await;
    all_see(SeatStatus::Available).await;
    let swept = stage.holds(&show, account_id, &["A-1-1"]).await;
    stage.clock.set(swept.held_until);
    assert_eq!(stage.expire_due(10).await, 1);
    all_see(SeatStatus::Available).await;
}

/// Of several changes made for one version, one is taken; none is lost and none is mixed with another.
pub async fn a_concert_is_changed_only_from_the_version_that_was_read(stage: &Stage) {
    let show = stage.show().await;
    let catalog = &stage.storage.catalog;
    let changed = |title: &str| {
        let change = ConcertChange { title: Some(name(title)), max_active: Some(7), ..ConcertChange::default() };
        change.apply(&show.concert, instant(0)).unwrap()
    };
    let outcomes = at_once(0..10, |number| {
        let (catalog, concert) = (catalog.clone(), changed(&format!("Title {number}")));
        async move { (concert.clone(), catalog.update_concert(concert, fixtures::staff_act()).await) }
    })
    .await;
    let taken: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(concert, _)| concert).collect();
    assert_eq!(taken.len(), 1);
    let refused = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Err(UpdateConcertError::VersionMismatch)));
    assert_eq!(refused.count(), 9);
    let found = catalog.concert(show.concert.id).await.unwrap().unwrap().concert;
    assert_eq!((&found, found.version), (taken[0], 2));
    let change = ConcertChange { max_active: Some(8), ..ConcertChange::default() };
    let next = change.apply(&found, instant(0)).unwrap();
    catalog.update_concert(next.clone(), fixtures::staff_act()).await.unwrap();
    assert_eq!(catalog.concert(found.id).await.unwrap().unwrap().concert, next);
    let unknown = Concert { id: ConcertId::new(TestEntropy.uuid()), ..next };
    assert!(matches!(
        catalog.update_concert(unknown, fixtures::staff_act()).await,
        Err(UpdateConcertError::VersionMismatch)
    ));
    // What buyers are shown beside their reservations follows.
    let account_id = stage.account().await;
    let held = stage.hold(show.hold_request(account_id, &["A-1-1"])).await.unwrap().value;
    assert_eq!(held.performance.title, found.title);
}

/// The seed of a draw, a pause and the time of an emptying are found as they were written, wherever concerts are read,
/// and other changes leave them alone.
pub async fn a_draw_a_pause_and_an_emptying_are_kept(stage: &Stage) {
    let show = stage.show().await;
    let catalog = &stage.storage.catalog;
    let draw = Draw::new(TestEntropy.secret());
    let drawn = Concert { draw: Some(draw), paused: true, ..concert(show.promoter_id, stage.now()) };
    catalog.publish_concert(drawn.clone(), None, fixtures::staff_act()).await.unwrap();
    let found = async || catalog.concert(drawn.id).await.unwrap().unwrap().concert;
    assert_eq!(found().await, drawn);
    let listed = catalog.concerts(None, PageRequest::first(100)).await.unwrap().items;
    assert!(listed.iter().any(|summary| summary.concert == drawn));

    let emptied_at = instant(7) + chrono::TimeDelta::microseconds(123_456);
    let change = ConcertChange { paused: Some(false), emptied_at: Some(emptied_at), ..ConcertChange::default() };
    let changed = change.apply(&drawn, instant(0)).unwrap();
    catalog.update_concert(changed.clone(), fixtures::staff_act()).await.unwrap();
    assert_eq!(found().await, Concert { paused: false, emptied_at: Some(emptied_at), version: 2, ..drawn.clone() });
    let change = ConcertChange { title: Some(name("Another")), ..ConcertChange::default() };
    let renamed = change.apply(&changed, instant(0)).unwrap();
    catalog.update_concert(renamed.clone(), fixtures::staff_act()).await.unwrap();
    assert_eq!(found().await, renamed);
    assert_eq!((renamed.draw, renamed.emptied_at), (Some(draw), Some(emptied_at)));
}

/// What is not there is absent and no failure.
pub async fn what_is_unknown_is_none(stage: &Stage) {
    let show = stage.show().await;
    let catalog = &stage.storage.catalog;
    for _ in 0..2 {
        assert_eq!(catalog.concert_of(show.performance_id).await.unwrap(), Some(show.concert.id));
    }
    let unknown = PerformanceId::new(TestEntropy.uuid());
    assert_eq!(catalog.concert_of(unknown).await.unwrap(), None);
    assert_eq!(catalog.performance(unknown).await.unwrap(), None);
    assert_eq!(catalog.seats(unknown).await.unwrap(), None);
    assert_eq!(catalog.sales(unknown).await.unwrap(), None);
    assert_eq!(catalog.venue(VenueId::new(TestEntropy.uuid())).await.unwrap(), None);
    let concert_id = ConcertId::new(TestEntropy.uuid());
    assert_eq!(catalog.concert(concert_id).await.unwrap(), None);
    let none = catalog.performances(concert_id, None, PageRequest::first(5)).await.unwrap();
    assert_eq!((none.items, none.next), (vec![], None));
    let new: NewPerformance = new_performance(&concert(show.promoter_id, stage.now()), &show.venue, show.starts_at);
    let refused = catalog.publish_performance(show.promoter_id, new, None, fixtures::staff_act()).await;
    assert!(matches!(refused, Err(PublishError::ConcertNotFound)), "{refused:?}");
    stage.storage.readiness.ready().await.unwrap();
}
