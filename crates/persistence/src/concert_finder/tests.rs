use std::collections::BTreeMap;

use boxoffice_domain::{
    catalog::{Concert, ConcertOrder, ConcertSummary},
    fixtures::{self, instant},
    text::Name,
};
use tokio::{sync::Notify, time::advance};
use uuid::Uuid;

use super::*;

/// Concerts in place of a database.
#[derive(Default)]
struct Stored {
    titles: Mutex<BTreeMap<u128, String>>,
    /// How often all were read, and how often some.
    readings: Mutex<(u32, u32)>,
    /// How long reading all takes.
    takes: Mutex<Duration>,
    /// Reading all waits for this after it has read, if it is set.
    held_up: Mutex<Option<Arc<Notify>>>,
    is_away: AtomicBool,
}

struct Reader(Arc<Stored>);

fn id(number: u128) -> ConcertId {
    ConcertId::new(Uuid::from_u128(number))
}

impl Stored {
    fn put(&self, number: u128, title: &str) {
        self.titles.lock().unwrap().insert(number, title.to_owned());
    }

    fn listed(&self) -> Result<Vec<ListedConcert>, StorageError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable("away".into()));
        }
        let listed = |(number, title): (&u128, &String)| {
            let title = Name::new(title).unwrap();
            let concert = Concert { id: id(*number), title, ..fixtures::concert() };
            ListedConcert::new(ConcertSummary::new(concert, &[]), [])
        };
        Ok(self.titles.lock().unwrap().iter().map(listed).collect())
    }
}

#[async_trait]
impl ListingReader for Reader {
    async fn all(&self) -> Result<Vec<ListedConcert>, StorageError> {
        self.0.readings.lock().unwrap().0 += 1;
        let (listed, takes) = (self.0.listed(), *self.0.takes.lock().unwrap());
        tokio::time::sleep(takes).await;
        let held_up = self.0.held_up.lock().unwrap().clone();
        if let Some(held_up) = held_up {
            held_up.notified().await;
        }
        listed
    }

    async fn some(&self, ids: &[ConcertId]) -> Result<Vec<ListedConcert>, StorageError> {
        self.0.readings.lock().unwrap().1 += 1;
        Ok(self.0.listed()?.into_iter().filter(|listed| ids.contains(&listed.id())).collect())
    }
}

/// A finder over one concert, for which reading all takes this long.
fn finder(takes_milliseconds: u64) -> (Arc<Stored>, Arc<ConcertFinder>) {
    let stored = Arc::new(Stored::default());
    stored.put(1, "one");
    *stored.takes.lock().unwrap() = Duration::from_millis(takes_milliseconds);
    let finder = ConcertFinder::new(Reader(Arc::clone(&stored)));
    (stored, Arc::new(finder))
}

impl ConcertFinder {
    async fn titles(self: &Arc<Self>) -> Result<String, StorageError> {
        let search = ConcertSearch { order: ConcertOrder::NewestFirst, ..ConcertSearch::default() };
        let page = self.find(&search, instant(0), PageRequest::first(9)).await?;
        let titles: Vec<_> = page.items.iter().rev().map(|listed| listed.summary.concert.title.as_str()).collect();
        Ok(titles.join(" "))
    }

    async fn shows(self: &Arc<Self>) -> String {
        self.titles().await.unwrap()
    }
}

fn readings(stored: &Stored) -> (u32, u32) {
    *stored.readings.lock().unwrap()
}

/// Until a condition holds, other tasks go on.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_marked_is_read_before_the_next_search() {
    let (stored, finder) = finder(1_000);
    assert_eq!(finder.shows().await, "one");
    stored.put(2, "two");
    assert_eq!(finder.shows().await, "one", "nothing has told of it");
    {
        let _marking = finder.marking(Some(id(2)));
        stored.put(2, "zwei");
    }
    assert_eq!((finder.shows().await, finder.shows().await), ("one zwei".to_owned(), "one zwei".to_owned()));
    assert_eq!(readings(&stored), (1, 1));
    stored.titles.lock().unwrap().remove(&1);
    finder.mark(Some(id(1)));
    assert_eq!(finder.shows().await, "zwei");
}

#[tokio::test(start_paused = true)]
async fn what_other_processes_have_changed_is_read_before_the_next_search() {
    let (stored, finder) = finder(1_000);
    finder.shows().await;
    for (number, title) in [(2, "two"), (3, "three")] {
        stored.put(number, title);
    }
    finder.mark_changed(Some(&[id(2), id(3)]));
    assert_eq!((finder.shows().await, readings(&stored)), ("one two three".to_owned(), (1, 1)));
    // If they are too many, all are read, beside the searches.
    let many: Vec<_> = (0..=MARKS_MAX as u128).map(id).collect();
    stored.put(4, "four");
    finder.mark_changed(Some(&many));
    assert_eq!((finder.shows().await, readings(&stored)), ("one two three".to_owned(), (1, 1)));
    let state = finder.state();
    assert!(state.kept.as_ref().unwrap().misses_a_change(&state));
}

#[tokio::test(start_paused = true)]
async fn a_quick_reading_of_all_is_waited_for_after_a_change() {
    let (stored, finder) = finder(250);
    finder.shows().await;
    stored.put(2, "two");
    finder.mark(None);
    assert_eq!(finder.shows().await, "one two");
    // What no process has noted is found now and then.
    stored.put(3, "three");
    assert_eq!(finder.shows().await, "one two");
    advance(REST_MIN).await;
    assert_eq!((finder.shows().await, readings(&stored)), ("one two".to_owned(), (2, 0)));
    until(|| readings(&stored) == (3, 0)).await;
    advance(QUICK_MAX).await;
    until(|| !finder.is_renewing.load(Ordering::SeqCst)).await;
    assert_eq!(finder.shows().await, "one two three");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reading_of_all_goes_on_beside_the_searches() {
    let (stored, finder) = finder(1_000);
    finder.shows().await;
    stored.put(2, "two");
    finder.mark(None);
    advance(Duration::from_millis(1_999)).await;
    assert_eq!((finder.shows().await, readings(&stored)), ("one".to_owned(), (1, 0)));
    advance(Duration::from_millis(1)).await;
    let held_up = Arc::new(Notify::new());
    *stored.held_up.lock().unwrap() = Some(Arc::clone(&held_up));
    assert_eq!(finder.shows().await, "one");
    until(|| readings(&stored) == (2, 0)).await;
    // What is written while all are read is neither missed nor lost when they have been.
    advance(Duration::from_secs(1)).await;
    stored.put(3, "three");
    finder.mark(Some(id(3)));
    assert_eq!(finder.shows().await, "one three");
    held_up.notify_one();
    until(|| !finder.is_renewing.load(Ordering::SeqCst)).await;
    assert_eq!(finder.shows().await, "one two three");
    // A second that the reading takes is a twentieth of the time.
    advance(Duration::from_secs(19)).await;
    finder.shows().await;
    assert_eq!(readings(&stored).0, 2);
    held_up.notify_one();
    advance(Duration::from_secs(30)).await;
    finder.shows().await;
    until(|| readings(&stored).0 == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_for_those_who_need_what_could_not_be_read() {
    let (stored, finder) = finder(1_000);
    stored.is_away.store(true, Ordering::SeqCst);
    assert!(finder.titles().await.is_err());
    stored.is_away.store(false, Ordering::SeqCst);
    advance(Duration::from_millis(1)).await;
    finder.shows().await;
    stored.is_away.store(true, Ordering::SeqCst);
    assert_eq!(finder.shows().await, "one");
    finder.mark(Some(id(1)));
    assert!(finder.titles().await.is_err());
    stored.is_away.store(false, Ordering::SeqCst);
    advance(Duration::from_millis(1)).await;
    stored.put(1, "other");
    assert_eq!(finder.shows().await, "other", "the mark is still there");
    // A failure beside the searches costs none of them.
    stored.is_away.store(true, Ordering::SeqCst);
    advance(Duration::from_mins(1)).await;
    assert_eq!(finder.shows().await, "other");
    until(|| readings(&stored).0 == 3).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((finder.shows().await, readings(&stored).0), ("other".to_owned(), 3));
}

#[tokio::test(start_paused = true)]
async fn the_marks_are_bounded() {
    let (stored, finder) = finder(1_000);
    finder.shows().await;
    for number in 0..=MARKS_MAX as u128 {
        finder.mark(Some(id(number)));
    }
    stored.put(2, "two");
    assert_eq!((finder.shows().await, readings(&stored)), ("one two".to_owned(), (2, 0)));
    assert!(finder.state().marked.is_empty());
}
