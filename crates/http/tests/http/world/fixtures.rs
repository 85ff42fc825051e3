//! What the ports give.

use boxoffice_domain::{
    AccountId, ConcertId, PerformanceId, Points, VenueId,
    accounts::{Account, LoginId, Role},
    catalog::{Concert, ConcertSummary, PerformanceSummary, SalesWindow, VenueSummary},
    fixtures::{self, instant},
    idempotency::Made,
    payments::{Payment, PaymentSource, PaymentState, PaymentView},
    reservations::{Reservation, ReservationState, ReservationView},
    text::Name,
    waiting_room::{Draw, PlaceNumber, QueuePlace, Standing},
    wallet::{Charge, ChargeRequest, ChargeState},
};
use uuid::Uuid;

pub(crate) const CONCERT: Uuid = Uuid::from_u128(0xC0);
pub(crate) const OTHER_CONCERT: Uuid = Uuid::from_u128(0xC1);
pub(crate) const PERFORMANCE: Uuid = Uuid::from_u128(0xF0);
pub(crate) const VENUE: Uuid = Uuid::from_u128(0xE0);
pub(crate) const CUSTOMER: AccountId = AccountId::new(Uuid::from_u128(0xA0));
pub(crate) const PROMOTER: AccountId = AccountId::new(Uuid::from_u128(0xA1));

pub(crate) fn place() -> QueuePlace {
    QueuePlace {
        concert_id: ConcertId::new(CONCERT),
        account_id: CUSTOMER,
        number: PlaceNumber(9),
        joined_at: instant(-60),
    }
}

pub(crate) fn active() -> Standing {
    Standing::Active { admitted_until: instant(600), active_until: instant(600) }
}

pub(crate) fn waiting(position: u64) -> Standing {
    Standing::Waiting { position: Some(position), estimated_wait_seconds: Some(12), poll_after_seconds: 2 }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn account(role: Role) -> Account {
    let login_id = LoginId::new("haneul").unwrap();
    Account { id: CUSTOMER, login_id, name: name("Haneul"), role, created_at: instant(-600) }
}

pub(crate) fn concert(version: u32) -> ConcertSummary {
    ConcertSummary {
        concert: Concert {
            id: ConcertId::new(CONCERT),
            promoter_id: Some(PROMOTER),
            sales: SalesWindow::new(instant(-60), instant(3_600)).unwrap(),
            version,
            ..fixtures::concert()
        },
        performances_count: 1,
        first_performance_at: Some(instant(7_200)),
        last_performance_at: Some(instant(7_200)),
    }
}

pub(crate) fn performance() -> PerformanceSummary {
    PerformanceSummary {
        id: PerformanceId::new(PERFORMANCE),
        concert_id: ConcertId::new(CONCERT),
        venue: VenueSummary { id: VenueId::new(VENUE), name: name("Hall"), location: name("Seoul") },
        starts_at: instant(7_200),
        seats_total: 3,
        seats_available: 2,
        price_min: points(55_000),
        price_max: points(99_000),
    }
}

pub(crate) fn points(points: i64) -> Points {
    Points::new(points).unwrap()
}

/// A reservation of two seats that was held at instant 0.
pub(crate) fn held() -> ReservationView {
    let performance = fixtures::terms();
    ReservationView { reservation: fixtures::held(&performance, &["A-1-1", "A-1-2"]), performance }
}

/// Its payment, at instant 9.
pub(crate) fn paid() -> PaymentView {
    let ReservationView { reservation, performance } = held();
    let request = fixtures::pay_request(&reservation);
    let payment = Payment {
        id: request.payment_id,
        account_id: reservation.account_id,
        concert_id: reservation.concert_id,
        reservation_id: reservation.id,
        amount: reservation.total_amount,
        source: PaymentSource::Wallet { balance_after: points(90_000) },
        paid_at: instant(9),
        state: PaymentState::Completed,
        queue_place: None,
        idempotency: request.idempotency,
    };
    let state = ReservationState::Confirmed { payment_id: payment.id };
    let reservation = Reservation { state, updated_at: instant(9), ..reservation };
    PaymentView { payment, reservation: ReservationView { reservation, performance } }
}

/// [`concert`] with a draw, whose sale opens this many seconds from now.
pub(crate) fn drawn(opens_in_seconds: i64) -> ConcertSummary {
    let summary = concert(3);
    let sales = SalesWindow::new(instant(opens_in_seconds), instant(3_600)).unwrap();
    let concert = Concert { draw: Some(Draw::new([7; 32])), sales, ..summary.concert };
    ConcertSummary { concert, ..summary }
}

/// The charge that a request makes.
pub(crate) fn charge_of(request: &ChargeRequest, state: ChargeState) -> Made<Charge> {
    Made::now(Charge {
        id: request.charge_id,
        account_id: request.account_id,
        amount: request.amount.points(),
        state,
        created_at: instant(0),
        idempotency: request.idempotency.clone(),
    })
}
