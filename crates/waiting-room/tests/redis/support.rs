//! Instances over a Redis of their own, and shorthands.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    AccountId, ConcertId, Timestamp,
    waiting_room::{
        JoinRequest, Joined, QueuePlace, QueueStatus, QueueTerms, Recall, RestoreRequest, Standing, WaitingRoom,
        WaitingRoomError,
    },
};
use boxoffice_testkit::TestClock;
use boxoffice_waiting_room::{RedisSettings, RedisUrl, RedisWaitingRoom, Settings};
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

/// Asks Redis about every poll.
pub(crate) fn exact() -> RedisSettings {
    RedisSettings {
        connect_timeout: Duration::from_secs(2),
        command_timeout: Duration::from_secs(2),
        snapshot_age_max: Duration::ZERO,
        ..RedisSettings::default()
    }
}

/// Answers polls from snapshots.
pub(crate) fn polling() -> RedisSettings {
    RedisSettings { snapshot_age_max: Duration::from_millis(250), ..exact() }
}

pub(crate) fn at_once() -> Settings {
    Settings { reform_seconds: 0, ..Settings::default() }
}

/// A server process: its room, and shorthands about concert 1.
pub(crate) struct Instance {
    pub(crate) waiting_room: RedisWaitingRoom,
    pub(crate) terms: QueueTerms,
}

impl Instance {
    pub(crate) async fn start(url: &str, clock: &Arc<TestClock>, rules: Settings, settings: RedisSettings) -> Self {
        let url = RedisUrl::parse(url).expect("a URL");
        let waiting_room = RedisWaitingRoom::connect(url, clock.clone(), rules, settings).await;
        Self { waiting_room, terms: QueueTerms { version: 1, max_active: 3, paused: false, opens_at: None } }
    }

    pub(crate) fn admitting(mut self, max_active: u32) -> Self {
        self.terms.max_active = max_active;
        self
    }

    pub(crate) async fn try_join_at(&self, concert_id: ConcertId, number: u128) -> Result<Joined, WaitingRoomError> {
        let account_id = account(number);
        self.waiting_room.join(JoinRequest { concert_id, account_id, terms: self.terms, draw: None }).await
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
        self.waiting_room.status(place).await.expect("tells")
    }

    /// What the holder's poll does: a status, and a restoration where it is forgotten.
    pub(crate) async fn poll(&self, place: &QueuePlace) -> Standing {
        self.try_poll(place).await.expect("tells")
    }

    pub(crate) async fn try_poll(&self, place: &QueuePlace) -> Result<Standing, WaitingRoomError> {
        match self.waiting_room.status(place).await? {
            Recall::Known(status) => Ok(status.standing),
            Recall::Forgotten => {
                let request = RestoreRequest { place: *place, terms: self.terms, draw: None };
                Ok(self.waiting_room.restore(request).await?.standing)
            }
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

    pub(crate) async fn leave(&self, place: &QueuePlace) {
        self.waiting_room.leave(place).await.expect("leaves");
    }

    pub(crate) async fn spend(&self, place: &QueuePlace) {
        self.waiting_room.spend(place.concert_id, place.account_id).await.expect("spends");
    }

    pub(crate) async fn keep_until(&self, place: &QueuePlace, held_until: Option<Timestamp>) {
        self.waiting_room.keep_until(place.concert_id, place.account_id, held_until).await.expect("keeps");
    }

    /// How many wait, are admitted, and have ever been admitted at concert 1.
    pub(crate) async fn census(&self) -> (u64, u64, u64) {
        let lines = self.waiting_room.census(usize::MAX).await.expect("counts");
        let line = lines.into_iter().find(|line| line.concert_id == concert(1)).expect("there is a line");
        (line.waiting, line.active, line.admitted_total)
    }

    pub(crate) async fn version(&self) -> u64 {
        self.waiting_room.changed(concert(1), 0).await.expect("tells a version")
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
