//! The line in front of a concert.
//!
//! An account joins and is given a [`Place`], once; nothing moves it but people ahead being admitted or
//! leaving. As many are admitted as there are free admissions, at once when one frees, never more than
//! the concert's `max_active`. The place travels, signed, in the [`QueueToken`], so that a line that was
//! lost with its server re-forms in the old order from the tokens of those who come back.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{AccountId, ConcertId, StorageError, Timestamp};

/// A place in a line: lower is earlier. Unique within its concert, and never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub u64);

/// One account's place in one concert's line: what a queue token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The concert.
    pub concert_id: ConcertId,
    /// The account.
    pub account_id: AccountId,
    /// Its place.
    pub place: Place,
    /// When it joined.
    pub joined_at: Timestamp,
}

/// A signed [`Ticket`] in text form. It keeps its text for life.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueueToken(pub String);

impl fmt::Debug for QueueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueToken(…)")
    }
}

/// Signs tickets and checks their signatures.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait QueueTokens: Send + Sync {
    /// The token of a ticket: the same text for the same ticket, as long as the signing key is.
    fn seal(&self, ticket: &Ticket) -> QueueToken;

    /// The ticket in a token, or `None` where it was not sealed with a key of ours.
    fn open(&self, token: &str) -> Option<Ticket>;
}

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In line.
    Waiting {
        /// 1 for the next to be admitted; `None` before the line [opens](LineTerms::opens_at), when nobody is told an
        /// order yet.
        position: Option<u64>,
        /// How long it will take at the measured rate of admission; `None` before there is a measure, before the line
        /// opens, and while it is paused.
        estimated_wait_seconds: Option<u64>,
        /// When to ask again. Before the line opens: as it opens, unless that is too far away.
        poll_after_seconds: u32,
    },
    /// Admitted.
    Active {
        /// Until when seats can be newly held.
        admitted_until: Timestamp,
        /// Until when held seats can be paid: the end of the admission, or of the last hold where that is
        /// later.
        active_until: Timestamp,
    },
    /// Over: spent by a payment, left, lapsed, or passed over. Its holder may join anew, at the end.
    Expired,
}

/// A ticket and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// The ticket.
    pub ticket: Ticket,
    /// Where it stands.
    pub standing: Standing,
}

/// How a line is run, as its concert says. Whoever asks the room for something tells it, so that a room that
/// has lost its lines has it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineTerms {
    /// The version of the concert that says so. A line that knows the terms of a later version keeps those: an
    /// instance that has not heard of a change yet does not undo it.
    pub version: u32,
    /// How many are admitted at once.
    pub max_active: u32,
    /// Whether admission is paused: nobody is admitted then, and nobody who is admitted is sent back. The time for
    /// which a line is paused is no part of the measure of its rate.
    pub paused: bool,
    /// Before this time nobody is admitted and nobody is told a position. `None` for a line without a draw.
    pub opens_at: Option<Timestamp>,
}

/// The lot of an account in a draw: the lower, the earlier. Accounts with the same number stand in the order of their
/// ids.
///
/// It is below 2^50, and a [`Place`] never is (places count from the time in microseconds), so whoever took
/// part in the draw stands before everybody who came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DrawNumber(u64);

impl DrawNumber {
    /// Every number is below this.
    pub const END: u64 = 1 << 50;

    /// A number from 50 bits of `random`.
    pub const fn from_random(random: u64) -> Self {
        Self(random % Self::END)
    }

    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What decides a draw: a secret that is published when the line opens, and by its digest before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Draw {
    seed: [u8; 32],
}

impl Draw {
    /// A draw from this seed, which nobody must be able to guess.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed }
    }

    /// The seed. Secret until the line opens.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl fmt::Debug for Draw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draw(…)")
    }
}

/// An account that wants to get in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    /// The concert.
    pub concert_id: ConcertId,
    /// The account.
    pub account_id: AccountId,
    /// How the line is run.
    pub terms: LineTerms,
    /// The account's lot, where the concert has a draw. It stands by that from the beginning, and is told so when
    /// the line opens. It counts only for who joins before that; whoever comes as the line opens or later stands by the
    /// place.
    pub draw: Option<DrawNumber>,
}

/// A ticket that is to have its place back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreRequest {
    /// The ticket.
    pub ticket: Ticket,
    /// How the line is run.
    pub terms: LineTerms,
    /// The account's lot, where the concert has a draw. It counts only if the ticket was given before the line opened.
    pub draw: Option<DrawNumber>,
}

/// The answer to joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The ticket and where it stands.
    pub status: QueueStatus,
    /// Whether the account was not in line before.
    pub newly: bool,
}

/// Why a waiting room did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum WaitingRoomError {
    /// The line is as long as it may get.
    #[error("the line is full")]
    Full,
    /// The waiting room failed or cannot be reached.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a waiting room knows of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// The ticket is known, and stands so.
    Known(QueueStatus),
    /// The ticket was given before this line's memory begins. [`WaitingRoom::restore`] gives it its place
    /// back, unless it was spent.
    Forgotten,
}

/// How one line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineCensus {
    /// The concert.
    pub concert_id: ConcertId,
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted at the moment.
    pub active: u64,
    /// How many have been admitted since the line began.
    pub admitted_total: u64,
}

/// How a line is doing, for who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineStats {
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted at the moment.
    pub active: u64,
    /// How many have been admitted since the line began.
    pub admitted_total: u64,
    /// How many were admitted in the last 60 seconds.
    pub admitted_last_minute: u64,
    /// How many were passed over because they did not come.
    pub no_shows_total: u64,
    /// When the one who has waited longest joined; `None` where nobody waits.
    pub oldest_joined_at: Option<Timestamp>,
}

/// Keeps the lines. An implementor judges time by its own [`Clock`](crate::Clock), and owes in all it does:
/// first come, first served, exactly; never more than `max_active` admitted; as many admitted as may be, at
/// once when an admission frees; one place per account and concert; O(log n) with n in line.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WaitingRoom: Send + Sync {
    /// Gives the account a place at the end of the line, or tells the place that it has already while it is
    /// waiting or active. Admits at once where there is room. [`WaitingRoomError::Full`] past the capacity.
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError>;

    /// Where a ticket stands. Never changes a place; counts as a sign of life of its holder.
    async fn status(&self, ticket: &Ticket) -> Result<Recall, WaitingRoomError>;

    /// Puts a [forgotten](Recall::Forgotten) ticket back at its place, and tells where it stands. A ticket
    /// whose account has another, newer place, or that ended after it was restored, is expired.
    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError>;

    /// Takes the holder out of the line or out of the admitted ones, for good. Leaving twice is no error.
    async fn leave(&self, ticket: &Ticket) -> Result<(), WaitingRoomError>;

    /// Tells until when the account holds seats of the concert: its admission lasts at least as long.
    /// `None` where it holds none any more; then the admission ends when it would have anyway.
    ///
    /// Whoever holds seats and waits at a [restored](Self::restore) place had been admitted before the line
    /// was lost. It is admitted again where there is room, before others, and also while the line still re-forms or
    /// is paused.
    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError>;

    /// Ends the admission of an account that has paid, and admits the next. Doing it twice is no error.
    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError>;

    /// Sets how the line is run; admits at once where that gives room. Nobody admitted is sent back where it
    /// gives less. No error where there is no line.
    async fn set_terms(&self, concert_id: ConcertId, terms: LineTerms) -> Result<(), WaitingRoomError>;

    /// Ends the place of everybody who waits, and tells how many they were. Whoever is admitted stays so. Their tickets
    /// are expired, also those that are [forgotten](Recall::Forgotten) at the moment.
    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError>;

    /// How the line of a concert is doing; `None` where it has none.
    async fn stats(&self, concert_id: ConcertId) -> Result<Option<LineStats>, WaitingRoomError>;

    /// Waits until the line of a concert is at another version than `seen` (0: any), and gives that
    /// version. May give one early.
    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError>;

    /// Ends admissions whose time is over and admits the next. Each other method sees to it for the
    /// concert it is about; this is for lines to which nobody comes at the moment. Gives when something
    /// will end next, if anything will.
    async fn tidy(&self) -> Result<Option<Timestamp>, WaitingRoomError>;

    /// How the lines look, the longest first, at most `limit` of them.
    async fn census(&self, limit: usize) -> Result<Vec<LineCensus>, WaitingRoomError>;
}
