//! The seats of the performances that are being looked at, kept in memory.
//!
//! A board is what the table `seats` says of one performance. It is read by one query when somebody asks for
//! it, and kept up by what the lanes write: after a batch has been committed, and before any of its callers is
//! answered, its news are told to the boards. So whoever has been answered by this process never sees less
//! than the answer said. What other processes write is seen because a board that was read longer ago than
//! `age_max` is read again before it is shown. Where they announce what they write, it is on the board at once;
//! and while all of that is known to be heard, or nobody else is there, a board is good for longer. Nothing is
//! read for a board that nobody asks for.
//!
//! Boards decide nothing. A hold is decided over rows that are locked, whatever a board says.
//!
//! A board may have been read before or after another process wrote, and of two lanes the one that committed first
//! may tell of it last. So news are only taken where they go on from what the board says; where they contradict it, the
//! board is in doubt and read again. That a seat was not available when a hold was refused may be over when it is
//! heard: a board that says so is good for `age_max` only.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use boxoffice_domain::{
    AccountId, Clock, PerformanceId, Points, ReservationId, StorageError, Timestamp,
    announcements::{Announcements, Topic},
    catalog::{SeatLabels, SeatMap},
    idempotency::Made,
    reservations::{HoldRefusal, Reservation, ReservedSeat},
    sale::{Command, Outcome},
    seats::{Seat, SeatLabel, SeatState, SeatStatus},
};
use hashbrown::HashTable;
use tokio::time::Instant;

use crate::{lane::Shared, seat_announcements};

/// The most boards.
const BOARDS_MAX: usize = 1_000;
/// The most seats of all boards together, of about 150 bytes each. A single board may have more.
const SEATS_MAX: usize = 500_000;
/// How long a board is kept up for which nobody asks.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long ago a board may have been read that is shown while all is known that other instances write. What none of
/// them does, such as an import from the command line, is seen after it.
const HEARING_AGE_MAX: Duration = Duration::from_secs(10);
/// The most news that are kept for one reading that is under way.
const NEWS_MAX: usize = 100_000;

/// What is announced where nobody knows what has become of a batch: nothing that can be read.
const UNKNOWN: &str = "unknown";

/// What was read of a performance.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Every seat with its label, in the order of the plan; none where there is no such performance.
    Whole(Vec<Seat>),
    /// What may have changed of the seats that are known already, in the order of the plan.
    Changeable(Vec<(Points, SeatState)>),
}

/// The boards of one store.
pub(crate) struct SeatBoards {
    /// How long ago a board may have been read that is shown; zero keeps none.
    age_max: Duration,
    clock: Arc<dyn Clock>,
    /// Tells the other processes.
    others: OnceLock<Arc<dyn Announcements>>,
    kept: Mutex<HashMap<PerformanceId, Kept>>,
}

struct Kept {
    board: Arc<Board>,
    asked_at: Instant,
    seats_count: usize,
}

/// How long ago a board may have been read that is shown.
#[derive(Clone, Copy, Debug)]
struct Ages {
    /// All of it was read, or heard in turn.
    heard: Duration,
    /// Some of it was found out by a refusal.
    found_out: Duration,
}

/// The seats of one performance.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
    /// Held by the one who reads.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    seats: Option<Seats>,
    /// What was not read after this is not to be shown.
    doubted_at: Option<Instant>,
    /// What has been heard since the reading that is under way began.
    news: Option<Vec<Arc<News>>>,
    /// When the last reading failed that did, and why.
    failed: Option<(Instant, Shared)>,
}

struct Seats {
    labels: Arc<SeatLabels>,
    by_label: ByLabel,
    prices: Arc<[Points]>,
    states: Vec<SeatState>,
    /// When the reading began: everything that was written before is in it.
    read_at: Instant,
    /// Whether it says of a seat what was found out by a refusal, and may be over.
    found_out: bool,
}

/// What a committed batch says of seats.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A reservation has these seats now.
    Taken { by: ReservationId, state: SeatState, seats: Vec<SeatLabel> },
    /// A reservation no longer has these seats.
    Freed { from: ReservationId, labels: Vec<SeatLabel> },
    /// A hold was refused because of these seats, which are so.
    Unavailable { seats: Vec<Seat> },
    /// An earlier answer was repeated, by which these seats were taken.
    TakenBefore { state: SeatState, seats: Vec<ReservedSeat> },
    /// An earlier answer was repeated, by which a reservation no longer has these seats.
    FreedBefore { from: ReservationId, seats: Vec<ReservedSeat> },
}

impl SeatBoards {
    pub(crate) fn new(age_max: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { age_max, clock, others: OnceLock::new(), kept: Mutex::default() }
    }

    /// The seats of a performance as they are now. Where its board has to be read, `read` does it, told of
    /// how many seats the labels are known; many who ask at once wait for one reading.
    pub(crate) async fn map<F>(
        &self,
        id: PerformanceId,
        read: impl FnOnce(Option<usize>) -> F,
    ) -> Result<Option<SeatMap>, StorageError>
    where
        F: Future<Output = Result<Reading, StorageError>>,
    {
        if self.age_max.is_zero() {
            let seats = Seats::of(read(None).await?, None, Instant::now());
            return Ok(seats.map(|seats| seats.map(id, self.clock.now())));
        }
        let (board, asked_at) = self.ask(id);
        let ages = self.ages_now();
        let shown = |board: &Board| board.shown(id, asked_at, ages, self.clock.as_ref());
        if let Some(map) = shown(&board) {
            metrics::counter!("boxoffice_cache_hits_total", "cache" => "seat_boards").increment(1);
            return Ok(Some(map));
        }
        let _turn = board.reading.lock().await;
        // Whoever had the turn before may have read it for this one too, or have failed for both.
        if let Some(map) = shown(&board) {
            metrics::counter!("boxoffice_cache_hits_total", "cache" => "seat_boards").increment(1);
            return Ok(Some(map));
        }
        board.failed_since(asked_at)?;
        metrics::counter!("boxoffice_cache_misses_total", "cache" => "seat_boards").increment(1);
        let (under_way, known) = board.begin_reading();
        match read(known).await {
            Ok(reading) => {
                let map = under_way.end(id, reading, self.clock.as_ref());
                self.has_size(id, map.as_ref().map_or(0, |map| map.statuses().len()));
                Ok(map)
            }
            Err(error) => Err(board.fail(error)),
        }
    }

    /// How many seats of a performance can be had, if its board is good enough to be shown.
    pub(crate) fn available(&self, id: PerformanceId) -> Option<u32> {
        let board = Arc::clone(&locked(&self.kept).get(&id)?.board);
        board.available(Instant::now(), self.ages_now(), self.clock.now())
    }

    /// How many other processes have lately written seats.
    pub(crate) fn rivals(&self) -> u32 {
        let rivals = self.others.get().map_or(0, |others| others.others_busy_with(Topic::Seats));
        u32::try_from(rivals).unwrap_or(u32::MAX)
    }

    fn ages_now(&self) -> Ages {
        let hears_all = self.others.get().is_some_and(|others| others.hears_all());
        let heard = if hears_all { self.age_max.max(HEARING_AGE_MAX) } else { self.age_max };
        Ages { heard, found_out: self.age_max }
    }

    /// The board of a performance, a new one where there is none, and the instant at which it was asked for.
    fn ask(&self, id: PerformanceId) -> (Arc<Board>, Instant) {
        let mut boards = locked(&self.kept);
        let asked_at = Instant::now();
        let kept = boards.entry(id).or_insert_with(|| Kept { board: Arc::default(), asked_at, seats_count: 0 });
        kept.asked_at = asked_at;
        (Arc::clone(&kept.board), asked_at)
    }

    /// Notes how many seats a board has, and lets those go that were asked for the longest ago where there
    /// are too many. A board without seats is one of no performance, and goes too.
    fn has_size(&self, id: PerformanceId, seats_count: usize) {
        let mut boards = locked(&self.kept);
        if seats_count == 0 {
            boards.remove(&id);
            return;
        }
        if let Some(kept) = boards.get_mut(&id) {
            kept.seats_count = seats_count;
        }
        while boards.len() > BOARDS_MAX || boards.values().map(|kept| kept.seats_count).sum::<usize>() > SEATS_MAX {
            let others = boards.iter().filter(|(other, _)| **other != id);
            let Some((oldest, _)) = others.min_by_key(|(_, kept)| kept.asked_at) else { break };
            let oldest = *oldest;
            boards.remove(&oldest);
        }
    }

    /// Tells the boards what has become of the commands of a batch. To be called before they are answered.
    pub(crate) fn hear(&self, commands: &[Command], outcomes: &[Result<Outcome, StorageError>]) {
        let others = self.others.get().filter(|others| others.has_listeners());
        if others.is_none() && locked(&self.kept).is_empty() {
            return;
        }
        if outcomes.iter().any(Result::is_err) {
            // Nobody knows what of it has happened.
            self.forget_all();
            if let Some(others) = others {
                others.announce(Topic::Seats, UNKNOWN.to_owned());
            }
        }
        let told = commands.iter().zip(outcomes).filter_map(|(command, outcome)| {
            let (id, news) = news_of(command, outcome.as_ref().ok()?)?;
            Some((id, command.account_id(), news))
        });
        let told: Vec<_> = told.collect();
        if let Some(others) = others
            && let Some(text) = seat_announcements::write(told.iter().map(|(id, account, news)| (*id, *account, news)))
        {
            others.announce(Topic::Seats, text);
        }
        self.take_over(told.into_iter().map(|(id, _, news)| (id, news)));
    }

    /// From now on tells the other processes what the batches of this one have changed.
    pub(crate) fn tell(&self, others: Arc<dyn Announcements>) {
        // The first one stays: there is one way to tell them.
        let _ = self.others.set(others);
    }

    /// Tells the boards what another process has told. Gives whose commands these were.
    pub(crate) fn hear_others(&self, text: &str) -> Vec<AccountId> {
        let Some(told) = seat_announcements::read(text) else {
            // From a process that does not know, or says it in another way: what is kept may be old.
            self.forget_all();
            return Vec::new();
        };
        let accounts = told.iter().filter_map(|(_, account, _)| *account).collect();
        self.take_over(told.into_iter().map(|(id, _, news)| (id, news)));
        accounts
    }

    fn take_over(&self, told: impl Iterator<Item = (PerformanceId, News)>) {
        let now = self.clock.now();
        for (id, news) in told {
            if let Some(board) = self.asked_lately(id) {
                board.hear(news, now);
            }
        }
    }

    fn asked_lately(&self, id: PerformanceId) -> Option<Arc<Board>> {
        let mut boards = locked(&self.kept);
        let kept = boards.get(&id)?;
        if kept.asked_at.elapsed() <= IDLE_MAX {
            return Some(Arc::clone(&kept.board));
        }
        boards.remove(&id);
        None
    }

    /// Lets every board be read anew.
    pub(crate) fn forget_all(&self) {
        locked(&self.kept).clear();
    }
}

/// What a command has changed, or found out, of the seats of a performance.
fn news_of(command: &Command, outcome: &Outcome) -> Option<(PerformanceId, News)> {
    match outcome {
        Outcome::Hold(Ok(made)) => {
            let reservation = &made.value.reservation;
            let state = SeatState::Held { by: reservation.id, until: reservation.held_until };
            Some(taken(reservation, state, made.replayed))
        }
        Outcome::Hold(Err(HoldRefusal::SeatUnavailable(seats))) => {
            let Command::Hold(request) = command else { return None };
            Some((request.performance_id, News::Unavailable { seats: seats.clone() }))
        }
        Outcome::Pay(Ok(made)) => {
            let reservation = &made.value.payment.reservation.reservation;
            Some(taken(reservation, SeatState::Sold { to: reservation.id }, made.replayed))
        }
        Outcome::Cancel(Ok(Made { value: view, replayed })) => {
            let Reservation { id: from, performance_id, seats, .. } = &view.reservation;
            Some((
                *performance_id,
                if *replayed {
                    News::FreedBefore { from: *from, seats: seats.clone() }
                } else {
                    News::Freed { from: *from, labels: seats.iter().map(|seat| seat.label.clone()).collect() }
                },
            ))
        }
        Outcome::Expire(Some(freed)) => {
            let news = News::Freed { from: freed.reservation_id, labels: freed.labels.clone() };
            Some((freed.performance_id, news))
        }
        _ => None,
    }
}

fn taken(reservation: &Reservation, state: SeatState, replayed: bool) -> (PerformanceId, News) {
    let news = if replayed {
        News::TakenBefore { state, seats: reservation.seats.clone() }
    } else {
        let seats = reservation.seats.iter().map(|seat| seat.label.clone()).collect();
        News::Taken { by: reservation.id, state, seats }
    };
    (reservation.performance_id, news)
}

impl Board {
    /// The seats, if what is known of them is good enough for whoever asked then.
    fn shown(&self, id: PerformanceId, asked_at: Instant, ages: Ages, clock: &dyn Clock) -> Option<SeatMap> {
        let state = locked(&self.state);
        let seats = state.good(asked_at, ages)?;
        Some(seats.map(id, clock.now()))
    }

    fn available(&self, asked_at: Instant, ages: Ages, now: Timestamp) -> Option<u32> {
        let state = locked(&self.state);
        let states = state.good(asked_at, ages)?.states.iter();
        u32::try_from(states.filter(|state| state.status(now) == SeatStatus::Available).count()).ok()
    }

    fn failed_since(&self, asked_at: Instant) -> Result<(), StorageError> {
        match &locked(&self.state).failed {
            Some((failed_at, failure)) if *failed_at >= asked_at => Err(failure.error()),
            _ => Ok(()),
        }
    }

    fn fail(&self, error: StorageError) -> StorageError {
        let failure = Shared::from(error);
        let error = failure.error();
        locked(&self.state).failed = Some((Instant::now(), failure));
        error
    }

    /// Begins to keep the news for a reading that begins now; gives how many seats are known by their labels.
    fn begin_reading(&self) -> (UnderWay<'_>, Option<usize>) {
        let mut state = locked(&self.state);
        state.news = Some(Vec::new());
        let known = state.seats.as_ref().map(|seats| seats.labels.len());
        (UnderWay { board: self, began_at: Instant::now() }, known)
    }

    fn hear(&self, news: News, now: Timestamp) {
        let mut state = locked(&self.state);
        let news = Arc::new(news);
        if let Some(kept) = &mut state.news {
            if kept.len() < NEWS_MAX {
                kept.push(Arc::clone(&news));
            } else {
                state.doubted_at = Some(Instant::now());
            }
        }
        let contradicted = state.seats.as_mut().is_some_and(|seats| !seats.hear(&news, now));
        if contradicted {
            state.doubted_at = Some(Instant::now());
        }
    }
}

impl State {
    /// The seats, if what is known of them is good enough for whoever asked then.
    fn good(&self, asked_at: Instant, ages: Ages) -> Option<&Seats> {
        let seats = self.seats.as_ref()?;
        let age_max = if seats.found_out { ages.found_out } else { ages.heard };
        let good = seats.read_at + age_max >= asked_at && self.doubted_at.is_none_or(|at| seats.read_at > at);
        good.then_some(seats)
    }
}

/// A reading that is under way. One that is broken off leaves the board as it was.
struct UnderWay<'b> {
    board: &'b Board,
    began_at: Instant,
}

impl UnderWay<'_> {
    /// Puts what was read on the board, with what has been heard since the reading began: the database may
    /// have been read before that was written.
    fn end(self, id: PerformanceId, reading: Reading, clock: &dyn Clock) -> Option<SeatMap> {
        let mut state = locked(&self.board.state);
        let former = state.seats.take();
        let mut seats = Seats::of(reading, former, self.began_at)?;
        let now = clock.now();
        for news in state.news.take().into_iter().flatten() {
            if !seats.hear(&news, now) {
                state.doubted_at = Some(Instant::now());
            }
        }
        let map = seats.map(id, now);
        state.seats = Some(seats);
        Some(map)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // At the end they have been taken; where it did not come to that, nobody will ask for them.
        locked(&self.board.state).news = None;
    }
}

impl Seats {
    /// The seats as they were read; `None` where there are none.
    fn of(reading: Reading, former: Option<Self>, read_at: Instant) -> Option<Self> {
        match reading {
            Reading::Whole(seats) if seats.is_empty() => None,
            Reading::Whole(seats) => {
                let prices = seats.iter().map(|seat| seat.price).collect();
                let states = seats.iter().map(|seat| seat.state).collect();
                let labels: SeatLabels = seats.into_iter().map(|seat| seat.label).collect();
                let labels = Arc::new(labels);
                let by_label = ByLabel::of(&labels);
                Some(Self { labels, by_label, prices, states, read_at, found_out: false })
            }
            Reading::Changeable(read) => {
                let former = former.filter(|former| former.labels.len() == read.len())?;
                let same_prices = former.prices.iter().zip(&read).all(|(former, (price, _))| former == price);
                let prices = if same_prices { former.prices } else { read.iter().map(|(price, _)| *price).collect() };
                let states = read.into_iter().map(|(_, state)| state).collect();
                Some(Self { prices, states, read_at, found_out: false, ..former })
            }
        }
    }

    fn map(&self, id: PerformanceId, now: Timestamp) -> SeatMap {
        SeatMap::at(now, id, Arc::clone(&self.labels), Arc::clone(&self.prices), &self.states)
    }

    /// Takes the news over. Says no where they do not go on from what is here, because another process has
    /// written in between, before or after.
    fn hear(&mut self, news: &News, now: Timestamp) -> bool {
        let available = |state: &SeatState| state.status(now) == SeatStatus::Available;
        let has = |state: &SeatState, id: ReservationId| state.reservation_id() == Some(id);
        match news {
            News::Taken { by, state, seats } => self.each(seats.iter(), |known| {
                // Another process may tell of a hold after this one has sold the seats.
                let goes_further = matches!(known, SeatState::Sold { .. }) && has(known, *by);
                let goes_on = available(known) || has(known, *by);
                if goes_on && !goes_further {
                    *known = *state;
                }
                goes_on
            }),
            News::Freed { from, labels } => self.each(labels.iter(), |known| {
                if has(known, *from) {
                    *known = SeatState::Free;
                }
                available(known)
            }),
            News::Unavailable { seats } => seats.iter().all(|seat| {
                let mut found_out = false;
                let known = self.each(std::iter::once(&seat.label), |known| {
                    if available(known) {
                        *known = seat.state;
                        found_out = true;
                    }
                    true
                });
                self.found_out |= found_out;
                known
            }),
            // What was answered at first has had its time.
            News::TakenBefore { state, .. } if available(state) => true,
            News::TakenBefore { seats, .. } => {
                self.each(seats.iter().map(|seat| &seat.label), |known| !available(known))
            }
            News::FreedBefore { from, seats } => {
                self.each(seats.iter().map(|seat| &seat.label), |known| !has(known, *from))
            }
        }
    }

    /// Whether `change` says yes to each of these seats; it is asked about all of them.
    fn each<'l>(
        &mut self,
        labels: impl Iterator<Item = &'l SeatLabel>,
        mut change: impl FnMut(&mut SeatState) -> bool,
    ) -> bool {
        let mut yes = true;
        for label in labels {
            let place = self.by_label.find(label, &self.labels);
            yes &= place.is_some_and(|place| change(&mut self.states[place]));
        }
        yes
    }
}

/// Finds labels among others. It keeps their places alone: the labels are there already.
struct ByLabel {
    hasher: RandomState,
    places: HashTable<u32>,
}

impl ByLabel {
    fn of(labels: &[SeatLabel]) -> Self {
        let hasher = RandomState::new();
        let mut places = HashTable::with_capacity(labels.len());
        for (place, label) in (0..).zip(labels) {
            places.insert_unique(hasher.hash_one(label), place, |other| hasher.hash_one(&labels[index(*other)]));
        }
        Self { hasher, places }
    }

    fn find(&self, label: &SeatLabel, labels: &[SeatLabel]) -> Option<usize> {
        let found = self.places.find(self.hasher.hash_one(label), |place| labels[index(*place)] == *label);
        found.map(|place| index(*place))
    }
}

/// A performance has up to 200,000 seats.
fn index(place: u32) -> usize {
    place as usize
}

/// Nothing that is done under these locks can panic half-way; whoever panicked did so elsewhere.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "seat_boards_tests.rs"]
mod tests;
