//! What a mail can be about.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{Points, ReservationId, TimeZone, Timestamp, accounts::ClientName, seats::SeatLabel, text::Name};

/// A performance, as a mail names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Show {
    pub title: Name,
    pub artist: Name,
    pub venue: Name,
    /// Where the venue is.
    pub location: Name,
    pub starts_at: Timestamp,
    /// The zone of the venue, in which times are shown.
    pub time_zone: TimeZone,
}

/// What a mail is about. `Debug` shows the kind only: some have codes.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case"))]
#[expect(missing_docs, reason = "the fields are named after the entities they come from")]
pub enum Notice {
    /// Seats were paid and are owned.
    PurchaseConfirmed { reservation_id: ReservationId, show: Show, seats: Vec<SeatLabel>, amount: Points },
    /// A reservation was cancelled that had been paid.
    ReservationRefunded { reservation_id: ReservationId, show: Show, seats: Vec<SeatLabel>, refunded: Points },
    /// A performance for which the reader has tickets has another time or venue.
    PerformanceChanged { reservation_id: ReservationId, before: Show, after: Show },
    /// A performance for which the reader has tickets was withdrawn.
    PerformanceCancelled { reservation_id: ReservationId, show: Show, seats: Vec<SeatLabel> },
    /// The password of the account was changed.
    PasswordChanged { at: Timestamp },
    /// Somebody signed in to the account from elsewhere.
    NewSignIn { at: Timestamp, client: Option<ClientName> },
    /// The reader shows that the address is theirs by typing in the code. The mail does not have the name of the
    /// account: its maker could write to strangers with it.
    EmailVerification { code: String, minutes_valid: u32 },
    /// The reader may choose another password, by a link if the shop has a public URL, and with the token otherwise.
    PasswordReset { token: String, minutes_valid: u32 },
}

impl Notice {
    /// The name of the kind, for metrics and logs; the keys of its texts begin with it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::PurchaseConfirmed { .. } => "purchase_confirmed",
            Self::ReservationRefunded { .. } => "reservation_refunded",
            Self::PerformanceChanged { .. } => "performance_changed",
            Self::PerformanceCancelled { .. } => "performance_cancelled",
            Self::PasswordChanged { .. } => "password_changed",
            Self::NewSignIn { .. } => "new_sign_in",
            Self::EmailVerification { .. } => "email_verification",
            Self::PasswordReset { .. } => "password_reset",
        }
    }

    /// The title of the concert that it is about.
    pub fn title(&self) -> Option<&Name> {
        match self {
            Self::PurchaseConfirmed { show, .. }
            | Self::ReservationRefunded { show, .. }
            | Self::PerformanceCancelled { show, .. } => Some(&show.title),
            Self::PerformanceChanged { after, .. } => Some(&after.title),
            _ => None,
        }
    }

    /// For how many minutes what it says is good; `None` for what does not lapse.
    pub fn minutes_valid(&self) -> Option<u32> {
        match self {
            Self::EmailVerification { minutes_valid, .. } | Self::PasswordReset { minutes_valid, .. } => {
                Some(*minutes_valid)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notice").field(&self.kind()).finish()
    }
}
