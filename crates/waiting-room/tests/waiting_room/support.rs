//! Instances of a waiting room, and shorthands.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    fixtures::TestClock,
    waiting_room::{
        DrawNumber, JoinRequest, Joined, QueuePlace, QueueStatus, QueueTerms, Recall, RestoreRequest, SaleReading,
        Standing, Visit, WaitingRoom, WaitingRoomError,
    },
};
use boxoffice_peers::redis::{Link, RedisSettings, RedisUrl};
use boxoffice_waiting_room::{RedisWaitingRoom, Settings};
use uuid::Uuid;

/// How long anything may take that happens by itself.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn concert(number: u128) -> ConcertId {
    ConcertId::new(Uuid::from_u128(number))
}

pub(crate) fn account(number: u128) -> AccountId {
    AccountId::new(Uuid::from_u128(number))
}

pub(crate) fn is_active(standing: Standing) -> bool {
    matches!(standing, Standing::Active { .. })
}

/// How old a snapshot may be if Redis is asked about every poll.
pub(crate) const EXACT: Duration = Duration::ZERO;
/// How old a snapshot may be that polls are answered from.
pub(crate) const POLLING: Duration = Duration::from_millis(250);

/// What the tests run with: the rules of a server.
pub(crate) fn settings() -> Settings {
    Settings {
        capacity: 1_000_000,
        queues_max: 10_000,
        admission_seconds: 600,
        no_show_seconds: 60,
        idle_admission_seconds: 0,
        joins_per_network_max: 0,
        reform_seconds: 5,
        poll_seconds_max: 20,
        restorable_seconds: 86_400,
    }
}

/// As [`settings`], and admits from the start.
pub(crate) fn at_once() -> Settings {
    Settings { reform_seconds: 0, ..settings() }
}

pub(crate) fn terms(max_active: u32) -> QueueTerms {
    QueueTerms { version: 1, max_active, paused: false, opens_at: None, sale: SaleReading::NONE }
}

/// What [`account`] `number` draws if there is a draw: the number itself.
fn draw_of(account_id: AccountId) -> Option<DrawNumber> {
    u64::try_from(account_id.uuid().as_u128()).ok().map(DrawNumber::from_random)
}

/// A connection to Redis that waits `patience` for a connection and for each answer.
pub(crate) fn open_link(url: &str, prefix: String, patience: Duration) -> Arc<Link> {
    let settings = RedisSettings { prefix, connect_timeout: patience, command_timeout: patience };
    Link::open(RedisUrl::parse(url).expect("a URL"), settings)
}

/// A server process: its waiting room, and shorthands about concert 1.
pub(crate) struct Instance<R = RedisWaitingRoom> {
    pub(crate) waiting_room: R,
    pub(crate) terms: QueueTerms,
}

impl Instance {
    pub(crate) async fn start(url: &str, clock: &Arc<TestClock>, rules: Settings, snapshot_age_max: Duration) -> Self {
        let link = open_link(url, "boxoffice".to_owned(), Duration::from_secs(2));
        let waiting_room = RedisWaitingRoom::open(link, clock.clone(), rules, snapshot_age_max).await;
        Self { waiting_room, terms: terms(3) }
    }
}

impl<R: WaitingRoom> Instance<R> {
    pub(crate) fn admitting(mut self, max_active: u32) -> Self {
        self.terms.max_active = max_active;
        self
    }

    pub(crate) async fn try_join_at(&self, concert_id: ConcertId, number: u128) -> Result<Joined, WaitingRoomError> {
        let account_id = account(number);
        let draw = draw_of(account_id);
        self.waiting_room.join(JoinRequest { concert_id, account_id, terms: self.terms, draw, network: None }).await
    }

    pub(crate) async fn join(&self, number: u128) -> QueueStatus {
        self.try_join_at(concert(1), number).await.expect("joins").status
    }

    pub(crate) async fn join_many(&self, count: u128) -> Vec<QueuePlace> {
        let mut places = Vec::new();
        for number in 0..count {
            places.push(self.join(number).await.place);
        }
        places
    }

    pub(crate) async fn recall(&self, place: &QueuePlace) -> Recall {
        self.waiting_room.status(place, Visit::Poll).await.expect("answers")
    }

    async fn try_restore(&self, place: &QueuePlace) -> Result<QueueStatus, WaitingRoomError> {
        let draw = draw_of(place.account_id);
        self.waiting_room.restore(RestoreRequest { place: *place, terms: self.terms, draw, held_until: None }).await
    }

    /// What the holder's poll does: a status, and a restoration if the place is forgotten.
    pub(crate) async fn poll(&self, place: &QueuePlace) -> Standing {
        self.try_poll(place).await.expect("answers")
    }

    pub(crate) async fn try_poll(&self, place: &QueuePlace) -> Result<Standing, WaitingRoomError> {
        match self.waiting_room.status(place, Visit::Poll).await? {
            Recall::Known(status) => Ok(status.standing),
            Recall::Forgotten => Ok(self.try_restore(place).await?.standing),
        }
    }

    pub(crate) async fn position(&self, place: &QueuePlace) -> u64 {
        match self.poll(place).await {
            Standing::Waiting { position: Some(position), .. } => position,
            other => panic!("{other:?} instead of waiting at a position"),
        }
    }

    pub(crate) async fn is_active(&self, place: &QueuePlace) -> bool {
        is_active(self.poll(place).await)
    }

    /// Whether a place is expired, and cannot be restored either.
    pub(crate) async fn is_expired(&self, place: &QueuePlace) -> bool {
        let restored = self.try_restore(place).await.expect("restores").standing;
        assert_eq!(restored, self.poll(place).await);
        restored == Standing::Expired
    }

    pub(crate) async fn leave(&self, place: &QueuePlace) {
        self.waiting_room.leave(place).await.expect("leaves");
    }

    pub(crate) async fn spend(&self, place: &QueuePlace) {
        self.waiting_room.spend(place.concert_id, place.account_id).await.expect("spends");
    }

    pub(crate) async fn keep_until(&self, place: &QueuePlace, held_until: Option<Timestamp>) {
        self.waiting_room.keep_until(place.concert_id, place.account_id, held_until).await.expect("keeps");
    }

    pub(crate) async fn advance(&self) -> Option<Timestamp> {
        self.waiting_room.advance().await.expect("advances")
    }

    /// How many wait, are admitted, and have ever been admitted at concert 1.
    pub(crate) async fn census(&self) -> (u64, u64, u64) {
        let queues = self.waiting_room.census(usize::MAX).await.expect("counts");
        let queue = queues.into_iter().find(|queue| queue.concert_id == concert(1)).expect("there is a queue");
        (queue.waiting, queue.active, queue.admitted_total)
    }

    pub(crate) async fn version(&self) -> u64 {
        self.waiting_room.changed(concert(1), 0).await.expect("has a version")
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "{what}: not within {DEADLINE:?}");
}
