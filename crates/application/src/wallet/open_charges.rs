//! Charges that the gateway has not decided.

use boxoffice_domain::{
    StorageError, Timestamp,
    gateway::{GatewayAnswer, GatewayError, PaymentGateway},
    wallet::{Charge, ChargeState, PendingKey},
};
use chrono::TimeDelta;
use futures::{StreamExt, stream};

use super::{WalletService, ask_again};

/// How many charges the gateway is asked about at once.
const ASKED_AT_ONCE: usize = 8;

/// What became of the open charges that the gateway was asked about again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How many were approved or declined.
    pub ended: u32,
    /// How many are still open.
    pub pending: u32,
    /// How many were open for too long, and were given up.
    pub lapsed: u32,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<PendingKey>,
}

impl WalletService {
    /// Asks the gateway again about at most `limit` charges that have been without a verdict for `pending_seconds`, from
    /// `after` on, where the last call ended: however many never get a verdict, the others still get theirs. A charge that is
    /// open for longer than [`pending_max`](Self::pending_max) is given up at the gateway, and ends as the gateway says.
    /// Without the gateway's word it stays open: the money may have been taken. Does nothing without a gateway.
    pub async fn resolve_pending(
        &self,
        pending_seconds: u32,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Resolved, StorageError> {
        self.resolve_open(false, pending_seconds, after, limit).await
    }

    /// The same for charges that wait for their buyers, who have [`action_max`](Self::action_max). Usually the gateway sends
    /// a notification when a buyer has acted.
    pub async fn resolve_waiting(
        &self,
        pending_seconds: u32,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Resolved, StorageError> {
        self.resolve_open(true, pending_seconds, after, limit).await
    }

    async fn resolve_open(
        &self,
        wait_for_buyer: bool,
        pending_seconds: u32,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Resolved, StorageError> {
        let Some(gateway) = self.gateway.as_deref() else { return Ok(Resolved::default()) };
        let now = self.clock.now();
        let before = now - TimeDelta::seconds(i64::from(pending_seconds));
        let charges = self.wallets.open_charges(wait_for_buyer, before, after, limit).await?;
        let last = charges.last().filter(|_| charges.len() >= limit as usize);
        let next = last.map(|charge| PendingKey { created_at: charge.created_at, id: charge.id });
        let mut resolved = Resolved { next, ..Resolved::default() };
        let asked = stream::iter(charges).map(|charge| self.resolve(gateway, charge, now));
        let mut asked = asked.buffer_unordered(ASKED_AT_ONCE);
        while let Some(end) = asked.next().await {
            match end? {
                End::Ended => resolved.ended += 1,
                End::Open => resolved.pending += 1,
                End::GivenUp => resolved.lapsed += 1,
            }
        }
        Ok(resolved)
    }

    fn is_late(&self, charge: &Charge, now: Timestamp) -> bool {
        let waits_for_buyer = charge.state == ChargeState::RequiresAction;
        now - charge.created_at > if waits_for_buyer { self.action_max } else { self.pending_max }
    }

    /// Asks about an open charge, and records the answer.
    async fn resolve(&self, gateway: &dyn PaymentGateway, charge: Charge, now: Timestamp) -> Result<End, StorageError> {
        let (charge_id, is_late) = (charge.id, self.is_late(&charge, now));
        let answer: Result<GatewayAnswer, GatewayError> =
            if is_late { gateway.abandon(&charge.gateway_request()).await } else { ask_again(gateway, &charge).await };
        let state = match answer {
            Ok(answer) => self.record(charge, answer).await?.charge.state,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%charge_id, error, "an open charge still has no verdict");
                return Ok(End::Open);
            }
        };
        Ok(match state {
            ChargeState::Declined { .. } if is_late => {
                tracing::info!(%charge_id, "a charge that was open for too long was given up");
                End::GivenUp
            }
            ChargeState::Completed { .. } | ChargeState::Declined { .. } => End::Ended,
            ChargeState::Pending | ChargeState::RequiresAction => End::Open,
        })
    }
}

/// What became of one charge.
enum End {
    Ended,
    Open,
    GivenUp,
}
