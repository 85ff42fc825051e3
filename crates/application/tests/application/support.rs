//! What the tests of every service start from: a world of mocks in which nothing is expected, and the few
//! entities that everything is about.

use std::sync::Arc;

use boxoffice_application::{
    AccountService, CatalogService, Identity, PaymentService, ReservationService, WaitingRoomService, WalletService,
    accounts::{EndedSessions, SessionSettings},
};
use boxoffice_domain::{
    AccountId, ConcertId, MockEntropySource, PaymentId, PerformanceId, Points, ReservationId, SessionId, Timestamp,
    VenueId,
    accounts::{MockAccessTokens, MockAccounts, MockPasswordHasher, MockSessions, Role},
    catalog::{Concert, ConcertSummary, MockCatalog, PerformanceTerms, SalesWindow, VenueSummary},
    fixtures::{self, instant},
    idempotency::{Fingerprint, Idempotency, IdempotencyKey},
    payments::{MockPaymentGateway, MockPayments},
    reservations::{
        HOLD_SECONDS_DEFAULT, MockReservations, Reservation, ReservationState, ReservationView, ReservedSeat, SeatLabel,
    },
    text::{Description, Name},
    time::MockClock,
    waiting_room::{Draw, MockQueueTokens, MockWaitingRoom, PlaceNumber, QueuePlace, QueueStatus, Recall, Standing},
    wallet::{BALANCE_MAX, MockWallets},
};
use mockall::predicate::eq;
use uuid::Uuid;

pub(crate) const ACCOUNT: AccountId = AccountId::new(Uuid::from_u128(1));
pub(crate) const STRANGER: AccountId = AccountId::new(Uuid::from_u128(2));
pub(crate) const SESSION: SessionId = SessionId::new(Uuid::from_u128(3));
pub(crate) const CONCERT: ConcertId = ConcertId::new(Uuid::from_u128(4));
pub(crate) const OTHER_CONCERT: ConcertId = ConcertId::new(Uuid::from_u128(5));
pub(crate) const PERFORMANCE: PerformanceId = PerformanceId::new(Uuid::from_u128(6));
pub(crate) const RESERVATION: ReservationId = ReservationId::new(Uuid::from_u128(7));
pub(crate) const VENUE: VenueId = VenueId::new(Uuid::from_u128(9));
pub(crate) const PAYMENT: PaymentId = PaymentId::new(Uuid::from_u128(8));
/// What the entropy source gives to a request that makes something.
pub(crate) const NEW_ID: Uuid = Uuid::from_u128(0xF00D);
pub(crate) const MAX_ACTIVE: u32 = 70;

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

/// All ports, each a mock that expects no call. Only the clock can be read at any time.
pub(crate) struct World {
    pub(crate) accounts: MockAccounts,
    pub(crate) sessions: MockSessions,
    pub(crate) passwords: MockPasswordHasher,
    pub(crate) access_tokens: MockAccessTokens,
    pub(crate) catalog: MockCatalog,
    pub(crate) waiting_room: MockWaitingRoom,
    pub(crate) queue_tokens: MockQueueTokens,
    pub(crate) reservations: MockReservations,
    pub(crate) payments: MockPayments,
    pub(crate) wallets: MockWallets,
    pub(crate) gateway: MockPaymentGateway,
    pub(crate) entropy: MockEntropySource,
    clock: MockClock,
}

impl World {
    /// At [`instant`] 0.
    pub(crate) fn new() -> Self {
        Self::at(instant(0))
    }

    pub(crate) fn at(now: Timestamp) -> Self {
        let mut clock = MockClock::new();
        clock.expect_now().return_const(now);
        Self {
            accounts: MockAccounts::new(),
            sessions: MockSessions::new(),
            passwords: MockPasswordHasher::new(),
            access_tokens: MockAccessTokens::new(),
            catalog: MockCatalog::new(),
            waiting_room: MockWaitingRoom::new(),
            queue_tokens: MockQueueTokens::new(),
            reservations: MockReservations::new(),
            payments: MockPayments::new(),
            wallets: MockWallets::new(),
            gateway: MockPaymentGateway::new(),
            entropy: MockEntropySource::new(),
            clock,
        }
    }

    /// One id is made: [`NEW_ID`].
    pub(crate) fn makes_an_id(&mut self) {
        self.entropy.expect_uuid().times(1).return_const(NEW_ID);
    }

    /// The waiting room is asked once about [`place`], which stands so.
    pub(crate) fn ticket_stands(&mut self, standing: Standing) {
        let status = QueueStatus { place: place(), standing };
        self.waiting_room.expect_status().with(eq(place())).times(1).return_once(move |_| Ok(Recall::Known(status)));
    }

    /// The catalogue is asked once of which concert [`PERFORMANCE`] is.
    pub(crate) fn performance_is_of(&mut self, concert_id: Option<ConcertId>) {
        self.catalog.expect_concert_of().with(eq(PERFORMANCE)).times(1).return_once(move |_| Ok(concert_id));
    }

    /// The catalogue is asked this often about [`CONCERT`].
    pub(crate) fn concert_is_read(&mut self, times: usize, concert: Option<Concert>) {
        let summary = concert.map(summary);
        self.catalog.expect_concert().with(eq(CONCERT)).times(times).returning(move |_| Ok(summary.clone()));
    }

    /// The waiting room gets the terms of the queue of [`CONCERT`] once.
    pub(crate) fn waiting_room_gets_terms_of(&mut self, concert: &Concert) {
        let terms = concert.queue_terms();
        self.waiting_room.expect_set_terms().with(eq(CONCERT), eq(terms)).times(1).return_once(|_, _| Ok(()));
    }

    pub(crate) fn account_service(self) -> AccountService {
        AccountService {
            accounts: Arc::new(self.accounts),
            sessions: Arc::new(self.sessions),
            passwords: Arc::new(self.passwords),
            tokens: Arc::new(self.access_tokens),
            clock: Arc::new(self.clock),
            entropy: Arc::new(self.entropy),
            settings: SessionSettings::default(),
            ended: EndedSessions::default(),
            peers: Arc::new(boxoffice_peers::Alone),
        }
    }

    pub(crate) fn waiting_room_service(self) -> WaitingRoomService {
        WaitingRoomService {
            waiting_room: Arc::new(self.waiting_room),
            tokens: Arc::new(self.queue_tokens),
            catalog: Arc::new(self.catalog),
            payments: Arc::new(self.payments),
            reservations: Arc::new(self.reservations),
            terms: boxoffice_application::SaleTermsCache::default(),
            clock: Arc::new(self.clock),
        }
    }

    pub(crate) fn catalog_service(mut self) -> CatalogService {
        let entropy = Arc::new(std::mem::take(&mut self.entropy));
        let gate = self.waiting_room_service();
        CatalogService {
            catalog: Arc::clone(&gate.catalog),
            waiting_room: Arc::clone(&gate.waiting_room),
            generation: Arc::default(),
            clock: Arc::clone(&gate.clock),
            gate: Arc::new(gate),
            entropy,
        }
    }

    pub(crate) fn reservation_service(mut self) -> ReservationService {
        let entropy = Arc::new(std::mem::take(&mut self.entropy));
        let gate = self.waiting_room_service();
        ReservationService {
            reservations: Arc::clone(&gate.reservations),
            catalog: Arc::clone(&gate.catalog),
            waiting_room: Arc::clone(&gate.waiting_room),
            account_locks: Arc::default(),
            gate: Arc::new(gate),
            entropy,
            hold_seconds: HOLD_SECONDS_DEFAULT,
        }
    }

    pub(crate) fn payment_service(mut self) -> PaymentService {
        let entropy = Arc::new(std::mem::take(&mut self.entropy));
        let gate = self.waiting_room_service();
        PaymentService {
            payments: Arc::clone(&gate.payments),
            reservations: Arc::clone(&gate.reservations),
            waiting_room: Arc::clone(&gate.waiting_room),
            account_locks: Arc::default(),
            clock: Arc::clone(&gate.clock),
            gate: Arc::new(gate),
            entropy,
        }
    }

    pub(crate) fn wallet_service(self) -> WalletService {
        WalletService {
            wallets: Arc::new(self.wallets),
            gateway: Arc::new(self.gateway),
            clock: Arc::new(self.clock),
            entropy: Arc::new(self.entropy),
            balance_max: points(BALANCE_MAX),
        }
    }
}

pub(crate) fn identity(role: Role) -> Identity {
    Identity { account_id: ACCOUNT, session_id: SESSION, role }
}

pub(crate) fn customer() -> Identity {
    identity(Role::Customer)
}

pub(crate) fn promoter() -> Identity {
    identity(Role::Promoter)
}

pub(crate) fn other_promoter() -> Identity {
    Identity { account_id: STRANGER, ..promoter() }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn points(points: i64) -> Points {
    Points::new(points).unwrap()
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

/// A key with the fingerprint of what is asked under it.
pub(crate) fn asked(key_text: &str, what: &str) -> Idempotency {
    let mut fingerprint = [0; 16];
    what.bytes().zip(&mut fingerprint).for_each(|(byte, digit)| *digit = byte);
    Idempotency { key: key(key_text), fingerprint: Fingerprint(fingerprint) }
}

/// The place of [`ACCOUNT`] for [`CONCERT`].
pub(crate) fn place() -> QueuePlace {
    QueuePlace { concert_id: CONCERT, account_id: ACCOUNT, number: PlaceNumber(42), joined_at: instant(-60) }
}

pub(crate) fn waiting() -> Standing {
    Standing::Waiting { position: Some(9), estimated_wait_seconds: Some(30), poll_after_seconds: 2 }
}

/// Admitted until 600 seconds after [`instant`] 0, with no hold that lasts longer.
pub(crate) fn active() -> Standing {
    Standing::Active { admitted_until: instant(600), active_until: instant(600) }
}

/// On sale from [`instant`] -100 to 100, published by [`ACCOUNT`].
pub(crate) fn concert() -> Concert {
    Concert {
        id: CONCERT,
        promoter_id: Some(ACCOUNT),
        title: name("Night of Songs"),
        artist: name("The Waiting"),
        description: Description::default(),
        sales: SalesWindow::new(instant(-100), instant(100)).unwrap(),
        max_seats_per_account: 4,
        max_active: MAX_ACTIVE,
        draw: None,
        paused: false,
        emptied_at: None,
        version: 3,
        created_at: instant(-1_000),
    }
}

pub(crate) const DRAW: Draw = Draw::new([7; 32]);

/// [`concert`] with a draw, on sale from [`instant`] 50 to 100.
pub(crate) fn drawn_concert() -> Concert {
    Concert { draw: Some(DRAW), sales: SalesWindow::new(instant(50), instant(100)).unwrap(), ..concert() }
}

pub(crate) fn summary(concert: Concert) -> ConcertSummary {
    let starts_at = Some(instant(9_000));
    ConcertSummary { concert, performances_count: 1, first_performance_at: starts_at, last_performance_at: starts_at }
}

/// [`RESERVATION`] of the seat `A-1-1`, held at [`instant`] 0 until 300, and come this far since.
pub(crate) fn reservation(state: ReservationState) -> ReservationView {
    let reservation = Reservation {
        id: RESERVATION,
        account_id: ACCOUNT,
        performance_id: PERFORMANCE,
        concert_id: CONCERT,
        seats: vec![ReservedSeat { label: SeatLabel::new("A-1-1").unwrap(), price: points(55_000) }],
        total_amount: points(55_000),
        state,
        held_until: instant(300),
        created_at: instant(0),
        updated_at: instant(0),
        idempotency: None,
    };
    let terms = fixtures::terms();
    let venue = VenueSummary { id: VENUE, ..terms.venue };
    let performance = PerformanceTerms { id: PERFORMANCE, concert_id: CONCERT, venue, ..terms };
    ReservationView { reservation, performance }
}

pub(crate) fn held() -> ReservationView {
    reservation(ReservationState::Held { until: instant(300) })
}
