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
//! 1. **Values** parse at the edge and are right from then on: [`Points`], [`text::Name`],
//!    [`accounts::LoginId`], [`reservations::SeatLabel`], [`reservations::SeatSelection`].
//! 2. **Entities** carry their state as an enum with its data: [`reservations::Seat`],
//!    [`reservations::Reservation`], [`payments::Payment`], [`wallet::Wallet`], [`wallet::Charge`].
//! 3. **Decisions** are pure functions of loaded entities and `now`. They give the entities as they are
//!    afterwards, or a refusal: [`reservations::hold`], [`payments::settle`], [`reservations::cancel`],
//!    [`reservations::expire`], [`wallet::begin_charge`], [`wallet::complete_charge`].
//! 4. **Ports** are the traits an adapter implements: one method is one atomic business act, and its
//!    documentation says what an implementor owes in each case. Every port is mocked by the feature
//!    `mocks`.
//! 5. **Events** in [`events`] name what happened; an adapter stores them in the transaction of their
//!    cause (the transactional outbox).
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
//! # An example: hold, pay, cancel
//!
//! ```
//! use boxoffice_domain::{Points, fixtures, payments, reservations, wallet};
//!
//! let now = fixtures::instant(0);
//! let terms = fixtures::terms();
//! let request = fixtures::hold_request(&terms, &["A-1-1", "A-1-2"]);
//!
//! // The seats as they were loaded, and how many the account already has of this concert.
//! let held = reservations::hold(now, &request, Some(&terms), 0, fixtures::seats(&["A-1-1", "A-1-2"]))?;
//! assert_eq!(held.reservation.total_amount.get(), 110_000);
//!
//! let mut purse = wallet::Wallet::new(request.account_id, now);
//! purse.balance = Points::new(200_000)?;
//! let request = fixtures::settle_request(&held.reservation);
//! let paid = payments::settle(now, &request, Some(held.reservation), &terms, held.seats, &purse)?;
//! assert_eq!(paid.wallet.balance.get(), 90_000);
//!
//! let request = fixtures::cancel_request(&paid.reservation);
//! let back = reservations::cancel(
//!     now, &request, Some(paid.reservation), &terms, paid.seats, &paid.wallet, Some(paid.payment),
//! )?;
//! assert_eq!(back.wallet.balance.get(), 200_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(missing_docs)]

pub mod accounts;
pub mod announcements;
pub mod audit;
pub mod catalog;
pub mod error;
pub mod events;
pub mod fixtures;
pub mod idempotency;
pub mod ids;
pub mod leases;
pub mod page;
pub mod payments;
pub mod points;
pub mod reservations;
pub mod text;
pub mod time;
pub mod waiting_room;
pub mod wallet;

pub use error::StorageError;
#[cfg(feature = "mocks")]
pub use ids::MockEntropySource;
pub use ids::{
    AccountId, ChargeId, ConcertId, EntropySource, PaymentId, PerformanceId, ReservationId, SessionId, VenueId,
};
pub use points::Points;
pub use time::{Clock, Timestamp};
