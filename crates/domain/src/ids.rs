//! Identifiers: one type for each kind of thing, so that none is taken for another.

use std::{fmt, str::FromStr};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// A `UUIDv7` ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)): ids made later sort
        /// later, which keeps an index on them dense.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
        #[cfg_attr(feature = "serde", serde(transparent))]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID for an id of this kind.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// Names an account.
    AccountId;
    /// Names a charge of points, here and at the payment gateway.
    ChargeId;
    /// Names a refund of a charge, here and at the payment gateway.
    ChargeRefundId;
    /// Names a concert.
    ConcertId;
    /// Names a payment.
    PaymentId;
    /// Names a performance: one concert at one venue at one time.
    PerformanceId;
    /// Names a reservation.
    ReservationId;
    /// Names a session: one sign-in of one account.
    SessionId;
    /// Names a venue.
    VenueId;
    /// Names a webhook: an endpoint of another system that gets events.
    WebhookId;
}

/// Makes new ids and secrets. Randomness is an effect, so it comes through a port.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait EntropySource: Send + Sync {
    /// A new `UUIDv7`, never given before.
    fn uuid(&self) -> Uuid;

    /// 32 bytes that cannot be guessed.
    fn secret(&self) -> [u8; 32];
}
