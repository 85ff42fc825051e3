//! Mail that waits to be sent.

use uuid::Uuid;

use crate::{AccountId, Timestamp};

use super::{EmailAddress, Notice};

/// A mail that is to be sent, stored in the transaction of its cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMail {
    /// That of the mail. A mail about an event has an id that follows from the event, so that it is queued once.
    pub id: Uuid,
    /// Whose mail it is.
    pub account_id: AccountId,
    /// Where it goes; `None`: to the verified address that the account has when it is sent. Without one, it is dropped.
    pub to: Option<EmailAddress>,
    /// What it is about.
    pub notice: Notice,
    /// Since when it waits.
    pub created_at: Timestamp,
}
