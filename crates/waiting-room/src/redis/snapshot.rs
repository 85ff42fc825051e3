//! What an instance knows of a line for a moment, and what it can answer from that.

use boxoffice_domain::{
    AccountId, StorageError, Timestamp,
    waiting_room::{Place, Standing},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::answer::{Answer, Fields, damaged};
use crate::{admission_rate::AdmissionRate, rules::Rules};

/// What somebody is told who waits, besides the number of people before.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the line opens, if that is still to come.
    opens_at: Option<Timestamp>,
    paused: bool,
    rate: AdmissionRate,
}

impl Pace {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, StorageError> {
        Ok(Self {
            opens_at: fields.time_if_any()?,
            paused: fields.number()? == 1,
            rate: AdmissionRate::measured(fields.measure()?, fields.measure()?),
        })
    }

    /// What somebody is told who waits with so many before.
    pub(super) fn standing(&self, before: u64, now: Timestamp, rules: &Rules) -> Standing {
        if let Some(opens_at) = self.opens_at {
            let poll_after_seconds = rules.poll_seconds_until(opens_at, now);
            return Standing::Waiting { position: None, estimated_wait_seconds: None, poll_after_seconds };
        }
        let before = u32::try_from(before).unwrap_or(u32::MAX - 1);
        let position = before.saturating_add(1);
        Standing::Waiting {
            position: Some(u64::from(position)),
            estimated_wait_seconds: self.rate.seconds_for(position).filter(|_| !self.paused),
            poll_after_seconds: rules.poll_seconds(before),
        }
    }
}

/// An admission, as far as an instance needs it while Redis is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) place: Place,
    /// Until when seats can be newly held.
    pub(super) until: Timestamp,
    pub(super) active_until: Timestamp,
}

/// How a line was at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) taken: Instant,
    opened: u64,
    pub(super) version: (u64, u64),
    waiting: u64,
    pace: Pace,
    /// The last place that was given.
    last: u64,
    /// The last place that was given before the line was emptied; 0 if it never was.
    emptied: u64,
    /// The last place whose holder stands by a number drawn.
    drawn_top: u64,
    /// The last turn that was admitted.
    admitted_top: u64,
    /// The turns of some, each after the number of people before: of none of those who may be admitted before the next
    /// snapshot.
    pivots: Vec<(u64, u64)>,
}

/// What a snapshot brings along.
pub(super) struct News {
    pub(super) snapshot: Snapshot,
    pub(super) admissions_version: u64,
    /// Who is admitted, where that has changed.
    pub(super) admitted: Option<Vec<(AccountId, Admitted)>>,
    /// How many have left the line since it began.
    pub(super) gone_total: u64,
    /// Who left it of late.
    pub(super) gone: Vec<(AccountId, Place)>,
}

impl News {
    pub(super) fn read(answer: Answer, taken: Instant) -> Result<Self, StorageError> {
        let mut said = answer.said;
        if said.text()? != "snapshot" {
            return Err(damaged());
        }
        let (waiting, admissions_version, gone_total) = (said.number()?, said.number()?, said.number()?);
        let pace = Pace::read(&mut said.list()?)?;
        let mut tops = said.list()?;
        let snapshot = Snapshot {
            taken,
            opened: answer.opened,
            version: (answer.opened, answer.version),
            waiting,
            pace,
            last: tops.number()?,
            emptied: tops.number()?,
            drawn_top: tops.number()?,
            admitted_top: tops.number()?,
            pivots: said.list()?.all(|fields| Ok((fields.number()?, fields.number()?)))?,
        };
        let admitted = said.list_if_any()?.map(|list| list.all(admitted)).transpose()?;
        Ok(Self { snapshot, admissions_version, admitted, gone_total, gone: said.list()?.all(gone)? })
    }
}

fn admitted(fields: &mut Fields) -> Result<(AccountId, Admitted), StorageError> {
    let mut fields = fields.list()?;
    let account_id = account(&fields.bytes()?)?;
    let place = Place(fields.number()?);
    Ok((account_id, Admitted { place, until: fields.time()?, active_until: fields.time()? }))
}

/// The 16 bytes of an account, then its place in digits.
fn gone(fields: &mut Fields) -> Result<(AccountId, Place), StorageError> {
    let bytes = fields.bytes()?;
    let (account_id, place) = bytes.split_at_checked(16).ok_or_else(damaged)?;
    let place = std::str::from_utf8(place).ok().and_then(|digits| digits.parse().ok()).ok_or_else(damaged)?;
    Ok((account(account_id)?, Place(place)))
}

fn account(bytes: &[u8]) -> Result<AccountId, StorageError> {
    Uuid::from_slice(bytes).map(AccountId::new).map_err(|_| damaged())
}

impl Snapshot {
    /// What the holder of a place is told who has not left, if that can be said without asking Redis.
    pub(super) fn standing(&self, place: Place, now: Timestamp, rules: &Rules) -> Option<Standing> {
        let place = place.0;
        // It was given by this line, has not been emptied away, and its turn has not come.
        let surely_given = self.opened <= place && self.emptied < place && place <= self.last;
        if !surely_given || place <= self.admitted_top {
            return None;
        }
        if let Some(opens_at) = self.pace.opens_at {
            // Nobody has been admitted yet, so that everybody waits, whatever the turn.
            return (now < opens_at && self.admitted_top == 0).then(|| self.pace.standing(0, now, rules));
        }
        if place <= self.drawn_top {
            return None;
        }
        self.before(place).map(|before| self.pace.standing(before, now, rules))
    }

    /// How many are before the holder of a place who stands by it, with an error of less than the distance of two pivots,
    /// which is 1/16 of it. Nothing for those in front, who may have been admitted since.
    fn before(&self, place: u64) -> Option<u64> {
        let index = self.pivots.partition_point(|(_, turn)| *turn <= place);
        let from = self.pivots.get(index.checked_sub(1)?)?;
        // Who came after the last one of the snapshot is not in it.
        let Some(to) = self.pivots.get(index) else {
            return (from.1 == place).then_some(from.0);
        };
        let (people, turns) = (u128::from(to.0.saturating_sub(from.0)), u128::from(to.1.saturating_sub(from.1).max(1)));
        let beyond = u128::from(place - from.1) * people / turns;
        let before = from.0 + u64::try_from(beyond).ok()?;
        Some(before.min(self.waiting.saturating_sub(1)))
    }
}
