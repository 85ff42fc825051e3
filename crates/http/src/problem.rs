//! What is answered where something went wrong (RFC 9457).

use std::{borrow::Cow, collections::BTreeMap};

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
    ChargeId, Points, StorageError, accounts::HashingError, idempotency::KeyReused, reservations::SeatLabel,
    waiting_room::WaitingRoomError,
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        AllOfBuilder, ContentBuilder, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response as DocumentedResponse,
        ResponseBuilder, Schema, Type,
    },
};
use uuid::Uuid;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! codes {
    ($($name:ident, $status:ident, $text:literal, $title:literal;)*) => {
        /// What went wrong, by a name that stays the same between versions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {$(
            #[doc = concat!($title, ".")]
            $name,
        )*}

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name.
            pub const fn as_str(self) -> &'static str {
                match self {$(
                    Self::$name => $text,
                )*}
            }

            /// The status that it is answered with.
            pub const fn status(self) -> StatusCode {
                match self {$(
                    Self::$name => StatusCode::$status,
                )*}
            }

            /// What it says in words.
            pub const fn title(self) -> &'static str {
                match self {$(
                    Self::$name => $title,
                )*}
            }
        }
    };
}

codes! {
    MalformedRequest, BAD_REQUEST, "malformed_request", "The request cannot be read";
    IdempotencyKeyRequired, BAD_REQUEST, "idempotency_key_required", "An Idempotency-Key is required";
    Unauthenticated, UNAUTHORIZED, "unauthenticated", "A valid access token is required";
    AccessTokenExpired, UNAUTHORIZED, "access_token_expired", "The access token has expired";
    InvalidCredentials, UNAUTHORIZED, "invalid_credentials", "The login id or the password is wrong";
    QueueTokenMissing, UNAUTHORIZED, "queue_token_missing", "A Queue-Token is required";
    QueueTokenInvalid, UNAUTHORIZED, "queue_token_invalid", "The queue token is not valid here";
    InsufficientPoints, PAYMENT_REQUIRED, "insufficient_points", "The wallet has too few points";
    ChargeDeclined, PAYMENT_REQUIRED, "charge_declined", "The payment gateway declined the charge";
    Forbidden, FORBIDDEN, "forbidden", "The account may not do this";
    QueueTokenNotActive, FORBIDDEN, "queue_token_not_active", "The queue token is still in line";
    QueueTokenExpired, FORBIDDEN, "queue_token_expired", "The queue token has expired";
    NotFound, NOT_FOUND, "not_found", "There is no such route";
    ConcertNotFound, NOT_FOUND, "concert_not_found", "There is no such concert";
    PerformanceNotFound, NOT_FOUND, "performance_not_found", "There is no such performance";
    SeatNotFound, NOT_FOUND, "seat_not_found", "The performance has no such seat";
    ReservationNotFound, NOT_FOUND, "reservation_not_found", "There is no such reservation";
    PaymentNotFound, NOT_FOUND, "payment_not_found", "There is no such payment";
    VenueNotFound, NOT_FOUND, "venue_not_found", "There is no such venue";
    ChargeNotFound, NOT_FOUND, "charge_not_found", "There is no such charge";
    MethodNotAllowed, METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not have this method";
    NotAcceptable, NOT_ACCEPTABLE, "not_acceptable", "The answer has no form that the client accepts";
    PayloadTooLarge, PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large";
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be application/json";
    SeatUnavailable, CONFLICT, "seat_unavailable", "Some seats are held or sold";
    SeatLimitReached, CONFLICT, "seat_limit_reached", "The account may not have that many seats of this concert";
    SaleNotOpen, CONFLICT, "sale_not_open", "The sale has not opened yet";
    SaleClosed, CONFLICT, "sale_closed", "The sale has closed";
    PerformanceStarted, CONFLICT, "performance_started", "The performance has started";
    ReservationAlreadyPaid, CONFLICT, "reservation_already_paid", "The reservation is paid already";
    ReservationCancelled, CONFLICT, "reservation_cancelled", "The reservation is cancelled";
    CancellationClosed, CONFLICT, "cancellation_closed", "The reservation can no longer be cancelled";
    BalanceLimitReached, CONFLICT, "balance_limit_reached", "The balance would exceed its limit";
    LoginIdTaken, CONFLICT, "login_id_taken", "The login id is taken";
    IdempotencyKeyInUse, CONFLICT, "idempotency_key_in_use", "Another request under the same key is in progress";
    HoldExpired, GONE, "hold_expired", "The hold has expired";
    PreconditionFailed, PRECONDITION_FAILED, "precondition_failed", "It has been changed meanwhile";
    ValidationFailed, UNPROCESSABLE_ENTITY, "validation_failed", "The request breaks a rule";
    TooManySeats, UNPROCESSABLE_ENTITY, "too_many_seats", "Too many seats for one reservation";
    IdempotencyKeyReused, UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The key names another request";
    RateLimited, TOO_MANY_REQUESTS, "rate_limited", "Too many requests from this address";
    Internal, INTERNAL_SERVER_ERROR, "internal", "The server failed";
    GatewayFailed, BAD_GATEWAY, "gateway_failed", "The payment gateway gave no answer";
    Unavailable, SERVICE_UNAVAILABLE, "unavailable", "The server cannot do this at the moment";
}

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

/// What some codes tell beside their name.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct Members {
    /// What is wrong with the request, of `validation_failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub errors: Option<Vec<Violation>>,
    /// The seats it is about, of `seat_unavailable` and `seat_not_found`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub seats: Option<Vec<String>>,
    /// The most seats, of `seat_limit_reached` and `too_many_seats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub limit: Option<u32>,
    /// The place in line, of `queue_token_not_active`; `null` before the draw.
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
    /// The charge, of `charge_declined` and `gateway_failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub charge_id: Option<Uuid>,
}

/// An error as it is answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// The code, as a URI.
    #[schema(example = "urn:boxoffice:problem:seat_unavailable")]
    r#type: String,
    /// The code in words.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    detail: &'a str,
    /// What went wrong, by a name that stays the same between versions.
    code: &'static str,
    /// The id under which the server logged the request.
    request_id: &'a str,
    #[serde(flatten)]
    members: &'a Members,
}

/// An error on its way out. It travels in the extensions of the response, and is written down in one place,
/// by [`Self::render`], where the id of the request is known.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    members: Members,
    headers: HeaderMap,
}

/// What the `WWW-Authenticate` field says of a token that is there and not accepted.
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

    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::new(Code::Unavailable).detail(detail).retry_after(1)
    }

    /// A failure of which nothing is told but that there was one; whoever makes it has logged why.
    /// For a refusal that has no code yet, which a test of the documented codes would have asked for.
    pub(crate) fn unexpected(refusal: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = refusal, "a refusal has no code");
        Self::internal()
    }

    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal)
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.0.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// The answer to a request of this id. The headers that other layers gave the response are kept.
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
                tracing::warn!(error = &error as &dyn std::error::Error, "the storage is not available");
                Self::unavailable("The storage is not available at the moment.")
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
            WaitingRoomError::Full => Self::unavailable("The line is as long as it may get.").retry_after(10),
            WaitingRoomError::Storage(error) => error.into(),
        }
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Invalid => Self::new(Code::QueueTokenInvalid),
            GateError::NotActive { position } => {
                Self::new(Code::QueueTokenNotActive).members(Members { position: Some(position), ..Members::default() })
            }
            GateError::Expired => Self::new(Code::QueueTokenExpired),
            GateError::WaitingRoom(error) => error.into(),
            GateError::Storage(error) => error.into(),
        }
    }
}

impl From<KeyReused> for Problem {
    fn from(_: KeyReused) -> Self {
        Self::new(Code::IdempotencyKeyReused)
    }
}

/// Codes that come together, for the documentation of the routes.
pub(crate) mod sets {
    use super::Code::{
        self, AccessTokenExpired, IdempotencyKeyInUse, IdempotencyKeyReused, Internal, MalformedRequest, NotAcceptable,
        PayloadTooLarge, QueueTokenExpired, QueueTokenInvalid, QueueTokenMissing, QueueTokenNotActive, Unauthenticated,
        Unavailable, UnsupportedMediaType, ValidationFailed,
    };

    /// Of every route of the API.
    pub(crate) const ALWAYS: &[Code] = &[NotAcceptable, Internal, Unavailable];
    /// Of a route that needs an access token.
    pub(crate) const SIGNED_IN: &[Code] = &[Unauthenticated, AccessTokenExpired];
    /// Of a route that needs a queue token, whatever its status.
    pub(crate) const TICKET: &[Code] = &[QueueTokenMissing, QueueTokenInvalid];
    /// Of a route that needs an active queue token.
    pub(crate) const ADMITTED: &[Code] =
        &[QueueTokenMissing, QueueTokenInvalid, QueueTokenNotActive, QueueTokenExpired];
    /// Of a route with a body.
    pub(crate) const BODY: &[Code] = &[MalformedRequest, PayloadTooLarge, UnsupportedMediaType, ValidationFailed];
    /// Of a route with an id in its path.
    pub(crate) const PATH: &[Code] = &[MalformedRequest];
    /// Of a route that gives a list.
    pub(crate) const LIST: &[Code] = &[MalformedRequest, ValidationFailed];
    /// Of a route that honours an idempotency key.
    pub(crate) const KEYED: &[Code] = &[MalformedRequest, IdempotencyKeyInUse, IdempotencyKeyReused];
}

/// The errors of one route, for its documentation: codes that come together, and its own.
macro_rules! refusals {
    ($name:ident: [$($set:ident),* $(,)?], [$($code:ident),* $(,)?]) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses()
            -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::response::Response>> {
                $crate::problem::documented(&[
                    $crate::problem::sets::ALWAYS,
                    $($crate::problem::sets::$set,)*
                    &[$($crate::problem::Code::$code,)*],
                ])
            }
        }
    };
}
pub(crate) use refusals;

/// The documentation of the responses with these codes, one for each status.
pub(crate) fn documented(sets: &[&[Code]]) -> BTreeMap<String, RefOr<DocumentedResponse>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in sets.iter().copied().flatten() {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), RefOr::T(documented_response(&codes)))).collect()
}

fn documented_response(codes: &[Code]) -> DocumentedResponse {
    let description: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let names =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.as_str())));
    let narrowed = ObjectBuilder::new().property("code", names).required("code");
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrowed).build();
    let content = ContentBuilder::new().schema(Some(Schema::AllOf(schema))).build();
    let text = |description: &str| {
        let schema = ObjectBuilder::new().schema_type(Type::String).build();
        HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
    };
    let mut response = ResponseBuilder::new().description(description.join(" ")).content(PROBLEM_JSON, content);
    let status = codes.first().map(|code| code.status());
    if status == Some(StatusCode::UNAUTHORIZED) {
        response = response.header("WWW-Authenticate", text("The scheme to sign in with"));
    }
    if status == Some(StatusCode::TOO_MANY_REQUESTS) {
        response = response.header("RateLimit-Policy", text("The limit of this address"));
        response = response.header("RateLimit", text("How much of it is left"));
    }
    if matches!(status, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)) {
        response = response.header("Retry-After", text("After how many seconds to try again"));
    }
    response.build()
}
