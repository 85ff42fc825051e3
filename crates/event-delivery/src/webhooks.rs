//! Webhooks, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it.
//!
//! [`WebhookSender::send`] makes one request to an endpoint and returns what came of it. [`retry_delay`] says when to try
//! again, and [`is_to_be_turned_off`] when an endpoint has failed for too long. The caller keeps endpoints and attempts.

mod addresses;
mod schedule;
mod sender;
mod signature;
mod url;

pub use self::{
    addresses::is_public,
    schedule::{FAILING_DAYS_MAX, RETRY_DELAYS, is_to_be_turned_off, retry_delay},
    sender::{
        ANSWER_BYTES_MAX, DeliveryAnswer, DeliveryFailure, HostResolver, SystemResolver, WebhookSender,
        WebhookSettings, WebhookTarget,
    },
    signature::{InvalidSecret, WebhookSecret, signatures},
    url::{InvalidWebhookUrl, URL_BYTES_MAX, WebhookUrl},
};
