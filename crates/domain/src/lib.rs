//! The rules of selling concert seats, with nothing else around them.
//!
//! This crate holds the entities, the value types, the state transitions and the ports of
//! [boxoffice](https://en.wikipedia.org/wiki/Box_office): a seller that keeps its promises when far
//! more people want tickets than there are seats. It does no I/O, starts no runtime, speaks neither
//! SQL nor HTTP, and never reads a clock: whoever calls a rule says what time it is. That makes each
//! rule a function to be tested with plain values, and the crate one to be reused in another product.
//!
//! # A guide in five steps
//!
//! 1. **Values** parse at the edge and are right from then on: [`Points`], [`text::Name`], [`accounts::LoginId`],
//!    [`seats::SeatLabel`], [`seats::SeatSelection`], [`wallet::ChargeAmount`].
//! 2. **Entities** carry their state as an enum with its data: [`seats::Seat`], [`reservations::Reservation`],
//!    [`payments::Payment`], [`wallet::Wallet`], [`wallet::Charge`].
//! 3. **Decisions** are in [`sale`]: a batch of commands is decided over loaded rows and `now`, and gives the rows to be
//!    saved. Nothing else decides about seats and points.
//! 4. **Ports** are the traits an adapter implements: one method is one atomic business act, and its documentation says
//!    what an implementor must return in each case. The feature `mocks` has a mock of each.
//! 5. **Events** in [`events`] name what happened; an adapter stores them in the transaction of their cause (the
//!    transactional outbox).
//!
//! # What always holds
//!
//! * A seat belongs to at most one live reservation: one that is confirmed, or held and not lapsed.
//! * A reservation has all of its seats or none.
//! * A hold's validity is its timestamp. Nothing depends on a sweeper having run.
//! * A wallet's balance equals the sum of its entries, and is never negative.
//! * A confirmed reservation has exactly one completed payment, of exactly its amount.
//! * A payment is refunded at most once, and only with the cancellation of its reservation.
//!
//! # An example: charge, hold, pay, cancel
//!
//! ```
//! use boxoffice_domain::{fixtures::{self, SaleTables}, gateway::GatewayVerdict, sale::{Command, Outcome}, wallet::Wallet};
//!
//! let now = fixtures::instant(0);
//! let terms = fixtures::terms();
//! let charge = fixtures::charge_request(200_000);
//! let (account_id, charge_id) = (charge.account_id, charge.charge_id);
//!
//! // A storage, with a performance on sale and an account.
//! let mut tables = SaleTables::default();
//! let seats = fixtures::seats(&["A-1-1", "A-1-2"]);
//! tables.seats.insert(terms.id, seats.into_iter().map(|seat| (seat.label.clone(), seat)).collect());
//! tables.terms.insert(terms.id, terms.clone());
//! tables.wallets.insert(account_id, Wallet::new(account_id, now));
//!
//! // One batch is one transaction; a command sees what the earlier ones did.
//! let mut hold = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
//! hold.account_id = account_id;
//! let outcomes = tables.write(now, &[
//!     Command::BeginCharge(charge),
//!     Command::CompleteCharge { charge_id, account_id, verdict: GatewayVerdict::Approved },
//!     Command::Hold(hold),
//! ]);
//! let Ok(Outcome::Hold(Ok(held))) = &outcomes[2] else { panic!("the seats are free") };
//! assert_eq!(held.value.reservation.total_amount.get(), 110_000);
//!
//! tables.write(now, &[Command::Pay(fixtures::pay_request(&held.value.reservation))]);
//! assert_eq!(tables.wallets[&account_id].balance.get(), 90_000);
//! tables.write(now, &[Command::Cancel(fixtures::cancel_request(&held.value.reservation))]);
//! assert_eq!(tables.wallets[&account_id].balance.get(), 200_000);
//! assert_eq!(tables.entries.iter().map(|entry| entry.amount).collect::<Vec<_>>(), [200_000, -110_000, 110_000]);
//! ```

#![deny(missing_docs)]

pub mod accounts;
pub mod audit;
pub mod catalog;
mod error;
pub mod events;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod gateway;
pub mod idempotency;
mod ids;
pub mod page;
pub mod payments;
mod points;
pub mod reservations;
pub mod sale;
pub mod seats;
pub mod text;
mod time;
pub mod waiting_room;
pub mod wallet;

pub use {async_trait::async_trait, chrono, uuid};

pub use error::{ActError, StorageError};
pub use ids::{
    AccountId, ChargeId, ConcertId, EntropySource, PaymentId, PerformanceId, ReservationId, SessionId, VenueId,
};
pub use points::{NegativePoints, Points};
pub use time::{Clock, Timestamp, seconds_after};
#[cfg(feature = "mocks")]
pub use {ids::MockEntropySource, time::MockClock};
