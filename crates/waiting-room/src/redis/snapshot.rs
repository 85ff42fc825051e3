//! What an instance knows of a queue for a moment, and what it can answer from that.

use std::collections::HashMap;

use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    waiting_room::{PlaceNumber, QueuePlace, QueueReason, QueueStatus},
};
use boxoffice_peers::redis::{Reply, damaged};
use tokio::time::Instant;

use super::scripts::StepReply;
use crate::{admission_rate::AdmissionRate, rules::Rules};

/// What a waiting place is given besides its position.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the queue opens, if that is still to come.
    opens_at: Option<Timestamp>,
    paused: bool,
    waits_for: Option<QueueReason>,
    rate: AdmissionRate,
}

impl Pace {
    pub(super) fn read(values: &mut Reply) -> Result<Self, StorageError> {
        Ok(Self {
            opens_at: values.take("opens_at")?,
            paused: values.take("paused")?,
            waits_for: values.take("waits_for")?,
            rate: AdmissionRate::measured(values.take("rate_admissions")?, values.take("rate_seconds")?),
        })
    }

    /// The status of a place that waits with so many before it.
    pub(super) fn status(&self, place: QueuePlace, before: u64, now: Timestamp, rules: &Rules) -> QueueStatus {
        let standing = if let Some(opens_at) = self.opens_at {
            rules.waits_for_opening(opens_at, now)
        } else {
            let before = u32::try_from(before).unwrap_or(u32::MAX - 1);
            let moves = !self.paused && self.waits_for.is_none();
            rules.waits(before, self.rate.seconds_for(before + 1).filter(|_| moves))
        };
        let paused = self.paused.then_some(QueueReason::Paused);
        QueueStatus { place, standing, reason: self.waits_for.or(paused) }
    }
}

/// An admission, as far as an instance needs it while Redis is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) number: PlaceNumber,
    /// Until when seats can be newly held.
    pub(super) until: Timestamp,
    pub(super) active_until: Timestamp,
}

/// How a queue was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) taken: Instant,
    opened_at: u64,
    pub(super) version: (u64, u64),
    waiting: u64,
    pace: Pace,
    /// The number of the last place that was given.
    last_number: u64,
    /// The number of the last place that was given before the queue was emptied; 0 if it never was.
    emptied_to: u64,
    /// The number of the last place that is sorted by a number drawn.
    drawn_to: u64,
    /// The last sort key that was admitted.
    admitted_to: u64,
    /// The sort keys of some, each after the number of accounts before it: of none of those that may be admitted before
    /// the next snapshot.
    pivots: Vec<(u64, u64)>,
}

/// What a snapshot brings along.
pub(super) struct Update {
    pub(super) snapshot: Snapshot,
    pub(super) admissions_version: u64,
    /// The admissions, if they have changed.
    pub(super) admitted: Option<HashMap<AccountId, Admitted>>,
    /// How many have left since the queue was opened.
    pub(super) left_total: u64,
    /// The latest of those.
    pub(super) left: Vec<(AccountId, PlaceNumber)>,
}

impl Update {
    pub(super) fn read(reply: StepReply, taken: Instant) -> Result<Self, StorageError> {
        let StepReply { opened_at, version, mut values, .. } = reply;
        let snapshot = Snapshot {
            taken,
            opened_at,
            version: (opened_at, version),
            waiting: values.take("waiting")?,
            pace: Pace::read(&mut values)?,
            last_number: values.take("last_number")?,
            emptied_to: values.take("emptied_to")?,
            drawn_to: values.take("drawn_to")?,
            admitted_to: values.take("admitted_to")?,
            pivots: zip(values.take("pivot_ranks")?, values.take("pivot_keys")?)?.collect(),
        };
        Ok(Self {
            snapshot,
            admissions_version: values.take("admissions_version")?,
            admitted: admitted(&mut values)?,
            left_total: values.take("left_total")?,
            left: zip(values.take("left_accounts")?, values.take("left_numbers")?)?.collect(),
        })
    }
}

fn admitted(values: &mut Reply) -> Result<Option<HashMap<AccountId, Admitted>>, StorageError> {
    let Some(accounts) = values.take("admitted_accounts")? else { return Ok(None) };
    let times = zip(values.take("admitted_untils")?, values.take("active_untils")?)?.collect();
    let admitted = zip(values.take("admitted_numbers")?, times)?;
    let admitted = admitted.map(|(number, (until, active_until))| Admitted { number, until, active_until });
    Ok(Some(zip(accounts, admitted.collect())?.collect()))
}

/// Two lists that must be as long.
fn zip<A, B>(one: Vec<A>, other: Vec<B>) -> Result<impl Iterator<Item = (A, B)>, StorageError> {
    if one.len() == other.len() { Ok(one.into_iter().zip(other)) } else { Err(damaged()) }
}

impl Snapshot {
    /// The status of a place that was not left, if that is sure without asking Redis.
    pub(super) fn status(&self, place: &QueuePlace, now: Timestamp, rules: &Rules) -> Option<QueueStatus> {
        let number = place.number.0;
        // This queue gave it, it was not emptied away, and it cannot have been admitted.
        let surely_given = self.opened_at <= number && self.emptied_to < number && number <= self.last_number;
        if !surely_given || number <= self.admitted_to {
            return None;
        }
        if let Some(opens_at) = self.pace.opens_at {
            // None has been admitted yet, so that all wait, whatever the sort key.
            return (now < opens_at && self.admitted_to == 0).then(|| self.pace.status(*place, 0, now, rules));
        }
        if number <= self.drawn_to {
            return None;
        }
        self.before(number).map(|before| self.pace.status(*place, before, now, rules))
    }

    /// How many are before a place that is sorted by its number, with an error of less than the distance of two pivots,
    /// which is 1/16 of it. `None` for those in front, which may have been admitted since.
    fn before(&self, number: u64) -> Option<u64> {
        let index = self.pivots.partition_point(|(_, key)| *key <= number);
        let from = self.pivots.get(index.checked_sub(1)?)?;
        // A place after the last one of the snapshot is not in it.
        let Some(to) = self.pivots.get(index) else {
            return (from.1 == number).then_some(from.0);
        };
        let (ranks, keys) = (u128::from(to.0.saturating_sub(from.0)), u128::from(to.1.saturating_sub(from.1).max(1)));
        let beyond = u128::from(number - from.1) * ranks / keys;
        let before = from.0 + u64::try_from(beyond).ok()?;
        Some(before.min(self.waiting.saturating_sub(1)))
    }
}
