//! Comparing the gateway's books with ours.

use std::{collections::BTreeMap, fmt};

use boxoffice_domain::{
    ChargeId, Points, StorageError, Timestamp,
    gateway::{GatewayError, GatewayRecord, GatewayReference},
    page::PageRequest,
    wallet::{Charge, ChargeRefundState, ChargeState},
};
use chrono::TimeDelta;
use uuid::Uuid;

use super::WalletService;

/// How many charges are read at once.
const CHARGES_AT_ONCE: u32 = 500;

/// Why the books could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("there is no payment gateway")]
    Unavailable,
    #[error("the gateway's books cannot be read")]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What the books disagree about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Points were credited, and the gateway has no payment for them.
    NotAtGateway { charge_id: ChargeId, amount: Points },
    /// The gateway has taken money for a charge that is not known here.
    NotHere { charge_id: ChargeId, reference: GatewayReference, amount: Points },
    /// The amounts differ.
    Amount { charge_id: ChargeId, here: Points, at_gateway: Points },
    /// The gateway has taken money, and no points were credited.
    NotCredited { charge_id: ChargeId, reference: GatewayReference },
    /// Points were credited, and the gateway has not taken the money.
    NotPaid { charge_id: ChargeId, reference: GatewayReference },
    /// The gateway has taken the money of a charge more than once.
    PaidTwice { charge_id: ChargeId, references: Vec<GatewayReference> },
    /// What was given back differs.
    Refunded { charge_id: ChargeId, here: Points, at_gateway: Points },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAtGateway { charge_id, amount } => {
                write!(f, "charge {charge_id} of {amount} was credited, and the gateway has no payment for it")
            }
            Self::NotHere { charge_id, reference, amount } => {
                let reference = reference.as_str();
                write!(f, "payment {reference} of {amount} names charge {charge_id}, which is not known here")
            }
            Self::Amount { charge_id, here, at_gateway } => {
                write!(f, "charge {charge_id} is of {here} here and of {at_gateway} at the gateway")
            }
            Self::NotCredited { charge_id, reference } => {
                write!(f, "payment {} is paid, and charge {charge_id} was not credited", reference.as_str())
            }
            Self::NotPaid { charge_id, reference } => {
                write!(f, "charge {charge_id} was credited, and payment {} is not paid", reference.as_str())
            }
            Self::PaidTwice { charge_id, references } => {
                let references: Vec<_> = references.iter().map(GatewayReference::as_str).collect();
                write!(f, "charge {charge_id} was paid more than once: {}", references.join(", "))
            }
            Self::Refunded { charge_id, here, at_gateway } => {
                write!(f, "of charge {charge_id}, {here} were given back here and {at_gateway} at the gateway")
            }
        }
    }
}

/// How the books compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// How many of our charges were looked at.
    pub charges: usize,
    /// How many payments of the gateway were looked at.
    pub records: usize,
    /// How many paid payments name no charge: others than boxoffice made them.
    pub foreign: usize,
    pub differences: Vec<Difference>,
}

impl WalletService {
    /// Compares the charges that were begun from `from` on and before `until` with what the gateway recorded of them;
    /// `records_max` bounds what is read of the gateway's books. `margin` is how far apart the two may have written down
    /// the beginning of one charge.
    pub async fn reconcile(
        &self,
        from: Timestamp,
        until: Timestamp,
        margin: TimeDelta,
        records_max: usize,
    ) -> Result<Reconciliation, ReconcileError> {
        let gateway = self.gateway.as_deref().ok_or(ReconcileError::Unavailable)?;
        let mut charges = BTreeMap::new();
        let mut after = first_id(from - margin);
        loop {
            let page = self.wallets.charges(PageRequest { limit: CHARGES_AT_ONCE, after }).await?;
            let is_past = page.items.last().is_some_and(|charge| charge.created_at >= until + margin);
            let in_time = page.items.into_iter().filter(|charge| (from..until).contains(&charge.created_at));
            charges.extend(in_time.map(|charge| (charge.id, charge)));
            after = page.next.filter(|_| !is_past);
            if after.is_none() {
                break;
            }
        }
        let records = gateway.records(from - margin, until + margin, records_max).await?;
        let mut found = Reconciliation { charges: charges.len(), records: records.len(), ..Reconciliation::default() };
        let mut by_charge: BTreeMap<ChargeId, Vec<GatewayRecord>> = BTreeMap::new();
        for record in records {
            match record.charge_id {
                Some(charge_id) => by_charge.entry(charge_id).or_default().push(record),
                None => found.foreign += usize::from(record.is_paid),
            }
        }
        for (charge_id, records) in &by_charge {
            if !charges.contains_key(charge_id)
                && let Some(record) = records.iter().find(|record| record.is_paid)
                && self.wallets.charge(*charge_id).await?.is_none()
            {
                let (reference, amount) = (record.reference.clone(), record.amount);
                found.differences.push(Difference::NotHere { charge_id: *charge_id, reference, amount });
            }
        }
        for charge in charges.values() {
            let records = by_charge.get(&charge.id).map_or(&[][..], Vec::as_slice);
            let mut differences = Vec::new();
            self.compare(charge, records, &mut differences).await?;
            // The gateway's books were read later: what has changed meanwhile is compared another time.
            if !differences.is_empty() && self.wallets.charge(charge.id).await?.as_ref() == Some(charge) {
                found.differences.extend(differences);
            }
        }
        Ok(found)
    }

    async fn compare(
        &self,
        charge: &Charge,
        records: &[GatewayRecord],
        differences: &mut Vec<Difference>,
    ) -> Result<(), StorageError> {
        let charge_id = charge.id;
        // The worker for open charges asks about it.
        if charge.state.is_open() {
            return Ok(());
        }
        let is_credited = matches!(charge.state, ChargeState::Completed { .. });
        let paid: Vec<_> = records.iter().filter(|record| record.is_paid).collect();
        let Some(record) = paid.first() else {
            if is_credited {
                differences.push(match records.first() {
                    Some(record) => Difference::NotPaid { charge_id, reference: record.reference.clone() },
                    None => Difference::NotAtGateway { charge_id, amount: charge.amount },
                });
            }
            return Ok(());
        };
        if paid.len() > 1 {
            let references = paid.iter().map(|record| record.reference.clone()).collect();
            differences.push(Difference::PaidTwice { charge_id, references });
        }
        if record.amount != charge.amount {
            differences.push(Difference::Amount { charge_id, here: charge.amount, at_gateway: record.amount });
        }
        let at_gateway = record.refunded;
        if !is_credited {
            // What was taken and given back whole is no difference.
            if at_gateway < record.amount {
                differences.push(Difference::NotCredited { charge_id, reference: record.reference.clone() });
            }
            return Ok(());
        }
        if charge.refunded != at_gateway {
            let refunds = self.wallets.charge_refunds(charge.account_id, charge_id).await?;
            let completed = refunds.iter().filter(|refund| matches!(refund.state, ChargeRefundState::Completed { .. }));
            let completed = Points::checked_sum(completed.map(|refund| refund.amount)).unwrap_or_default();
            // The gateway may have given a pending one back, and its answer was lost.
            if !(completed..=charge.refunded).contains(&at_gateway) {
                differences.push(Difference::Refunded { charge_id, here: charge.refunded, at_gateway });
            }
        }
        Ok(())
    }
}

/// An id before those of the charges that were begun from `from` on: they begin with their time.
fn first_id(from: Timestamp) -> Option<ChargeId> {
    let milliseconds = u128::try_from(from.timestamp_millis()).unwrap_or_default();
    (milliseconds > 0).then(|| ChargeId::new(Uuid::from_u128(milliseconds << 80)))
}
