//! Error responses: problem details (RFC 9457).

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use boxoffice_application::waiting_room::GateError;
use boxoffice_domain::{
    ChargeId, Points, StorageError,
    accounts::HashingError,
    catalog::NotOnSale,
    idempotency::KeyReused,
    sale::LoadError,
    seats::{Seat, SeatLabel},
    waiting_room::{SaleEnd, WaitingRoomError},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::code::Code;
use crate::outages;

/// The media type of every error.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// One thing that is wrong with a request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Violation {
    /// Where, as a JSON pointer (RFC 6901) into the body; for a query, `/` and the parameter's name.
    #[schema(example = "/sections/0/rows/1/seats")]
    pub pointer: String,
    /// Which rule is broken, by a name that stays the same between versions.
    #[schema(example = "range")]
    pub code: Cow<'static, str>,
    /// The rule in words.
    pub message: Cow<'static, str>,
}

/// What some codes carry beside their name.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Members {
    /// What is wrong with the request, of `validation_failed`, and of `malformed_request` if it is about the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub errors: Option<Vec<Violation>>,
    /// The seats it is about, of `seat_unavailable` and `seat_not_found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seats: Option<Vec<String>>,
    /// Those of `seats` that the account itself holds and has not paid, of `seat_unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub held_by_you: Option<Vec<String>>,
    /// The most seats, of `seat_limit_reached` and `too_many_seats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<u32>,
    /// The position in the queue, of `queue_token_not_active`; `null` before the draw.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    #[expect(clippy::option_option, reason = "a member can be absent, or be null")]
    pub position: Option<Option<u64>>,
    /// What the wallet has, of `insufficient_points`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub balance: Option<i64>,
    /// What is to be paid, of `insufficient_points`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub required: Option<i64>,
    /// When the sale opens, of `sale_not_open`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub opens_at: Option<DateTime<Utc>>,
    /// The charge, of `charge_declined` and `gateway_failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub charge_id: Option<Uuid>,
}

/// An error response.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// The code, as a URI.
    #[schema(example = "urn:boxoffice:problem:seat_unavailable")]
    r#type: String,
    /// The code in words.
    title: &'static str,
    /// The status of the response.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: &'a str,
    #[schema(value_type = Code)]
    code: &'static str,
    /// The id under which the server logged the request.
    request_id: &'a str,
    // The document has the members in the same object.
    #[serde(flatten)]
    #[schema(ignore)]
    members: &'a Members,
}

/// An error on its way to the client. It travels in the extensions of the response until [`Self::render`] writes it,
/// where the id of the request is known.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    members: Members,
    headers: HeaderMap,
}

/// The `WWW-Authenticate` field of the response to a token that is not accepted.
const INVALID_TOKEN: &str = r#"Bearer realm="boxoffice", error="invalid_token""#;

impl Problem {
    pub(crate) fn new(code: Code) -> Self {
        let mut headers = HeaderMap::new();
        // A 401 always names a scheme (RFC 9110, section 11.6.1).
        if code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="boxoffice""#));
        }
        Self(Box::new(Parts {
            code,
            detail: Cow::Owned(format!("{}.", code.title())),
            members: Members::default(),
            headers,
        }))
    }

    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    pub(crate) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    pub(crate) fn members(mut self, members: Members) -> Self {
        self.0.members = members;
        self
    }

    pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::MalformedRequest).detail(detail)
    }

    pub(crate) fn invalid_access_token(code: Code) -> Self {
        let mut problem = Self::new(code);
        problem.0.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(INVALID_TOKEN));
        problem
    }

    pub(crate) fn violations(errors: Vec<Violation>) -> Self {
        Self::new(Code::ValidationFailed).members(Members { errors: Some(errors), ..Members::default() })
    }

    pub(crate) fn violation(
        pointer: impl Into<String>,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::violations(vec![Violation { pointer: pointer.into(), code: code.into(), message: message.into() }])
    }

    /// The problem of query parameters: one form for all that can be wrong with them.
    pub(crate) fn parameters(errors: Vec<Violation>) -> Self {
        Self::malformed("The query is not one that this route takes.")
            .members(Members { errors: Some(errors), ..Members::default() })
    }

    pub(crate) fn parameter(name: &str, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let pointer = format!("/{name}");
        Self::parameters(vec![Violation { pointer, code: code.into(), message: message.into() }])
    }

    pub(crate) fn seats_unavailable(seats: Vec<Seat>, held_by_you: Vec<SeatLabel>) -> Self {
        let seats = seats.into_iter().map(|seat| seat.label.into()).collect();
        let held_by_you = held_by_you.into_iter().map(String::from).collect();
        let members = Members { seats: Some(seats), held_by_you: Some(held_by_you), ..Members::default() };
        Self::new(Code::SeatUnavailable).members(members)
    }

    pub(crate) fn of_seats(code: Code, seats: Vec<SeatLabel>) -> Self {
        let seats = seats.into_iter().map(String::from).collect();
        Self::new(code).members(Members { seats: Some(seats), ..Members::default() })
    }

    pub(crate) fn of_limit(code: Code, limit: u32) -> Self {
        Self::new(code).members(Members { limit: Some(limit), ..Members::default() })
    }

    pub(crate) fn of_charge(code: Code, id: ChargeId) -> Self {
        Self::new(code).members(Members { charge_id: Some(id.uuid()), ..Members::default() })
    }

    pub(crate) fn insufficient_points(balance: Points, required: Points) -> Self {
        Self::new(Code::InsufficientPoints)
            .detail(format!("The wallet has {balance} points, and {required} are needed."))
            .members(Members { balance: Some(balance.get()), required: Some(required.get()), ..Members::default() })
    }

    pub(crate) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unavailable).detail(detail).retry_after(1)
    }

    /// For a refusal without a code: a rule was added to the domain and not to this API.
    pub(crate) fn unexpected(refusal: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = refusal, "a refusal has no code");
        Self::internal()
    }

    /// A failure whose cause the client does not learn. The caller has logged it.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal)
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// Adds header fields.
    pub(crate) fn fields(mut self, fields: HeaderMap) -> Self {
        self.0.headers.extend(fields);
        self
    }

    /// The response to the request with this id. It keeps the header fields that other layers set.
    pub(crate) fn render(self, request_id: &str, response: Response, head_only: bool) -> Response {
        let Parts { code, detail, members, headers } = *self.0;
        let document = ProblemDocument {
            r#type: format!("urn:boxoffice:problem:{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: &detail,
            code: code.as_str(),
            request_id,
            members: &members,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let (mut parts, _) = response.into_parts();
        parts.headers.extend(headers);
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        parts.headers.remove(axum::http::header::CONTENT_LENGTH);
        parts.status = code.status();
        Response::from_parts(parts, if head_only { Body::empty() } else { Body::from(body) })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Busy => Self::unavailable("More work is waiting than is accepted."),
            StorageError::Unavailable(_) => {
                outages::storage_unavailable(&error);
                Self::unavailable("The storage is not available at the moment.")
            }
            // An account was believed to exist for a moment longer than it did.
            StorageError::Failed(cause) if matches!(cause.downcast_ref(), Some(LoadError::Wallet(_))) => {
                Self::invalid_access_token(Code::Unauthenticated)
            }
            StorageError::Failed(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the storage failed");
                Self::internal()
            }
        }
    }
}

impl From<HashingError> for Problem {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::unavailable("Too many passwords are being checked at the moment."),
            HashingError::Failed(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a password could not be hashed");
                Self::internal()
            }
        }
    }
}

impl From<WaitingRoomError> for Problem {
    fn from(error: WaitingRoomError) -> Self {
        match error {
            WaitingRoomError::Ended(end) => end.into(),
            WaitingRoomError::NetworkFull { .. } => Self::new(Code::QueueJoinsLimited),
            WaitingRoomError::Full => Self::unavailable("The queue is as long as it may get.").retry_after(10),
            WaitingRoomError::Storage(error) => error.into(),
        }
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Missing => Self::new(Code::QueueTokenMissing),
            GateError::Invalid => Self::new(Code::QueueTokenInvalid),
            GateError::NotActive { position } => {
                Self::new(Code::QueueTokenNotActive).members(Members { position: Some(position), ..Members::default() })
            }
            GateError::Expired => Self::new(Code::QueueTokenExpired),
            GateError::NoAccount => Self::invalid_access_token(Code::Unauthenticated),
            GateError::WaitingRoom(error) => error.into(),
            GateError::Storage(error) => error.into(),
        }
    }
}

impl From<SaleEnd> for Problem {
    fn from(end: SaleEnd) -> Self {
        Self::new(match end {
            SaleEnd::Closed => Code::SaleClosed,
            SaleEnd::SoldOut => Code::SoldOut,
            SaleEnd::Started => Code::PerformanceStarted,
        })
    }
}

impl From<KeyReused> for Problem {
    fn from(_: KeyReused) -> Self {
        Self::new(Code::IdempotencyKeyReused)
    }
}

/// Turns an error into a [`Problem`]: each variant of the first list into a code, and each variant of the second list
/// into what the error that it holds turns into. A name at the end is for a type to which variants may be added.
macro_rules! problem_from {
    ($error:ident: [$($variant:ident => $code:ident),* $(,)?], [$($inner:ident),* $(,)?] $(, $other:ident)?) => {
        impl From<$error> for $crate::reply::Problem {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$variant => Self::new($crate::reply::Code::$code),)*
                    $($error::$inner(error) => error.into(),)*
                    $($other => Self::unexpected(&$other),)?
                }
            }
        }
    };
}
pub(crate) use problem_from;

impl From<NotOnSale> for Problem {
    fn from(error: NotOnSale) -> Self {
        match error {
            NotOnSale::NotOpen { opens_at, seconds_left } => Self::new(Code::SaleNotOpen)
                .members(Members { opens_at: Some(opens_at), ..Members::default() })
                .retry_after(seconds_left),
            NotOnSale::Closed => Self::new(Code::SaleClosed),
        }
    }
}
