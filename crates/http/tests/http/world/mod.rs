//! The router with a mock behind each port.

mod client;
mod fixtures;
mod gateway;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::Router;
use boxoffice_application::{
    AccountService, CatalogGeneration, CatalogService, PaymentService, ReservationService, WaitingRoomService,
    WalletService,
    accounts::{EndedSessions, SessionSettings},
};
use boxoffice_domain::{
    AccountId, Clock, ConcertId, EntropySource, MockEntropySource, PerformanceId, SessionId,
    accounts::{
        AccessClaims, AccessTokenError, MockAccessTokens, MockAccounts, MockPasswordHasher, MockSessions, Role,
    },
    audit::MockReadiness,
    catalog::{ConcertSummary, MockCatalog},
    fixtures::{TestClock, instant, selling_rules},
    payments::{MockPaymentGateway, MockPayments, PaymentGateway},
    reservations::MockReservations,
    waiting_room::{
        MockQueueTokens, MockWaitingRoom, QueuePlace, QueueStatus, QueueToken, Recall, Standing, WaitingRoom,
    },
    wallet::MockWallets,
};
use boxoffice_http::{Draining, FreshnessMarks, HttpSettings, Services};
use boxoffice_peers::{Alone, Peers};
use uuid::Uuid;

pub(crate) use client::{Answer, Ask, delete, get, post};
pub(crate) use fixtures::{
    CONCERT, CUSTOMER, OTHER_CONCERT, PERFORMANCE, PROMOTER, VENUE, account, active, charge_of, concert, drawn, held,
    name, paid, performance, place, points, waiting,
};
pub(crate) use gateway::{SlowGateway, charge_points, slow_world};

/// The ports, with what every test needs expected of them, and the settings.
pub(crate) struct World {
    pub accounts: MockAccounts,
    pub sessions: MockSessions,
    pub passwords: MockPasswordHasher,
    pub access_tokens: MockAccessTokens,
    pub catalog: MockCatalog,
    pub waiting_room: MockWaitingRoom,
    /// Replaces the mock where a test has to wait in it.
    pub other_waiting_room: Option<Arc<dyn WaitingRoom>>,
    pub queue_tokens: MockQueueTokens,
    pub payments: MockPayments,
    pub reservations: MockReservations,
    pub wallets: MockWallets,
    pub gateway: MockPaymentGateway,
    pub other_gateway: Option<Arc<dyn PaymentGateway>>,
    pub readiness: MockReadiness,
    pub settings: HttpSettings,
    pub draining: Draining,
    pub peers: Arc<dyn Peers>,
    pub marks: Option<Arc<FreshnessMarks>>,
    pub generation: Arc<CatalogGeneration>,
}

/// As in production, without a limit for one client address.
fn settings() -> HttpSettings {
    HttpSettings {
        body_bytes_max: 65_536,
        request_timeout: Duration::from_secs(30),
        concurrent_requests_max: 4_096,
        account_requests_per_minute: 0,
        event_streams_max: 1_000,
        event_heartbeat: Duration::from_secs(15),
        cors_origins: Vec::new(),
        rules: selling_rules(),
        answers_kept_for: Duration::from_millis(250),
        trust_forwarded_for: false,
    }
}

impl World {
    /// Knows the access tokens `customer`, `promoter` and `expired`, and the customer's queue tokens `queue`
    /// for [`CONCERT`] and `elsewhere` for [`OTHER_CONCERT`]; `stranger` is another account's.
    pub(crate) fn new() -> Self {
        let mut access_tokens = MockAccessTokens::new();
        access_tokens.expect_verify().returning(|token, _| match token {
            "customer" => Ok(claims(CUSTOMER, Role::Customer)),
            "promoter" => Ok(claims(PROMOTER, Role::Promoter)),
            "expired" => Err(AccessTokenError::Expired),
            _ => Err(AccessTokenError::Invalid),
        });
        access_tokens.expect_issue().returning(|_, _| Ok("access".to_owned()));
        let mut queue_tokens = MockQueueTokens::new();
        queue_tokens.expect_seal().returning(|_| QueueToken("queue".to_owned()));
        queue_tokens.expect_open().returning(|token| match token {
            "queue" => Some(place()),
            "elsewhere" => Some(QueuePlace { concert_id: ConcertId::new(OTHER_CONCERT), ..place() }),
            "stranger" => Some(QueuePlace { account_id: PROMOTER, ..place() }),
            _ => None,
        });
        Self {
            accounts: MockAccounts::new(),
            sessions: MockSessions::new(),
            passwords: MockPasswordHasher::new(),
            access_tokens,
            catalog: MockCatalog::new(),
            waiting_room: MockWaitingRoom::new(),
            other_waiting_room: None,
            queue_tokens,
            payments: MockPayments::new(),
            reservations: MockReservations::new(),
            wallets: MockWallets::new(),
            gateway: MockPaymentGateway::new(),
            other_gateway: None,
            readiness: MockReadiness::new(),
            settings: settings(),
            draining: Draining::new(),
            peers: Arc::new(Alone),
            marks: None,
            generation: Arc::default(),
        }
    }

    /// A new world with this change.
    pub(crate) fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        change(&mut world);
        world
    }

    /// As [`Self::with`], with the customer admitted to [`CONCERT`] and the performance known.
    pub(crate) fn admitted(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::standing(active());
        change(&mut world);
        world
    }

    /// A new world that knows a concert, which may be changed.
    pub(crate) fn knowing(summary: ConcertSummary) -> Self {
        Self::with(|world| {
            world.catalog.expect_concert().returning(move |_| Ok(Some(summary.clone())));
            world.catalog.expect_update_concert().returning(|_| Ok(()));
        })
    }

    /// A new world in which the customer's place has this standing.
    pub(crate) fn standing(standing: Standing) -> Self {
        let mut world = Self::new();
        let status = move |place: &QueuePlace| Ok(Recall::Known(QueueStatus { place: *place, standing }));
        world.waiting_room.expect_status().returning(status);
        world
            .catalog
            .expect_concert_of()
            .returning(|id| Ok((id == PerformanceId::new(PERFORMANCE)).then_some(ConcertId::new(CONCERT))));
        world
    }

    pub(crate) fn router(self) -> Router {
        let (clock, draining): (Arc<dyn Clock>, _) = (Arc::new(TestClock::new()), self.draining.clone());
        let settings = self.settings.clone();
        let new_marks = || Arc::new(FreshnessMarks::new(settings.answers_kept_for));
        let marks = self.marks.clone().unwrap_or_else(new_marks);
        boxoffice_http::router(self.services(clock), settings, None, draining, marks)
    }

    fn services(self, clock: Arc<dyn Clock>) -> Services {
        let entropy = entropy();
        let (catalog, payments) = (Arc::new(self.catalog), Arc::new(self.payments));
        let waiting_room = self.other_waiting_room.unwrap_or_else(|| Arc::new(self.waiting_room));
        let reservations = Arc::new(self.reservations);
        let gate = Arc::new(WaitingRoomService {
            waiting_room: Arc::clone(&waiting_room),
            tokens: Arc::new(self.queue_tokens),
            catalog: catalog.clone(),
            payments: payments.clone(),
            reservations: reservations.clone(),
            terms: boxoffice_application::SaleTermsCache::default(),
            clock: Arc::clone(&clock),
        });
        Services {
            accounts: Arc::new(AccountService {
                accounts: Arc::new(self.accounts),
                sessions: Arc::new(self.sessions),
                passwords: Arc::new(self.passwords),
                tokens: Arc::new(self.access_tokens),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                settings: SessionSettings { access_seconds: 900, refresh_seconds: 2_592_000 },
                ended: EndedSessions::default(),
                peers: Arc::clone(&self.peers),
            }),
            catalog: Arc::new(CatalogService {
                catalog: catalog.clone(),
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                generation: self.generation,
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            }),
            reservations: Arc::new(ReservationService {
                reservations: reservations.clone(),
                catalog,
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                account_locks: Arc::default(),
                entropy: Arc::clone(&entropy),
                rules: selling_rules(),
            }),
            payments: Arc::new(PaymentService {
                payments,
                reservations,
                gate: Arc::clone(&gate),
                waiting_room,
                account_locks: Arc::default(),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            }),
            wallet: Arc::new(WalletService {
                wallets: Arc::new(self.wallets),
                gateway: self.other_gateway.unwrap_or_else(|| Arc::new(self.gateway)),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
                rules: selling_rules(),
            }),
            waiting_room: gate,
            peers: self.peers,
            readiness: Arc::new(self.readiness),
            entropy,
            clock,
        }
    }

    /// The response to one request.
    pub(crate) async fn answer(self, request: Ask) -> Answer {
        request.send(&self.router()).await
    }
}

pub(crate) fn entropy() -> Arc<dyn EntropySource> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let mut entropy = MockEntropySource::new();
    entropy.expect_uuid().returning(|| Uuid::from_u64_pair(7, LAST.fetch_add(1, Ordering::Relaxed)));
    entropy.expect_secret().returning(|| [7; 32]);
    Arc::new(entropy)
}

fn claims(account_id: AccountId, role: Role) -> AccessClaims {
    let session_id = SessionId::new(Uuid::from_u128(0x50));
    AccessClaims { account_id, session_id, role, expires_at: instant(900) }
}
