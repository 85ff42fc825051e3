//! The contract of [`WaitingRoom`], as functions over any implementor.
//!
//! Each function takes what makes a fresh, empty waiting room under given [`Terms`] and a clock to move. Time
//! is that clock's only: nothing sleeps, and every outcome is exact. [`waiting_room_contract!`] makes a test of
//! each function.
//!
//! [`waiting_room_contract!`]: crate::waiting_room_contract

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use boxoffice_domain::{
    AccountId, ConcertId, EntropySource, Timestamp,
    fixtures::instant,
    waiting_room::{
        DrawNumber, JoinRequest, Joined, PlaceNumber, QueueCensus, QueuePlace, QueueTerms, Recall, RestoreRequest,
        Standing, WaitingRoom, WaitingRoomError,
    },
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::{TestClock, TestEntropy};

mod draw;
mod operators;

pub use draw::*;
pub use operators::*;

/// The rules under which a waiting room is tested. It admits from its first moment on.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How many may wait in a line.
    pub capacity: usize,
    /// How many seconds an admission lasts.
    pub admission_seconds: u32,
    /// How many seconds somebody admitted has for a sign of life.
    pub no_show_seconds: u32,
    /// The most seconds between two polls.
    pub poll_seconds_max: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { capacity: 100_000, admission_seconds: 600, no_show_seconds: 60, poll_seconds_max: 20 }
    }
}

/// A waiting room to be tested, and its clock, which stands at [`instant`] 0.
#[derive(Clone)]
pub struct Stage {
    /// The waiting room.
    pub waiting_room: Arc<dyn WaitingRoom>,
    /// The clock that it judges time by.
    pub clock: Arc<TestClock>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// Makes a test of each function of the contract. The argument is an `async fn(Terms) -> Stage`.
#[macro_export]
macro_rules! waiting_room_contract {
    ($stage:expr) => {
        $crate::waiting_room_contract! { $stage;
            a_place_is_given_once
            places_are_given_in_order_and_never_twice
            a_thousand_concurrent_joins
            one_account_joining_a_hundred_times_at_once
            leaving_admits_the_next_in_order
            leaving_the_line_moves_up_those_behind
            spending_admits_the_next_in_order
            expiry_admits_the_next_in_order
            a_negative_number_of_free_admissions_admits_nobody
            raising_the_limit_admits_at_once
            who_does_not_come_is_passed_over
            a_sign_of_life_keeps_an_admission
            held_seats_prolong_an_admission
            held_seats_given_up_end_a_prolonged_admission
            held_seats_are_nothing_to_those_not_admitted
            nobody_is_dropped
            concurrent_departures_drop_nobody
            a_full_line_refuses
            a_known_ticket_is_not_restored_elsewhere
            lines_are_independent
            tidying_is_enough_for_a_line_without_visitors
            the_census_tells_the_longest_first
            polls_are_further_apart_at_a_distance
            the_estimate_follows_the_measured_rate
            those_who_watch_are_woken
            a_stampede_keeps_order_and_limit
            before_the_draw_nobody_has_an_order
            the_order_is_that_of_the_numbers
            later_comers_stand_behind_the_draw
            equal_numbers_stand_by_account
            leaving_and_joining_again_before_the_draw_gains_nothing
            numbers_do_not_count_without_a_draw
            an_opening_can_be_moved
            ten_thousand_are_served_in_the_order_drawn
            a_paused_line_admits_nobody_and_resumes_at_once
            a_line_can_begin_paused
            a_pause_does_nothing_to_those_admitted
            a_pause_is_no_part_of_the_measure
            older_terms_do_not_undo_newer_ones
            emptying_ends_all_who_wait_and_nobody_else
            the_stats_are_right
            the_oldest_wait_of_a_drawn_line_is_the_earliest_joining
        }
    };
    ($stage:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            $crate::contracts::waiting_room::$name($stage).await;
        }
    )*};
}

/// A concert in a waiting room, and shorthands that fail the test where the waiting room fails.
#[derive(Clone)]
struct Scene {
    stage: Stage,
    concert_id: ConcertId,
    terms: QueueTerms,
}

fn account() -> AccountId {
    AccountId::new(TestEntropy.uuid())
}

fn is_active(standing: Standing) -> bool {
    matches!(standing, Standing::Active { .. })
}

impl Scene {
    async fn new(stage: impl AsyncFn(Terms) -> Stage, max_active: u32) -> Self {
        Self::under(stage, Terms::default(), max_active).await
    }

    async fn under(stage: impl AsyncFn(Terms) -> Stage, terms: Terms, max_active: u32) -> Self {
        let terms_of_line = QueueTerms { version: 1, max_active, paused: false, opens_at: None };
        Self { stage: stage(terms).await, concert_id: ConcertId::new(TestEntropy.uuid()), terms: terms_of_line }
    }

    fn another_concert(&self) -> Self {
        Self { concert_id: ConcertId::new(TestEntropy.uuid()), ..self.clone() }
    }

    async fn try_join(&self, account_id: AccountId) -> Result<Joined, WaitingRoomError> {
        self.try_join_with(account_id, None).await
    }

    async fn try_join_with(&self, account_id: AccountId, draw: Option<DrawNumber>) -> Result<Joined, WaitingRoomError> {
        let request = JoinRequest { concert_id: self.concert_id, account_id, terms: self.terms, draw };
        self.stage.waiting_room.join(request).await
    }

    async fn join(&self, account_id: AccountId) -> Joined {
        self.try_join(account_id).await.expect("joins")
    }

    /// Lets so many new accounts join, one after the other.
    async fn join_many(&self, count: usize) -> Vec<QueuePlace> {
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            places.push(self.join(account()).await.status.place);
        }
        places
    }

    async fn standing(&self, place: &QueuePlace) -> Standing {
        match self.stage.waiting_room.status(place).await.expect("tells") {
            Recall::Known(status) => {
                assert_eq!(status.place, *place);
                status.standing
            }
            Recall::Forgotten => panic!("a place of this waiting room is forgotten"),
        }
    }

    async fn position(&self, place: &QueuePlace) -> u64 {
        match self.standing(place).await {
            Standing::Waiting { position: Some(position), .. } => position,
            other => panic!("{other:?} instead of waiting at a position"),
        }
    }

    async fn is_active(&self, place: &QueuePlace) -> bool {
        is_active(self.standing(place).await)
    }

    async fn is_expired(&self, place: &QueuePlace) -> bool {
        self.standing(place).await == Standing::Expired
    }

    async fn leave(&self, place: &QueuePlace) {
        self.stage.waiting_room.leave(place).await.expect("leaves");
    }

    async fn spend(&self, place: &QueuePlace) {
        self.stage.waiting_room.spend(self.concert_id, place.account_id).await.expect("spends");
    }

    async fn keep_until(&self, place: &QueuePlace, held_until: Option<Timestamp>) {
        self.stage.waiting_room.keep_until(self.concert_id, place.account_id, held_until).await.expect("keeps");
    }

    async fn set_max_active(&mut self, max_active: u32) {
        self.set_terms(|terms| terms.max_active = max_active).await;
    }

    /// Changes how the line is run, as a new version of its concert says.
    async fn set_terms(&mut self, change: impl FnOnce(&mut QueueTerms)) {
        change(&mut self.terms);
        self.terms.version += 1;
        self.tell_terms(self.terms).await;
    }

    async fn tell_terms(&self, terms: QueueTerms) {
        self.stage.waiting_room.set_terms(self.concert_id, terms).await.expect("sets");
    }

    async fn advance(&self) -> Option<Timestamp> {
        self.stage.waiting_room.advance().await.expect("tidies")
    }

    /// How many wait, are admitted, and have ever been admitted.
    async fn census(&self) -> (u64, u64, u64) {
        let lines = self.stage.waiting_room.census(usize::MAX).await.expect("counts");
        let line = lines.into_iter().find(|line| line.concert_id == self.concert_id).expect("there is a line");
        (line.waiting, line.active, line.admitted_total)
    }

    async fn version(&self) -> u64 {
        self.stage.waiting_room.changed(self.concert_id, 0).await.expect("tells a version")
    }

    /// Waits until the line is at another version than `seen`.
    async fn assert_changed(&self, seen: u64) {
        let changed = self.stage.waiting_room.changed(self.concert_id, seen);
        let changed = tokio::time::timeout(Duration::from_mins(1), changed).await;
        assert_ne!(changed.expect("a change that nobody was told of").expect("tells a version"), seen);
    }

    fn pass_seconds(&self, seconds: i64) {
        self.stage.clock.advance_seconds(seconds);
    }

    /// Asserts that of these places the first `ended` are over, the next `active` admitted, and the others
    /// wait in order.
    async fn assert_order(&self, places: &[QueuePlace], ended: usize, active: usize) {
        for (index, place) in places.iter().enumerate() {
            let standing = self.standing(place).await;
            if index < ended {
                assert_eq!(standing, Standing::Expired, "number {index}");
            } else if index < ended + active {
                assert!(is_active(standing), "number {index}: {standing:?}");
            } else {
                let expected = (index - ended - active + 1) as u64;
                assert!(
                    matches!(standing, Standing::Waiting { position, .. } if position == Some(expected)),
                    "number {index}: {standing:?} instead of position {expected}"
                );
            }
        }
    }
}

/// Starts all of these at the same moment and gives their results, in no order.
async fn together<T: Send + 'static>(
    tasks: impl ExactSizeIterator<Item: Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let barrier = Arc::new(Barrier::new(tasks.len()));
    let mut set = JoinSet::new();
    for task in tasks {
        let barrier = Arc::clone(&barrier);
        set.spawn(async move {
            barrier.wait().await;
            task.await
        });
    }
    set.join_all().await
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    /// One of `0..sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// Joining again tells the place that the account has, while it waits and while it is active; after its end it
/// gets a new place, the last one.
pub async fn a_place_is_given_once(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let (first, second, third) = (account(), account(), account());
    let admitted = scene.join(first).await;
    assert!(admitted.newly && is_active(admitted.status.standing));
    assert_eq!(admitted.status.place.joined_at, instant(0));
    assert_eq!(admitted.status.place.account_id, first);
    assert_eq!(admitted.status.place.concert_id, scene.concert_id);
    let waiting = scene.join(second).await;
    assert!(waiting.newly && matches!(waiting.status.standing, Standing::Waiting { position: Some(1), .. }));

    scene.pass_seconds(10);
    for (account_id, before) in [(first, admitted), (second, waiting)] {
        let again = scene.join(account_id).await;
        assert!(!again.newly);
        assert_eq!(again.status.place, before.status.place);
        assert_eq!(is_active(again.status.standing), is_active(before.status.standing));
    }

    scene.join(third).await;
    scene.leave(&admitted.status.place).await;
    let anew = scene.join(first).await;
    assert!(anew.newly);
    assert!(anew.status.place.number > waiting.status.place.number);
    assert!(matches!(anew.status.standing, Standing::Waiting { position: Some(2), .. }));
    assert!(scene.is_expired(&admitted.status.place).await, "the former place stays over");
    scene.leave(&admitted.status.place).await;
    assert_eq!(scene.position(&anew.status.place).await, 2, "and leaving with it does nothing");
}

/// Places rise in the order of joining, and none comes a second time, whatever happens in between.
pub async fn places_are_given_in_order_and_never_twice(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let mut last = None;
    for round in 0..50 {
        for place in scene.join_many(3).await {
            assert!(Some(place.number) > last);
            last = Some(place.number);
            if round % 2 == 0 {
                scene.leave(&place).await;
            }
        }
    }
}

/// A thousand accounts join at once: a thousand places, exactly as many admissions as there may be, and they
/// are those of the lowest places.
pub async fn a_thousand_concurrent_joins(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 100).await;
    let joins = (0..1_000).map(|_| {
        let scene = scene.clone();
        async move { scene.join(account()).await }
    });
    let joined = together(joins).await;
    assert!(joined.iter().all(|joined| joined.newly));
    let mut places: Vec<QueuePlace> = joined.iter().map(|joined| joined.status.place).collect();
    places.sort_by_key(|place| place.number);
    let numbers: BTreeSet<PlaceNumber> = places.iter().map(|place| place.number).collect();
    assert_eq!(numbers.len(), 1_000);
    assert_eq!(joined.iter().filter(|joined| is_active(joined.status.standing)).count(), 100);
    assert_eq!(scene.census().await, (900, 100, 100));
    scene.assert_order(&places, 0, 100).await;
}

/// However often an account joins at once, it has one place.
pub async fn one_account_joining_a_hundred_times_at_once(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 5).await;
    let account_id = account();
    let joins = (0..100).map(|_| {
        let scene = scene.clone();
        async move { scene.join(account_id).await }
    });
    let joined = together(joins).await;
    assert_eq!(joined.iter().filter(|joined| joined.newly).count(), 1);
    assert!(joined.iter().all(|other| other.status == joined[0].status));
    assert_eq!(scene.census().await, (0, 1, 1));
}

/// Leaving frees an admission at once, for exactly the next one. Leaving twice frees nothing more.
pub async fn leaving_admits_the_next_in_order(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 3).await;
    let places = scene.join_many(10).await;
    for ended in 0..5 {
        scene.leave(&places[ended]).await;
        scene.leave(&places[ended]).await;
        assert_eq!(scene.census().await, (6 - ended as u64, 3, 4 + ended as u64));
        scene.assert_order(&places, ended + 1, 3).await;
    }
}

/// Who leaves the line while waiting is never admitted; those behind move up, those before stay.
pub async fn leaving_the_line_moves_up_those_behind(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let mut places = scene.join_many(10).await;
    for index in [5, 8, 1] {
        let gone = places.remove(index);
        scene.leave(&gone).await;
        assert!(scene.is_expired(&gone).await);
        scene.assert_order(&places, 0, 1).await;
    }
    assert_eq!(scene.census().await, (6, 1, 1));
}

/// Spending frees an admission at once, for exactly the next one. Spending twice, or what nobody has, is no
/// error and does nothing.
pub async fn spending_admits_the_next_in_order(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(6).await;
    for ended in 0..4 {
        scene.spend(&places[ended]).await;
        scene.spend(&places[ended]).await;
        scene.assert_order(&places, ended + 1, 2).await;
    }
    scene.stage.waiting_room.spend(scene.concert_id, account()).await.expect("no error");
    scene.another_concert().spend(&places[4]).await;
    scene.assert_order(&places, 4, 2).await;

    let anew = scene.join(places[0].account_id).await.status.place;
    assert_eq!(scene.position(&anew).await, 1);
    scene.spend(&places[0]).await;
    assert_eq!(scene.position(&anew).await, 1, "the second telling of a payment spends no later place");
}

/// An admission ends exactly when its time is over, which frees it for exactly the next one, whoever asks
/// first.
pub async fn expiry_admits_the_next_in_order(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let first = scene.join(account()).await.status;
    let until = instant(600);
    assert_eq!(first.standing, Standing::Active { admitted_until: until, active_until: until });
    let mut places = vec![first.place];
    scene.pass_seconds(100);
    places.extend(scene.join_many(3).await);
    scene.stage.clock.set(instant(600) - chrono::TimeDelta::microseconds(1));
    scene.assert_order(&places, 0, 2).await;
    scene.stage.clock.set(instant(600));
    assert!(scene.is_active(&places[2]).await, "the next one asks first, and is admitted already");
    scene.assert_order(&places, 1, 2).await;
    scene.stage.clock.set(instant(700));
    assert_eq!(scene.census().await, (0, 2, 4));
    scene.assert_order(&places, 2, 2).await;
    scene.stage.clock.set(instant(1_300));
    assert_eq!(scene.census().await, (0, 0, 4));
    let anew = scene.join(places[0].account_id).await;
    assert!(anew.newly && is_active(anew.status.standing));
}

/// Where fewer may be admitted than are, nobody is sent back and nobody is admitted until there is room.
pub async fn a_negative_number_of_free_admissions_admits_nobody(stage: impl AsyncFn(Terms) -> Stage) {
    let mut scene = Scene::new(stage, 5).await;
    let places = scene.join_many(12).await;
    scene.set_max_active(2).await;
    scene.assert_order(&places, 0, 5).await;
    for ended in 1..=3 {
        scene.leave(&places[ended - 1]).await;
        scene.advance().await;
        scene.join(places[11].account_id).await;
        scene.assert_order(&places, ended, 5 - ended).await;
    }
    scene.leave(&places[3]).await;
    scene.assert_order(&places, 4, 2).await;

    scene.set_max_active(0).await;
    scene.leave(&places[4]).await;
    scene.leave(&places[5]).await;
    scene.assert_order(&places, 6, 0).await;
}

/// Where more may be admitted, they are at once, in order, and not one too many. Joining tells the limit too.
pub async fn raising_the_limit_admits_at_once(stage: impl AsyncFn(Terms) -> Stage) {
    let mut scene = Scene::new(stage, 1).await;
    let mut places = scene.join_many(10).await;
    let seen = scene.version().await;
    scene.set_max_active(4).await;
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (6, 4, 4));
    scene.assert_order(&places, 0, 4).await;
    scene.terms = QueueTerms { version: scene.terms.version + 1, max_active: 6, ..scene.terms };
    places.extend(scene.join_many(1).await);
    scene.assert_order(&places, 0, 6).await;
    scene.set_max_active(u32::MAX).await;
    scene.assert_order(&places, 0, 11).await;
}

/// Who is admitted while away and does not come in time is passed over, and the next one is admitted; nobody is
/// before it is their turn, however long they are away.
pub async fn who_does_not_come_is_passed_over(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(4).await;
    scene.pass_seconds(500);
    scene.leave(&places[0]).await;
    assert_eq!(scene.advance().await, Some(instant(560)));
    scene.stage.clock.set(instant(560) - chrono::TimeDelta::microseconds(1));
    scene.advance().await;
    assert_eq!(scene.census().await, (2, 1, 2), "there is still time");
    scene.stage.clock.set(instant(560));
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 1, 3));
    assert!(scene.is_expired(&places[1]).await, "too late");
    scene.pass_seconds(59);
    scene.assert_order(&places, 2, 1).await;
    let anew = scene.join(places[1].account_id).await;
    assert!(anew.newly && matches!(anew.status.standing, Standing::Waiting { position: Some(2), .. }));
}

/// A status or another joining within the grace time keeps an admission to its end; so does the joining that
/// admits.
pub async fn a_sign_of_life_keeps_an_admission(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(5).await;
    scene.pass_seconds(599);
    scene.advance().await;
    assert_eq!(scene.census().await, (3, 2, 2), "who was admitted by joining has come");
    scene.pass_seconds(1);
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 2, 4));
    scene.pass_seconds(30);
    assert!(scene.is_active(&places[2]).await);
    assert!(!scene.join(places[3].account_id).await.newly);
    scene.pass_seconds(569);
    scene.advance().await;
    assert_eq!(scene.census().await, (1, 2, 4));
    scene.assert_order(&places, 2, 2).await;
    scene.pass_seconds(1);
    scene.advance().await;
    assert_eq!(scene.census().await, (0, 1, 5));
    scene.assert_order(&places, 4, 1).await;
}

/// An admission lasts at least as long as the seats that its holder holds.
pub async fn held_seats_prolong_an_admission(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(2).await;
    let active = |active_until| Standing::Active { admitted_until: instant(600), active_until };
    scene.keep_until(&places[0], Some(instant(300))).await;
    assert_eq!(scene.standing(&places[0]).await, active(instant(600)), "a short hold shortens nothing");
    scene.keep_until(&places[0], Some(instant(800))).await;
    scene.keep_until(&places[0], Some(instant(900))).await;
    assert_eq!(scene.standing(&places[0]).await, active(instant(900)));
    scene.stage.clock.set(instant(899));
    assert_eq!(scene.standing(&places[0]).await, active(instant(900)));
    scene.assert_order(&places, 0, 1).await;
    scene.stage.clock.set(instant(900));
    scene.assert_order(&places, 1, 1).await;
}

/// Without held seats an admission ends when it would have anyway: at once where that is past.
pub async fn held_seats_given_up_end_a_prolonged_admission(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(3).await;
    let until = instant(600);
    for place in &places[..2] {
        scene.keep_until(place, Some(instant(900))).await;
    }
    scene.pass_seconds(500);
    scene.keep_until(&places[1], None).await;
    let standing = scene.standing(&places[1]).await;
    assert_eq!(standing, Standing::Active { admitted_until: until, active_until: until });
    scene.keep_until(&places[1], Some(instant(900))).await;
    scene.pass_seconds(200);
    scene.assert_order(&places, 0, 2).await;
    let seen = scene.version().await;
    scene.keep_until(&places[1], None).await;
    scene.assert_changed(seen).await;
    assert_eq!(scene.census().await, (0, 2, 3));
    assert!(scene.is_expired(&places[1]).await);
    assert!(scene.is_active(&places[0]).await && scene.is_active(&places[2]).await);
}

/// Holding seats gives nothing to those who wait, have ended, or were never here.
pub async fn held_seats_are_nothing_to_those_not_admitted(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    let places = scene.join_many(3).await;
    scene.keep_until(&places[1], Some(instant(9_000))).await;
    scene.stage.waiting_room.keep_until(scene.concert_id, account(), Some(instant(9_000))).await.expect("no error");
    scene.another_concert().keep_until(&places[0], Some(instant(9_000))).await;
    scene.assert_order(&places, 0, 1).await;
    scene.pass_seconds(600);
    let until = instant(1_200);
    let standing = scene.standing(&places[1]).await;
    assert_eq!(standing, Standing::Active { admitted_until: until, active_until: until });
    scene.keep_until(&places[0], Some(instant(9_000))).await;
    scene.assert_order(&places, 1, 1).await;
}

/// All who join are served, each exactly once, in the order of joining, however the others end.
pub async fn nobody_is_dropped(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 7).await;
    let places = scene.join_many(200).await;
    for (index, place) in places.iter().enumerate() {
        assert!(scene.is_active(place).await, "number {index}");
        for ahead in places.iter().skip(index).take(7) {
            assert!(scene.is_active(ahead).await);
        }
        if let Some(next) = places.get(index + 7) {
            assert_eq!(scene.position(next).await, 1);
        }
        match index % 3 {
            0 => scene.leave(place).await,
            1 => scene.spend(place).await,
            _ => {
                // This one alone goes over its time: the others hold seats for longer.
                let end = instant(i64::try_from(index).expect("small") * 1_000 + 1_000);
                for other in places.iter().skip(index + 1).take(6) {
                    scene.keep_until(other, Some(end + chrono::TimeDelta::days(1))).await;
                }
                scene.keep_until(place, Some(end)).await;
                scene.stage.clock.set(end);
            }
        }
        assert!(scene.is_expired(place).await);
    }
    assert_eq!(scene.census().await, (0, 0, 200));
}

/// When many leave and pay at once, exactly as many are admitted, and they are the next in order.
pub async fn concurrent_departures_drop_nobody(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 100).await;
    let places = scene.join_many(400).await;
    for round in 1..=3 {
        let ending = places[(round - 1) * 100..round * 100].to_vec();
        let departures = ending.into_iter().enumerate().map(|(index, place)| {
            let scene = scene.clone();
            async move {
                if index % 2 == 0 {
                    scene.leave(&place).await;
                } else {
                    scene.spend(&place).await;
                }
                assert_eq!(scene.census().await.1, 100);
            }
        });
        together(departures).await;
        scene.assert_order(&places, round * 100, 100).await;
    }
    assert_eq!(scene.census().await, (0, 100, 400));
}

/// A line that is as long as it may get refuses, until somebody is gone; those in line are not touched.
pub async fn a_full_line_refuses(stage: impl AsyncFn(Terms) -> Stage) {
    let terms = Terms { capacity: 5, ..Terms::default() };
    let scene = Scene::under(stage, terms, 2).await;
    let mut places = scene.join_many(7).await;
    assert!(matches!(scene.try_join(account()).await, Err(WaitingRoomError::Full)));
    assert!(!scene.join(places[6].account_id).await.newly, "who is in line is told the place");
    scene.assert_order(&places, 0, 2).await;
    scene.leave(&places[0]).await;
    places.extend(scene.join_many(1).await);
    assert!(matches!(scene.try_join(account()).await, Err(WaitingRoomError::Full)));
    scene.assert_order(&places, 1, 2).await;
    assert!(scene.another_concert().join(account()).await.newly, "another line is not full");
}

/// Restoring a place that is known tells where it stands, and one that has ended is expired.
pub async fn a_known_ticket_is_not_restored_elsewhere(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let places = scene.join_many(5).await;
    scene.leave(&places[0]).await;
    scene.leave(&places[3]).await;
    for place in &places {
        let request = RestoreRequest { place: *place, terms: scene.terms, draw: None };
        let restored = scene.stage.waiting_room.restore(request).await.expect("tells");
        assert_eq!(restored.place, *place);
        assert_eq!(restored.standing, scene.standing(place).await);
    }
    scene.assert_order(&[places[0], places[1], places[2], places[4]], 1, 2).await;
    assert!(scene.is_expired(&places[3]).await);
}

/// What happens in one line does nothing to another, nor to the same account there.
pub async fn lines_are_independent(stage: impl AsyncFn(Terms) -> Stage) {
    let mut one = Scene::new(stage, 1).await;
    let other = one.another_concert();
    let accounts = [account(), account(), account()];
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for account_id in accounts {
        here.push(one.join(account_id).await.status.place);
        there.push(other.join(account_id).await.status.place);
    }
    one.spend(&here[0]).await;
    one.leave(&here[2]).await;
    one.set_max_active(3).await;
    one.assert_order(&here[..2], 1, 1).await;
    other.assert_order(&there, 0, 1).await;
}

/// A line to which nobody comes moves by tidying, which tells when there will be something to do.
pub async fn tidying_is_enough_for_a_line_without_visitors(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 1).await;
    assert_eq!(scene.advance().await, None, "nothing will end");
    scene.join_many(3).await;
    let other = scene.another_concert();
    scene.pass_seconds(100);
    other.join_many(1).await;
    assert_eq!(scene.advance().await, Some(instant(600)));
    scene.stage.clock.set(instant(600));
    assert_eq!(scene.advance().await, Some(instant(660)), "the next one has to come");
    scene.stage.clock.set(instant(660));
    assert_eq!(scene.advance().await, Some(instant(700)), "the other line's ending");
    scene.stage.clock.set(instant(720));
    assert_eq!(scene.advance().await, None);
    assert_eq!(scene.census().await, (0, 0, 3));
    assert_eq!(other.census().await, (0, 0, 1));
}

/// The census has the longest lines first, and no more of them than wanted.
pub async fn the_census_tells_the_longest_first(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 2).await;
    let mut expected = Vec::new();
    for (waiting, joins) in [(1, 3), (5, 7), (3, 5)] {
        let line = scene.another_concert();
        line.join_many(joins).await;
        expected.push(QueueCensus { concert_id: line.concert_id, waiting, active: 2, admitted_total: 2 });
    }
    expected.sort_by_key(|line| std::cmp::Reverse(line.waiting));
    let room = &scene.stage.waiting_room;
    assert_eq!(room.census(usize::MAX).await.expect("counts"), expected);
    assert_eq!(room.census(2).await.expect("counts"), expected[..2]);
    assert_eq!(room.census(0).await.expect("counts"), []);
}

/// Who is far from the front is told to ask less often, within the bounds.
pub async fn polls_are_further_apart_at_a_distance(stage: impl AsyncFn(Terms) -> Stage) {
    let terms = Terms { poll_seconds_max: 15, ..Terms::default() };
    let scene = Scene::under(stage, terms, 1).await;
    let places = scene.join_many(3_001).await;
    let mut polls = Vec::new();
    for place in places.iter().skip(1).step_by(100) {
        match scene.standing(place).await {
            Standing::Waiting { poll_after_seconds, .. } => polls.push(poll_after_seconds),
            other => panic!("{other:?} instead of waiting"),
        }
    }
    assert!(polls.is_sorted(), "{polls:?}");
    assert!(polls[0] >= 1 && polls[0] < polls[29] && polls[29] <= 15, "{polls:?}");
}

/// There is no estimate before there is a measure; then it is the position at the measured rate.
pub async fn the_estimate_follows_the_measured_rate(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 10).await;
    let places = scene.join_many(500).await;
    let estimate = async |place: &QueuePlace| match scene.standing(place).await {
        Standing::Waiting { position, estimated_wait_seconds, .. } => (position, estimated_wait_seconds),
        other => panic!("{other:?} instead of waiting"),
    };
    assert_eq!(estimate(&places[499]).await, (Some(490), None));
    // Two a second are served.
    for ended in (0..200).step_by(2) {
        scene.pass_seconds(1);
        for index in ended..ended + 2 {
            scene.spend(&places[index]).await;
            assert!(scene.is_active(&places[index + 10]).await);
        }
    }
    let (position, estimated) = estimate(&places[499]).await;
    assert_eq!(position, Some(290));
    let estimated = estimated.expect("there is a measure");
    assert!((100..=200).contains(&estimated), "{estimated} s for 290 people at 2 a second");
    let (position, sooner) = estimate(&places[220]).await;
    assert_eq!(position, Some(11));
    assert!((1..=10).contains(&sooner.expect("there is a measure")), "{sooner:?} s for 11 people");
}

/// Everybody who watches a line learns of being admitted, whatever the timing; nobody is woken for nothing
/// for ever.
pub async fn those_who_watch_are_woken(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 10).await;
    let places = scene.join_many(210).await;
    let mut watchers = JoinSet::new();
    for &place in &places[10..] {
        let scene = scene.clone();
        watchers.spawn(async move {
            let mut seen = scene.version().await;
            while !scene.is_active(&place).await {
                seen = scene.stage.waiting_room.changed(scene.concert_id, seen).await.expect("tells");
            }
            scene.spend(&place).await;
        });
    }
    let departures = places[..10].iter().copied().map(|place| {
        let scene = scene.clone();
        async move { scene.leave(&place).await }
    });
    together(departures).await;
    let woken = tokio::time::timeout(Duration::from_mins(1), watchers.join_all()).await;
    assert_eq!(woken.expect("somebody slept through the own admission").len(), 200);
    assert_eq!(scene.census().await, (0, 0, 210));

    // A version is the same for all who ask while nothing happens.
    let version = scene.version().await;
    assert_ne!(version, 0);
    assert_eq!(scene.version().await, version);
}

/// Whatever many do at once, for long: never more admitted than may be, never fewer than could be, and never
/// anybody before somebody with an earlier place.
pub async fn a_stampede_keeps_order_and_limit(stage: impl AsyncFn(Terms) -> Stage) {
    let scene = Scene::new(stage, 20).await;
    let accounts: Vec<AccountId> = (0..150).map(|_| account()).collect();
    let mut places: BTreeMap<PlaceNumber, QueuePlace> = BTreeMap::new();
    let mut dice = Dice(1);
    for round in 0..40 {
        let acts = (0..60).map(|_| {
            let (act, account_id) = (dice.roll(8), accounts[dice.roll(accounts.len())]);
            let known: Vec<QueuePlace> = places.values().copied().collect();
            let place = known.get(dice.roll(known.len().max(1))).copied();
            let seconds = i64::try_from(dice.roll(20)).expect("small");
            stampede_act(scene.clone(), act, account_id, place, seconds)
        });
        let acts: Vec<_> = acts.collect();
        places.extend(together(acts.into_iter()).await.into_iter().flatten().map(|place| (place.number, place)));
        assert_in_order(&scene, &places, round).await;
    }
}

/// One of the things that people do.
async fn stampede_act(
    scene: Scene,
    act: usize,
    account_id: AccountId,
    place: Option<QueuePlace>,
    seconds: i64,
) -> Option<QueuePlace> {
    let mut joined = None;
    match (act, place) {
        (4, Some(place)) => scene.leave(&place).await,
        (5, Some(place)) => scene.spend(&place).await,
        (6, Some(place)) => {
            let held_until = (seconds > 5).then(|| instant(seconds * 100));
            scene.keep_until(&place, held_until).await;
        }
        (7, _) => {
            scene.pass_seconds(seconds);
            scene.advance().await;
        }
        _ => joined = Some(scene.join(account_id).await.status.place),
    }
    if let Some(place) = place {
        scene.standing(&place).await;
    }
    let lines = scene.stage.waiting_room.census(usize::MAX).await.expect("counts");
    assert!(lines.iter().all(|line| line.active <= 20), "{lines:?}");
    joined
}

/// Asserts what holds of all places ever given once nobody does anything.
async fn assert_in_order(scene: &Scene, places: &BTreeMap<PlaceNumber, QueuePlace>, round: usize) {
    let (mut active, mut waiting) = (Vec::new(), Vec::new());
    for (number, place) in places {
        match scene.standing(place).await {
            Standing::Active { .. } => active.push(*number),
            Standing::Waiting { position, .. } => {
                waiting.push(*number);
                assert_eq!(position, Some(waiting.len() as u64), "round {round}");
            }
            Standing::Expired => {}
        }
    }
    assert!(active.last() < waiting.first() || waiting.is_empty(), "round {round}: {active:?} before {waiting:?}");
    assert!(active.len() == 20 || waiting.is_empty(), "round {round}: {} admitted while others wait", active.len());
    let (waiting_count, active_count, _) = scene.census().await;
    assert_eq!((waiting_count, active_count), (waiting.len() as u64, active.len() as u64), "round {round}");
}
