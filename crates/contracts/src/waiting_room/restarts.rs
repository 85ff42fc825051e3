//! A waiting room that has lost its queues, as with a restart: they re-form from the places of those that come back.
//!
//! Each function takes what makes an empty waiting room. It makes one, lets accounts join, and makes another one under the
//! same clock, which knows nothing of the first.

use std::sync::Arc;

use boxoffice_domain::{
    ConcertId, EntropySource,
    fixtures::{TestClock, TestEntropy, instant},
    waiting_room::{
        DrawNumber, Offer, PlaceNumber, QueuePlace, QueueReason, QueueStatus, QueueTerms, Recall, RestoreRequest,
        SaleEnd, SaleReading, Standing, Visit, WaitingRoom, WaitingRoomError,
    },
};
use chrono::TimeDelta;

use super::{
    Rules, Stage,
    scene::{Scene, account},
};

/// How an empty waiting room starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Under which rules.
    pub rules: Rules,
    /// The clock that it judges time by.
    pub clock: Arc<TestClock>,
    /// For how many seconds it admits no account, so that queues re-form.
    pub reform_seconds: u32,
}

/// Makes an empty waiting room.
pub trait Open: AsyncFn(Start) -> Arc<dyn WaitingRoom> {}

impl<F: AsyncFn(Start) -> Arc<dyn WaitingRoom>> Open for F {}

/// Makes a test of each function about a waiting room that has lost its queues. The argument is an
/// `async fn(Start) -> Arc<dyn WaitingRoom>`.
#[macro_export]
macro_rules! waiting_room_restart_contract {
    ($open:expr) => {
        $crate::waiting_room_restart_contract! { $open;
            a_lost_queue_re_forms_in_the_old_order_before_newcomers
            an_account_that_comes_back_late_is_before_all_that_joined_later
            an_account_that_holds_seats_is_admitted_again_first_and_within_the_limit
            a_hold_that_is_over_admits_none_again
            what_ended_after_it_was_restored_is_not_restored_again
            what_ended_before_it_was_restored_is_not_restored
            a_newer_place_is_the_end_of_an_older_one
            a_place_that_was_given_twice_is_shared_in_the_order_of_accounts
            a_lost_queue_re_forms_in_the_order_drawn
            an_emptied_queue_restores_none
            a_lost_queue_is_not_empty_while_places_may_come_back
            a_pause_outlasts_a_restart
            a_queue_that_has_ended_restores_only_accounts_that_hold_seats
            past_the_bound_of_what_is_remembered_nothing_is_restored
            a_restored_queue_is_bounded_too
            only_admissions_that_others_left_are_measured
            watching_a_concert_without_a_queue_opens_none_and_sees_it_opened
        }
    };
    ($open:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::waiting_room::$name($open).await;
        }
    )*};
}

impl Scene {
    /// A concert that admits 3 at once, in an empty waiting room.
    async fn started(open: &impl Open, start: Start) -> Self {
        let clock = Arc::clone(&start.clock);
        Self {
            stage: Stage { waiting_room: open(start).await, clock },
            concert_id: ConcertId::new(TestEntropy.uuid()),
            terms: QueueTerms { version: 1, max_active: 3, paused: false, opens_at: None, sale: SaleReading::NONE },
        }
    }

    /// The same concert in a waiting room that knows nothing of it.
    async fn restarted(&self, open: &impl Open, start: Start) -> Self {
        Self { concert_id: self.concert_id, terms: self.terms, ..Self::started(open, start).await }
    }

    async fn recall(&self, place: &QueuePlace) -> Recall {
        self.stage.waiting_room.status(place, Visit::Poll).await.expect("answers")
    }

    async fn try_restore(&self, place: &QueuePlace, draw: Option<u64>) -> Result<Standing, WaitingRoomError> {
        let draw = draw.map(DrawNumber::from_random);
        let request = RestoreRequest { place: *place, terms: self.terms, draw, held_until: None };
        Ok(self.stage.waiting_room.restore(request).await?.standing)
    }

    /// What the holder's poll does: a status, and a restoration if the place is forgotten.
    async fn poll(&self, place: &QueuePlace) -> Standing {
        match self.recall(place).await {
            Recall::Known(status) => status.standing,
            Recall::Forgotten => self.try_restore(place, None).await.expect("restores"),
        }
    }

    async fn poll_all(&self, places: &[QueuePlace]) {
        for place in places {
            self.poll(place).await;
        }
    }

    /// Asserts that these wait, in this order from the front on.
    async fn assert_waiting(&self, places: impl IntoIterator<Item = &QueuePlace>) {
        for (expected, place) in (1..).zip(places) {
            let standing = self.poll(place).await;
            let waits = matches!(standing, Standing::Waiting { position, .. } if position == Some(expected));
            assert!(waits, "{standing:?} instead of position {expected}");
        }
    }

    async fn assert_active(&self, places: impl IntoIterator<Item = &QueuePlace>) {
        for place in places {
            let standing = self.poll(place).await;
            assert!(matches!(standing, Standing::Active { .. }), "{standing:?}");
        }
    }

    /// Asserts that these are expired, and cannot be restored either.
    async fn assert_over(&self, places: impl IntoIterator<Item = &QueuePlace>) {
        for place in places {
            assert_eq!(self.poll(place).await, Standing::Expired);
            assert_eq!(self.try_restore(place, None).await.expect("answers"), Standing::Expired);
        }
    }
}

fn start(clock: &Arc<TestClock>) -> Start {
    Start { rules: Rules::default(), clock: Arc::clone(clock), reform_seconds: 5 }
}

/// The places of so many accounts in the order of their joining, and the queue in a waiting room that has taken the place
/// of the first one 10 seconds later.
async fn restarted(open: impl Open, joined: usize) -> (Scene, Vec<QueuePlace>) {
    restarted_under(Rules::default(), open, joined).await
}

async fn restarted_under(rules: Rules, open: impl Open, joined: usize) -> (Scene, Vec<QueuePlace>) {
    let clock = Arc::new(TestClock::new());
    let start = || Start { rules, ..start(&clock) };
    let lost = Scene::started(&open, start()).await;
    let places = lost.join_many(joined).await;
    clock.advance_seconds(10);
    (lost.restarted(&open, start()).await, places)
}

/// Those that come back have their old order, before all that have joined since; none is admitted before.
pub async fn a_lost_queue_re_forms_in_the_old_order_before_newcomers(open: impl Open) {
    let (scene, places) = restarted(open, 20).await;
    let newcomer = scene.join(account()).await.status;
    assert!(matches!(newcomer.standing, Standing::Waiting { position: Some(1), estimated_wait_seconds: None, .. }));
    assert!(newcomer.place.number > places[19].number);
    for index in (0..20).map(|step| step * 7 % 20) {
        assert_eq!(scene.recall(&places[index]).await, Recall::Forgotten);
        assert!(matches!(scene.poll(&places[index]).await, Standing::Waiting { .. }), "none is admitted yet");
    }
    scene.assert_waiting(places.iter().chain([&newcomer.place])).await;
    scene.pass_seconds(4);
    assert_eq!(scene.advance().await, Some(instant(15)));
    scene.assert_waiting(&places).await;
    scene.pass_seconds(1);
    scene.advance().await;
    scene.assert_active(&places[..3]).await;
    scene.assert_waiting(places[3..].iter().chain([&newcomer.place])).await;
}

/// An account that comes back when others were admitted already is before all that wait behind its place, and their
/// watchers learn of it.
pub async fn an_account_that_comes_back_late_is_before_all_that_joined_later(open: impl Open) {
    let (scene, places) = restarted(open, 10).await;
    scene.poll(&places[4]).await;
    scene.pass_seconds(5);
    scene.poll_all(&places[6..]).await;
    scene.assert_waiting([&places[8]]).await;
    let seen = scene.version().await;
    scene.poll(&places[2]).await;
    scene.assert_changed(seen).await;
    scene.assert_waiting([&places[2], &places[5], &places[8]]).await;
    assert_eq!(scene.census().await.1, 3);
}

/// An account that holds seats had been admitted: it is admitted again while the queue re-forms, if there is room.
pub async fn an_account_that_holds_seats_is_admitted_again_first_and_within_the_limit(open: impl Open) {
    let (scene, places) = restarted(open, 10).await;
    scene.poll_all(&places).await;
    for number in [9, 7, 8, 6] {
        scene.keep_until(&places[number], Some(instant(310))).await;
    }
    scene.assert_active(&places[7..]).await;
    scene.assert_waiting(&places[..7]).await;
    scene.pass_seconds(5);
    scene.assert_waiting(&places[..7]).await;
    scene.spend(&places[9]).await;
    scene.assert_active(&places[..1]).await;
}

/// A hold that is over does not admit its account again.
pub async fn a_hold_that_is_over_admits_none_again(open: impl Open) {
    let (scene, places) = restarted(open, 2).await;
    scene.poll(&places[0]).await;
    scene.keep_until(&places[0], Some(instant(10))).await;
    scene.assert_waiting(&places[..1]).await;
    scene.keep_until(&places[0], Some(instant(10) + TimeDelta::microseconds(1))).await;
    scene.assert_active(&places[..1]).await;
}

/// A place ends once, however it ends.
pub async fn what_ended_after_it_was_restored_is_not_restored_again(open: impl Open) {
    let (scene, places) = restarted_under(Rules::passing_over(), open, 10).await;
    scene.poll_all(&places).await;
    scene.pass_seconds(5);
    scene.leave(&places[9]).await;
    scene.spend(&places[0]).await;
    scene.pass_seconds(59);
    scene.assert_active(&places[2..4]).await;
    scene.pass_seconds(1);
    scene.assert_over(&places[1..2]).await;
    scene.assert_active(&places[4..5]).await;
    scene.pass_seconds(599);
    scene.assert_over(places[..4].iter().chain(&places[9..])).await;
}

/// A place that its holder leaves or pays with while it is forgotten does not come back.
pub async fn what_ended_before_it_was_restored_is_not_restored(open: impl Open) {
    let (scene, places) = restarted(open, 3).await;
    scene.leave(&places[0]).await;
    scene.leave(&places[0]).await;
    scene.spend(&places[1]).await;
    scene.assert_over(&places[..2]).await;
    scene.assert_waiting(&places[2..]).await;
    scene.spend(&places[2]).await;
    scene.assert_over(&places[2..]).await;
}

/// An account has one place: the latest that the waiting room has seen.
pub async fn a_newer_place_is_the_end_of_an_older_one(open: impl Open) {
    let (scene, places) = restarted(open, 5).await;
    let again = scene.join(places[1].account_id).await.status.place;
    scene.assert_over(&places[1..2]).await;
    scene.leave(&again).await;
    scene.assert_over(&places[1..2]).await;

    // An account that had two places before the restart shows the older one first.
    let older = QueuePlace { number: PlaceNumber(places[0].number.0 - 1), ..places[3] };
    scene.assert_waiting([&older]).await;
    scene.assert_waiting(&places[3..4]).await;
    scene.assert_over([&older]).await;
    assert_eq!(scene.census().await.0, 1);

    // Not even an admission under the older one stays.
    let older = QueuePlace { number: PlaceNumber(places[0].number.0 - 2), ..places[4] };
    scene.pass_seconds(5);
    scene.assert_active([&older]).await;
    scene.leave(&places[4]).await;
    scene.assert_over([&older, &places[4]]).await;
}

/// Two waiting rooms may have given the same place to two accounts.
pub async fn a_place_that_was_given_twice_is_shared_in_the_order_of_accounts(open: impl Open) {
    let (scene, places) = restarted(open, 2).await;
    let twin = QueuePlace { account_id: account(), ..places[0] };
    scene.poll_all(&[twin, places[1], places[0]]).await;
    let mut shared = [places[0], twin];
    shared.sort_by_key(|place| place.account_id);
    scene.assert_waiting(shared.iter().chain(&places[1..])).await;
}

/// A draw gives the same order again, whether the queue is lost before or after it.
pub async fn a_lost_queue_re_forms_in_the_order_drawn(open: impl Open) {
    let clock = Arc::new(TestClock::new());
    let mut lost = Scene::started(&open, start(&clock)).await;
    lost.terms = QueueTerms { max_active: 1, opens_at: Some(instant(100)), ..lost.terms };
    let mut places = Vec::new();
    for draw in [3, 1, 4, 2] {
        let joined = lost.try_join_with(account(), Some(DrawNumber::from_random(draw))).await.expect("joins");
        places.push((joined.status.place, draw));
    }
    clock.set(instant(100));
    let late = lost.try_join_with(account(), Some(DrawNumber::from_random(0))).await.expect("joins").status.place;

    clock.set(instant(110));
    let scene = lost.restarted(&open, start(&clock)).await;
    scene.try_restore(&late, Some(0)).await.expect("restores");
    for (place, draw) in places.iter().rev() {
        scene.try_restore(place, Some(*draw)).await.expect("restores");
    }
    let in_order = [1, 3, 0, 2].map(|index| places[index].0);
    scene.assert_waiting(in_order.iter().chain([&late])).await;

    clock.set(instant(50));
    let scene = lost.restarted(&open, Start { reform_seconds: 0, ..start(&clock) }).await;
    for (place, draw) in &places {
        let standing = scene.try_restore(place, Some(*draw)).await.expect("restores");
        assert!(matches!(standing, Standing::Waiting { position: None, .. }), "{standing:?}");
    }
    clock.set(instant(100));
    scene.assert_active(&in_order[..1]).await;
    scene.assert_waiting(&in_order[1..]).await;
}

/// Emptying a queue also ends the places that are forgotten at the moment.
pub async fn an_emptied_queue_restores_none(open: impl Open) {
    let (scene, places) = restarted(&open, 5).await;
    scene.poll_all(&places[..4]).await;
    scene.pass_seconds(5);
    assert_eq!(scene.stage.waiting_room.empty(scene.concert_id).await.expect("empties"), 1);
    scene.assert_over(&places[3..]).await;
    scene.assert_active(&places[..3]).await;
    scene.leave(&places[0]).await;
    scene.assert_over(&places[..1]).await;

    // Also if none has come back yet.
    let (scene, places) = restarted(&open, 2).await;
    assert_eq!(scene.stage.waiting_room.empty(scene.concert_id).await.expect("empties"), 0);
    scene.assert_over(&places).await;
    scene.pass_seconds(5);
    let again = scene.join(places[0].account_id).await.status.place;
    scene.assert_active([&again]).await;
}

/// A queue that was lost is not known to be empty of places that were given earlier, unless it was emptied since.
pub async fn a_lost_queue_is_not_empty_while_places_may_come_back(open: impl Open) {
    let (scene, places) = restarted(open, 5).await;
    scene.stage.waiting_room.advance().await.expect("advances");
    let restarted_at = instant(10);
    let are_empty = async || (scene.is_empty(instant(0)).await, scene.is_empty(restarted_at).await);
    assert_eq!(are_empty().await, (false, true), "there is no queue yet");
    scene.poll_all(&places[..1]).await;
    scene.pass_seconds(5);
    assert_eq!(are_empty().await, (false, true), "the first is admitted, and the others have not come back");
    scene.stage.waiting_room.empty(scene.concert_id).await.expect("empties");
    assert_eq!(are_empty().await, (true, true));
}

/// A queue that is paused when it is lost re-forms paused, and lets accounts that hold seats back in.
pub async fn a_pause_outlasts_a_restart(open: impl Open) {
    let (mut scene, places) = restarted(open, 3).await;
    scene.terms.paused = true;
    scene.poll_all(&places).await;
    scene.pass_seconds(5);
    scene.assert_waiting(&places).await;
    scene.keep_until(&places[1], Some(instant(310))).await;
    scene.assert_active(&places[1..2]).await;
    scene.assert_waiting([&places[0], &places[2]]).await;
}

/// A lost queue whose sale has ended takes back only those that hold seats, to pay them.
pub async fn a_queue_that_has_ended_restores_only_accounts_that_hold_seats(open: impl Open) {
    let (mut scene, places) = restarted(open, 5).await;
    scene.terms.max_active = 1;
    scene.poll(&places[3]).await;
    let sale = SaleReading { read_at: instant(10), offer: Offer::Nothing(SaleEnd::Closed), ends: None };
    scene.send_terms(QueueTerms { sale, ..scene.terms }).await;
    let ended = |status: QueueStatus| (status.standing, status.reason);
    let closed = (Standing::Expired, Some(QueueReason::Ended(SaleEnd::Closed)));
    let restore = async |place: &QueuePlace, held_until| {
        let request = RestoreRequest { place: *place, terms: scene.terms, draw: None, held_until };
        ended(scene.stage.waiting_room.restore(request).await.expect("answers"))
    };
    assert_eq!(restore(&places[0], None).await, closed);
    assert_eq!(restore(&places[1], Some(instant(10))).await, closed, "its hold is over");
    assert_eq!(restore(&places[3], None).await, closed, "it had come back");
    let active = async || scene.census().await.1;
    assert_eq!(active().await, 0);
    let (standing, _) = restore(&places[2], Some(instant(310))).await;
    assert!(matches!(standing, Standing::Active { active_until, .. } if active_until == instant(310)), "{standing:?}");
    assert_eq!(restore(&places[4], Some(instant(310))).await, closed, "there is no room");
    assert_eq!(active().await, 1);
    scene.pass_seconds(299);
    scene.assert_active(&places[2..3]).await;
    scene.pass_seconds(1);
    assert_eq!(scene.poll(&places[2]).await, Standing::Expired);
}

/// A waiting room remembers as many ended places as may wait; past that it restores none.
pub async fn past_the_bound_of_what_is_remembered_nothing_is_restored(open: impl Open) {
    let clock = Arc::new(TestClock::new());
    let rules = Rules { capacity: 3, ..Rules::default() };
    let start = || Start { rules, clock: Arc::clone(&clock), reform_seconds: 0 };
    let lost = Scene::started(&open, start()).await;
    let old = lost.join(account()).await.status.place;
    clock.advance_seconds(10);
    let scene = lost.restarted(&open, start()).await;
    for _ in 0..3 {
        let place = scene.join(account()).await.status.place;
        scene.leave(&place).await;
        assert_eq!(scene.recall(&old).await, Recall::Forgotten);
    }
    let place = scene.join(account()).await.status.place;
    scene.leave(&place).await;
    scene.assert_over([&old]).await;
    let again = scene.join(old.account_id).await.status.place;
    scene.assert_active([&again]).await;
}

/// Places are not restored in a full queue.
pub async fn a_restored_queue_is_bounded_too(open: impl Open) {
    let clock = Arc::new(TestClock::new());
    let lost = Scene::started(&open, start(&clock)).await;
    let places = lost.join_many(4).await;
    clock.advance_seconds(10);
    let rules = Rules { capacity: 3, ..Rules::default() };
    let scene = lost.restarted(&open, Start { rules, ..start(&clock) }).await;
    scene.poll_all(&places[1..]).await;
    assert!(matches!(scene.try_restore(&places[0], None).await, Err(WaitingRoomError::Full)));
    // There is room once the others are admitted.
    scene.pass_seconds(5);
    scene.assert_waiting(&places[..1]).await;
}

/// Filling a room says nothing about how fast its queue moves, and neither does the time in which none is admitted.
pub async fn only_admissions_that_others_left_are_measured(open: impl Open) {
    let clock = Arc::new(TestClock::new());
    let rules = Rules { admission_seconds: 10_000, ..Rules::default() };
    let mut scene = Scene::started(&open, Start { rules, reform_seconds: 1_000, ..start(&clock) }).await;
    let places = scene.join_many(10).await;
    scene.pass_seconds(1_010);
    scene.assert_active(&places[..3]).await;
    assert_eq!(scene.estimate(&places[9]).await, None, "three filled the empty room");
    scene.pass_seconds(10);
    scene.set_max_active(4).await;
    assert_eq!(scene.estimate(&places[9]).await, None, "one filled the larger room");
    scene.leave(&places[0]).await;
    let estimated = scene.estimate(&places[9]).await.expect("there is a measure");
    assert!((40..=100).contains(&estimated), "{estimated} s for 5 accounts at one in 10 to 20 s");
}

/// Watching makes no queue, of which there are only so many.
pub async fn watching_a_concert_without_a_queue_opens_none_and_sees_it_opened(open: impl Open) {
    let scene = Scene::started(&open, start(&Arc::new(TestClock::new()))).await;
    let none = scene.version().await;
    let watcher = tokio::spawn({
        let scene = scene.clone();
        async move { scene.assert_changed(none).await }
    });
    scene.another_concert().join_many(1).await;
    tokio::task::yield_now().await;
    assert!(!watcher.is_finished(), "another queue does not wake it");
    assert_eq!(scene.stage.waiting_room.census(9).await.expect("counts").len(), 1);
    scene.join_many(1).await;
    watcher.await.expect("it is woken");
}
