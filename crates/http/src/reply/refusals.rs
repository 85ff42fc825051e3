//! The refusals of a route, for the OpenAPI document.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::{
    AllOfBuilder, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
    Type,
};

use super::{code::Code, problem::PROBLEM_JSON};

/// Codes that come together, for the documentation of the routes.
pub(crate) mod sets {
    use super::Code::{
        self, AccessTokenExpired, BodyTooSlow, IdempotencyKeyInUse, IdempotencyKeyReused, Internal, MalformedRequest,
        NotAcceptable, PayloadTooLarge, QueueTokenExpired, QueueTokenInvalid, QueueTokenMissing, QueueTokenNotActive,
        RateLimited, SecondFactorSetupRequired, Unauthenticated, Unavailable, UnsupportedMediaType, ValidationFailed,
    };

    /// Of every route of the API.
    pub(crate) const ALWAYS: &[Code] =
        &[MalformedRequest, NotAcceptable, BodyTooSlow, PayloadTooLarge, ValidationFailed, Internal, Unavailable];
    /// Of every route, given input that it has no use for.
    pub(crate) const INPUT: &[Code] = &[MalformedRequest, BodyTooSlow, PayloadTooLarge, ValidationFailed];
    /// Of a route that needs an access token.
    pub(crate) const SIGNED_IN: &[Code] =
        &[Unauthenticated, AccessTokenExpired, SecondFactorSetupRequired, RateLimited];
    /// Of a route that needs a queue token, whatever its status.
    pub(crate) const QUEUED: &[Code] = &[QueueTokenMissing, QueueTokenInvalid];
    /// Of a route that needs an active queue token.
    pub(crate) const ADMITTED: &[Code] =
        &[QueueTokenMissing, QueueTokenInvalid, QueueTokenNotActive, QueueTokenExpired];
    /// Of a route with a body.
    pub(crate) const BODY: &[Code] =
        &[MalformedRequest, BodyTooSlow, PayloadTooLarge, UnsupportedMediaType, ValidationFailed];
    /// Of a route with an id in its path.
    pub(crate) const PATH: &[Code] = &[MalformedRequest];
    /// Of a route that gives a list.
    pub(crate) const LIST: &[Code] = &[MalformedRequest];
    /// Of a route that honours an idempotency key.
    pub(crate) const KEYED: &[Code] = &[MalformedRequest, IdempotencyKeyInUse, IdempotencyKeyReused];
}

/// Declares the refusals of a route: sets of codes, and codes of the route alone.
///
/// The type that it makes, `Refusals` unless named, is listed among the `responses` of the route.
macro_rules! refusals {
    ([$($set:ident),* $(,)?], [$($code:ident),* $(,)?]) => {
        refusals!(Refusals: [ALWAYS $(, $set)*], [$($code),*]);
    };
    ($name:ident: [$($set:ident),*], [$($code:ident),*]) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::reply::documented(&[
                    $($crate::reply::sets::$set,)*
                    &[$($crate::reply::Code::$code,)*],
                ])
            }
        }
    };
}
pub(crate) use refusals;

/// Describes a header field of a response.
pub(crate) fn header(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

/// Describes the responses with these codes, one for each status.
pub(crate) fn documented(sets: &[&[Code]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in sets.iter().copied().flatten() {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    by_status.into_iter().map(|(status, codes)| (status.to_string(), RefOr::T(described(&codes)))).collect()
}

fn described(codes: &[Code]) -> Response {
    let description: Vec<_> = codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let names =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.as_str())));
    let narrowed = ObjectBuilder::new().property("code", names).required("code");
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("Problem")).item(narrowed).build();
    let content = ContentBuilder::new().schema(Some(Schema::AllOf(schema))).build();
    let mut response = ResponseBuilder::new().description(description.join(" ")).content(PROBLEM_JSON, content);
    let status = codes.first().map(|code| code.status());
    if status == Some(StatusCode::UNAUTHORIZED) {
        response = response.header("WWW-Authenticate", header("The scheme to sign in with"));
    }
    if codes.contains(&Code::RateLimited) {
        response = response.header("RateLimit-Policy", header("The limit of this client"));
        response = response.header("RateLimit", header("How much of it is left"));
    }
    let comes_later = matches!(status, Some(StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE));
    if comes_later || codes.iter().any(|code| matches!(code, Code::SaleNotOpen | Code::AccountTooNew)) {
        response = response.header("Retry-After", header("After how many seconds to try again"));
    }
    response.build()
}
