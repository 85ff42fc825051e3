//! Webhooks, signed as [Standard Webhooks](https://www.standardwebhooks.com) has it.
//!
//! [`WebhookSender::send`] makes one request to an endpoint and returns what came of it. When to try again, and when an
//! endpoint has failed for too long, are rules of [`boxoffice_domain::webhooks`]. The caller keeps endpoints and attempts.

mod addresses;
mod sender;
mod signature;
mod transport;
mod url;

pub use self::{
    addresses::is_public,
    sender::{
        ANSWER_BYTES_MAX, DeliveryAnswer, DeliveryFailure, HostResolver, SystemResolver, WebhookSender,
        WebhookSettings, WebhookTarget,
    },
    signature::{InvalidSecret, WebhookSecret, signatures},
    url::{InvalidWebhookUrl, URL_BYTES_MAX, WebhookUrl},
};
