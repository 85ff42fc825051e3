use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{sync::Notify, time::advance};

use super::*;

const AGE_MAX: Duration = Duration::from_millis(50);
const MOMENT: Duration = Duration::from_millis(1);
const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// Rows in place of a database, and what the caches were given.
#[derive(Default)]
struct Noting {
    rows: Mutex<HashMap<Uuid, (u64, Vec<CatalogChange>)>>,
    looks: Mutex<usize>,
    applied: Mutex<Vec<CatalogChange>>,
    is_away: AtomicBool,
    /// A look waits for this before it reads, if it is set.
    held_up: Mutex<Option<Arc<Notify>>>,
}

struct Shared(Arc<Noting>);

#[async_trait]
impl ChangesReader for Shared {
    async fn noted(&self, known: Option<&Numbers>) -> Result<Noted, StorageError> {
        *self.0.looks.lock().unwrap() += 1;
        let held_up = self.0.held_up.lock().unwrap().clone();
        if let Some(held_up) = held_up {
            held_up.notified().await;
        }
        if self.0.is_away.load(Ordering::SeqCst) {
            return Err(StorageError::Unavailable("away".into()));
        }
        let mut noted = Noted::default();
        for (process, (number, recent)) in &*self.0.rows.lock().unwrap() {
            noted.numbers.insert(*process, *number);
            if known.is_some_and(|known| known.get(process) != Some(number)) {
                noted.recent.insert(*process, recent.clone());
            }
        }
        Ok(noted)
    }
}

impl Caches for Shared {
    fn apply(&self, change: &CatalogChange) {
        self.0.applied.lock().unwrap().push(change.clone());
    }
}

fn concert(number: u128) -> ConcertId {
    ConcertId::new(Uuid::from_u128(number))
}

fn change(number: u128) -> CatalogChange {
    CatalogChange::of_concert(concert(number))
}

impl Noting {
    fn note(&self, process: Uuid, change: CatalogChange) {
        let mut rows = self.rows.lock().unwrap();
        let (number, recent) = rows.entry(process).or_default();
        *number += 1;
        *recent = with_change(std::mem::take(recent), change);
    }

    fn looks(&self) -> usize {
        *self.looks.lock().unwrap()
    }

    /// What was applied since the last call.
    fn applied(&self) -> Vec<CatalogChange> {
        std::mem::take(&mut self.applied.lock().unwrap())
    }
}

fn watch() -> (Arc<Noting>, Arc<CatalogWatch>) {
    let noting = Arc::new(Noting::default());
    let watch = CatalogWatch::new(Shared(Arc::clone(&noting)), Shared(Arc::clone(&noting)));
    (noting, Arc::new(watch))
}

#[tokio::test(start_paused = true)]
async fn each_change_of_each_process_is_applied_once_within_the_age() {
    let (noting, watch) = watch();
    noting.note(ONE, change(1));
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.applied(), [CatalogChange::ANY], "what came earlier is not known");
    advance(AGE_MAX + MOMENT).await;
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.applied(), []);
    noting.note(ONE, change(2));
    noting.note(ONE, change(3));
    noting.note(OTHER, CatalogChange::of([], [PerformanceId::new(ONE)]));
    advance(AGE_MAX).await;
    assert!(watch.look(AGE_MAX).await);
    assert_eq!((noting.applied(), noting.looks()), (vec![], 2));
    advance(MOMENT).await;
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.applied(), [CatalogChange::of([concert(2), concert(3)], [PerformanceId::new(ONE)])]);
    // Without an age it always looks.
    noting.note(OTHER, change(4));
    advance(MOMENT).await;
    assert!(watch.look(Duration::ZERO).await);
    assert_eq!((noting.applied(), noting.looks()), (vec![change(4)], 4));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_may_be_anything() {
    let (noting, watch) = watch();
    noting.note(ONE, change(1));
    watch.look(AGE_MAX).await;
    noting.applied();
    let changes: [(&str, &dyn Fn()); 4] = [
        ("too many for a row", &|| (0..=CHANGES_MAX as u128).for_each(|n| noting.note(ONE, change(n)))),
        ("too much for a change", &|| {
            noting.note(ONE, CatalogChange::of((0..=IDS_MAX as u128).map(concert), []));
            noting.note(ONE, CatalogChange { performances: None, ..change(1) });
        }),
        ("a row that was removed and begins again", &|| {
            noting.rows.lock().unwrap().remove(&ONE);
            noting.note(ONE, change(1));
        }),
        ("a row that cannot be read", &|| {
            noting.note(ONE, change(1));
            noting.rows.lock().unwrap().get_mut(&ONE).unwrap().1.clear();
        }),
    ];
    for (what, act) in changes {
        act();
        advance(AGE_MAX + MOMENT).await;
        assert!(watch.look(AGE_MAX).await);
        assert_eq!(noting.applied(), [CatalogChange::ANY], "{what}");
    }
    // As after a long time without a look, in which a row may have come and gone.
    advance(UNWATCHED_MAX).await;
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.applied(), [CatalogChange::ANY]);
}

#[tokio::test(start_paused = true)]
async fn many_callers_wait_for_one_look_and_not_for_long() {
    let (noting, watch) = watch();
    let held_up = Arc::new(Notify::new());
    *noting.held_up.lock().unwrap() = Some(Arc::clone(&held_up));
    let began_at = Instant::now();
    let looks = futures::future::join_all((0..9).map(|_| watch.look(AGE_MAX))).await;
    assert_eq!((looks, noting.looks(), began_at.elapsed()), (vec![false; 9], 1, WAIT_MAX));
    // It goes on, and later callers do not wait for it at all.
    assert!(!watch.look(AGE_MAX).await);
    assert_eq!(began_at.elapsed(), WAIT_MAX);
    *noting.held_up.lock().unwrap() = None;
    held_up.notify_one();
    while noting.applied.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    // That one had begun too long ago.
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.looks(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_it_rests_and_then_knows_what_came_meanwhile() {
    let (noting, watch) = watch();
    watch.look(AGE_MAX).await;
    noting.applied();
    noting.is_away.store(true, Ordering::SeqCst);
    noting.note(ONE, change(1));
    advance(AGE_MAX + MOMENT).await;
    assert!(!watch.look(AGE_MAX).await);
    noting.is_away.store(false, Ordering::SeqCst);
    assert!(!watch.look(AGE_MAX).await);
    assert_eq!(noting.looks(), 2);
    advance(FAILURE_REST).await;
    assert!(watch.look(AGE_MAX).await);
    assert_eq!(noting.applied(), [change(1)]);
}

#[test]
fn a_row_has_the_last_changes_within_its_bounds() {
    let mut recent = Vec::new();
    for number in 0..=CHANGES_MAX as u128 {
        recent = with_change(recent, change(number));
    }
    assert_eq!((recent.len(), &recent[0]), (CHANGES_MAX, &change(1)));
    let large = CatalogChange::of((0..IDS_MAX as u128).map(concert), []);
    recent = with_change(recent, large.clone());
    assert_eq!(recent, [large]);
    recent = with_change(recent, change(1));
    assert_eq!(recent, [change(1)]);
    assert_eq!(CatalogChange::of((0..=IDS_MAX as u128).map(concert), []).concerts, None);
}
