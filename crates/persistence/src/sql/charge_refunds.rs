//! Refunds of charges.

use boxoffice_domain::{
    StorageError, Timestamp,
    wallet::{ChargeRefund, ChargeRefundState},
};
use chrono::NaiveDateTime;

use crate::{
    row::row,
    stored::{damaged, id as parse_id, idempotency, points},
};

row! {
    pub(super) struct ChargeRefundRow in charge_refunds, from (refund: &ChargeRefund) {
        id: Vec<u8> = refund.id,
        charge_id: Vec<u8> = refund.charge_id,
        account_id: Vec<u8> = refund.account_id,
        amount: i64 = refund.amount,
        status: String = stored_state(refund.state).0,
        ended_at: Option<NaiveDateTime> = stored_state(refund.state).1,
        created_at: NaiveDateTime = refund.created_at,
        idempotency_key: String = &refund.idempotency.key,
        fingerprint: Vec<u8> = refund.idempotency.fingerprint,
    }
}

fn stored_state(state: ChargeRefundState) -> (&'static str, Option<Timestamp>) {
    match state {
        ChargeRefundState::Pending => ("pending", None),
        ChargeRefundState::Completed { completed_at } => ("completed", Some(completed_at)),
        ChargeRefundState::Refused { refused_at } => ("refused", Some(refused_at)),
    }
}

impl TryFrom<ChargeRefundRow> for ChargeRefund {
    type Error = StorageError;

    fn try_from(row: ChargeRefundRow) -> Result<Self, StorageError> {
        let state = match (row.status.as_str(), row.ended_at) {
            ("pending", None) => ChargeRefundState::Pending,
            ("completed", Some(ended_at)) => ChargeRefundState::Completed { completed_at: ended_at.and_utc() },
            ("refused", Some(ended_at)) => ChargeRefundState::Refused { refused_at: ended_at.and_utc() },
            _ => return Err(damaged("refund of a charge")()),
        };
        Ok(Self {
            id: parse_id(&row.id)?,
            charge_id: parse_id(&row.charge_id)?,
            account_id: parse_id(&row.account_id)?,
            amount: points(row.amount)?,
            state,
            created_at: row.created_at.and_utc(),
            idempotency: idempotency(&row.idempotency_key, &row.fingerprint)?,
        })
    }
}
