//! The names of what can go wrong.

use std::{borrow::Cow, fmt::Write};

use axum::http::StatusCode;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

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

            pub const fn as_str(self) -> &'static str {
                match self {$(
                    Self::$name => $text,
                )*}
            }

            /// The status of the response.
            pub const fn status(self) -> StatusCode {
                match self {$(
                    Self::$name => StatusCode::$status,
                )*}
            }

            /// The code in words.
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
    SecondFactorRequired, UNAUTHORIZED, "second_factor_required", "A code of the second factor is required";
    QueueTokenMissing, UNAUTHORIZED, "queue_token_missing", "A Queue-Token is required";
    QueueTokenInvalid, UNAUTHORIZED, "queue_token_invalid", "The queue token is not valid here";
    InsufficientPoints, PAYMENT_REQUIRED, "insufficient_points", "The wallet has too few points";
    ChargeDeclined, PAYMENT_REQUIRED, "charge_declined", "The payment gateway declined the charge";
    Forbidden, FORBIDDEN, "forbidden", "The account may not do this";
    AccountTooNew, FORBIDDEN, "account_too_new", "The account is too new to join";
    EmailNotVerified, FORBIDDEN, "email_not_verified", "The account needs a verified e-mail address";
    SecondFactorSetupRequired, FORBIDDEN, "second_factor_setup_required", "The account has to set up a second factor first";
    QueueTokenNotActive, FORBIDDEN, "queue_token_not_active", "The queue token is not active yet";
    QueueTokenExpired, FORBIDDEN, "queue_token_expired", "The queue token has expired";
    NotFound, NOT_FOUND, "not_found", "There is no such route";
    ConcertNotFound, NOT_FOUND, "concert_not_found", "There is no such concert";
    PerformanceNotFound, NOT_FOUND, "performance_not_found", "There is no such performance";
    SeatNotFound, NOT_FOUND, "seat_not_found", "The performance has no such seat";
    ReservationNotFound, NOT_FOUND, "reservation_not_found", "There is no such reservation";
    PaymentNotFound, NOT_FOUND, "payment_not_found", "There is no such payment";
    SessionNotFound, NOT_FOUND, "session_not_found", "There is no such session";
    SecondFactorNotFound, NOT_FOUND, "second_factor_not_found", "The account has no such second factor";
    PasswordResetInvalid, NOT_FOUND, "password_reset_invalid", "The password reset is not valid any more";
    VenueNotFound, NOT_FOUND, "venue_not_found", "There is no such venue";
    ChargeNotFound, NOT_FOUND, "charge_not_found", "There is no such charge";
    WebhookNotFound, NOT_FOUND, "webhook_not_found", "There is no such webhook";
    DeliveryNotFound, NOT_FOUND, "delivery_not_found", "There is no such delivery";
    MethodNotAllowed, METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not have this method";
    NotAcceptable, NOT_ACCEPTABLE, "not_acceptable", "The response has no form that the client accepts";
    PayloadTooLarge, PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large";
    UnsupportedMediaType, UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be application/json";
    BodyTooSlow, REQUEST_TIMEOUT, "body_too_slow", "The body arrived too slowly";
    SeatUnavailable, CONFLICT, "seat_unavailable", "Some seats are held or sold";
    SeatLimitReached, CONFLICT, "seat_limit_reached", "The account may not have that many seats of this concert";
    SaleNotOpen, CONFLICT, "sale_not_open", "The sale has not opened yet";
    SaleClosed, CONFLICT, "sale_closed", "The sale has closed";
    SoldOut, CONFLICT, "sold_out", "Every seat is sold";
    PerformanceStarted, CONFLICT, "performance_started", "The performance has started";
    PerformanceWithdrawn, CONFLICT, "performance_withdrawn", "The performance is no longer sold";
    PerformanceOverlaps, CONFLICT, "performance_overlaps", "The venue has another performance at that time";
    ReservationAlreadyPaid, CONFLICT, "reservation_already_paid", "The reservation is paid already";
    ReservationCancelled, CONFLICT, "reservation_cancelled", "The reservation is cancelled";
    CancellationClosed, CONFLICT, "cancellation_closed", "The reservation can no longer be cancelled";
    BalanceLimitReached, CONFLICT, "balance_limit_reached", "The balance would exceed its limit";
    ChargeNotRefundable, CONFLICT, "charge_not_refundable", "Of the charge, less is left than is asked for";
    ChargeRefundRefused, CONFLICT, "charge_refund_refused", "The payment gateway refused the refund";
    AccountInUse, CONFLICT, "account_in_use", "The account has points, seats or charges in progress";
    SecondFactorExists, CONFLICT, "second_factor_exists", "The account has a second factor already";
    MailNotAvailable, CONFLICT, "mail_not_available", "The server sends no mail";
    WebhooksLimit, CONFLICT, "webhooks_limit", "The account has as many webhooks as it may have";
    WebhookOff, CONFLICT, "webhook_off", "The webhook is turned off";
    LoginIdTaken, CONFLICT, "login_id_taken", "The login id is taken";
    IdempotencyKeyInUse, CONFLICT, "idempotency_key_in_use", "Another request under the same key is in progress";
    HoldExpired, GONE, "hold_expired", "The hold has expired";
    PreconditionFailed, PRECONDITION_FAILED, "precondition_failed", "It has been changed meanwhile";
    ValidationFailed, UNPROCESSABLE_ENTITY, "validation_failed", "The request breaks a rule";
    TooManySeats, UNPROCESSABLE_ENTITY, "too_many_seats", "Too many seats for one reservation";
    WebhookUrlRefused, UNPROCESSABLE_ENTITY, "webhook_url_refused", "Nothing is sent to such a URL";
    IdempotencyKeyReused, UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The key names another request";
    HoldCooldown, TOO_MANY_REQUESTS, "hold_cooldown", "Too many holds of this concert ended unpaid";
    QueueJoinsLimited, TOO_MANY_REQUESTS, "queue_joins_limited", "Too many accounts of this network have joined";
    RateLimited, TOO_MANY_REQUESTS, "rate_limited", "Too many requests from this client";
    Internal, INTERNAL_SERVER_ERROR, "internal", "The server failed";
    GatewayFailed, BAD_GATEWAY, "gateway_failed", "The payment gateway gave no answer";
    ChargingUnavailable, SERVICE_UNAVAILABLE, "charging_unavailable", "This shop does not sell points";
    Unavailable, SERVICE_UNAVAILABLE, "unavailable", "The server cannot do this at the moment";
}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let mut description =
            "What went wrong, by a name that stays the same between versions; others may be added.\n".to_owned();
        for code in Self::ALL {
            let (name, status, title) = (code.as_str(), code.status().as_u16(), code.title());
            // Writing to a text does not fail.
            _ = write!(description, "\n- `{name}` ({status}): {title}");
        }
        let names = Self::ALL.iter().map(|code| code.as_str());
        let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        schema.description(Some(description)).into()
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        "ProblemCode".into()
    }
}
