//! The port of webhooks over HTTP.

use async_trait::async_trait;
use boxoffice_domain::{
    Timestamp,
    webhooks::{
        AttemptOutcome, DeliveryToSend, Webhook, WebhookSecret as StoredSecret, WebhookTransport, WebhookUrlRefusal,
    },
};

use super::{
    DeliveryAnswer, DeliveryFailure, InvalidWebhookUrl, WebhookSecret, WebhookSender, WebhookTarget, WebhookUrl,
    is_public,
};

#[async_trait]
impl WebhookTransport for WebhookSender {
    fn check(&self, url: &str) -> Result<String, WebhookUrlRefusal> {
        let url = WebhookUrl::parse(url).map_err(|error| match error {
            InvalidWebhookUrl::TooLong | InvalidWebhookUrl::Malformed => WebhookUrlRefusal::Malformed,
            InvalidWebhookUrl::Credentials => WebhookUrlRefusal::Credentials,
        })?;
        // What is kept has to be accepted again, in the form in which it is kept.
        if WebhookUrl::parse(url.as_str()).is_err() {
            return Err(WebhookUrlRefusal::Malformed);
        }
        let is_private = url.address().is_some_and(|address| !is_public(address));
        if is_private && !self.allows_private_addresses() {
            return Err(WebhookUrlRefusal::PrivateAddress);
        }
        Ok(url.as_str().to_owned())
    }

    async fn send(&self, webhook: &Webhook, delivery: &DeliveryToSend, now: Timestamp) -> AttemptOutcome {
        let Ok(url) = WebhookUrl::parse(&webhook.url) else { return AttemptOutcome::Failed { reason: "invalid_url" } };
        let secret = |secret: StoredSecret| WebhookSecret::of_bytes(*secret.expose());
        let target = WebhookTarget {
            url,
            secret: secret(webhook.secrets.current),
            former_secret: webhook.secrets.former_at(now).map(secret),
        };
        let answer = Self::send(self, &target, delivery.event_id, now, &delivery.document).await;
        match answer {
            DeliveryAnswer::Answered { status, beginning } => AttemptOutcome::Answered { status, beginning },
            DeliveryAnswer::Failed(DeliveryFailure::Redirected { status }) => {
                AttemptOutcome::Answered { status, beginning: String::new() }
            }
            DeliveryAnswer::Failed(failure) => {
                tracing::debug!(webhook_id = %webhook.id, error = %failure, "a webhook was not delivered");
                AttemptOutcome::Failed { reason: reason(&failure) }
            }
        }
    }
}

/// The word that the owner of the webhook sees.
fn reason(failure: &DeliveryFailure) -> &'static str {
    match failure {
        DeliveryFailure::TimedOut => "timed_out",
        DeliveryFailure::UnknownHost(_) => "unknown_host",
        DeliveryFailure::RefusedAddress(_) => "refused_address",
        DeliveryFailure::Connection(_) => "no_connection",
        DeliveryFailure::Tls(_) => "tls",
        DeliveryFailure::Redirected { .. } | DeliveryFailure::Http(_) => "not_http",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        tls::TlsTrust,
        webhooks::{SystemResolver, WebhookSettings},
    };

    fn sender(allow_private_addresses: bool) -> WebhookSender {
        let trust = TlsTrust::of_system([]).expect("the cryptography is there");
        let settings = WebhookSettings { allow_private_addresses, ..WebhookSettings::default() };
        WebhookSender::new(settings, trust, Arc::new(SystemResolver))
    }

    #[test]
    fn a_url_is_checked_before_it_is_kept() {
        let (public, all) = (sender(false), sender(true));
        for text in ["http://127.1/", "http://[::1]/", "https://0x7f000001/x", "http://169.254.169.254/"] {
            assert_eq!(public.check(text), Err(WebhookUrlRefusal::PrivateAddress), "{text}");
            assert!(all.check(text).is_ok(), "{text}");
        }
        assert_eq!(all.check("https://user@shop.example/"), Err(WebhookUrlRefusal::Credentials));
        assert_eq!(all.check("shop.example"), Err(WebhookUrlRefusal::Malformed));
        assert_eq!(public.check("HTTPS://Shop.example/a b#top").as_deref(), Ok("https://shop.example/a%20b"));
        let long = format!("https://shop.example/{}", "좌".repeat(300));
        assert_eq!(public.check(&long), Err(WebhookUrlRefusal::Malformed), "it is longer in the form that is kept");
    }
}
