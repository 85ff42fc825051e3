#![doc = include_str!("../README.md")]
//!
//! # A guide in five steps
//!
//! 1. **Values** parse at the edge and are right from then on: [`Points`], [`text::Name`], [`accounts::LoginId`],
//!    [`mail::EmailAddress`], [`seats::SeatLabel`], [`seats::SeatSelection`], [`wallet::ChargeAmount`].
//! 2. **Entities** carry their state as an enum with its data: [`seats::Seat`], [`reservations::Reservation`],
//!    [`payments::Payment`], [`wallet::Wallet`], [`wallet::Charge`].
//! 3. **Decisions** are in [`sale`]: a batch of commands is decided over loaded rows and `now`, and gives the rows to be
//!    saved. Nothing else decides about seats and points.
//! 4. **Ports** are the traits an adapter implements: one method is one atomic business act, and its documentation says
//!    what an implementor must return in each case. The feature `mocks` has a mock of each.
//! 5. **Events** in [`events`] name what happened; an adapter stores them in the transaction of their cause (the
//!    transactional outbox). [`event_delivery`] is the port behind which they leave for other systems.

#![deny(missing_docs)]

pub mod accounts;
pub mod audit;
pub mod catalog;
mod error;
pub mod event_delivery;
pub mod events;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod gateway;
pub mod history;
pub mod idempotency;
mod ids;
pub mod mail;
pub mod maintenance;
mod network;
pub mod page;
pub mod payments;
mod points;
pub mod reservations;
pub mod retention;
pub mod sale;
pub mod seats;
pub mod selling_rules;
pub mod text;
mod time;
mod time_zone;
pub mod waiting_room;
pub mod wallet;
pub mod webhooks;

pub use {async_trait::async_trait, chrono, uuid};

pub use error::{ActError, Outage, OutageReason, StorageError};
pub use ids::{
    AccountId, ChargeId, ChargeRefundId, ConcertId, EntropySource, PaymentId, PerformanceId, ReservationId, SessionId,
    VenueId, WebhookId,
};
pub use network::Network;
pub use points::{NegativePoints, Points};
pub use selling_rules::SellingRules;
pub use time::{Clock, ClockReading, Timestamp, rfc3339, seconds_after, seconds_until};
pub use time_zone::{TimeZone, UnknownTimeZone};
#[cfg(feature = "mocks")]
pub use {ids::MockEntropySource, time::MockClock};
