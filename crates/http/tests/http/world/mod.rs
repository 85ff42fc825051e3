//! The router over a storage and queues in memory, with a concert on sale. A test replaces a port by a mock if the port has
//! to fail, or must not be called.

mod client;
pub(crate) mod operations;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::Router;
use boxoffice_application::{
    AccountService, CatalogGeneration, CatalogService, Gate, MaintenanceMode, PaymentService, ReservationService,
    SaleTermsCache, SaleWatch, WaitingRoomService, WalletService, WebhookService,
    accounts::{Guesses, KnownAccounts, Revocations, SessionSettings},
};
use boxoffice_contracts::{
    memory::MemoryStore,
    storage::{Show, Stage, Storage},
};
use boxoffice_domain::{
    AccountId, SessionId, Timestamp,
    accounts::{
        AccessClaims, AccessTokenError, GuessingRule, MockAccessTokens, MockPasswordHasher, PasswordHash,
        PasswordHasher, Role,
    },
    catalog::Concert,
    fixtures::{self, TestClock, TestEntropy, instant, selling_rules},
    gateway::{
        GatewayAnswer, GatewayError, GatewayRecord, GatewayReference, GatewayRefund, GatewayRequest, GatewayState,
        HeaderField, MockPaymentGateway, Notification, NotificationRefusal, PaymentGateway, RefundVerdict,
    },
    waiting_room::{JoinRequest, QueuePlace, QueueTokens, WaitingRoom},
    webhooks::{AttemptOutcome, DeliveryToSend, Webhook, WebhookTransport, WebhookUrlRefusal},
};
use boxoffice_http::{Draining, FreshnessMarks, HttpSettings, ReadinessCheck, Services};
use boxoffice_peers::{Alone, Peers};
use boxoffice_waiting_room::{MemoryWaitingRoom, Settings, SignedTokens};
use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use uuid::Uuid;

pub(crate) use client::{Answer, Ask, delete, from, get, patch, post};

/// What a seat of section A costs.
pub(crate) const PRICE: i64 = boxoffice_contracts::storage::PRICE_A;
/// What the customer has in the beginning.
pub(crate) const BALANCE: i64 = 10_000;
/// An id that nothing has.
pub(crate) const NOTHING: Uuid = Uuid::from_u128(0xF00);

/// A mock that expects these calls, and panics at any other.
pub(crate) fn mock<M: Default>(expect: impl FnOnce(&mut M)) -> Arc<M> {
    let mut mock = M::default();
    expect(&mut mock);
    Arc::new(mock)
}

/// A concert on sale, and what the services are built on.
pub(crate) struct World {
    pub stage: Stage,
    pub show: Show,
    /// The account of the access token `customer`. Its wallet has [`BALANCE`] points.
    pub customer: AccountId,
    /// The account of the access token `stranger`. Its wallet is empty.
    pub stranger: AccountId,
    /// The queues, also while [`Self::waiting_room`] is a mock.
    pub queues: Arc<MemoryWaitingRoom>,
    pub waiting_room: Arc<dyn WaitingRoom>,
    pub account_age_min: TimeDelta,
    pub mails_are_sent: bool,
    /// That of the stage, for the mail that is queued there.
    pub store: Arc<MemoryStore>,
    pub passwords: Arc<dyn PasswordHasher>,
    pub gateway: Option<Arc<dyn PaymentGateway>>,
    /// Whether the product has neither queues nor payments nor wallets.
    pub seats_only: bool,
    pub settings: HttpSettings,
    pub metrics: Option<PrometheusHandle>,
    pub draining: Draining,
    pub peers: Arc<dyn Peers>,
    pub marks: Arc<FreshnessMarks>,
    pub generation: Arc<CatalogGeneration>,
}

/// As in production, without limits for one client.
fn settings() -> HttpSettings {
    HttpSettings {
        body_bytes_max: 65_536,
        request_timeout: Duration::from_secs(30),
        slow_client: Duration::from_secs(5),
        bodies_bytes_max: 256 * 1_024 * 1_024,
        concurrent_requests_max: 4_096,
        account_requests_in_flight: 0,
        account_acts_per_second: 0,
        account_acts_burst: 40,
        account_requests_per_minute: 0,
        session_refreshes_per_minute: 0,
        hashing_parallel: 1,
        hashing_waiting_max: 200,
        event_streams_max: 1_000,
        event_streams_per_account: 0,
        event_streams_per_network: 0,
        active_poll_seconds: 4,
        event_heartbeat: Duration::from_secs(15),
        docs: true,
        cors_origins: Vec::new(),
        rules: selling_rules(),
        answers_kept_for: Duration::from_millis(250),
        trust_forwarded_for: false,
        tls: false,
    }
}

/// Sends nothing, and refuses one host.
struct Nowhere;

#[async_trait]
impl WebhookTransport for Nowhere {
    fn check(&self, url: &str) -> Result<String, WebhookUrlRefusal> {
        if url.contains("127.0.0.1") { Err(WebhookUrlRefusal::PrivateAddress) } else { Ok(url.to_owned()) }
    }

    async fn send(&self, _: &Webhook, _: &DeliveryToSend, _: Timestamp) -> AttemptOutcome {
        panic!("no test of routes sends anything")
    }
}

impl World {
    /// At [`instant`](boxoffice_domain::fixtures::instant) 0, a day after the sale opened. The gateway approves everything.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(TestClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone(), Arc::new(TestEntropy)));
        let stage = Stage::new(Storage::of(Arc::clone(&store)), clock.clone());
        let queue_settings = Settings {
            capacity: 1_000,
            queues_max: 100,
            admission_seconds: 600,
            no_show_seconds: 86_400,
            idle_admission_seconds: 0,
            joins_per_network_max: 1,
            reform_seconds: 0,
            poll_seconds_max: 20,
            restorable_seconds: 86_400,
        };
        let queues = Arc::new(MemoryWaitingRoom::new(clock, queue_settings));
        let settings = settings();
        Self {
            show: stage.show().await,
            customer: stage.account_with(BALANCE).await,
            stranger: stage.account().await,
            stage,
            waiting_room: queues.clone(),
            account_age_min: TimeDelta::zero(),
            queues,
            mails_are_sent: true,
            store,
            passwords: passwords(),
            gateway: Some(mock(|gateway: &mut MockPaymentGateway| {
                gateway.expect_begin().returning(|_| Ok(approved()));
                gateway.expect_refund().returning(|_| Ok(RefundVerdict::Accepted));
            })),
            seats_only: false,
            metrics: None,
            draining: Draining::new(),
            peers: Arc::new(Alone),
            marks: Arc::new(FreshnessMarks::new(settings.answers_kept_for)),
            generation: Arc::default(),
            settings,
        }
    }

    /// With responses kept for this time.
    pub(crate) async fn keeping(kept_for: Duration) -> Self {
        let mut world = Self::new().await;
        world.settings.answers_kept_for = kept_for;
        world.marks = Arc::new(FreshnessMarks::new(kept_for));
        world
    }

    pub(crate) fn router(&self) -> Router {
        let marks = Arc::clone(&self.marks);
        let (settings, metrics) = (self.settings.clone(), self.metrics.clone());
        boxoffice_http::router(self.services(), settings, metrics, self.draining.clone(), marks, None)
    }

    /// The response to one request.
    pub(crate) async fn answer(&self, request: Ask) -> Answer {
        request.send(&self.router()).await
    }

    fn services(&self) -> Services {
        let (storage, clock) = (self.stage.storage.clone(), self.stage.clock.clone());
        let maintenance = Arc::new(MaintenanceMode::new(storage.maintenance.clone()));
        let known = Arc::new(KnownAccounts::new(storage.accounts.clone(), clock.clone()));
        let waiting_room = WaitingRoomService {
            known: Arc::clone(&known),
            waiting_room: self.waiting_room.clone(),
            tokens: Arc::new(queue_tokens()),
            accounts: storage.accounts.clone(),
            emails: storage.emails.clone(),
            catalog: storage.catalog.clone(),
            payments: storage.payments.clone(),
            reservations: storage.reservations.clone(),
            terms: SaleTermsCache::default(),
            maintenance: Arc::clone(&maintenance),
            sales: SaleWatch::default(),
            clock: clock.clone(),
            account_age_min: self.account_age_min,
        };
        let gate = if self.seats_only { Gate::OpenDoor } else { Gate::Queue(Arc::new(waiting_room)) };
        Services {
            accounts: Arc::new(AccountService {
                accounts: storage.accounts,
                sessions: storage.sessions,
                records: storage.records,
                factors: storage.factors,
                emails: storage.emails,
                resets: storage.resets,
                passwords: Arc::clone(&self.passwords),
                tokens: named_tokens(self),
                clock: clock.clone(),
                entropy: Arc::new(TestEntropy),
                settings: SessionSettings {
                    access_seconds: 900,
                    refresh_seconds: 2_592_000,
                    refresh_grace_seconds: 20,
                    session_days_max: 90,
                    sessions_per_account: 20,
                    staff_needs_second_factor: false,
                    demo: false,
                    mails_are_sent: self.mails_are_sent,
                    guessing: GuessingRule { free: 5, wait_seconds_max: 10 },
                },
                guesses: Guesses::default(),
                known,
                revocations: Revocations::default(),
                peers: Arc::clone(&self.peers),
            }),
            catalog: Arc::new(CatalogService {
                catalog: storage.catalog.clone(),
                history: storage.history.clone(),
                gate: gate.clone(),
                generation: Arc::clone(&self.generation),
                clock: clock.clone(),
                entropy: Arc::new(TestEntropy),
            }),
            reservations: Arc::new(ReservationService {
                reservations: storage.reservations.clone(),
                catalog: storage.catalog,
                gate: gate.clone(),
                account_locks: Arc::default(),
                entropy: Arc::new(TestEntropy),
                rules: self.settings.rules,
            }),
            payments: (!self.seats_only).then(|| {
                Arc::new(PaymentService {
                    payments: storage.payments,
                    reservations: storage.reservations,
                    gate,
                    account_locks: Arc::default(),
                    clock: clock.clone(),
                    entropy: Arc::new(TestEntropy),
                })
            }),
            wallet: (!self.seats_only).then(|| {
                Arc::new(WalletService {
                    wallets: storage.wallets,
                    inbox: storage.gateway_inbox,
                    gateway: self.gateway.clone(),
                    clock: clock.clone(),
                    entropy: Arc::new(TestEntropy),
                    rules: selling_rules(),
                    pending_max: chrono::TimeDelta::hours(24),
                    action_max: chrono::TimeDelta::minutes(30),
                })
            }),
            webhooks: (!self.seats_only).then(|| {
                Arc::new(WebhookService {
                    webhooks: storage.webhooks,
                    deliveries: storage.webhook_deliveries,
                    transport: Arc::new(Nowhere),
                    clock: clock.clone(),
                    entropy: Arc::new(TestEntropy),
                })
            }),
            peers: Arc::clone(&self.peers),
            maintenance,
            readiness: Arc::new(ReadinessCheck::new(storage.readiness)),
            entropy: Arc::new(TestEntropy),
            clock,
        }
    }

    /// The place that an account gets in the queue of the concert.
    pub(crate) async fn join(&self, account_id: AccountId) -> QueuePlace {
        let concert = &self.show.concert;
        let (concert_id, terms) = (concert.id, concert.queue_terms());
        let request = JoinRequest { concert_id, account_id, terms, draw: None, network: None };
        self.queues.join(request).await.unwrap().status.place
    }

    /// The queue token of an account, which is admitted if there is room.
    pub(crate) async fn token_of(&self, account_id: AccountId) -> String {
        token(&self.join(account_id).await)
    }

    /// The queue token of the customer, who is admitted if there is room.
    pub(crate) async fn token(&self) -> String {
        self.token_of(self.customer).await
    }

    /// The token of the customer, who waits behind one account for each of the first `positions`.
    pub(crate) async fn waiting_at(&mut self, position: usize) -> (String, Vec<QueuePlace>) {
        self.change_concert(|concert| concert.max_active = 1).await;
        let mut ahead = Vec::new();
        for account_id in self.stage.accounts(position).await {
            ahead.push(self.join(account_id).await);
        }
        (self.token().await, ahead)
    }

    /// The queue token of the customer for another concert.
    pub(crate) async fn token_elsewhere(&self) -> String {
        let concert = self.stage.show().await.concert;
        let (concert_id, account_id, terms) = (concert.id, self.customer, concert.queue_terms());
        let request = JoinRequest { concert_id, account_id, terms, draw: None, network: None };
        token(&self.queues.join(request).await.unwrap().status.place)
    }

    /// Changes the concert in the storage, of which no service hears.
    pub(crate) async fn change_concert(&mut self, change: impl FnOnce(&mut Concert)) {
        change(&mut self.show.concert);
        self.show.concert.version += 1;
        self.stage.storage.catalog.update_concert(self.show.concert.clone(), fixtures::staff_act()).await.unwrap();
    }

    /// Replaces the payment gateway by one that waits for the test.
    pub(crate) fn slow_gateway(&mut self) -> Arc<SlowGateway> {
        let gateway = Arc::new(SlowGateway { asked: Notify::new(), let_go: Semaphore::new(0) });
        self.gateway = Some(gateway.clone());
        gateway
    }

    pub(crate) fn concert_path(&self) -> String {
        format!("/v1/concerts/{}", self.show.concert.id)
    }

    pub(crate) fn performance_path(&self) -> String {
        format!("/v1/performances/{}", self.show.performance_id)
    }

    pub(crate) fn seats_path(&self) -> String {
        format!("{}/seats", self.performance_path())
    }

    /// A request to join the queue.
    pub(crate) fn ask_join(&self) -> Ask {
        post(format!("{}/queue", self.concert_path()), Value::Null).signed_in("customer")
    }
}

/// A request of the customer to hold seats.
pub(crate) fn ask_hold(token: &str, performance_id: Uuid, labels: &[&str]) -> Ask {
    post("/v1/reservations", json!({"performance_id": performance_id, "seats": labels})).queued(token)
}

/// A request of the customer to pay, under a key.
pub(crate) fn ask_pay(token: &str, reservation_id: Uuid, key: &str) -> Ask {
    post("/v1/payments", json!({ "reservation_id": reservation_id })).queued(token).key(key)
}

pub(crate) fn ask_cancel(reservation_id: Uuid) -> Ask {
    post(format!("/v1/reservations/{reservation_id}/cancel"), Value::Null).signed_in("customer")
}

/// A request of the customer to charge points, under a key.
pub(crate) fn ask_charge(amount: i64, key: &str) -> Ask {
    post("/v1/wallet/charges", json!({ "amount": amount })).signed_in("customer").key(key)
}

pub(crate) fn ask_sign_up() -> Ask {
    post("/v1/accounts", json!({"login_id": "haneul", "password": "long enough", "name": " Haneul "}))
}

pub(crate) fn ask_sign_in() -> Ask {
    post("/v1/sessions", json!({"login_id": "haneul", "password": "long enough"}))
}

pub(crate) fn token(place: &QueuePlace) -> String {
    queue_tokens().seal(place).0
}

fn queue_tokens() -> SignedTokens {
    SignedTokens::new(&[7; 32], &[])
}

fn passwords() -> Arc<MockPasswordHasher> {
    mock(|hasher: &mut MockPasswordHasher| {
        let hash_of = |password: &boxoffice_domain::accounts::Password| PasswordHash(password.expose().to_owned());
        hasher.expect_hash().returning(move |password| Ok(hash_of(&password)));
        hasher.expect_verify().returning(move |password, hash| Ok(hash == Some(hash_of(&password))));
        hasher.expect_is_current().returning(|_| true);
    })
}

/// When the access token `brief` expires.
pub(crate) const BRIEF_SECONDS: i64 = 10;

/// Access tokens that are the names of accounts. `nobody` is one of an account that is gone, `expired` an old one, and
/// `brief` one of the customer that will be.
fn named_tokens(world: &World) -> Arc<MockAccessTokens> {
    let (customer, stranger, promoter) = (world.customer, world.stranger, world.show.promoter_id);
    mock(|tokens: &mut MockAccessTokens| {
        tokens.expect_issue().returning(|_, _| Ok("issued".to_owned()));
        tokens.expect_verify().returning(move |token, now| {
            let (account_id, role) = match token {
                "customer" => (customer, Role::Customer),
                "stranger" => (stranger, Role::Customer),
                "promoter" => (promoter, Role::Promoter),
                "colleague" => (stranger, Role::Promoter),
                "admin" => (stranger, Role::Admin),
                "nobody" => (AccountId::new(NOTHING), Role::Customer),
                "brief" if now < instant(BRIEF_SECONDS) => (customer, Role::Customer),
                "expired" | "brief" => return Err(AccessTokenError::Expired),
                _ => return Err(AccessTokenError::Invalid),
            };
            let session_id = SessionId::new(Uuid::from_u128(0x50));
            Ok(AccessClaims {
                account_id,
                session_id,
                role,
                access_version: 0,
                has_second_factor: false,
                expires_at: now,
            })
        });
    })
}

/// A gateway that approves when the test lets it.
pub(crate) struct SlowGateway {
    pub asked: Notify,
    pub let_go: Semaphore,
}

/// A payment that was made.
pub(crate) fn approved() -> GatewayAnswer {
    GatewayAnswer { reference: GatewayReference::new("pi_1"), state: GatewayState::Approved }
}

#[async_trait]
impl PaymentGateway for SlowGateway {
    async fn begin(&self, _request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        self.asked.notify_one();
        self.let_go.acquire().await.expect("never closed").forget();
        Ok(approved())
    }

    async fn query(&self, _request: &GatewayRequest) -> Result<Option<GatewayAnswer>, GatewayError> {
        Ok(None)
    }

    async fn abandon(&self, _request: &GatewayRequest) -> Result<GatewayAnswer, GatewayError> {
        Err(GatewayError::Unsupported)
    }

    async fn refund(&self, _refund: &GatewayRefund) -> Result<RefundVerdict, GatewayError> {
        Err(GatewayError::Unsupported)
    }

    fn verify_notification(
        &self,
        _fields: &[HeaderField],
        _body: &[u8],
        _now: Timestamp,
    ) -> Result<Notification, NotificationRefusal> {
        Err(NotificationRefusal::NotExpected)
    }

    async fn records(
        &self,
        _from: Timestamp,
        _until: Timestamp,
        _limit: usize,
    ) -> Result<Vec<GatewayRecord>, GatewayError> {
        Err(GatewayError::Unsupported)
    }
}
