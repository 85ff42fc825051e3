//! What the payment gateway sends by itself.

use boxoffice_domain::{
    ChargeId, Points, StorageError,
    gateway::{GatewayError, HeaderField, NotificationRefusal, PaymentGateway},
    wallet::{Charge, ChargeRefundState},
};

use super::{RefundPointsError, WalletService, ask_again};

/// Why a notification was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    #[error(transparent)]
    Refused(#[from] NotificationRefusal),
    /// The storage failed. The gateway sends it again.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl WalletService {
    /// Takes a notification: checks that it comes from the gateway, and keeps it until
    /// [`Self::handle_notifications`] works it off.
    pub async fn receive_notification(&self, fields: &[HeaderField], body: &[u8]) -> Result<(), NotificationError> {
        let gateway = self.gateway.as_deref().ok_or(NotificationRefusal::NotExpected)?;
        let now = self.clock.now();
        let notification = gateway.verify_notification(fields, body, now)?;
        if let Some(charge_id) = notification.charge_id {
            self.inbox.keep(&notification.id, charge_id, now).await?;
        }
        Ok(())
    }

    /// Works off at most `limit` notifications, and returns how many. What a notification says is not taken for true: the
    /// gateway is asked how the charge stands, so that notifications may come late, twice and in any order. If the gateway
    /// says nothing useful about an open charge, the notification counts as worked off, since the worker for open charges
    /// asks too. Only a notification says that a refund has failed, so this one waits until the gateway answers.
    pub async fn handle_notifications(&self, limit: u32) -> Result<u32, StorageError> {
        let Some(gateway) = self.gateway.as_deref() else { return Ok(0) };
        let mut handled = 0;
        for (id, charge_id) in self.inbox.unhandled(limit).await? {
            match self.follow_notification(gateway, charge_id).await {
                Ok(()) => {
                    self.inbox.mark_handled(&id, self.clock.now()).await?;
                    handled += 1;
                }
                Err(Unhandled::Storage(error)) => return Err(error),
                Err(Unhandled::Gateway(error)) => {
                    let is_timeout = matches!(error, GatewayError::TimedOut);
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%charge_id, error, "the gateway did not answer about a charge");
                    if is_timeout {
                        break;
                    }
                }
            }
        }
        Ok(handled)
    }

    async fn follow_notification(&self, gateway: &dyn PaymentGateway, id: ChargeId) -> Result<(), Unhandled> {
        let Some(charge) = self.wallets.charge(id).await? else {
            tracing::warn!(charge_id = %id, "the gateway knows a charge that is not known here");
            return Ok(());
        };
        if !charge.state.is_open() {
            return self.follow_refunds(gateway, &charge).await;
        }
        match ask_again(gateway, &charge).await {
            Ok(answer) => {
                self.record(charge, answer).await?;
            }
            Err(error @ GatewayError::TimedOut) => return Err(Unhandled::Gateway(error)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(charge_id = %id, error, "the gateway does not say how a charge stands");
            }
        }
        Ok(())
    }

    /// Asks again about the refunds of a charge: a bank may have sent the money back, and then the points come back.
    async fn follow_refunds(&self, gateway: &dyn PaymentGateway, charge: &Charge) -> Result<(), Unhandled> {
        if charge.refunded == Points::ZERO {
            return Ok(());
        }
        for refund in self.wallets.charge_refunds(charge.account_id, charge.id).await? {
            if matches!(refund.state, ChargeRefundState::Refused { .. }) {
                continue;
            }
            match self.ask_for_refund(gateway, &refund).await {
                Ok(_) => {}
                Err(RefundPointsError::Storage(error)) => return Err(Unhandled::Storage(error)),
                Err(RefundPointsError::Gateway {
                    source: source @ (GatewayError::TimedOut | GatewayError::Failed(_)),
                    ..
                }) => return Err(Unhandled::Gateway(source)),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(charge_id = %charge.id, error, "the gateway does not say how a refund stands");
                }
            }
        }
        Ok(())
    }
}

/// Why a notification is not worked off yet.
enum Unhandled {
    Storage(StorageError),
    Gateway(GatewayError),
}

impl From<StorageError> for Unhandled {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
