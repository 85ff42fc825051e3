//! Charges that the gateway has not decided.

use boxoffice_domain::{
    StorageError, Timestamp,
    gateway::{GatewayAnswer, GatewayError},
    wallet::{Charge, ChargeState, PendingKey},
};
use chrono::TimeDelta;

use super::{WalletService, ask_again};

/// What became of the open charges that the gateway was asked about again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// How many were approved or declined.
    pub ended: u32,
    /// How many still have no verdict.
    pub pending: u32,
    /// How many had none for too long, and were given up.
    pub lapsed: u32,
    /// Where the next call goes on; `None` at the end.
    pub next: Option<PendingKey>,
}

impl WalletService {
    /// Asks the gateway again about at most `limit` charges that have been open for `pending_seconds`, from `after` on,
    /// where the last call ended: however many never get a verdict, the others still get theirs. A charge that is open for
    /// longer than [`pending_max`](Self::pending_max), or whose buyer does not act within
    /// [`action_max`](Self::action_max), is given up at the gateway, and ends as the gateway says. Without the gateway's
    /// word it stays open: the money may have been taken. Does nothing without a gateway.
    pub async fn resolve_pending(
        &self,
        pending_seconds: u32,
        after: Option<PendingKey>,
        limit: u32,
    ) -> Result<Resolved, StorageError> {
        let Some(gateway) = self.gateway.as_deref() else { return Ok(Resolved::default()) };
        let now = self.clock.now();
        let before = now - TimeDelta::seconds(i64::from(pending_seconds));
        let charges = self.wallets.pending_charges(before, after, limit).await?;
        let last = charges.last().filter(|_| charges.len() >= limit as usize);
        let next = last.map(|charge| PendingKey { created_at: charge.created_at, id: charge.id });
        let mut resolved = Resolved { next, ..Resolved::default() };
        for charge in charges {
            let is_late = self.is_late(&charge, now);
            let answer = if is_late {
                gateway.abandon(&charge.gateway_request()).await
            } else {
                ask_again(gateway, &charge).await
            };
            self.resolve(charge, answer, is_late, &mut resolved).await?;
        }
        Ok(resolved)
    }

    fn is_late(&self, charge: &Charge, now: Timestamp) -> bool {
        let waits_for_buyer = charge.state == ChargeState::RequiresAction;
        now - charge.created_at > if waits_for_buyer { self.action_max } else { self.pending_max }
    }

    /// Records the answer about an open charge, and counts it.
    async fn resolve(
        &self,
        charge: Charge,
        answer: Result<GatewayAnswer, GatewayError>,
        is_late: bool,
        resolved: &mut Resolved,
    ) -> Result<(), StorageError> {
        let charge_id = charge.id;
        let state = match answer {
            Ok(answer) => self.record(charge, answer).await?.charge.state,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(%charge_id, error, "an open charge still has no verdict");
                resolved.pending += 1;
                return Ok(());
            }
        };
        match state {
            ChargeState::Declined { .. } if is_late => {
                tracing::info!(%charge_id, "a charge that was open for too long was given up");
                resolved.lapsed += 1;
            }
            ChargeState::Completed { .. } | ChargeState::Declined { .. } => resolved.ended += 1,
            ChargeState::Pending | ChargeState::RequiresAction => resolved.pending += 1,
        }
        Ok(())
    }
}
