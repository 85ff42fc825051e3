//! `/v1/webhooks`: endpoints of other systems that get events.

pub(crate) mod create;
pub(crate) mod deliveries;
pub(crate) mod list;
pub(crate) mod one;
pub(crate) mod resend;
pub(crate) mod secrets;

use boxoffice_application::webhooks::{SPAN_DAYS_MAX, WebhookError, WithSecret};
use boxoffice_domain::webhooks::{
    EventKinds, InvalidEventKinds, KIND_PATTERN_CHARACTERS_MAX, KIND_PATTERNS_MAX, OffReason, URL_BYTES_MAX, Webhook,
    WebhookState,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ENTRY_BYTES_MAX, FIELDS_BYTES_MAX};
use crate::{
    reply::{Code, Problem, mirror},
    request::validation::Fields,
};

/// The most bytes of a visible ASCII character in JSON: an escape.
const ASCII_BYTES_MAX: usize = 6;
/// The longest body, with each character as an escape.
pub(crate) const BODY_BYTES_MAX: usize = ASCII_BYTES_MAX * URL_BYTES_MAX
    + KIND_PATTERNS_MAX * (ASCII_BYTES_MAX * KIND_PATTERN_CHARACTERS_MAX + ENTRY_BYTES_MAX)
    + FIELDS_BYTES_MAX;

/// Where events are sent to.
#[derive(ToSchema)]
#[schema(as = WebhookUrl, value_type = String, max_length = 2_048, example = "https://shop.example/events", pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$")]
struct UrlText(#[expect(dead_code, reason = "it only describes")] String);

/// A kind of events, such as `reservation.held`, a group of them, such as `reservation.*`, or all, `*`.
#[derive(ToSchema)]
#[schema(as = EventKindPattern, value_type = String, max_length = 64, example = "reservation.*", pattern = r"^(\*|[a-z_]+\.(\*|[a-z_]+))$")]
struct KindText(#[expect(dead_code, reason = "it only describes")] String);

/// An endpoint that gets events.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookResponse {
    id: Uuid,
    /// Whose it is.
    owner_id: Uuid,
    url: String,
    kinds: Vec<String>,
    /// Whether it gets events.
    on: bool,
    /// Since when it is off.
    #[schema(required)]
    off_since: Option<DateTime<Utc>>,
    /// Why it is off.
    #[schema(required)]
    off_reason: Option<OffReasonResponse>,
    /// Its first failure after its last success. After five days without one it is turned off.
    #[schema(required)]
    failing_since: Option<DateTime<Utc>>,
    /// Until when requests are signed with the former secret too.
    #[schema(required)]
    former_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookOffReason)]
enum OffReasonResponse {
    /// Its owner turned it off.
    ByHand,
    /// It has failed for five days without a success.
    Failing,
    /// The endpoint answered 410.
    Gone,
}

mirror!(OffReason => OffReasonResponse: ByHand, Failing, Gone);

impl From<Webhook> for WebhookResponse {
    fn from(webhook: Webhook) -> Self {
        let (failing_since, off) = match webhook.state {
            WebhookState::On { failing_since } => (failing_since, None),
            WebhookState::Off { since, reason } => (None, Some((since, reason))),
        };
        Self {
            id: webhook.id.uuid(),
            owner_id: webhook.owner_id.uuid(),
            url: webhook.url,
            kinds: webhook.kinds.into(),
            on: off.is_none(),
            off_since: off.map(|(since, _)| since),
            off_reason: off.map(|(_, reason)| reason.into()),
            failing_since,
            former_secret_until: webhook.secrets.former.map(|(_, until)| until),
            created_at: webhook.created_at,
        }
    }
}

/// A webhook with its new secret.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookWithSecret)]
pub(crate) struct WithSecretResponse {
    #[serde(flatten)]
    webhook: WebhookResponse,
    /// What requests are signed with. It is shown this once.
    #[schema(example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
}

impl From<WithSecret> for WithSecretResponse {
    fn from(WithSecret { webhook, secret }: WithSecret) -> Self {
        Self { webhook: webhook.into(), secret: secret.0 }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Forbidden => Self::new(Code::Forbidden),
            WebhookError::NotFound => Self::new(Code::WebhookNotFound),
            WebhookError::DeliveryNotFound => Self::new(Code::DeliveryNotFound),
            WebhookError::TooMany => Self::new(Code::WebhooksLimit),
            WebhookError::Off => Self::new(Code::WebhookOff),
            WebhookError::Url(refusal) => Self::new(Code::WebhookUrlRefused).detail(format!("The URL {refusal}.")),
            WebhookError::Span => {
                Self::violation("/to", "time_range", format!("must be after `from`, by at most {SPAN_DAYS_MAX} days"))
            }
            WebhookError::Storage(error) => error.into(),
        }
    }
}

/// A URL in the form that the description allows. Whether anything is sent there is for the service to say.
fn checked_url<'u>(fields: &mut Fields, url: &'u str) -> Option<&'u str> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let is_web = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let is_visible = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = is_web && is_visible && url.len() <= URL_BYTES_MAX;
    let message = format!("must be `https://HOST/PATH`, or with `http`, of at most {URL_BYTES_MAX} characters");
    fields.check("/url", "webhook_url", if fits { Ok(url) } else { Err(message) })
}

fn checked_kinds(fields: &mut Fields, kinds: &[String]) -> Option<EventKinds> {
    let code = |error: InvalidEventKinds| match error {
        InvalidEventKinds::Count => "webhook_kinds_count",
        InvalidEventKinds::Pattern => "webhook_kind",
    };
    let checked = EventKinds::new(kinds.iter().cloned());
    fields.check("/kinds", checked.as_ref().map_or_else(|error| code(*error), |_| "webhook_kind"), checked)
}
