//! What goes on between the server and the payment gateway when no buyer waits.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_application::WalletService;
use boxoffice_domain::wallet::{PendingKey, PendingRefundKey};

use super::Worker;

/// How many charges or refunds a tick looks at: few, since each may take as long as the gateway's timeout, and a stop waits
/// for the tick.
const CHARGES_MAX: u32 = 20;
/// How long a charge may wait for its buyer before the gateway is asked, and how often it is.
const WAITING_SECONDS: u32 = 20;
/// How many notifications a tick works off.
const MESSAGES_MAX: u32 = 20;
/// How often it is looked whether there are any: buyers wait for them.
const MESSAGES_INTERVAL: Duration = Duration::from_millis(500);

/// Asks the payment gateway again about charges that have no verdict.
#[derive(Debug)]
pub(crate) struct PendingCharges {
    wallet: Arc<WalletService>,
    pending_seconds: u32,
    /// Where the last tick stopped, if it did not reach the end.
    after: Option<PendingKey>,
    /// How many got no verdict in this pass over all pending charges.
    without_verdict: u32,
}

impl PendingCharges {
    pub(crate) fn new(wallet: Arc<WalletService>, pending_seconds: u32) -> Self {
        Self { wallet, pending_seconds, after: None, without_verdict: 0 }
    }
}

#[async_trait]
impl Worker for PendingCharges {
    const NAME: &'static str = "pending_charges";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let resolved = self.wallet.resolve_pending(self.pending_seconds, self.after, CHARGES_MAX).await?;
        self.after = resolved.next;
        self.without_verdict = self.without_verdict.saturating_add(resolved.pending);
        if self.after.is_none() {
            metrics::gauge!("boxoffice_charges_pending").set(std::mem::take(&mut self.without_verdict));
        }
        metrics::counter!("boxoffice_charges_lapsed_total").increment(u64::from(resolved.lapsed));
        if resolved.ended > 0 {
            tracing::info!(ended = resolved.ended, pending = resolved.pending, "pending charges were resolved");
        }
        let rest = if resolved.next.is_some() { 1 } else { self.pending_seconds.clamp(1, 10) };
        Ok(Duration::from_secs(u64::from(rest)))
    }

    fn is_done_elsewhere(&mut self) {
        (self.after, self.without_verdict) = (None, 0);
        metrics::gauge!("boxoffice_charges_pending").set(0);
    }
}

/// Asks the payment gateway again about charges that wait for their buyers: rarely, since it usually says by itself when a
/// buyer has acted.
#[derive(Debug)]
pub(crate) struct WaitingCharges {
    wallet: Arc<WalletService>,
    /// Where the last tick stopped, if it did not reach the end.
    after: Option<PendingKey>,
}

impl WaitingCharges {
    pub(crate) fn new(wallet: Arc<WalletService>) -> Self {
        Self { wallet, after: None }
    }
}

#[async_trait]
impl Worker for WaitingCharges {
    const NAME: &'static str = "waiting_charges";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let resolved = self.wallet.resolve_waiting(WAITING_SECONDS, self.after, CHARGES_MAX).await?;
        self.after = resolved.next;
        if resolved.ended + resolved.lapsed > 0 {
            tracing::info!(
                ended = resolved.ended,
                given_up = resolved.lapsed,
                "charges that waited for buyers were resolved"
            );
        }
        Ok(Duration::from_secs(if resolved.next.is_some() { 1 } else { u64::from(WAITING_SECONDS) }))
    }

    fn is_done_elsewhere(&mut self) {
        self.after = None;
    }
}

/// Asks the payment gateway again about refunds that have no verdict.
#[derive(Debug)]
pub(crate) struct PendingRefunds {
    wallet: Arc<WalletService>,
    pending_seconds: u32,
    /// Where the last tick stopped, if it did not reach the end.
    after: Option<PendingRefundKey>,
    /// How many got no verdict in this pass over all pending refunds.
    without_verdict: u32,
}

impl PendingRefunds {
    pub(crate) fn new(wallet: Arc<WalletService>, pending_seconds: u32) -> Self {
        Self { wallet, pending_seconds, after: None, without_verdict: 0 }
    }
}

#[async_trait]
impl Worker for PendingRefunds {
    const NAME: &'static str = "pending_refunds";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let resolved = self.wallet.resolve_refunds(self.pending_seconds, self.after, CHARGES_MAX).await?;
        self.after = resolved.next;
        self.without_verdict = self.without_verdict.saturating_add(resolved.pending);
        if self.after.is_none() {
            metrics::gauge!("boxoffice_charge_refunds_pending").set(std::mem::take(&mut self.without_verdict));
        }
        if resolved.ended > 0 {
            tracing::info!(ended = resolved.ended, pending = resolved.pending, "pending refunds were resolved");
        }
        let rest = if resolved.next.is_some() { 1 } else { self.pending_seconds.clamp(1, 10) };
        Ok(Duration::from_secs(u64::from(rest)))
    }

    fn is_done_elsewhere(&mut self) {
        (self.after, self.without_verdict) = (None, 0);
        metrics::gauge!("boxoffice_charge_refunds_pending").set(0);
    }
}

/// Works off what the payment gateway has sent by itself.
#[derive(Debug)]
pub(crate) struct GatewayMessages(pub(crate) Arc<WalletService>);

#[async_trait]
impl Worker for GatewayMessages {
    const NAME: &'static str = "gateway_messages";

    async fn tick(&mut self) -> anyhow::Result<Duration> {
        let handled = self.0.handle_notifications(MESSAGES_MAX).await?;
        metrics::counter!("boxoffice_gateway_messages_total").increment(u64::from(handled));
        // After a full batch there may be more.
        Ok(if handled < MESSAGES_MAX { MESSAGES_INTERVAL } else { Duration::ZERO })
    }
}
