use std::sync::atomic::{AtomicUsize, Ordering};

use boxoffice_domain::{
    Points, ReservationId,
    fixtures::{self, TestClock, instant},
    idempotency::Made,
    reservations::{HoldRefusal, HoldRequest, Reservation, ReservationView},
    sale::FreedSeats,
    seats::{Seat, SeatLabel, SeatState, SeatStatus},
};
use boxoffice_peers::{Announcement, MemoryPeers};
use tokio::{sync::Semaphore, time::advance};
use uuid::Uuid;

use super::{
    updates::{Now, SeatChange},
    *,
};

const AGE_MAX: Duration = Duration::from_millis(250);
/// More than no time.
const MOMENT: Duration = Duration::from_millis(1);
const ID: PerformanceId = PerformanceId::new(Uuid::from_u128(1));
const ONE: ReservationId = ReservationId::new(Uuid::from_u128(11));
const OTHER: ReservationId = ReservationId::new(Uuid::from_u128(12));

/// A table of two seats, a cache over it, and how often it was read.
struct Hall {
    cache: SeatCache,
    clock: Arc<TestClock>,
    table: Mutex<Vec<SeatState>>,
    readings: AtomicUsize,
}

fn held(by: ReservationId) -> SeatState {
    SeatState::Held { by, until: instant(300) }
}

/// What a seat of the fixtures costs.
fn price() -> Points {
    fixtures::seats(&["A-1-1"])[0].price
}

fn label(number: usize) -> SeatLabel {
    SeatLabel::new(&format!("A-1-{number}")).unwrap()
}

impl Hall {
    fn of(table: &[SeatState]) -> Self {
        Self::with_age(AGE_MAX, table)
    }

    fn with_age(age_max: Duration, table: &[SeatState]) -> Self {
        let clock = Arc::new(TestClock::new());
        let cache = SeatCache::new(age_max, clock.clone());
        Self { cache, clock, table: Mutex::new(table.to_vec()), readings: AtomicUsize::new(0) }
    }

    fn write(&self, number: usize, state: SeatState) {
        self.table.lock().unwrap()[number - 1] = state;
    }

    /// What the table says at the instant of the call.
    fn reading(&self, known: Option<usize>) -> Reading {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let table = self.table.lock().unwrap();
        let stored = |(index, state): (usize, &SeatState)| {
            let ordinal = u32::try_from(index).unwrap();
            Seat { label: label(index + 1), ordinal, price: price(), state: *state }
        };
        match known {
            None => Reading::Whole(table.iter().enumerate().map(stored).collect()),
            Some(_) => Reading::Changeable(table.iter().map(|state| (price(), *state)).collect()),
        }
    }

    async fn map_of(&self, id: PerformanceId) -> Option<SeatMap> {
        self.cache.map(id, true, |known| async move { Ok(self.reading(known)) }).await.unwrap()
    }

    async fn map(&self) -> SeatMap {
        self.map_of(ID).await.unwrap()
    }

    /// What the map shows of the two seats, and how often the table has been read then.
    async fn shown(&self) -> ([SeatStatus; 2], usize) {
        let map = self.map().await;
        (map.statuses().try_into().unwrap(), self.readings())
    }

    fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }

    /// A batch of one command is committed and applied.
    fn commit(&self, change: Outcome, writes: &[(usize, SeatState)]) {
        for (number, state) in writes {
            self.write(*number, *state);
        }
        self.apply(change);
    }

    fn apply(&self, outcome: Outcome) {
        let request = HoldRequest { performance_id: ID, ..fixtures::hold_request(&fixtures::terms(), &["A-1-1"]) };
        self.cache.apply_batch(&[Command::Hold(request)], &[Ok(outcome)]);
    }
}

/// That a reservation has taken a seat, or had by an earlier request.
fn took(by: ReservationId, number: usize, replayed: bool) -> Outcome {
    let terms = fixtures::terms();
    let held = fixtures::held(&terms, &[&format!("A-1-{number}")]);
    let reservation = Reservation { id: by, performance_id: ID, ..held };
    Outcome::Hold(Ok(Made { value: ReservationView { reservation, performance: terms }, replayed }))
}

/// That a repeated cancellation was answered again.
fn had_given_up(from: ReservationId, number: usize) -> Outcome {
    let Outcome::Hold(Ok(made)) = took(from, number, true) else { unreachable!() };
    Outcome::Cancel(Ok(made))
}

fn gave_up(from: ReservationId, number: usize) -> Outcome {
    Outcome::Expire(Some(FreedSeats { performance_id: ID, reservation_id: from, labels: vec![label(number)] }))
}

fn refused(number: usize, state: SeatState) -> Outcome {
    let seat = Seat { label: label(number), ordinal: 0, price: price(), state };
    Outcome::Hold(Err(HoldRefusal::SeatUnavailable { seats: vec![seat], held_by_account: vec![] }))
}

use SeatStatus::{Available, Held as HeldNow, Sold};

#[tokio::test(start_paused = true)]
async fn what_this_process_writes_is_seen_at_once_and_without_reading() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    assert_eq!(hall.shown().await, ([Available, Available], 1));
    hall.commit(took(ONE, 2, false), &[(2, held(ONE))]);
    assert_eq!(hall.shown().await, ([Available, HeldNow], 1));
    hall.commit(gave_up(ONE, 2), &[(2, SeatState::Free)]);
    assert_eq!(hall.shown().await, ([Available, Available], 1));
}

#[tokio::test(start_paused = true)]
async fn what_peers_write_is_seen_when_the_entry_is_too_old() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.write(1, SeatState::Sold { to: OTHER });
    advance(AGE_MAX).await;
    assert_eq!(hall.shown().await, ([Available, Available], 1));
    advance(MOMENT).await;
    assert_eq!(hall.shown().await, ([Sold, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_write_during_a_reading_is_not_lost() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    let (read, go_on) = (Semaphore::new(0), Semaphore::new(0));
    // The table is read before the write, and what was read arrives after it.
    let reading = async || {
        let reading = hall.reading(None);
        read.add_permits(1);
        go_on.acquire().await.unwrap().forget();
        Ok(reading)
    };
    let looking = hall.cache.map(ID, true, |_| reading());
    let writing = async {
        read.acquire().await.unwrap().forget();
        hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
        hall.commit(took(OTHER, 2, false), &[(2, held(OTHER))]);
        hall.commit(gave_up(OTHER, 2), &[(2, SeatState::Free)]);
        go_on.add_permits(1);
    };
    let (map, ()) = tokio::join!(looking, writing);
    assert_eq!(map.unwrap().unwrap().statuses(), [HeldNow, Available]);
    assert_eq!(hall.shown().await, ([HeldNow, Available], 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_reading_has_seen_is_applied_again() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    let reading = async || {
        hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
        Ok(hall.reading(None))
    };
    let map = hall.cache.map(ID, true, |_| reading()).await.unwrap().unwrap();
    assert_eq!(map.statuses(), [HeldNow, Available]);
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_a_peer_has_taken_is_not_shown_as_free_by_our_older_cancellation() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    hall.map().await;
    // Our cancellation is committed, a peer takes the seat, a caller sees that, and only then is the cancellation
    // applied.
    hall.write(1, held(OTHER));
    advance(AGE_MAX * 2).await;
    assert_eq!(hall.shown().await, ([HeldNow, Available], 2));
    hall.apply(gave_up(ONE, 1));
    advance(MOMENT).await;
    assert_eq!(hall.shown().await, ([HeldNow, Available], 3));
}

#[tokio::test(start_paused = true)]
async fn an_older_hold_of_ours_does_not_hide_a_sale_of_a_peer() {
    let hall = Hall::of(&[SeatState::Sold { to: OTHER }, SeatState::Free]);
    hall.map().await;
    hall.apply(took(ONE, 1, false));
    advance(MOMENT).await;
    hall.clock.set(instant(400));
    assert_eq!(hall.shown().await, ([Sold, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_hold_and_its_payment_show_the_sale_in_either_order() {
    let now_is = |now| {
        let seats = vec![label(1)];
        let change = SeatChange { performance_id: ID, reservation_id: ONE, account_id: None, now, seats, prices: None };
        updates::text_of(&[SeatUpdate::Changed(change)]).unwrap()
    };
    let (held, sold) = (now_is(Now::Held(instant(300))), now_is(Now::Sold));
    for order in [[&held, &sold], [&sold, &held]] {
        let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
        hall.map().await;
        for text in order {
            hall.cache.apply_published(text);
        }
        assert_eq!(hall.shown().await, ([Sold, Available], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_hold_that_comes_during_a_reading_does_not_hide_what_was_read() {
    let hall = Hall::of(&[SeatState::Sold { to: OTHER }, SeatState::Free]);
    let reading = async || {
        hall.apply(took(ONE, 1, false));
        Ok(hall.reading(None))
    };
    let map = hall.cache.map(ID, true, |_| reading()).await.unwrap().unwrap();
    assert_eq!(map.statuses(), [Sold, Available]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_shows_what_a_peer_has_sold() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.commit(refused(1, SeatState::Sold { to: OTHER }), &[(1, SeatState::Sold { to: OTHER })]);
    assert_eq!(hall.shown().await, ([Sold, Available], 1));
    // What is known better already stays.
    hall.apply(refused(1, held(OTHER)));
    assert_eq!(hall.shown().await, ([Sold, Available], 1));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_outcome_that_the_entry_contradicts_has_it_read_again() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.commit(took(OTHER, 1, true), &[(1, held(OTHER))]);
    advance(MOMENT).await;
    assert_eq!(hall.shown().await, ([HeldNow, Available], 2));
    hall.apply(took(OTHER, 1, true));
    assert_eq!(hall.shown().await, ([HeldNow, Available], 2));
    // After its time, the first answer says nothing of today.
    hall.write(1, SeatState::Free);
    hall.clock.set(instant(300));
    hall.apply(took(OTHER, 1, true));
    assert_eq!(hall.shown().await, ([Available, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_cancellation_of_seats_that_are_shown_as_held_has_them_read_again() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    hall.map().await;
    hall.write(1, SeatState::Free);
    advance(MOMENT).await;
    hall.apply(had_given_up(OTHER, 1));
    assert_eq!(hall.shown().await, ([HeldNow, Available], 1));
    hall.apply(had_given_up(ONE, 1));
    assert_eq!(hall.shown().await, ([Available, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_takes_more_updates_than_are_kept_is_repeated() {
    let command = Command::Hold(fixtures::hold_request(&fixtures::terms(), &["A-1-1"]));
    let outcome = gave_up(ONE, 1);
    let update = || SeatUpdate::of(&command, &outcome).unwrap();
    for (updates, readings) in [(UPDATES_MAX, 1), (UPDATES_MAX + 1, 2)] {
        let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
        let reading = async || {
            let (entry, _) = hall.cache.entry(ID);
            (0..updates).for_each(|_| entry.apply(update(), instant(0)));
            Ok(hall.reading(None))
        };
        hall.cache.map(ID, true, |_| reading()).await.unwrap();
        assert_eq!(hall.shown().await, ([Available, Available], readings));
    }
}

#[tokio::test(start_paused = true)]
async fn a_map_shows_the_prices_that_were_read_last() {
    let hall = Hall::of(&[SeatState::Free]);
    let first = hall.map().await;
    for price in [price(), Points::new(7).unwrap()] {
        advance(AGE_MAX + MOMENT).await;
        let read = async |_| Ok(Reading::Changeable(vec![(price, SeatState::Free)]));
        let map = hall.cache.map(ID, true, read).await.unwrap().unwrap();
        assert_eq!(map.seats().map(|seat| seat.price).collect::<Vec<_>>(), [price]);
        assert_eq!(map.has_seats_of(&first), price == self::price());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_lapses_in_the_cache_too() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    assert_eq!(hall.map().await.lapses_at(), Some(instant(300)));
    hall.clock.set(instant(299));
    assert_eq!(hall.shown().await, ([HeldNow, Available], 1));
    hall.clock.set(instant(300));
    assert_eq!(hall.shown().await, ([Available, Available], 1));
    // Another account buys the seat, and then the lapsed hold expires.
    hall.commit(took(OTHER, 1, false), &[(1, SeatState::Sold { to: OTHER })]);
    hall.apply(Outcome::Expire(Some(FreedSeats { performance_id: ID, reservation_id: ONE, labels: vec![] })));
    assert_eq!(hall.readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_share_a_reading_and_a_failed_one_leaves_nothing() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    let failing = |_| async { Err::<Reading, _>(StorageError::Unavailable("away".into())) };
    assert!(matches!(hall.cache.map(ID, true, failing).await, Err(StorageError::Unavailable(_))));
    advance(MOMENT).await;
    let broken_off = hall.cache.map(ID, true, |_| std::future::pending());
    assert!(tokio::time::timeout(MOMENT, broken_off).await.is_err());
    assert!(hall.cache.entry(ID).0.state.lock().unwrap().updates.is_none());
    let shown = ([Available; 2], 1);
    assert_eq!(tokio::join!(hall.shown(), hall.shown()), (shown, shown));
}

#[tokio::test(start_paused = true)]
async fn the_entries_asked_for_the_longest_ago_go_first() {
    let id = |number: usize| PerformanceId::new(Uuid::from_u128(number as u128));
    for (seats_each, entries_max) in [(1, ENTRIES_MAX), (SEATS_MAX / 2, 2)] {
        let hall = Hall::of(&vec![SeatState::Free; seats_each]);
        for number in (0..entries_max).chain([0, entries_max]) {
            hall.map_of(id(number)).await.unwrap();
            advance(MOMENT / 1_000).await;
        }
        let kept = hall.cache.kept.lock().unwrap();
        assert_eq!(kept.len(), entries_max);
        assert!(kept.contains_key(&id(0)) && !kept.contains_key(&id(1)) && kept.contains_key(&id(entries_max)));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_up_to_date_that_is_not_asked_for() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    advance(IDLE_MAX + MOMENT).await;
    hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
    assert!(hall.cache.kept.lock().unwrap().is_empty());
    assert_eq!(hall.shown().await, ([HeldNow, Available], 2));
}

#[tokio::test]
async fn what_is_not_there_is_not_kept_and_without_an_age_nothing_is() {
    let hall = Hall::of(&[]);
    assert_eq!(hall.map_of(ID).await, None);
    assert!(hall.cache.kept.lock().unwrap().is_empty());
    let hall = Hall::with_age(Duration::ZERO, &[SeatState::Free, held(ONE)]);
    assert_eq!(hall.shown().await, ([Available, HeldNow], 1));
    assert_eq!(hall.shown().await, ([Available, HeldNow], 2));
    assert!(hall.cache.kept.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_good_for_longer_while_everything_is_received() {
    let (hall, peers) = (Hall::of(&[SeatState::Free; 2]), Arc::new(MemoryPeers::default()));
    hall.cache.publish_to(peers.clone());
    for (passed, all_received, readings) in [
        (Duration::ZERO, true, 1),
        (RECEIVING_AGE_MAX, true, 1),
        (MOMENT, true, 2),
        (AGE_MAX + MOMENT, true, 2),
        (Duration::ZERO, false, 3),
    ] {
        advance(passed).await;
        peers.set_all_received(all_received);
        assert_eq!(hall.shown().await, ([Available; 2], readings));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_refusal_shows_may_be_outdated_and_is_read_soon() {
    let (hall, peers) = (Hall::of(&[held(ONE), SeatState::Free]), Arc::new(MemoryPeers::default()));
    hall.cache.publish_to(peers.clone());
    peers.set_all_received(true);
    hall.map().await;
    // One lane has freed the seat before another one applies its refusal.
    hall.commit(gave_up(ONE, 1), &[(1, SeatState::Free)]);
    hall.apply(refused(1, held(ONE)));
    assert_eq!(hall.shown().await, ([HeldNow, Available], 1));
    advance(AGE_MAX + MOMENT).await;
    assert_eq!(hall.shown().await, ([Available, Available], 2));
    // What was read is good for longer again.
    advance(RECEIVING_AGE_MAX).await;
    assert_eq!(hall.shown().await, ([Available, Available], 2));
}

#[tokio::test]
async fn after_a_batch_of_unknown_outcome_every_entry_is_read_again_by_peers_too() {
    let (hall, peers) = (Hall::of(&[SeatState::Free; 2]), Arc::new(MemoryPeers::default()));
    hall.cache.publish_to(peers.clone());
    let mut subscription = peers.subscribe();
    hall.map().await;
    hall.write(2, held(ONE));
    let failed = Err(StorageError::Unavailable("the commit was not answered".into()));
    let request = fixtures::hold_request(&fixtures::terms(), &["A-1-2"]);
    hall.cache.apply_batch(&[Command::Hold(request)], &[failed]);
    assert_eq!(hall.shown().await, ([Available, HeldNow], 2));
    let Some(Announcement::Published { topic: Topic::Seats, text }) = subscription.try_next() else {
        panic!("it is published");
    };
    assert_eq!(subscription.try_next(), None);
    let peer = Hall::of(&[SeatState::Free; 2]);
    peer.map().await;
    assert!(peer.cache.apply_published(&text).is_empty());
    peer.map().await;
    assert_eq!(peer.readings(), 2);
}

#[tokio::test(start_paused = true)]
async fn seats_are_counted_in_an_entry_that_is_good_enough_to_be_shown() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    assert_eq!(hall.cache.available(ID), None, "no caller has asked for it");
    hall.map().await;
    assert_eq!(hall.cache.available(ID), Some(1));
    hall.clock.set(instant(300));
    assert_eq!(hall.cache.available(ID), Some(2), "the hold has lapsed");
    advance(AGE_MAX + MOMENT).await;
    assert_eq!(hall.cache.available(ID), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_known_by_the_seats_or_else_by_a_count() {
    let stock = |total, available, held| Stock { total, available, held };
    let hall = Hall::of(&[SeatState::Free, held(ONE), SeatState::Sold { to: OTHER }]);
    assert_eq!(hall.cache.stock(ID), None);
    let count = Count { stock: stock(3, 2, 1), lapses_at: None };
    hall.cache.keep_count(ID, count, hall.cache.begin_counting(&[ID]));
    assert_eq!(hall.cache.stock(ID), Some(stock(3, 2, 1)));
    advance(MOMENT).await;
    hall.apply(gave_up(ONE, 2));
    assert_eq!(hall.cache.stock(ID), None);
    advance(MOMENT).await;
    hall.cache.keep_count(ID, count, hall.cache.begin_counting(&[ID]));
    hall.map().await;
    assert_eq!(hall.cache.stock(ID), Some(stock(3, 1, 1)));
    hall.cache.forget_all();
    assert_eq!(hall.cache.stock(ID), None);

    let uncached = Hall::with_age(Duration::ZERO, &[]);
    uncached.cache.keep_count(ID, count, uncached.cache.begin_counting(&[ID]));
    assert_eq!(uncached.cache.stock(ID), None);
}

#[test]
fn peers_say_how_many_of_them_write_seats() {
    let (hall, peers) = (Hall::of(&[]), Arc::new(MemoryPeers::default()));
    peers.set_busy_with_seats(2);
    assert_eq!(hall.cache.busy_peers(), 0);
    hall.cache.publish_to(peers);
    assert_eq!(hall.cache.busy_peers(), 2);
}
