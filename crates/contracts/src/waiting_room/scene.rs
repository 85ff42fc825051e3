//! A concert in the waiting room that is tested, and shorthands.

use std::time::Duration;

use boxoffice_domain::{
    AccountId, ConcertId, EntropySource, Network, Timestamp,
    fixtures::{TestEntropy, instant},
    waiting_room::{
        DrawNumber, JoinRequest, Joined, QueuePlace, QueueReason, QueueTerms, Recall, SaleReading, Standing, Visit,
        WaitingRoomError,
    },
};

use super::{Rules, Stage};

/// A concert in a waiting room, and shorthands that fail the test if the waiting room fails.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) concert_id: ConcertId,
    pub(super) terms: QueueTerms,
}

pub(super) fn account() -> AccountId {
    AccountId::new(TestEntropy.uuid())
}

pub(super) fn is_active(standing: Standing) -> bool {
    matches!(standing, Standing::Active { .. })
}

/// Admitted until so many seconds after the beginning, and until then for paying.
pub(super) fn active(admitted_seconds: i64, active_seconds: i64) -> Standing {
    Standing::Active { admitted_until: instant(admitted_seconds), active_until: instant(active_seconds) }
}

impl Scene {
    pub(super) async fn new(stage: impl AsyncFn(Rules) -> Stage, max_active: u32) -> Self {
        Self::under(stage, Rules::default(), max_active).await
    }

    pub(super) async fn under(stage: impl AsyncFn(Rules) -> Stage, terms: Rules, max_active: u32) -> Self {
        let queue_terms = QueueTerms { version: 1, max_active, paused: false, opens_at: None, sale: SaleReading::NONE };
        Self { stage: stage(terms).await, concert_id: ConcertId::new(TestEntropy.uuid()), terms: queue_terms }
    }

    pub(super) fn another_concert(&self) -> Self {
        Self { concert_id: ConcertId::new(TestEntropy.uuid()), ..self.clone() }
    }

    pub(super) async fn try_join(&self, account_id: AccountId) -> Result<Joined, WaitingRoomError> {
        self.try_join_with(account_id, None).await
    }

    pub(super) async fn try_join_with(
        &self,
        account_id: AccountId,
        draw: Option<DrawNumber>,
    ) -> Result<Joined, WaitingRoomError> {
        let (concert_id, terms) = (self.concert_id, self.terms);
        self.stage.waiting_room.join(JoinRequest { concert_id, account_id, terms, draw, network: None }).await
    }

    pub(super) async fn try_join_from(
        &self,
        network: Network,
        account_id: AccountId,
    ) -> Result<Joined, WaitingRoomError> {
        let (concert_id, terms) = (self.concert_id, self.terms);
        let request = JoinRequest { concert_id, account_id, terms, draw: None, network: Some(network) };
        self.stage.waiting_room.join(request).await
    }

    pub(super) async fn join(&self, account_id: AccountId) -> Joined {
        self.try_join(account_id).await.expect("joins")
    }

    /// Lets a new account join with this number for the draw.
    pub(super) async fn join_drawn(&self, draw: u64) -> QueuePlace {
        let draw = Some(DrawNumber::from_random(draw));
        self.try_join_with(account(), draw).await.expect("joins").status.place
    }

    /// Lets so many new accounts join, one after the other.
    pub(super) async fn join_many(&self, count: usize) -> Vec<QueuePlace> {
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            places.push(self.join(account()).await.status.place);
        }
        places
    }

    pub(super) async fn standing(&self, place: &QueuePlace) -> Standing {
        self.standing_on(place, Visit::Poll).await
    }

    /// Whether a place is admitted whose holder uses the admission.
    pub(super) async fn is_used(&self, place: &QueuePlace) -> bool {
        is_active(self.standing_on(place, Visit::Use).await)
    }

    async fn standing_on(&self, place: &QueuePlace, visit: Visit) -> Standing {
        match self.stage.waiting_room.status(place, visit).await.expect("answers") {
            Recall::Known(status) => {
                assert_eq!(status.place, *place);
                status.standing
            }
            Recall::Forgotten => panic!("a place of this waiting room is forgotten"),
        }
    }

    pub(super) async fn position(&self, place: &QueuePlace) -> u64 {
        match self.standing(place).await {
            Standing::Waiting { position: Some(position), .. } => position,
            other => panic!("{other:?} instead of waiting at a position"),
        }
    }

    pub(super) async fn estimate(&self, place: &QueuePlace) -> Option<u64> {
        match self.standing(place).await {
            Standing::Waiting { estimated_wait_seconds, .. } => estimated_wait_seconds,
            other => panic!("{other:?} instead of waiting"),
        }
    }

    pub(super) async fn is_active(&self, place: &QueuePlace) -> bool {
        is_active(self.standing(place).await)
    }

    pub(super) async fn is_expired(&self, place: &QueuePlace) -> bool {
        self.standing(place).await == Standing::Expired
    }

    /// Why a place stands where it does.
    pub(super) async fn reason(&self, place: &QueuePlace) -> Option<QueueReason> {
        match self.stage.waiting_room.status(place, Visit::Poll).await.expect("answers") {
            Recall::Known(status) => status.reason,
            Recall::Forgotten => panic!("a place of this waiting room is forgotten"),
        }
    }

    /// Whether the queue is empty of places that were given since then.
    pub(super) async fn is_empty(&self, since: Timestamp) -> bool {
        self.stage.waiting_room.is_empty(self.concert_id, since).await.expect("looks")
    }

    pub(super) async fn leave(&self, place: &QueuePlace) {
        self.stage.waiting_room.leave(place).await.expect("leaves");
    }

    pub(super) async fn spend(&self, place: &QueuePlace) {
        self.stage.waiting_room.spend(self.concert_id, place.account_id).await.expect("spends");
    }

    pub(super) async fn keep_until(&self, place: &QueuePlace, held_until: Option<Timestamp>) {
        self.stage.waiting_room.keep_until(self.concert_id, place.account_id, held_until).await.expect("keeps");
    }

    pub(super) async fn set_max_active(&mut self, max_active: u32) {
        self.set_terms(|terms| terms.max_active = max_active).await;
    }

    /// Changes how the queue is run, as a new version of its concert says.
    pub(super) async fn set_terms(&mut self, change: impl FnOnce(&mut QueueTerms)) {
        change(&mut self.terms);
        self.terms.version += 1;
        self.send_terms(self.terms).await;
    }

    pub(super) async fn send_terms(&self, terms: QueueTerms) {
        self.stage.waiting_room.set_terms(self.concert_id, terms).await.expect("sets");
    }

    pub(super) async fn advance(&self) -> Option<Timestamp> {
        self.stage.waiting_room.advance().await.expect("advances")
    }

    /// How many wait, are admitted, and have ever been admitted.
    pub(super) async fn census(&self) -> (u64, u64, u64) {
        let queues = self.stage.waiting_room.census(usize::MAX).await.expect("counts");
        let queue = queues.into_iter().find(|queue| queue.concert_id == self.concert_id).expect("there is a queue");
        (queue.waiting, queue.active, queue.admitted_total)
    }

    pub(super) async fn version(&self) -> u64 {
        self.stage.waiting_room.changed(self.concert_id, 0).await.expect("has a version")
    }

    /// Waits until the queue is at another version than `seen`.
    pub(super) async fn assert_changed(&self, seen: u64) {
        let changed = self.stage.waiting_room.changed(self.concert_id, seen);
        let changed = tokio::time::timeout(Duration::from_secs(60), changed).await;
        assert_ne!(changed.expect("a change that woke no watcher").expect("has a version"), seen);
    }

    pub(super) fn pass_seconds(&self, seconds: i64) {
        self.stage.clock.advance_seconds(seconds);
    }

    /// Asserts that of these places the first `ended` are over, the next `active` admitted, and the others wait in order.
    pub(super) async fn assert_order(&self, places: &[QueuePlace], ended: usize, active: usize) {
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
