//! What the adapter has to know.

use std::{fmt, time::Duration};

use url::Url;

/// Where Stripe serves its API.
pub const API_BASE_URL: &str = "https://api.stripe.com";

/// A key or a secret of Stripe. It is shown nowhere: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is a key that takes real money.
    fn is_live(&self) -> bool {
        self.0.starts_with("sk_live_") || self.0.starts_with("rk_live_")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The settings of a [`StripeGateway`](crate::StripeGateway).
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// The secret key, `sk_…`, or a restricted key, `rk_…`, that may read and write payment intents and refunds.
    pub secret_key: Secret,
    /// The signing secrets of the webhook endpoint, `whsec_…`: two while one replaces the other. Without any, the adapter
    /// expects no notifications.
    pub webhook_secrets: Vec<Secret>,
    /// Where the API is served, usually [`API_BASE_URL`].
    pub api_base_url: Url,
    /// Where Stripe sends the buyer's browser after a confirmation outside of the page; `None` if the page uses Stripe.js,
    /// which confirms without leaving it.
    pub return_url: Option<Url>,
    /// How long one act may take in all, its retries included. For `records` it is the time of one page.
    pub timeout: Duration,
    /// How long to wait before the first retry, at most; the wait doubles with each.
    pub retry_pause: Duration,
}

impl StripeSettings {
    /// Settings for Stripe's own API: 10 seconds for an act, and half a second before the first retry.
    pub fn new(secret_key: Secret, webhook_secrets: Vec<Secret>) -> Self {
        Self {
            secret_key,
            webhook_secrets,
            api_base_url: Url::parse(API_BASE_URL).expect("a fixed URL is right"),
            return_url: None,
            timeout: Duration::from_secs(10),
            retry_pause: Duration::from_millis(500),
        }
    }

    /// Checks what can be checked without asking Stripe.
    pub(crate) fn check(&self) -> Result<(), InvalidSettings> {
        let key = self.secret_key.expose();
        if !(key.starts_with("sk_") || key.starts_with("rk_")) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidSettings::SecretKey);
        }
        if self.webhook_secrets.iter().any(|secret| secret.expose().is_empty()) {
            return Err(InvalidSettings::WebhookSecret);
        }
        match self.api_base_url.scheme() {
            _ if self.api_base_url.cannot_be_a_base() || self.api_base_url.host_str().is_none() => {
                Err(InvalidSettings::ApiBaseUrl)
            }
            "http" if self.secret_key.is_live() => Err(InvalidSettings::LiveKeyInTheClear),
            "http" | "https" => Ok(()),
            _ => Err(InvalidSettings::ApiBaseUrl),
        }
    }
}

/// Why a [`StripeGateway`](crate::StripeGateway) could not be made. No variant shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSettings {
    /// The secret key has another form.
    #[error("the secret key of Stripe has to begin with `sk_` or `rk_`, and to be of visible ASCII characters")]
    SecretKey,
    /// A signing secret is empty.
    #[error("a signing secret of Stripe's webhook is empty")]
    WebhookSecret,
    /// The base URL is none of HTTP.
    #[error("the base URL of Stripe's API has to begin with `https://` or, for a stand-in, with `http://`")]
    ApiBaseUrl,
    /// A key that takes real money would be sent without TLS.
    #[error("a live key of Stripe is only sent over `https://`")]
    LiveKeyInTheClear,
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: &str, url: &str) -> StripeSettings {
        let mut settings = StripeSettings::new(Secret::new(key), Vec::new());
        settings.api_base_url = Url::parse(url).unwrap();
        settings
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", settings("sk_test_visible", API_BASE_URL));
        assert!(!shown.contains("visible"), "{shown}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(settings("sk_live_1", API_BASE_URL).check().is_ok());
        assert!(settings("sk_test_1", "http://127.0.0.1:8420").check().is_ok());
        for (key, url) in [
            ("pk_test_1", API_BASE_URL),
            ("sk_test_1\n", API_BASE_URL),
            ("sk_live_1", "http://127.0.0.1:8420"),
            ("sk_test_1", "ftp://127.0.0.1"),
            ("sk_test_1", "mailto:somebody"),
        ] {
            assert!(settings(key, url).check().is_err(), "{key:?} {url}");
        }
    }
}
