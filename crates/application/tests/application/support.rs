//! A concert on sale, with storage and waiting room in memory. A test replaces a port by a mock if the port has to fail, or
//! must not be called.

use std::sync::{Arc, Mutex, PoisonError};

use boxoffice_application::{
    AccountService, CatalogService, Gate, Identity, MaintenanceMode, PaymentService, ReservationService,
    WaitingRoomService, WalletService,
    accounts::{Guesses, KnownAccounts, Revocations, SessionSettings},
    fingerprint,
    payments::PayError,
    reservations::{HoldSeats, HoldSeatsError},
};
pub(crate) use boxoffice_contracts::storage::points;
use boxoffice_contracts::{
    memory::MemoryStore,
    storage::{PRICE_A, Show, Stage, Storage, label},
};
use boxoffice_domain::{
    AccountId, ConcertId, SessionId, StorageError, Timestamp,
    accounts::{
        AccessClaims, AccessTokenError, AccessTokens, GuessingRule, MockAccessTokens, MockAccounts, MockPasswordHasher,
        MockSessions, Password, PasswordHash, PasswordHasher, Role,
    },
    catalog::{Concert, MockCatalog},
    fixtures::{self, TestClock, TestEntropy, selling_rules},
    gateway::{MockPaymentGateway, PaymentGateway},
    idempotency::{Fingerprint, Idempotency, IdempotencyKey, Made},
    payments::{MockPayments, PaymentView},
    reservations::{MockReservations, Reservation, ReservationView},
    seats::SeatSelection,
    waiting_room::{MockWaitingRoom, QueuePlace, QueueStatus, Recall, Standing, Visit, WaitingRoom},
    wallet::MockWallets,
};
use boxoffice_waiting_room::{MemoryWaitingRoom, Settings, SignedTokens};
use chrono::TimeDelta;
use uuid::Uuid;

/// What a seat of section A costs.
pub(crate) const PRICE: i64 = PRICE_A;
/// What [`World::buyer`] has in the beginning.
pub(crate) const BALANCE: i64 = 10_000;
/// How long an admission lasts that no hold extends.
pub(crate) const ADMISSION_SECONDS: i64 = 600;

/// Fails unless the result is this refusal.
macro_rules! assert_refused {
    ($result:expr, $refusal:pat $(if $guard:expr)?) => {
        match $result {
            Err($refusal) $(if $guard)? => {}
            other => panic!("expected Err({}), got {other:?}", stringify!($refusal)),
        }
    };
}
pub(crate) use assert_refused;

/// Fails unless a sign-in is refused so.
macro_rules! assert_not_signed_in {
    ($result:expr, $refusal:pat) => {
        assert_refused!($result, boxoffice_application::accounts::SignInRefused { error: $refusal, .. })
    };
}
pub(crate) use assert_not_signed_in;

/// A mock that expects these calls, and panics at any other.
pub(crate) fn mock<M: Default>(expect: impl FnOnce(&mut M)) -> Arc<M> {
    let mut mock = M::default();
    expect(&mut mock);
    Arc::new(mock)
}

/// A concert on sale, and what the services are built on.
pub(crate) struct World {
    pub(crate) stage: Stage,
    /// That of the stage, for the mail that is queued there.
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) show: Show,
    /// A customer with [`BALANCE`] points.
    pub(crate) buyer: AccountId,
    /// The queues, also while [`Self::waiting_room`] is a mock.
    pub(crate) queues: Arc<MemoryWaitingRoom>,
    pub(crate) waiting_room: Arc<dyn WaitingRoom>,
    pub(crate) passwords: Arc<dyn PasswordHasher>,
    pub(crate) access_tokens: Arc<dyn AccessTokens>,
    pub(crate) gateway: Arc<dyn PaymentGateway>,
    pub(crate) account_age_min: TimeDelta,
    pub(crate) peers: Arc<dyn boxoffice_peers::Peers>,
}

impl World {
    /// At [`instant`](boxoffice_domain::fixtures::instant) 0, a day after the sale opened. The gateway expects no call.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy)));
        let stage = Stage::new(Storage::of(Arc::clone(&store)), clock);
        let queues = empty_queues(&stage);
        Self {
            store,
            show: stage.show().await,
            buyer: stage.account_with(BALANCE).await,
            waiting_room: queues.clone(),
            queues,
            passwords: passwords(),
            access_tokens: access_tokens(),
            gateway: Arc::new(MockPaymentGateway::new()),
            account_age_min: TimeDelta::zero(),
            peers: Arc::new(boxoffice_peers::Alone),
            stage,
        }
    }

    /// From now on no port may be called.
    pub(crate) fn close(&mut self) {
        self.close_storage();
        self.waiting_room = Arc::new(MockWaitingRoom::new());
        self.passwords = Arc::new(MockPasswordHasher::new());
        self.access_tokens = Arc::new(MockAccessTokens::new());
    }

    /// From now on the storage may not be called.
    pub(crate) fn close_storage(&mut self) {
        let storage = &mut self.stage.storage;
        storage.accounts = Arc::new(MockAccounts::new());
        storage.sessions = Arc::new(MockSessions::new());
        storage.catalog = Arc::new(MockCatalog::new());
        storage.reservations = Arc::new(MockReservations::new());
        storage.payments = Arc::new(MockPayments::new());
        storage.wallets = Arc::new(MockWallets::new());
    }

    /// From now on the waiting room cannot be reached.
    pub(crate) fn lose_waiting_room(&mut self) {
        self.waiting_room = mock(|room: &mut MockWaitingRoom| {
            room.expect_status().returning(|_, _| Err(StorageError::Busy.into()));
        });
    }

    /// From now on the waiting room knows the place, and takes note of nothing.
    pub(crate) async fn make_waiting_room_forgetful(&mut self, place: QueuePlace) {
        let status = Recall::Known(QueueStatus { place, standing: self.standing(place).await, reason: None });
        self.waiting_room = mock(|room: &mut MockWaitingRoom| {
            room.expect_status().returning(move |_, _| Ok(status));
            room.expect_keep_until().returning(|_, _, _| Err(StorageError::Busy.into()));
            room.expect_spend().returning(|_, _| Err(StorageError::Busy.into()));
            room.expect_leave().returning(|_| Err(StorageError::Busy.into()));
        });
    }

    /// A second later the waiting room has lost its queues.
    pub(crate) fn lose_queues(&mut self) {
        self.stage.clock.advance_seconds(1);
        self.queues = empty_queues(&self.stage);
        self.waiting_room = self.queues.clone();
    }

    /// Changes the concert in the storage. The waiting room hears of it when the next account joins.
    pub(crate) async fn change_concert(&mut self, change: impl FnOnce(&mut Concert)) {
        change(&mut self.show.concert);
        self.show.concert.version += 1;
        self.stage.storage.catalog.update_concert(self.show.concert.clone(), fixtures::staff_act()).await.unwrap();
    }

    pub(crate) fn buyer(&self) -> Identity {
        identity(self.buyer, Role::Customer)
    }

    /// Another customer, without points.
    pub(crate) async fn stranger(&self) -> Identity {
        identity(self.stage.account().await, Role::Customer)
    }

    /// The promoter of the concert.
    pub(crate) fn promoter(&self) -> Identity {
        identity(self.show.promoter_id, Role::Promoter)
    }

    /// The place of an account in the queue of the concert.
    pub(crate) async fn join(&self, account_id: AccountId) -> QueuePlace {
        self.join_queue_of(self.show.concert.id, account_id).await
    }

    pub(crate) async fn join_queue_of(&self, concert_id: ConcertId, account_id: AccountId) -> QueuePlace {
        let identity = identity(account_id, Role::Customer);
        self.waiting_room_service().join(identity, concert_id, None).await.unwrap().0.status.place
    }

    /// The place of the buyer, who is admitted.
    pub(crate) async fn admitted(&self) -> QueuePlace {
        self.join(self.buyer).await
    }

    /// The place of the buyer, who waits behind one that is admitted, the only one at a time.
    pub(crate) async fn waiting(&mut self) -> QueuePlace {
        self.change_concert(|concert| concert.max_active = 1).await;
        self.join(self.stage.account().await).await;
        self.join(self.buyer).await
    }

    /// The place of the buyer, who has left.
    pub(crate) async fn expired(&self) -> QueuePlace {
        let place = self.admitted().await;
        self.queues.leave(&place).await.unwrap();
        place
    }

    /// The place of the buyer in the queue of another concert.
    pub(crate) async fn elsewhere(&self) -> QueuePlace {
        self.join_queue_of(self.stage.show().await.concert.id, self.buyer).await
    }

    pub(crate) async fn standing(&self, place: QueuePlace) -> Standing {
        match self.queues.status(&place, Visit::Poll).await.unwrap() {
            Recall::Known(status) => status.standing,
            Recall::Forgotten => panic!("the place is forgotten"),
        }
    }

    /// Until when the holder of a place can pay.
    pub(crate) async fn active_until(&self, place: QueuePlace) -> Timestamp {
        match self.standing(place).await {
            Standing::Active { active_until, .. } => active_until,
            other => panic!("not active: {other:?}"),
        }
    }

    fn seats(&self, labels: &[&str]) -> HoldSeats {
        let seats = SeatSelection::new(labels.iter().map(|text| label(text)).collect()).unwrap();
        HoldSeats { performance_id: self.show.performance_id, seats }
    }

    /// The key `key` as it comes with a request for these seats.
    pub(crate) fn key_for(&self, key: &str, labels: &[&str]) -> Idempotency {
        under(key, fingerprint::hold(&self.seats(labels)))
    }

    /// Holds seats; under a key, if there is one.
    pub(crate) async fn hold(
        &self,
        place: QueuePlace,
        labels: &[&str],
        key: Option<&str>,
    ) -> Result<Made<ReservationView>, HoldSeatsError> {
        let idempotency = key.map(|key| self.key_for(key, labels));
        self.reservation_service().hold(place, self.seats(labels), idempotency).await
    }

    /// Holds a seat, and expects to get it.
    pub(crate) async fn held(&self, place: QueuePlace, label: &str) -> Reservation {
        self.hold(place, &[label], None).await.unwrap().value.reservation
    }

    /// Pays a reservation under a key.
    pub(crate) async fn pay(
        &self,
        place: QueuePlace,
        reservation: &Reservation,
        key: &str,
    ) -> Result<Made<PaymentView>, PayError> {
        self.payment_service().pay(place, reservation.id, under(key, fingerprint::pay(reservation.id))).await
    }

    pub(crate) fn account_service(&self) -> AccountService {
        AccountService {
            accounts: self.stage.storage.accounts.clone(),
            sessions: self.stage.storage.sessions.clone(),
            records: self.stage.storage.records.clone(),
            factors: self.stage.storage.factors.clone(),
            emails: self.stage.storage.emails.clone(),
            resets: self.stage.storage.resets.clone(),
            passwords: self.passwords.clone(),
            tokens: self.access_tokens.clone(),
            clock: self.stage.clock.clone(),
            entropy: Arc::new(TestEntropy),
            settings: SessionSettings {
                access_seconds: 900,
                refresh_seconds: 2_592_000,
                refresh_grace_seconds: 20,
                session_days_max: 90,
                sessions_per_account: 20,
                staff_needs_second_factor: false,
                demo: false,
                mails_are_sent: true,
                guessing: GuessingRule { free: 5, wait_seconds_max: 10 },
            },
            guesses: Guesses::default(),
            known: self.known_accounts(),
            revocations: Revocations::default(),
            peers: self.peers.clone(),
        }
    }

    fn known_accounts(&self) -> Arc<KnownAccounts> {
        Arc::new(KnownAccounts::new(self.stage.storage.accounts.clone(), self.stage.clock.clone()))
    }

    pub(crate) fn waiting_room_service(&self) -> WaitingRoomService {
        WaitingRoomService {
            waiting_room: self.waiting_room.clone(),
            tokens: Arc::new(SignedTokens::new(&[7; 32], &[])),
            accounts: self.stage.storage.accounts.clone(),
            emails: self.stage.storage.emails.clone(),
            known: self.known_accounts(),
            catalog: self.stage.storage.catalog.clone(),
            payments: self.stage.storage.payments.clone(),
            reservations: self.stage.storage.reservations.clone(),
            terms: boxoffice_application::SaleTermsCache::default(),
            maintenance: Arc::new(MaintenanceMode::new(self.stage.storage.maintenance.clone())),
            sales: boxoffice_application::SaleWatch::default(),
            clock: self.stage.clock.clone(),
            account_age_min: self.account_age_min,
        }
    }

    pub(crate) fn catalog_service(&self) -> CatalogService {
        CatalogService {
            catalog: self.stage.storage.catalog.clone(),
            history: self.stage.storage.history.clone(),
            gate: Gate::Queue(Arc::new(self.waiting_room_service())),
            generation: Arc::default(),
            clock: self.stage.clock.clone(),
            entropy: Arc::new(TestEntropy),
        }
    }

    pub(crate) fn reservation_service(&self) -> ReservationService {
        ReservationService {
            reservations: self.stage.storage.reservations.clone(),
            catalog: self.stage.storage.catalog.clone(),
            gate: Gate::Queue(Arc::new(self.waiting_room_service())),
            account_locks: Arc::default(),
            entropy: Arc::new(TestEntropy),
            rules: selling_rules(),
        }
    }

    pub(crate) fn payment_service(&self) -> PaymentService {
        PaymentService {
            payments: self.stage.storage.payments.clone(),
            reservations: self.stage.storage.reservations.clone(),
            gate: Gate::Queue(Arc::new(self.waiting_room_service())),
            account_locks: Arc::default(),
            clock: self.stage.clock.clone(),
            entropy: Arc::new(TestEntropy),
        }
    }

    pub(crate) fn wallet_service(&self) -> WalletService {
        WalletService {
            wallets: self.stage.storage.wallets.clone(),
            inbox: self.stage.storage.gateway_inbox.clone(),
            gateway: Some(self.gateway.clone()),
            clock: self.stage.clock.clone(),
            entropy: Arc::new(TestEntropy),
            rules: selling_rules(),
            pending_max: chrono::TimeDelta::hours(1),
            action_max: chrono::TimeDelta::minutes(10),
        }
    }
}

fn empty_queues(stage: &Stage) -> Arc<MemoryWaitingRoom> {
    let settings = Settings {
        capacity: 1_000,
        queues_max: 100,
        admission_seconds: 600,
        no_show_seconds: 86_400,
        idle_admission_seconds: 0,
        joins_per_network_max: 2,
        reform_seconds: 0,
        poll_seconds_max: 20,
        restorable_seconds: 86_400,
    };
    Arc::new(MemoryWaitingRoom::new(stage.clock.clone(), settings))
}

pub(crate) fn hash_of(password: &Password) -> PasswordHash {
    PasswordHash(format!("hash of {}", password.expose()))
}

fn passwords() -> Arc<MockPasswordHasher> {
    mock(|hasher: &mut MockPasswordHasher| {
        hasher.expect_hash().returning(|password| Ok(hash_of(&password)));
        hasher.expect_verify().returning(|password, hash| Ok(hash == Some(hash_of(&password))));
        hasher.expect_is_current().returning(|_| true);
    })
}

/// Tokens that are numbers of what was issued.
fn access_tokens() -> Arc<MockAccessTokens> {
    let issued = Arc::new(Mutex::new(Vec::<AccessClaims>::new()));
    let known = issued.clone();
    mock(|tokens: &mut MockAccessTokens| {
        tokens.expect_issue().returning(move |claims, _| {
            let mut issued = issued.lock().unwrap_or_else(PoisonError::into_inner);
            issued.push(*claims);
            Ok((issued.len() - 1).to_string())
        });
        tokens.expect_verify().returning(move |token, now| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            let claims = token.parse().ok().and_then(|number: usize| known.get(number).copied());
            let claims = claims.ok_or(AccessTokenError::Invalid)?;
            if now < claims.expires_at { Ok(claims) } else { Err(AccessTokenError::Expired) }
        });
    })
}

/// An account in some session.
pub(crate) fn identity(account_id: AccountId, role: Role) -> Identity {
    Identity { account_id, session_id: SessionId::new(Uuid::from_u128(3)), role }
}

/// A promoter of other concerts.
pub(crate) fn other_promoter() -> Identity {
    identity(AccountId::new(Uuid::from_u128(2)), Role::Promoter)
}

pub(crate) fn admin() -> Identity {
    identity(AccountId::new(Uuid::from_u128(1)), Role::Admin)
}

/// A key with the fingerprint of what is asked under it.
pub(crate) fn under(key: &str, fingerprint: Fingerprint) -> Idempotency {
    Idempotency { key: IdempotencyKey::new(key).unwrap(), fingerprint }
}
