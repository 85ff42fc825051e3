use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use boxoffice_domain::{
    fixtures::{self, instant},
    reservations::{HoldRequest, ReservationView},
    sale::FreedSeats,
};
use tokio::{
    sync::{Barrier, Semaphore},
    time::advance,
};
use uuid::Uuid;

use super::*;

const AGE_MAX: Duration = Duration::from_millis(250);
const ID: PerformanceId = PerformanceId::new(Uuid::from_u128(1));
const ONE: ReservationId = ReservationId::new(Uuid::from_u128(11));
const OTHER: ReservationId = ReservationId::new(Uuid::from_u128(12));

#[derive(Default)]
struct SecondsClock(AtomicI64);

impl Clock for SecondsClock {
    fn now(&self) -> Timestamp {
        instant(self.0.load(Ordering::SeqCst))
    }
}

/// A table of two seats, boards over it, and how often it was read.
struct Hall {
    boards: SeatBoards,
    clock: Arc<SecondsClock>,
    table: Mutex<Vec<SeatState>>,
    readings: AtomicUsize,
}

fn held(by: ReservationId) -> SeatState {
    SeatState::Held { by, until: instant(300) }
}

fn label(number: usize) -> SeatLabel {
    SeatLabel::new(&format!("A-1-{number}")).unwrap()
}

impl Hall {
    fn of(table: &[SeatState]) -> Self {
        Self::with_age(AGE_MAX, table)
    }

    fn with_age(age_max: Duration, table: &[SeatState]) -> Self {
        let clock = Arc::new(SecondsClock::default());
        let boards = SeatBoards::new(age_max, clock.clone());
        Self { boards, clock, table: Mutex::new(table.to_vec()), readings: AtomicUsize::new(0) }
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
            Seat { label: label(index + 1), ordinal, price: Points::ZERO, state: *state }
        };
        match known {
            None => Reading::Whole(table.iter().enumerate().map(stored).collect()),
            Some(_) => Reading::Changeable(table.iter().map(|state| (Points::ZERO, *state)).collect()),
        }
    }

    async fn map_of(&self, id: PerformanceId) -> Option<SeatMap> {
        self.boards.map(id, |known| async move { Ok(self.reading(known)) }).await.unwrap()
    }

    async fn map(&self) -> SeatMap {
        self.map_of(ID).await.unwrap()
    }

    async fn statuses(&self) -> Vec<SeatStatus> {
        self.map().await.statuses().to_vec()
    }

    fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }

    /// A batch of one command is committed, and the boards hear of it.
    fn commit(&self, change: Outcome, writes: &[(usize, SeatState)]) {
        for (number, state) in writes {
            self.write(*number, *state);
        }
        self.tell(change);
    }

    fn tell(&self, outcome: Outcome) {
        let request = HoldRequest { performance_id: ID, ..request(&["A-1-1"]) };
        self.boards.hear(&[Command::Hold(request)], &[Ok(outcome)]);
    }
}

fn request(labels: &[&str]) -> HoldRequest {
    fixtures::hold_request(&fixtures::terms(), labels)
}

/// That a reservation has taken a seat, or had by an earlier request.
fn took(by: ReservationId, number: usize, replayed: bool) -> Outcome {
    let terms = fixtures::terms();
    let held = fixtures::held(&terms, &[&format!("A-1-{number}")]);
    let reservation = Reservation { id: by, performance_id: ID, ..held };
    Outcome::Hold(Ok(Made { value: ReservationView { reservation, performance: terms }, replayed }))
}

fn gave_up(from: ReservationId, number: usize) -> Outcome {
    Outcome::Expire(Some(FreedSeats { performance_id: ID, reservation_id: from, labels: vec![label(number)] }))
}

fn refused(number: usize, state: SeatState) -> Outcome {
    let seat = Seat { label: label(number), ordinal: 0, price: Points::ZERO, state };
    Outcome::Hold(Err(HoldRefusal::SeatUnavailable(vec![seat])))
}

use SeatStatus::{Available, Held as HeldNow, Sold};

#[tokio::test(start_paused = true)]
async fn what_this_process_writes_is_seen_at_once_and_without_reading() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    assert_eq!(hall.statuses().await, [Available, Available]);
    hall.commit(took(ONE, 2, false), &[(2, held(ONE))]);
    assert_eq!(hall.statuses().await, [Available, HeldNow]);
    hall.commit(gave_up(ONE, 2), &[(2, SeatState::Free)]);
    assert_eq!(hall.statuses().await, [Available, Available]);
    assert_eq!(hall.readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_others_write_is_seen_when_the_board_is_too_old() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.write(1, SeatState::Sold { to: OTHER });
    advance(AGE_MAX).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, Available], 1));
    advance(Duration::from_millis(1)).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Sold, Available], 2));
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
    let looking = hall.boards.map(ID, |_| reading());
    let writing = async {
        read.acquire().await.unwrap().forget();
        hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
        hall.commit(took(OTHER, 2, false), &[(2, held(OTHER))]);
        hall.commit(gave_up(OTHER, 2), &[(2, SeatState::Free)]);
        go_on.add_permits(1);
    };
    let (map, ()) = tokio::join!(looking, writing);
    assert_eq!(map.unwrap().unwrap().statuses(), [HeldNow, Available]);
    assert_eq!((hall.statuses().await, hall.readings()), (vec![HeldNow, Available], 1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_reading_has_seen_is_taken_over_once_more() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    let reading = async || {
        hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
        Ok(hall.reading(None))
    };
    let map = hall.boards.map(ID, |_| reading()).await.unwrap().unwrap();
    assert_eq!(map.statuses(), [HeldNow, Available]);
}

#[tokio::test(start_paused = true)]
async fn a_seat_that_another_process_has_taken_is_not_shown_as_free_by_our_older_cancellation() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    hall.map().await;
    // Our cancellation is committed, the other process takes the seat, somebody sees that it has, and only
    // then do the boards hear of the cancellation.
    hall.write(1, held(OTHER));
    advance(AGE_MAX * 2).await;
    assert_eq!(hall.statuses().await, [HeldNow, Available]);
    hall.tell(gave_up(ONE, 1));
    advance(Duration::from_micros(1)).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![HeldNow, Available], 3));
}

#[tokio::test(start_paused = true)]
async fn an_older_hold_of_ours_does_not_hide_a_sale_of_another_process() {
    let hall = Hall::of(&[SeatState::Sold { to: OTHER }, SeatState::Free]);
    hall.map().await;
    hall.tell(took(ONE, 1, false));
    advance(Duration::from_micros(1)).await;
    hall.clock.0.store(400, Ordering::SeqCst);
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Sold, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_what_another_process_has_sold() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.commit(refused(1, SeatState::Sold { to: OTHER }), &[(1, SeatState::Sold { to: OTHER })]);
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Sold, Available], 1));
    // What is known better already stays.
    hall.tell(refused(1, held(OTHER)));
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Sold, Available], 1));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_answer_that_the_board_does_not_bear_out_has_it_read_again() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.commit(took(OTHER, 1, true), &[(1, held(OTHER))]);
    advance(Duration::from_micros(1)).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![HeldNow, Available], 2));
    hall.tell(took(OTHER, 1, true));
    assert_eq!((hall.statuses().await, hall.readings()), (vec![HeldNow, Available], 2));
    // After its time, the first answer says nothing of today.
    hall.write(1, SeatState::Free);
    hall.clock.0.store(300, Ordering::SeqCst);
    hall.tell(took(OTHER, 1, true));
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, Available], 2));
}

#[tokio::test(start_paused = true)]
async fn a_hold_lapses_on_the_board_too() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    assert_eq!(hall.map().await.lapses_at(), Some(instant(300)));
    hall.clock.0.store(299, Ordering::SeqCst);
    assert_eq!(hall.statuses().await, [HeldNow, Available]);
    hall.clock.0.store(300, Ordering::SeqCst);
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, Available], 1));
    // Taken by another, and then tidied away from the one before.
    hall.commit(took(OTHER, 1, false), &[(1, SeatState::Sold { to: OTHER })]);
    hall.tell(Outcome::Expire(Some(FreedSeats { performance_id: ID, reservation_id: ONE, labels: vec![] })));
    assert_eq!(hall.readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_batch_every_board_is_read_again() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    hall.write(2, held(ONE));
    let failed = Err(StorageError::Unavailable("the commit was not answered".into()));
    hall.boards.hear(&[Command::Hold(request(&["A-1-2"]))], &[failed]);
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, HeldNow], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_who_ask_at_once_wait_for_one_reading() {
    let hall = Arc::new(Hall::with_age(Duration::from_mins(1), &[SeatState::Free, held(ONE)]));
    let start = Arc::new(Barrier::new(400));
    let tasks: Vec<_> = (0..400)
        .map(|_| {
            let (hall, start) = (Arc::clone(&hall), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                hall.statuses().await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), [Available, HeldNow]);
    }
    assert_eq!(hall.readings(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_for_those_who_waited_and_a_broken_off_reading_for_nobody() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    let failing = |_| async {
        hall.readings.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err::<Reading, _>(StorageError::Unavailable("away".into()))
    };
    let (one, other) = tokio::join!(hall.boards.map(ID, failing), hall.boards.map(ID, failing));
    assert!(matches!(one, Err(StorageError::Unavailable(_))) && matches!(other, Err(StorageError::Unavailable(_))));
    assert_eq!(hall.readings(), 1);
    advance(Duration::from_millis(1)).await;
    let broken_off = hall.boards.map(ID, |_| std::future::pending());
    assert!(tokio::time::timeout(Duration::from_secs(1), broken_off).await.is_err());
    assert_eq!(hall.statuses().await, [Available, Available]);
    assert!(hall.boards.ask(ID).0.state.lock().unwrap().news.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_boards_asked_for_the_longest_ago_go_first() {
    let hall = Hall::of(&[SeatState::Free]);
    let id = |number: usize| PerformanceId::new(Uuid::from_u128(number as u128));
    let read = async |number: usize| {
        hall.map_of(id(number)).await.unwrap();
        advance(Duration::from_micros(1)).await;
    };
    for number in 0..BOARDS_MAX {
        read(number).await;
    }
    read(0).await;
    read(BOARDS_MAX).await;
    let kept = hall.boards.kept.lock().unwrap();
    assert_eq!(kept.len(), BOARDS_MAX);
    assert!(kept.contains_key(&id(0)) && !kept.contains_key(&id(1)) && kept.contains_key(&id(BOARDS_MAX)));
}

#[tokio::test(start_paused = true)]
async fn the_seats_of_all_boards_are_bounded() {
    let hall = Hall::of(&vec![SeatState::Free; SEATS_MAX / 2]);
    let id = |number: u128| PerformanceId::new(Uuid::from_u128(number));
    for number in 1..=3 {
        hall.map_of(id(number)).await.unwrap();
        advance(Duration::from_micros(1)).await;
    }
    let kept = hall.boards.kept.lock().unwrap();
    assert_eq!((kept.len(), kept.contains_key(&id(1))), (2, false));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_up_for_which_nobody_asks() {
    let hall = Hall::of(&[SeatState::Free, SeatState::Free]);
    hall.map().await;
    advance(IDLE_MAX + Duration::from_millis(1)).await;
    hall.commit(took(ONE, 1, false), &[(1, held(ONE))]);
    assert!(hall.boards.kept.lock().unwrap().is_empty());
    assert_eq!(hall.statuses().await, [HeldNow, Available]);
}

#[tokio::test]
async fn what_is_not_there_is_not_kept_and_without_an_age_nothing_is() {
    let hall = Hall::of(&[]);
    assert_eq!(hall.map_of(ID).await, None);
    assert!(hall.boards.kept.lock().unwrap().is_empty());
    let hall = Hall::with_age(Duration::ZERO, &[SeatState::Free, held(ONE)]);
    assert_eq!((hall.statuses().await, hall.statuses().await.len(), hall.readings()), (vec![Available, HeldNow], 2, 2));
    assert!(hall.boards.kept.lock().unwrap().is_empty());
}

/// The other processes, of whom all is heard or not.
#[derive(Default)]
struct Others {
    all_is_heard: AtomicBool,
    told: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Announcements for Others {
    fn has_listeners(&self) -> bool {
        true
    }

    fn hears_all(&self) -> bool {
        self.all_is_heard.load(Ordering::SeqCst)
    }

    fn others_busy_with(&self, _topic: Topic) -> usize {
        0
    }

    fn announce(&self, _topic: Topic, text: String) {
        self.told.lock().unwrap().push(text);
    }

    async fn leave(&self) {}
}

#[tokio::test(start_paused = true)]
async fn a_board_is_good_for_longer_while_all_is_heard() {
    let (hall, others) = (Hall::of(&[SeatState::Free; 2]), Arc::new(Others::default()));
    hall.boards.tell(others.clone());
    others.all_is_heard.store(true, Ordering::SeqCst);
    hall.map().await;
    advance(HEARING_AGE_MAX).await;
    hall.map().await;
    assert_eq!(hall.readings(), 1);
    advance(Duration::from_millis(1)).await;
    hall.map().await;
    assert_eq!(hall.readings(), 2);
    advance(AGE_MAX + Duration::from_millis(1)).await;
    hall.map().await;
    assert_eq!(hall.readings(), 2);
    others.all_is_heard.store(false, Ordering::SeqCst);
    hall.map().await;
    assert_eq!(hall.readings(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_refusal_tells_may_be_over_and_is_read_soon() {
    let (hall, others) = (Hall::of(&[held(ONE), SeatState::Free]), Arc::new(Others::default()));
    hall.boards.tell(others.clone());
    others.all_is_heard.store(true, Ordering::SeqCst);
    hall.map().await;
    // One lane has given the seat up before another one tells why it refused.
    hall.commit(gave_up(ONE, 1), &[(1, SeatState::Free)]);
    hall.tell(refused(1, held(ONE)));
    assert_eq!((hall.statuses().await, hall.readings()), (vec![HeldNow, Available], 1));
    advance(AGE_MAX + Duration::from_millis(1)).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, Available], 2));
    // What was read is good for longer again.
    advance(HEARING_AGE_MAX).await;
    assert_eq!((hall.statuses().await, hall.readings()), (vec![Available, Available], 2));
}

#[tokio::test]
async fn a_batch_of_which_nobody_knows_is_told_to_the_others_as_that() {
    let (hall, others) = (Hall::of(&[SeatState::Free; 2]), Arc::new(Others::default()));
    hall.boards.tell(others.clone());
    let command = Command::Hold(request(&["A-1-1"]));
    hall.boards.hear(std::slice::from_ref(&command), &[Err(StorageError::Busy)]);
    let told = std::mem::take(&mut *others.told.lock().unwrap());
    assert_eq!(told.len(), 1);
    // There it has every board read anew.
    let elsewhere = Hall::of(&[SeatState::Free; 2]);
    elsewhere.map().await;
    assert!(elsewhere.boards.hear_others(&told[0]).is_empty());
    elsewhere.map().await;
    assert_eq!(elsewhere.readings(), 2);
}

#[tokio::test(start_paused = true)]
async fn seats_are_counted_on_a_board_that_is_good_enough_to_be_shown() {
    let hall = Hall::of(&[held(ONE), SeatState::Free]);
    assert_eq!(hall.boards.available(ID), None, "nobody has looked at it");
    hall.map().await;
    assert_eq!(hall.boards.available(ID), Some(1));
    hall.clock.0.store(300, Ordering::SeqCst);
    assert_eq!(hall.boards.available(ID), Some(2), "the hold has lapsed");
    advance(AGE_MAX + Duration::from_millis(1)).await;
    assert_eq!(hall.boards.available(ID), None);
}
