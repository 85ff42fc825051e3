//! A queue and what its sale has for it.

use boxoffice_domain::{
    Timestamp,
    fixtures::instant,
    waiting_room::{Offer, QueuePlace, QueueReason, QueueTerms, SaleEnd, SaleReading, Standing, WaitingRoomError},
};
use chrono::TimeDelta;

use super::{
    Rules, Stage,
    scene::{Scene, account, is_active},
};

impl Scene {
    /// The queue gets a reading of its sale that was made now.
    async fn offers(&self, offer: Offer) {
        self.offers_as_read_at(self.now(), offer).await;
    }

    async fn offers_as_read_at(&self, read_at: Timestamp, offer: Offer) {
        let sale = SaleReading { read_at, offer, ends: None };
        self.send_terms(QueueTerms { sale, ..self.terms }).await;
    }

    /// The queue learns that the sale ends by itself then.
    async fn ends_at(&self, ends_at: Timestamp, end: SaleEnd) {
        let sale = SaleReading { read_at: self.now(), offer: Offer::Seats, ends: Some((ends_at, end)) };
        self.send_terms(QueueTerms { sale, ..self.terms }).await;
    }

    fn now(&self) -> Timestamp {
        boxoffice_domain::Clock::now(self.stage.clock.as_ref())
    }

    /// Asserts that these places are expired because the queue has ended so.
    async fn assert_ended(&self, places: &[QueuePlace], end: SaleEnd) {
        for place in places {
            assert!(self.is_expired(place).await);
            assert_eq!(self.reason(place).await, Some(QueueReason::Ended(end)));
        }
    }

    async fn assert_refused(&self, end: SaleEnd) {
        let refused = self.try_join(account()).await;
        assert!(matches!(refused, Err(WaitingRoomError::Ended(found)) if found == end), "{refused:?}");
    }
}

const SOLD_OUT: Offer = Offer::Nothing(SaleEnd::SoldOut);

/// While all seats are held none is admitted, all keep their places and learn why; when a seat is free again, the next are
/// admitted at once.
pub async fn while_all_seats_are_held_all_wait(stage: impl AsyncFn(Rules) -> Stage) {
    all_wait_while(stage, Offer::AllHeld, QueueReason::AllHeld).await;
}

/// The same while the sale is not open, since its opening was moved.
pub async fn before_the_sale_opens_all_wait(stage: impl AsyncFn(Rules) -> Stage) {
    all_wait_while(stage, Offer::NotOpen, QueueReason::NotOpen).await;
}

async fn all_wait_while(stage: impl AsyncFn(Rules) -> Stage, offer: Offer, reason: QueueReason) {
    let scene = Scene::new(stage, 2).await;
    let mut places = scene.join_many(4).await;
    let seen = scene.version().await;
    scene.offers(offer).await;
    scene.assert_changed(seen).await;
    scene.leave(&places[0]).await;
    scene.assert_order(&places, 1, 1).await;
    assert_eq!((scene.reason(&places[1]).await, scene.reason(&places[0]).await), (None, None));
    assert_eq!(scene.reason(&places[2]).await, Some(reason));
    assert_eq!(scene.estimate(&places[2]).await, None);
    let joined = scene.join(account()).await.status;
    assert_eq!(joined.reason, Some(reason));
    places.push(joined.place);
    scene.spend(&places[1]).await;
    scene.assert_order(&places, 2, 0).await;
    assert_eq!(scene.advance().await, None, "nothing happens by itself");

    scene.pass_seconds(1);
    let seen = scene.version().await;
    scene.offers(Offer::Seats).await;
    scene.assert_changed(seen).await;
    scene.assert_order(&places, 2, 2).await;
    assert_eq!(scene.reason(&places[4]).await, None);
}

/// The time for which all seats are held is no part of the measure of the rate.
pub async fn the_time_without_a_seat_is_no_part_of_the_measure(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(100).await;
    for place in &places[..50] {
        scene.pass_seconds(10);
        scene.spend(place).await;
    }
    let before = scene.estimate(&places[99]).await.expect("there is a measure");
    scene.keep_until(&places[50], Some(instant(50_000))).await;
    scene.offers(Offer::AllHeld).await;
    for _ in 0..10 {
        scene.pass_seconds(100);
        scene.advance().await;
    }
    scene.offers(Offer::Seats).await;
    assert_eq!(scene.estimate(&places[99]).await, Some(before));
}

/// When nothing is left, all places that wait end, and so do admissions without held seats; none can join. Those that hold
/// seats stay as long as they do.
pub async fn a_queue_ends_when_nothing_is_left(stage: impl AsyncFn(Rules) -> Stage) {
    for end in [SaleEnd::SoldOut, SaleEnd::Closed, SaleEnd::Started] {
        let scene = Scene::new(&stage, 3).await;
        let places = scene.join_many(6).await;
        scene.keep_until(&places[1], Some(instant(300))).await;
        scene.keep_until(&places[2], Some(instant(900))).await;
        scene.spend(&places[0]).await;
        let seen = scene.version().await;
        scene.offers(Offer::Nothing(end)).await;
        scene.assert_changed(seen).await;
        scene.assert_ended(&places[3..], end).await;
        scene.assert_refused(end).await;
        assert!(scene.is_active(&places[1]).await && scene.is_active(&places[2]).await);
        assert_eq!(scene.reason(&places[1]).await, None);

        // One that holds seats pays, and one lets its hold lapse or gives it up.
        scene.spend(&places[2]).await;
        scene.assert_ended(&places[2..3], end).await;
        scene.stage.clock.set(instant(300));
        scene.assert_ended(&places[1..2], end).await;
        assert_eq!(scene.census().await, (0, 0, 4));
        scene.assert_refused(end).await;
    }
}

/// An account whose seats were held as the queue ended stays admitted to pay them, and no longer.
pub async fn a_hold_that_is_learnt_of_late_outlasts_the_end_of_the_queue(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(2).await;
    scene.offers(SOLD_OUT).await;
    scene.pass_seconds(4);
    scene.assert_ended(&places, SaleEnd::SoldOut).await;
    let seen = scene.version().await;
    scene.keep_until(&places[0], Some(instant(300))).await;
    scene.assert_changed(seen).await;
    assert!(scene.is_active(&places[0]).await);
    scene.pass_seconds(1);
    scene.keep_until(&places[1], Some(instant(300))).await;
    scene.assert_ended(&places[1..], SaleEnd::SoldOut).await;
    assert_eq!(scene.census().await, (0, 1, 2));
    scene.keep_until(&places[0], None).await;
    scene.assert_ended(&places, SaleEnd::SoldOut).await;
}

/// A sale that ends at a time ends its queue then, also if no request comes.
pub async fn a_queue_ends_with_its_sale_by_itself(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(3).await;
    scene.ends_at(instant(100), SaleEnd::Closed).await;
    assert_eq!(scene.advance().await, Some(instant(100)));
    scene.stage.clock.set(instant(100) - TimeDelta::microseconds(1));
    scene.assert_order(&places, 0, 1).await;
    let seen = scene.version().await;
    scene.stage.clock.set(instant(100));
    scene.advance().await;
    scene.assert_changed(seen).await;
    scene.assert_ended(&places, SaleEnd::Closed).await;
    scene.assert_refused(SaleEnd::Closed).await;
    scene.stage.clock.set(instant(105));
    assert_eq!(scene.advance().await, None);
    assert_eq!(scene.census().await, (0, 0, 1));
}

/// A queue that has ended is joined again when there is a seat again. Earlier places stay over.
pub async fn a_queue_that_has_ended_goes_on_when_there_are_seats_again(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(4).await;
    scene.keep_until(&places[0], Some(instant(300))).await;
    scene.offers(SOLD_OUT).await;
    scene.assert_ended(&places[1..], SaleEnd::SoldOut).await;
    scene.pass_seconds(1);
    scene.offers(Offer::Seats).await;
    scene.assert_ended(&places[1..], SaleEnd::SoldOut).await;
    let again = scene.join(places[3].account_id).await;
    assert!(again.newly && is_active(again.status.standing) && again.status.reason.is_none());
    assert!(again.status.place.number > places[3].number);
    let waiting = scene.join(account()).await.status;
    assert!(matches!(waiting.standing, Standing::Waiting { position: Some(1), .. }), "{waiting:?}");
    assert!(scene.is_active(&places[0]).await, "it holds seats");
    scene.leave(&places[0]).await;
    assert!(scene.is_active(&waiting.place).await);
    scene.assert_ended(&places[..3], SaleEnd::SoldOut).await;
    assert_eq!(scene.census().await, (0, 2, 4));
}

/// Of two readings the later one counts, in whichever order they come, and whatever the versions of the terms are.
pub async fn the_later_reading_of_a_sale_counts(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    let places = scene.join_many(2).await;
    scene.pass_seconds(10);
    scene.offers_as_read_at(instant(5), Offer::AllHeld).await;
    scene.offers_as_read_at(instant(4), SOLD_OUT).await;
    assert_eq!(scene.reason(&places[1]).await, Some(QueueReason::AllHeld));
    let uninformed = scene.clone();
    scene.set_terms(|terms| terms.max_active = 2).await;
    assert_eq!(scene.reason(&places[1]).await, Some(QueueReason::AllHeld), "a change says nothing of the sale");
    uninformed.offers_as_read_at(instant(6), Offer::Seats).await;
    assert!(scene.is_active(&places[1]).await, "both are known, though no request said both");
    // One that joins brings a reading along.
    let sale = SaleReading { read_at: instant(7), offer: SOLD_OUT, ends: None };
    let informed = Scene { terms: QueueTerms { sale, ..scene.terms }, ..scene.clone() };
    informed.assert_refused(SaleEnd::SoldOut).await;
    scene.assert_ended(&places, SaleEnd::SoldOut).await;
}

/// Before a draw a queue waits for its opening, whatever is left, and ends with the sale all the same.
pub async fn a_draw_waits_for_the_opening_while_all_are_held(stage: impl AsyncFn(Rules) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    scene.terms.opens_at = Some(instant(100));
    let places = [scene.join_drawn(7).await, scene.join_drawn(3).await];
    scene.offers(Offer::AllHeld).await;
    assert!(matches!(scene.standing(&places[0]).await, Standing::Waiting { position: None, .. }));
    scene.stage.clock.set(instant(100));
    assert_eq!((scene.position(&places[1]).await, scene.position(&places[0]).await), (1, 2));
    scene.offers(Offer::Seats).await;
    assert!(scene.is_active(&places[1]).await);
    scene.offers_as_read_at(instant(101), SOLD_OUT).await;
    scene.assert_ended(&places, SaleEnd::SoldOut).await;
}

/// However many are admitted and wait: all of them end, and when the queue goes on none of them is admitted.
pub async fn a_large_queue_ends_as_a_whole(stage: impl AsyncFn(Rules) -> Stage) {
    let scene = Scene::new(stage, 700).await;
    let places = scene.join_many(1_400).await;
    scene.keep_until(&places[699], Some(instant(300))).await;
    scene.offers(SOLD_OUT).await;
    for place in places.iter().step_by(97) {
        scene.assert_ended(&[*place], SaleEnd::SoldOut).await;
    }
    scene.pass_seconds(5);
    for _ in 0..10 {
        scene.advance().await;
    }
    assert_eq!(scene.census().await, (0, 1, 700));
    scene.offers(Offer::Seats).await;
    let joined = scene.join_many(700).await;
    assert_eq!(scene.census().await, (1, 700, 1_399));
    assert!(scene.is_active(&joined[0]).await && scene.is_active(&places[699]).await);
}
