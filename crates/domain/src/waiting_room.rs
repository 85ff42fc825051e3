//! The queue in front of a concert.
//!
//! An account joins and gets a [`QueuePlace`], once; its position changes only because accounts before it are admitted or
//! leave. As many are admitted as there are free admissions, at once when one frees, never more than the concert's
//! `max_active`. The place travels, signed, in the [`QueueToken`], so that a queue that was lost with its server re-forms
//! in the old order from the tokens of those who come back.

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{AccountId, ConcertId, Network, StorageError, Timestamp, text::debug_without_content};

/// The number of a place in a queue: lower is earlier. Unique within its concert, and never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct PlaceNumber(pub u64);

/// An account's place in the queue of a concert: what a queue token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct QueuePlace {
    pub concert_id: ConcertId,
    pub account_id: AccountId,
    pub number: PlaceNumber,
    pub joined_at: Timestamp,
}

/// A signed [`QueuePlace`] in text form. The text of a place never changes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QueueToken(pub String);

debug_without_content! {
    Draw;
    QueueToken;
}

/// Signs places and checks their signatures.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait QueueTokens: Send + Sync {
    /// The token of a place: the same text for the same place, as long as the signing key is the same.
    fn seal(&self, place: &QueuePlace) -> QueueToken;

    /// The place in a token, or `None` if the token was not sealed with a key of this installation.
    fn open(&self, token: &str) -> Option<QueuePlace>;
}

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum Standing {
    /// In the queue.
    Waiting {
        /// 1 for the next to be admitted; `None` before the queue [opens](QueueTerms::opens_at), when there is no order
        /// yet.
        position: Option<u64>,
        /// How long it will take at the measured rate of admission; `None` before there is a measure, before the queue
        /// opens, and while it is paused.
        estimated_wait_seconds: Option<u64>,
        /// When to ask again. Before the queue opens: as it opens, unless that is too far away.
        poll_after_seconds: u32,
    },
    /// Admitted.
    Active {
        /// Until when seats can be newly held.
        admitted_until: Timestamp,
        /// Until when held seats can be paid: the end of the admission, or of the last hold if that is later.
        active_until: Timestamp,
    },
    /// Over: spent by a payment, left, lapsed, or passed over. The account may join again, at the end.
    Expired,
}

/// Why a queue has ended for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum SaleEnd {
    /// The sale has closed.
    Closed,
    /// Every seat is sold.
    SoldOut,
    /// Every performance has started.
    Started,
}

/// Why a place stands where it does, where its holder may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum QueueReason {
    /// It waits because every seat that is not sold is held.
    AllHeld,
    /// It waits because the sale has yet to open.
    NotOpen,
    /// It waits because admission is paused.
    Paused,
    /// It is expired because its holder was away when it was admitted, or did not use the admission.
    PassedOver,
    /// It is expired because the queue has ended.
    Ended(SaleEnd),
}

/// A place and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueStatus {
    /// The place.
    pub place: QueuePlace,
    /// Where it stands.
    pub standing: Standing,
    /// Why, if there is more to say than that.
    pub reason: Option<QueueReason>,
}

/// What a sale has for those in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum Offer {
    /// Seats: the queue admits.
    Seats,
    /// No seat at the moment, since all that are not sold are held. None is admitted, and all keep their places.
    AllHeld,
    /// No seat before the sale opens, which was moved while accounts waited. None is admitted, and all keep their places.
    NotOpen,
    /// Nothing any more: the queue ends. All places that wait expire, and so do the admissions of accounts that hold
    /// nothing. An account that holds seats stays admitted to pay them, and none can join.
    Nothing(SaleEnd),
}

impl Offer {
    /// Why those in the queue wait, if none is admitted.
    pub fn waits_for(self) -> Option<QueueReason> {
        match self {
            Self::AllHeld => Some(QueueReason::AllHeld),
            Self::NotOpen => Some(QueueReason::NotOpen),
            Self::Seats | Self::Nothing(_) => None,
        }
    }
}

/// How the sale of a concert stood when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct SaleReading {
    /// When the reading began. A queue that knows a later reading keeps that.
    pub read_at: Timestamp,
    /// What there was.
    pub offer: Offer,
    /// When the sale ends by itself, and why.
    pub ends: Option<(Timestamp, SaleEnd)>,
}

impl SaleReading {
    /// That the sale was not read: every reading is later.
    pub const NONE: Self = Self { read_at: Timestamp::UNIX_EPOCH, offer: Offer::Seats, ends: None };

    /// What there is at `now`, as far as this reading tells.
    pub fn offer_at(&self, now: Timestamp) -> Offer {
        match self.ends {
            Some((ends_at, end)) if ends_at <= now => Offer::Nothing(end),
            _ => self.offer,
        }
    }
}

/// How a queue is run, as its concert says. Requests carry the terms, so that a waiting room that has lost its queues has
/// them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueTerms {
    /// The version of the concert that says so. A queue that knows the terms of a later version keeps those: an instance
    /// that does not know of a change yet does not undo it.
    pub version: u32,
    /// How many are admitted at once.
    pub max_active: u32,
    /// Whether admission is paused: none is admitted then, and none that is admitted is sent back. The time for which
    /// a queue is paused is no part of the measure of its rate.
    pub paused: bool,
    /// Before this time none is admitted and there are no positions. `None` for a queue without a draw.
    pub opens_at: Option<Timestamp>,
    /// How the sale stood, if it was read: the latest reading counts, whatever the versions.
    pub sale: SaleReading,
}

impl QueueTerms {
    /// Takes over what is newer in other terms. Returns whether anything has changed.
    pub fn update(&mut self, other: Self) -> bool {
        let before = *self;
        if self.version <= other.version {
            *self = Self { sale: self.sale, ..other };
        }
        if self.sale.read_at <= other.sale.read_at {
            self.sale = other.sale;
        }
        *self != before
    }
}

/// The number that an account draws: the lower, the earlier. Accounts with the same number stand in the order of their
/// ids.
///
/// It is below 2^50, and a [`PlaceNumber`] never is (places count from the time in microseconds), so all who took part in
/// the draw stand before all who came later.
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

/// What decides a draw: a secret that is published when the queue opens, and its digest before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Draw {
    seed: [u8; 32],
}

impl Draw {
    /// A draw from this seed, which must be impossible to guess.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed }
    }

    /// The seed. Secret until the queue opens.
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

/// An account that joins a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct JoinRequest {
    pub concert_id: ConcertId,
    pub account_id: AccountId,
    pub terms: QueueTerms,
    /// The number that the account draws, if the concert has a draw. It decides the order of those who join before the
    /// queue opens; the number of the place decides that of all others.
    pub draw: Option<DrawNumber>,
    /// The network that the account joins from; `None` if it is not known, and then joining is not bounded by it.
    pub network: Option<Network>,
}

/// A place that is to be put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct RestoreRequest {
    pub place: QueuePlace,
    pub terms: QueueTerms,
    /// The number that the account draws, if the concert has a draw. It counts only if the place was given before the
    /// queue opened.
    pub draw: Option<DrawNumber>,
    /// Until when the account holds seats: then it had been admitted, and may pay them although the queue has ended.
    pub held_until: Option<Timestamp>,
}

/// The result of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The place and where it stands.
    pub status: QueueStatus,
    /// Whether the account had no place before.
    pub newly: bool,
}

/// Why a waiting room did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum WaitingRoomError {
    /// The queue is as long as it may get.
    #[error("the queue is full")]
    Full,
    /// The queue has ended, as the sale has nothing any more.
    #[error("the queue has ended")]
    Ended(SaleEnd),
    /// As many accounts have joined from the network as may within an hour.
    #[error("too many accounts have joined from this network")]
    NetworkFull {
        /// When more may join.
        until: Timestamp,
    },
    /// The waiting room failed or cannot be reached.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the holder of a place asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// Where the place stands.
    Poll,
    /// To use the admission: to see what is left, to hold seats, or to pay.
    Use,
}

/// What a waiting room knows of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recall {
    /// The place is known, and stands so.
    Known(QueueStatus),
    /// The place was given before the memory of this queue begins. [`WaitingRoom::restore`] puts it back, unless it was
    /// spent.
    Forgotten,
}

/// How many a queue has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueCensus {
    /// The concert.
    pub concert_id: ConcertId,
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted at the moment.
    pub active: u64,
    /// How many have been admitted since the queue was opened.
    pub admitted_total: u64,
}

/// How a queue is doing, for those who run it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueStats {
    /// How many wait.
    pub waiting: u64,
    /// How many are admitted at the moment.
    pub active: u64,
    /// How many have been admitted since the queue was opened.
    pub admitted_total: u64,
    /// How many were admitted in the last 60 seconds.
    pub admitted_last_minute: u64,
    /// How many were passed over because they did not come.
    pub no_shows_total: u64,
    /// When the account joined that has waited longest; `None` if none waits.
    pub oldest_joined_at: Option<Timestamp>,
}

/// Keeps the queues. An implementor judges time by its own [`Clock`](crate::Clock), and owes in all it does: first come,
/// first served, exactly; never more than `max_active` admitted; as many admitted as may be, at once when an admission
/// frees; one place per account and concert; O(log n) with n in the queue.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait WaitingRoom: Send + Sync {
    /// Gives the account a place at the end of the queue, or returns the place that it has already while it is waiting or
    /// active. Admits at once if there is a free admission. [`WaitingRoomError::Full`] past the capacity, and
    /// [`WaitingRoomError::Ended`] while the sale has nothing any more. An implementor may bound how many accounts get a
    /// place from one network within an hour, and refuses the others with [`WaitingRoomError::NetworkFull`].
    async fn join(&self, request: JoinRequest) -> Result<Joined, WaitingRoomError>;

    /// Where a place stands. Never changes a place; counts as a visit of its holder. An admitted account that holds no
    /// seats and makes no visit for as long as the implementor says is passed over: its place ends. So it is with one
    /// whose visits do not [use](Visit::Use) the admission for as long as the implementor says.
    async fn status(&self, place: &QueuePlace, visit: Visit) -> Result<Recall, WaitingRoomError>;

    /// Puts a [forgotten](Recall::Forgotten) place back, and returns where it stands. A place whose account has another,
    /// newer one, or that ended after it was restored, is expired. So is each place of a queue that has ended, except that
    /// of an account that holds seats, which is admitted.
    async fn restore(&self, request: RestoreRequest) -> Result<QueueStatus, WaitingRoomError>;

    /// Ends a place, waiting or active, for good. Leaving twice is no error.
    async fn leave(&self, place: &QueuePlace) -> Result<(), WaitingRoomError>;

    /// Notes until when the account holds seats of the concert: its admission lasts at least as long, and its absence
    /// counts from then on. `None` if it holds none any more; then the admission ends when it would have anyway. It is a
    /// visit that uses the admission, too.
    ///
    /// An account that holds seats and waits at a [restored](Self::restore) place had been admitted before the queue was
    /// lost. It is admitted again if there is a free admission, before others, and also while the queue still re-forms
    /// or is paused.
    async fn keep_until(
        &self,
        concert_id: ConcertId,
        account_id: AccountId,
        held_until: Option<Timestamp>,
    ) -> Result<(), WaitingRoomError>;

    /// Ends the admission of an account that has paid, and admits the next. Doing it twice is no error.
    async fn spend(&self, concert_id: ConcertId, account_id: AccountId) -> Result<(), WaitingRoomError>;

    /// Sets how the queue is run, and what the sale has for it; admits at once if that frees admissions, and
    /// [ends](Offer::Nothing) the queue at once if there is nothing any more. None that is admitted is sent back if there
    /// are fewer admissions. No error if there is no queue.
    async fn set_terms(&self, concert_id: ConcertId, terms: QueueTerms) -> Result<(), WaitingRoomError>;

    /// Ends all places that wait, and returns how many there were. Those admitted stay so. The places are expired, also
    /// those that are [forgotten](Recall::Forgotten) at the moment.
    async fn empty(&self, concert_id: ConcertId) -> Result<u64, WaitingRoomError>;

    /// Whether [emptying](Self::empty) the queue would end no place that was given at `since` or later: none waits, and none
    /// of those is [forgotten](Recall::Forgotten).
    async fn is_empty(&self, concert_id: ConcertId, since: Timestamp) -> Result<bool, WaitingRoomError>;

    /// How the queue of a concert is doing; `None` if it has none.
    async fn stats(&self, concert_id: ConcertId) -> Result<Option<QueueStats>, WaitingRoomError>;

    /// Waits until the queue of a concert is at another version than `seen` (0: any), and returns that version. May
    /// return early.
    async fn changed(&self, concert_id: ConcertId, seen: u64) -> Result<u64, WaitingRoomError>;

    /// Advances all queues to now: ends admissions whose time is over and admits the next. Each other method does so for
    /// the concert that it is about; this is for queues to which no request comes at the moment. Returns when something
    /// will end next, if anything will.
    async fn advance(&self) -> Result<Option<Timestamp>, WaitingRoomError>;

    /// How many the queues have, the longest first, at most `limit` of them.
    async fn census(&self, limit: usize) -> Result<Vec<QueueCensus>, WaitingRoomError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_take_over_the_later_version_and_the_later_reading() {
        let at = |seconds| Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds);
        let reading = |seconds, offer| SaleReading { read_at: at(seconds), offer, ends: None };
        let terms = |version, sale| QueueTerms { version, max_active: version, paused: false, opens_at: None, sale };
        let mut known = terms(3, reading(5, Offer::AllHeld));
        assert!(!known.update(terms(2, reading(4, Offer::Seats))));
        assert!(known.update(terms(2, reading(6, Offer::Seats))));
        assert_eq!(known, terms(3, reading(6, Offer::Seats)));
        assert!(known.update(terms(4, SaleReading::NONE)));
        assert_eq!(known, terms(4, reading(6, Offer::Seats)));
        assert!(!known.update(known));
    }

    #[test]
    fn accounts_wait_for_seats_and_for_the_opening() {
        let offers = [Offer::Seats, Offer::AllHeld, Offer::NotOpen, Offer::Nothing(SaleEnd::Closed)];
        let reasons = [None, Some(QueueReason::AllHeld), Some(QueueReason::NotOpen), None];
        assert_eq!(offers.map(Offer::waits_for), reasons);
    }

    #[test]
    fn a_reading_tells_when_the_sale_ends_by_itself() {
        let at = |seconds| Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds);
        let reading = SaleReading { read_at: at(1), offer: Offer::AllHeld, ends: Some((at(9), SaleEnd::Started)) };
        let offers = [8, 9, 10].map(|seconds| reading.offer_at(at(seconds)));
        assert_eq!(offers, [Offer::AllHeld, Offer::Nothing(SaleEnd::Started), Offer::Nothing(SaleEnd::Started)]);
        assert_eq!(SaleReading::NONE.offer_at(at(9)), Offer::Seats);
    }

    #[test]
    fn a_number_that_is_drawn_has_50_bits() {
        let number = |random| DrawNumber::from_random(random).get();
        assert_eq!([0, 5, (1 << 50) - 1, 1 << 50, u64::MAX].map(number), [0, 5, (1 << 50) - 1, 0, (1 << 50) - 1]);
        assert_eq!(Draw::new([7; 32]).seed(), &[7; 32]);
    }
}
