//! The waiting room in memory: the contract of the port, restarts, bounds, and a million people.

use std::sync::Arc;

use boxoffice_domain::{
    AccountId, Clock, ConcertId,
    fixtures::instant,
    waiting_room::{
        DrawNumber, JoinRequest, PlaceNumber, QueuePlace, QueueStatus, QueueTerms, Recall, RestoreRequest, Standing,
        WaitingRoom, WaitingRoomError,
    },
};
use boxoffice_testkit::{
    TestClock,
    contracts::waiting_room::{Stage, Terms},
    waiting_room_contract,
};
use boxoffice_waiting_room::{MemoryWaitingRoom, Settings};
use uuid::Uuid;

mod contract {
    use super::*;

    async fn stage(terms: Terms) -> Stage {
        let Terms { capacity, admission_seconds, no_show_seconds, poll_seconds_max } = terms;
        let clock = Arc::new(TestClock::new());
        let settings = Settings {
            capacity,
            admission_seconds,
            no_show_seconds,
            poll_seconds_max,
            reform_seconds: 0,
            ..Settings::default()
        };
        Stage { waiting_room: Arc::new(MemoryWaitingRoom::new(clock.clone(), settings)), clock }
    }

    waiting_room_contract!(stage);
}

fn concert(number: u128) -> ConcertId {
    ConcertId::new(Uuid::from_u128(number))
}

fn account(number: u128) -> AccountId {
    AccountId::new(Uuid::from_u128(number))
}

/// The lot of [`account`] `number` where there is a draw: the number itself.
fn draw_of(number: u128) -> Option<DrawNumber> {
    u64::try_from(number).ok().map(DrawNumber::from_random)
}

fn terms(max_active: u32) -> QueueTerms {
    QueueTerms { version: 1, max_active, paused: false, opens_at: None }
}

/// A server process: its room, and shorthands about concert 1.
struct Server {
    waiting_room: MemoryWaitingRoom,
    terms: QueueTerms,
}

impl Server {
    fn start(clock: &Arc<TestClock>, settings: Settings) -> Self {
        Self { waiting_room: MemoryWaitingRoom::new(clock.clone(), settings), terms: terms(3) }
    }

    async fn try_join(&self, concert_id: ConcertId, number: u128) -> Result<QueueStatus, WaitingRoomError> {
        let request = JoinRequest { concert_id, account_id: account(number), terms: self.terms, draw: draw_of(number) };
        self.waiting_room.join(request).await.map(|joined| joined.status)
    }

    async fn join(&self, number: u128) -> QueueStatus {
        self.try_join(concert(1), number).await.expect("joins")
    }

    async fn recall(&self, place: &QueuePlace) -> Recall {
        self.waiting_room.status(place).await.expect("tells")
    }

    /// What the holder's poll does: a status, and a restoration where it is forgotten.
    async fn poll(&self, place: &QueuePlace) -> Standing {
        match self.recall(place).await {
            Recall::Known(status) => status.standing,
            Recall::Forgotten => self.restore(place).await,
        }
    }

    async fn restore(&self, place: &QueuePlace) -> Standing {
        self.try_restore(place).await.expect("restores").standing
    }

    async fn try_restore(&self, place: &QueuePlace) -> Result<QueueStatus, WaitingRoomError> {
        let draw = draw_of(place.account_id.uuid().as_u128());
        self.waiting_room.restore(RestoreRequest { place: *place, terms: self.terms, draw }).await
    }

    async fn position(&self, place: &QueuePlace) -> u64 {
        match self.poll(place).await {
            Standing::Waiting { position: Some(position), .. } => position,
            other => panic!("{other:?} instead of waiting at a position"),
        }
    }

    async fn is_active(&self, place: &QueuePlace) -> bool {
        matches!(self.poll(place).await, Standing::Active { .. })
    }

    async fn is_expired(&self, place: &QueuePlace) -> bool {
        assert_eq!(self.restore(place).await, self.poll(place).await);
        self.poll(place).await == Standing::Expired
    }

    async fn leave(&self, place: &QueuePlace) {
        self.waiting_room.leave(place).await.expect("leaves");
    }

    async fn spend(&self, place: &QueuePlace) {
        self.waiting_room.spend(place.concert_id, place.account_id).await.expect("spends");
    }
}

/// A server at which accounts 0.. joined in order, and one that started after it was lost, whose line has
/// re-formed by the time that comes with the clock's next 5 seconds.
async fn restarted(joined: u128) -> (Arc<TestClock>, Vec<QueuePlace>, Server) {
    let clock = Arc::new(TestClock::new());
    let lost = Server::start(&clock, Settings::default());
    let mut places = Vec::new();
    for number in 0..joined {
        places.push(lost.join(number).await.place);
    }
    clock.advance_seconds(10);
    let server = Server::start(&clock, Settings::default());
    (clock, places, server)
}

#[tokio::test]
async fn a_lost_line_re_forms_in_the_old_order_before_newcomers() {
    let (clock, places, server) = restarted(20).await;
    let newcomer = server.join(100).await;
    assert!(matches!(newcomer.standing, Standing::Waiting { position: Some(1), estimated_wait_seconds: None, .. }));
    assert!(newcomer.place.number > places[19].number);
    for index in (0..20).map(|step| step * 7 % 20) {
        assert_eq!(server.recall(&places[index]).await, Recall::Forgotten);
        assert!(matches!(server.poll(&places[index]).await, Standing::Waiting { .. }), "nobody is admitted yet");
    }
    for (position, place) in (1..).zip(places.iter().chain([&newcomer.place])) {
        assert_eq!(server.position(place).await, position);
    }
    clock.advance_seconds(4);
    assert_eq!(server.waiting_room.advance().await.expect("tidies"), Some(instant(15)));
    assert_eq!(server.position(&places[0]).await, 1);
    clock.advance_seconds(1);
    server.waiting_room.advance().await.expect("tidies");
    for place in &places[..3] {
        assert!(server.is_active(place).await);
    }
    assert_eq!(server.position(&places[3]).await, 1);
    assert_eq!(server.position(&newcomer.place).await, 18);
}

#[tokio::test]
async fn who_comes_back_changes_the_standing_of_those_behind() {
    let (_, places, server) = restarted(2).await;
    server.poll(&places[1]).await;
    let version = server.waiting_room.changed(concert(1), 0).await.expect("tells");
    server.poll(&places[0]).await;
    assert_ne!(server.waiting_room.changed(concert(1), 0).await.expect("tells"), version);
}

#[tokio::test]
async fn only_admissions_that_others_left_are_measured() {
    let estimate = |status: QueueStatus| match status.standing {
        Standing::Waiting { estimated_wait_seconds, .. } => estimated_wait_seconds,
        other => panic!("{other:?} instead of waiting"),
    };
    let clock = Arc::new(TestClock::new());
    let settings = Settings { reform_seconds: 1_000, admission_seconds: 10_000, ..Settings::default() };
    let server = Server::start(&clock, settings);
    let mut places = Vec::new();
    for number in 0..10 {
        places.push(server.join(number).await.place);
    }
    clock.advance_seconds(1_010);
    server.poll(&places[0]).await;
    assert_eq!(estimate(server.join(9).await), None, "three filled the empty room");
    clock.advance_seconds(10);
    server.waiting_room.set_terms(concert(1), terms(4)).await.expect("sets");
    let server = Server { terms: terms(4), ..server };
    assert_eq!(estimate(server.join(9).await), None, "one filled the larger room");
    server.leave(&places[0]).await;
    // Number 9 is the 5th in line; the time in which nobody could be admitted does not count.
    let estimated = estimate(server.join(9).await).expect("there is a measure");
    assert!((40..=100).contains(&estimated), "{estimated} s for 5 people at one in 10 to 20 s");
}

#[tokio::test]
async fn the_end_of_re_forming_is_known_without_a_line() {
    let clock = Arc::new(TestClock::new());
    let server = Server::start(&clock, Settings::default());
    assert_eq!(server.waiting_room.advance().await.expect("tidies"), Some(instant(5)));
    clock.advance_seconds(5);
    assert_eq!(server.waiting_room.advance().await.expect("tidies"), None);
    assert!(matches!(server.join(1).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn who_comes_back_late_is_before_all_who_joined_later() {
    let (clock, places, server) = restarted(10).await;
    clock.advance_seconds(5);
    for index in [4, 6, 7, 8, 9] {
        server.poll(&places[index]).await;
    }
    assert_eq!(server.position(&places[8]).await, 1, "three were admitted as they came");
    assert_eq!(server.position(&places[2]).await, 1);
    assert_eq!(server.position(&places[5]).await, 2);
    assert_eq!(server.position(&places[8]).await, 3);
    let active = server.waiting_room.census(1).await.expect("counts")[0].active;
    assert_eq!(active, 3);
}

#[tokio::test]
async fn who_holds_seats_is_admitted_again_before_the_line_has_re_formed_and_within_the_limit() {
    let (clock, places, server) = restarted(10).await;
    for place in &places {
        server.poll(place).await;
    }
    let until = clock.now() + chrono::TimeDelta::seconds(300);
    for number in [9, 7, 8, 6] {
        let account_id = places[number].account_id;
        server.waiting_room.keep_until(concert(1), account_id, Some(until)).await.expect("keeps");
    }
    assert!(server.is_active(&places[9]).await && server.is_active(&places[7]).await);
    assert!(server.is_active(&places[8]).await);
    assert_eq!(server.position(&places[6]).await, 7, "three are admitted at once, and no fourth");
    clock.advance_seconds(5);
    assert_eq!(server.position(&places[0]).await, 1);
    server.spend(&places[9]).await;
    assert!(server.is_active(&places[0]).await);
}

#[tokio::test]
async fn holding_seats_lets_nobody_jump_a_line_that_was_not_lost() {
    let clock = Arc::new(TestClock::new());
    let server = Server::start(&clock, Settings { reform_seconds: 0, ..Settings::default() });
    for number in 0..4 {
        server.join(number).await;
    }
    let last = server.join(4).await.place;
    server.leave(&server.join(0).await.place).await;
    let until = clock.now() + chrono::TimeDelta::seconds(300);
    server.waiting_room.keep_until(concert(1), last.account_id, Some(until)).await.expect("keeps");
    assert_eq!(server.position(&last).await, 1);
}

#[tokio::test]
async fn what_ended_after_it_was_restored_is_not_restored_again() {
    let (clock, places, server) = restarted(10).await;
    for place in &places {
        server.poll(place).await;
    }
    clock.advance_seconds(5);
    server.leave(&places[9]).await;
    server.spend(&places[0]).await;
    clock.advance_seconds(59);
    assert!(server.is_active(&places[2]).await && server.is_active(&places[3]).await);
    clock.advance_seconds(1);
    assert!(server.is_expired(&places[1]).await, "did not come");
    assert!(server.is_active(&places[4]).await);
    clock.advance_seconds(599);
    assert!(server.is_expired(&places[2]).await && server.is_expired(&places[3]).await, "its time is over");
    for ended in [0, 1, 2, 3, 9] {
        assert!(server.is_expired(&places[ended]).await, "number {ended}");
    }
}

#[tokio::test]
async fn what_ends_before_it_is_restored_is_not_restored() {
    let (_, places, server) = restarted(3).await;
    server.leave(&places[0]).await;
    server.leave(&places[0]).await;
    server.spend(&places[1]).await;
    assert!(server.is_expired(&places[0]).await, "left while it was forgotten");
    assert!(server.is_expired(&places[1]).await, "paid while it was forgotten");
    assert_eq!(server.position(&places[2]).await, 1);
    server.spend(&places[2]).await;
    assert!(server.is_expired(&places[2]).await, "paid while it waited again");
}

#[tokio::test]
async fn a_newer_place_is_the_end_of_an_older_one() {
    let (clock, places, server) = restarted(5).await;
    let anew = server.join(1).await.place;
    assert!(server.is_expired(&places[1]).await);
    server.leave(&anew).await;
    assert!(server.is_expired(&places[1]).await, "also when the newer one has ended");

    // An account that had two places before the restart shows the older one first.
    let older = QueuePlace { number: PlaceNumber(places[0].number.0 - 1), ..places[3] };
    assert_eq!(server.position(&older).await, 1);
    assert_eq!(server.position(&places[3]).await, 1);
    assert!(server.is_expired(&older).await);
    assert_eq!(server.waiting_room.census(1).await.expect("counts")[0].waiting, 1);

    // Not even an admission under the older one stays.
    let older = QueuePlace { number: PlaceNumber(places[0].number.0 - 2), ..places[4] };
    clock.advance_seconds(5);
    assert!(server.is_active(&older).await);
    server.leave(&places[4]).await;
    assert!(server.is_expired(&older).await && server.is_expired(&places[4]).await);
}

#[tokio::test]
async fn a_place_of_this_process_that_is_unknown_is_over() {
    let (_, places, server) = restarted(1).await;
    let known = server.join(7).await.place;
    let unknown = QueuePlace { account_id: account(8), number: PlaceNumber(known.number.0 + 1_000), ..known };
    assert!(server.is_expired(&unknown).await);
    let elsewhere = QueuePlace { concert_id: concert(2), ..unknown };
    assert!(matches!(server.recall(&elsewhere).await, Recall::Known(QueueStatus { standing: Standing::Expired, .. })));
    let elsewhere = QueuePlace { concert_id: concert(2), ..places[0] };
    assert_eq!(server.recall(&elsewhere).await, Recall::Forgotten);
}

#[tokio::test]
async fn a_place_that_was_given_twice_is_shared_in_the_order_of_accounts() {
    let (_, places, server) = restarted(2).await;
    let twin = QueuePlace { account_id: account(8), ..places[0] };
    for place in [&twin, &places[1], &places[0]] {
        server.poll(place).await;
    }
    assert_eq!(server.position(&places[0]).await, 1);
    assert_eq!(server.position(&twin).await, 2);
    assert_eq!(server.position(&places[1]).await, 3);
}

#[tokio::test]
async fn a_lost_line_re_forms_in_the_order_drawn() {
    let clock = Arc::new(TestClock::new());
    let drawn = QueueTerms { opens_at: Some(instant(100)), ..terms(1) };
    let lost = Server { terms: drawn, ..Server::start(&clock, Settings::default()) };
    let mut places = Vec::new();
    for number in [3, 1, 4, 2] {
        places.push(lost.join(number).await.place);
    }
    clock.set(instant(100));
    let late = lost.join(0).await.place;
    clock.set(instant(110));
    let server = Server { terms: drawn, ..Server::start(&clock, Settings::default()) };
    for place in [&late, &places[2], &places[0], &places[3], &places[1]] {
        server.poll(place).await;
    }
    let in_order = [places[1], places[3], places[0], places[2], late];
    for (position, place) in (1..).zip(&in_order) {
        assert_eq!(server.position(place).await, position);
    }

    // It may also be lost before it opens.
    clock.set(instant(50));
    let server =
        Server { terms: drawn, ..Server::start(&clock, Settings { reform_seconds: 0, ..Settings::default() }) };
    for place in &places {
        assert!(matches!(server.poll(place).await, Standing::Waiting { position: None, .. }));
    }
    clock.set(instant(100));
    assert!(server.is_active(&places[1]).await);
    assert_eq!(server.position(&places[3]).await, 1);
}

#[tokio::test]
async fn an_emptied_line_restores_nobody() {
    let (clock, places, server) = restarted(5).await;
    clock.advance_seconds(5);
    assert!(server.is_active(&places[0]).await);
    for place in &places[1..4] {
        server.poll(place).await;
    }
    assert_eq!(server.waiting_room.empty(concert(1)).await.expect("empties"), 1);
    assert!(server.is_expired(&places[4]).await, "it was forgotten at the moment");
    assert!(server.is_expired(&places[3]).await);
    assert!(server.is_active(&places[0]).await && server.is_active(&places[2]).await);
    server.leave(&places[0]).await;
    assert!(server.is_expired(&places[0]).await);

    // Also where nobody has come back yet.
    let (clock, places, server) = restarted(2).await;
    assert_eq!(server.waiting_room.empty(concert(1)).await.expect("empties"), 0);
    assert!(server.is_expired(&places[0]).await);
    clock.advance_seconds(5);
    assert!(matches!(server.join(0).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_pause_outlasts_a_restart_and_lets_holders_of_seats_back_in() {
    let (clock, places, server) = restarted(3).await;
    let server = Server { terms: QueueTerms { paused: true, ..server.terms }, ..server };
    for place in &places {
        server.poll(place).await;
    }
    clock.advance_seconds(5);
    assert_eq!(server.position(&places[0]).await, 1);
    let until = clock.now() + chrono::TimeDelta::seconds(300);
    server.waiting_room.keep_until(concert(1), places[1].account_id, Some(until)).await.expect("keeps");
    assert!(server.is_active(&places[1]).await);
    assert_eq!(server.position(&places[2]).await, 2);
}

#[tokio::test]
async fn an_old_ticket_is_not_restored_for_ever() {
    let (clock, places, server) = restarted(2).await;
    let day = i64::from(Settings::default().restorable_seconds);
    clock.set(instant(day) - chrono::TimeDelta::microseconds(1));
    assert!(server.is_active(&places[0]).await);
    clock.set(instant(day));
    assert!(server.is_active(&places[0]).await, "what was restored stays");
    assert!(server.is_expired(&places[1]).await);
}

#[tokio::test]
async fn past_the_bound_of_what_is_remembered_nothing_is_restored() {
    let clock = Arc::new(TestClock::new());
    let old = Server::start(&clock, Settings::default()).join(1).await.place;
    clock.advance_seconds(10);
    let settings = Settings { capacity: 3, reform_seconds: 0, ..Settings::default() };
    let server = Server::start(&clock, settings);
    for number in 10..13 {
        let place = server.join(number).await.place;
        server.leave(&place).await;
        assert_eq!(server.recall(&old).await, Recall::Forgotten);
    }
    let place = server.join(13).await.place;
    server.leave(&place).await;
    assert!(server.is_expired(&old).await);
    assert!(matches!(server.join(1).await.standing, Standing::Active { .. }));
}

#[tokio::test]
async fn a_restored_line_is_bounded_too() {
    let (clock, places, _) = restarted(4).await;
    let server = Server::start(&clock, Settings { capacity: 3, ..Settings::default() });
    for place in &places[1..] {
        server.poll(place).await;
    }
    assert!(matches!(server.try_restore(&places[0]).await, Err(WaitingRoomError::Full)));
    clock.advance_seconds(5);
    assert_eq!(server.position(&places[0]).await, 1, "there is room once the others are admitted");
}

#[tokio::test]
async fn idle_lines_are_dropped_past_the_bound_and_their_places_are_not_given_again() {
    let clock = Arc::new(TestClock::new());
    // Nothing is restored, so that a line has nothing to remember.
    let settings = Settings { queues_max: 2, reform_seconds: 0, restorable_seconds: 0, ..Settings::default() };
    let server = Server::start(&clock, settings);
    let first = server.try_join(concert(1), 1).await.expect("joins").place;
    server.try_join(concert(2), 1).await.expect("joins");
    assert!(matches!(server.try_join(concert(3), 1).await, Err(WaitingRoomError::Full)));
    let version = server.waiting_room.changed(concert(1), 0).await.expect("tells");

    server.leave(&first).await;
    server.try_join(concert(3), 1).await.expect("the first line was idle");
    assert_eq!(server.waiting_room.census(9).await.expect("counts").len(), 2);
    assert!(server.recall(&first).await != Recall::Forgotten);

    clock.advance_seconds(600);
    let again = server.try_join(concert(1), 1).await.expect("the others' admissions are over").place;
    assert!(again.number > first.number);
    assert!(server.waiting_room.changed(concert(1), 0).await.expect("tells") > version);
}

#[tokio::test]
async fn watching_a_concert_without_a_line_opens_none_and_sees_it_opened() {
    let clock = Arc::new(TestClock::new());
    let server = Arc::new(Server::start(&clock, Settings::default()));
    let none = server.waiting_room.changed(concert(1), 0).await.expect("tells");
    let watcher = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.waiting_room.changed(concert(1), none).await.expect("tells") }
    });
    tokio::task::yield_now().await;
    server.try_join(concert(2), 1).await.expect("joins");
    tokio::task::yield_now().await;
    assert!(!watcher.is_finished(), "another line is none of its business");
    assert_eq!(server.waiting_room.census(9).await.expect("counts").len(), 1);
    server.join(1).await;
    assert_ne!(watcher.await.expect("ends"), none);
}

#[tokio::test]
async fn settings_are_moved_into_their_bounds() {
    let clock = Arc::new(TestClock::new());
    let settings = Settings {
        capacity: 0,
        queues_max: 0,
        no_show_seconds: 0,
        reform_seconds: 0,
        poll_seconds_max: 0,
        ..Settings::default()
    };
    let server = Server { terms: terms(1), ..Server::start(&clock, settings) };
    server.join(1).await;
    let waiting = server.join(2).await;
    assert!(matches!(waiting.standing, Standing::Waiting { position: Some(1), poll_after_seconds: 1, .. }));
    assert!(matches!(server.try_join(concert(1), 3).await, Err(WaitingRoomError::Full)));
}

/// A million people join; many leave, ask, and are served, in no order.
#[tokio::test]
async fn a_million_in_line() {
    const PEOPLE: usize = 1_000_000;
    let clock = Arc::new(TestClock::new());
    let settings = Settings { reform_seconds: 0, ..Settings::default() };
    let server = Server { terms: terms(500), ..Server::start(&clock, settings) };
    let mut places = Vec::with_capacity(PEOPLE);
    for number in 0..PEOPLE {
        // Ids in no order, as of accounts made long ago.
        let number = (number as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        places.push(server.join(number).await.place);
    }
    // Every tenth one leaves, in an order that jumps through the whole line.
    let left = |index: usize| index % 10 == 7;
    for index in (0..PEOPLE).map(|step| step * 7_919 % PEOPLE).filter(|index| left(*index)) {
        server.leave(&places[index]).await;
    }
    // Fifty of the five hundred admitted ones left too.
    let ahead = |index: usize| (0..index).filter(|other| !left(*other)).count() as u64;
    for index in (0..PEOPLE).step_by(99_990).skip(1) {
        assert!(!left(index));
        assert_eq!(server.position(&places[index]).await, ahead(index) - 500 + 1, "number {index}");
    }
    let line = server.waiting_room.census(1).await.expect("counts")[0];
    assert_eq!((line.waiting, line.active), (900_000 - 500, 500));
    for (index, place) in places.iter().enumerate().take(100_000).filter(|(index, _)| !left(*index)) {
        assert!(server.is_active(place).await, "number {index}");
        server.spend(place).await;
    }
    let line = server.waiting_room.census(1).await.expect("counts")[0];
    assert_eq!((line.waiting, line.active), (810_000 - 500, 500));
}
