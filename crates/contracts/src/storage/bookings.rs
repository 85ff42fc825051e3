//! When performances may be, as they are published.

use boxoffice_domain::{
    EntropySource, PerformanceId,
    catalog::{Booking, Concert, NewPerformance, PublishError, SalesWindow, StartError, UpdateConcertError, Venue},
    fixtures::{self, TestEntropy, idempotency, instant},
    page::PageRequest,
};
use chrono::{Months, TimeDelta};

use super::{Stage, at_once, concert, new_performance, plan, venue};

/// How often an opening and a performance come together.
const OPENINGS_MOVED: usize = 20;

/// A concert, and a performance of it at a venue that has one at a time.
async fn evening(stage: &Stage) -> (Concert, NewPerformance) {
    let promoter_id = stage.account().await;
    let (concert, hall) = (concert(promoter_id, stage.now()), venue(plan(), stage.now()));
    stage.storage.catalog.publish_venue(promoter_id, hall.clone(), None, fixtures::staff_act()).await.expect("a venue");
    stage.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.expect("a concert");
    let performance = new_performance(&concert, &hall, instant(1_000_000));
    (concert, performance)
}

/// The same performance as another one at another time.
fn at(performance: &NewPerformance, concert: &Concert, minutes: i64, duration_minutes: u32) -> NewPerformance {
    let starts_at = performance.starts_at + TimeDelta::minutes(minutes);
    NewPerformance { duration_minutes, ..new_performance(concert, &performance.venue, starts_at) }
}

/// The same performance as a repeated request makes it, with an id that is not known.
fn repeated(performance: &NewPerformance) -> NewPerformance {
    NewPerformance { id: PerformanceId::new(TestEntropy.uuid()), ..performance.clone() }
}

async fn count(stage: &Stage, concert: &Concert) -> usize {
    let page = stage.storage.catalog.performances(concert.id, None, PageRequest::first(100)).await;
    page.expect("the storage works").items.len()
}

/// A venue has one performance at a time, whatever concert it is of, unless it allows overlaps.
pub async fn a_venue_has_one_performance_at_a_time(stage: &Stage) {
    let (concert, first) = evening(stage).await;
    let catalog = &stage.storage.catalog;
    let (publisher, key) = (stage.account().await, idempotency());
    let publish =
        async |new: NewPerformance| catalog.publish_performance(publisher, new, None, fixtures::staff_act()).await;
    let made =
        catalog.publish_performance(publisher, first.clone(), Some(key.clone()), fixtures::staff_act()).await.unwrap();
    assert_eq!((made.value.duration_minutes, made.value.withdrawn), (180, false));
    let other = super::concert(stage.account().await, stage.now());
    catalog.publish_concert(other.clone(), None, fixtures::staff_act()).await.unwrap();
    for (minutes, duration_minutes) in [(0, 180), (179, 1), (-10, 11), (-10, 1_000), (-1_440, 1_440)] {
        let taken = minutes + i64::from(duration_minutes) > 0;
        let published = publish(at(&first, &other, minutes, duration_minutes)).await;
        assert_eq!(published.is_err(), taken, "{minutes} minutes later: {published:?}");
        if let Err(error) = published {
            assert!(matches!(error, PublishError::Overlaps(booking) if booking == first.booking()), "{error:?}");
        }
    }
    publish(at(&first, &other, 180, 180)).await.unwrap();
    assert_eq!((count(stage, &concert).await, count(stage, &other).await), (1, 2));
    // A repeated request overlaps with itself, and is answered as the first one was.
    let again =
        catalog.publish_performance(publisher, repeated(&first), Some(key), fixtures::staff_act()).await.unwrap();
    assert!(again.replayed && again.value == made.value, "{again:?}");

    let stages = Venue { overlaps_allowed: true, ..venue(plan(), stage.now()) };
    catalog.publish_venue(publisher, stages.clone(), None, fixtures::staff_act()).await.unwrap();
    for _ in 0..2 {
        publish(new_performance(&concert, &stages, first.starts_at)).await.unwrap();
    }
    assert_eq!(count(stage, &concert).await, 3);
}

/// Of publications that come together and overlap, one succeeds.
pub async fn one_of_twenty_publications_at_once_takes_the_venue(stage: &Stage) {
    let (concert, first) = evening(stage).await;
    let publisher = stage.account().await;
    let outcomes = at_once(0..20, |number| {
        let (catalog, new) = (stage.storage.catalog.clone(), at(&first, &concert, number, 180));
        async move { catalog.publish_performance(publisher, new, None, fixtures::staff_act()).await }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(PublishError::Overlaps(Booking { .. }))));
    assert_eq!((refused.count(), count(stage, &concert).await), (19, 1));
}

/// Of an opening and of a performance before it that come together, one is refused.
pub async fn an_opening_and_a_performance_before_it_do_not_both_come(stage: &Stage) {
    let publisher = stage.account().await;
    let stages = Venue { overlaps_allowed: true, ..venue(plan(), stage.now()) };
    stage.storage.catalog.publish_venue(publisher, stages.clone(), None, fixtures::staff_act()).await.unwrap();
    let moved = |concert: &Concert, open_at| {
        let sales = SalesWindow::new(instant(open_at), instant(3_000_000)).expect("opens before it closes");
        Concert { sales, version: concert.version + 1, ..concert.clone() }
    };
    for _ in 0..OPENINGS_MOVED {
        let concert = concert(publisher, stage.now());
        stage.storage.catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
        let outcomes = at_once([true, false], |moves| {
            let (catalog, changed) = (stage.storage.catalog.clone(), moved(&concert, 1_000_000));
            let new = new_performance(&concert, &stages, instant(1_000_000));
            async move {
                if moves {
                    catalog.update_concert(changed, fixtures::staff_act()).await.is_ok()
                } else {
                    catalog.publish_performance(publisher, new, None, fixtures::staff_act()).await.is_ok()
                }
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|succeeded| **succeeded).count(), 1, "{outcomes:?}");
    }
    // What is stored is not judged by another change, nor by an opening before it.
    let (catalog, concert) = (&stage.storage.catalog, concert(publisher, stage.now()));
    catalog.publish_concert(concert.clone(), None, fixtures::staff_act()).await.unwrap();
    catalog
        .publish_performance(
            publisher,
            new_performance(&concert, &stages, instant(1_000_000)),
            None,
            fixtures::staff_act(),
        )
        .await
        .unwrap();
    let refused = catalog.update_concert(moved(&concert, 1_000_000), fixtures::staff_act()).await;
    assert!(matches!(refused, Err(UpdateConcertError::VersionMismatch)), "{refused:?}");
    catalog.update_concert(moved(&concert, 999_999), fixtures::staff_act()).await.unwrap();
    stage.clock.set(instant(1_000_000));
    let started = moved(&catalog.concert(concert.id).await.unwrap().unwrap().concert, 2_000_000);
    catalog.update_concert(started.clone(), fixtures::staff_act()).await.unwrap();
    catalog
        .update_concert(Concert { paused: true, version: started.version + 1, ..started }, fixtures::staff_act())
        .await
        .unwrap();
}

/// A performance starts later than now, after its sale opens, and within ten years.
pub async fn a_performance_starts_in_time_for_its_sale(stage: &Stage) {
    let (concert, first) = evening(stage).await;
    let publisher = stage.account().await;
    let late = SalesWindow::new(instant(500_000), instant(600_000)).expect("opens before it closes");
    let sold_later = Concert { sales: late, ..super::concert(publisher, stage.now()) };
    stage.storage.catalog.publish_concert(sold_later.clone(), None, fixtures::staff_act()).await.unwrap();
    let too_late = stage.now().checked_add_months(Months::new(120)).unwrap() + TimeDelta::seconds(1);
    for (of, starts_at, expected) in [
        (&concert, stage.now(), StartError::Past),
        (&concert, instant(-90_000), StartError::Past),
        (&sold_later, late.open_at(), StartError::BeforeSale),
        (&concert, too_late, StartError::TooFarAhead),
    ] {
        let new = new_performance(of, &first.venue, starts_at);
        let published = stage.storage.catalog.publish_performance(publisher, new, None, fixtures::staff_act()).await;
        assert!(matches!(published, Err(PublishError::Start(error)) if error == expected), "{published:?}");
    }
    assert_eq!((count(stage, &concert).await, count(stage, &sold_later).await), (0, 0));
    // An answer is repeated even when its time is over.
    let key = idempotency();
    let publish = async || {
        let catalog = &stage.storage.catalog;
        catalog.publish_performance(publisher, repeated(&first), Some(key.clone()), fixtures::staff_act()).await
    };
    assert!(!publish().await.unwrap().replayed);
    stage.clock.set(first.starts_at);
    assert!(publish().await.unwrap().replayed);
}
