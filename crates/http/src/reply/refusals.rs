//! The refusals of a route, for the OpenAPI document.

use std::collections::BTreeMap;

use utoipa::openapi::{
    Header, HeaderBuilder, ObjectBuilder, RefOr, Response, ResponseBuilder, Type, extensions::Extensions,
};

use super::code::Code;

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
/// The type that it makes, `Refusals` unless named, is listed among the `responses` of the route. The document tells the
/// codes of the route alone in its description, and all of them in its `x-codes`.
macro_rules! refusals {
    ([$($set:ident),* $(,)?], [$($code:ident),* $(,)?]) => {
        refusals!(Refusals: [ALWAYS $(, $set)*], [$($code),*]);
    };
    ($name:ident: [$($set:ident),*], [$($code:ident),*]) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::reply::documented(&[$($crate::reply::sets::$set,)*], &[$($crate::reply::Code::$code,)*])
            }
        }
    };
}
pub(crate) use refusals;

/// The codes of a response, and of an operation, in the document.
pub(crate) const CODES: &str = "x-codes";
/// Those of [`CODES`] that belong to the route alone, until the document is complete.
pub(crate) const OWN_CODES: &str = "x-own-codes";

/// Describes a header field of a response.
pub(crate) fn header(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build()
}

/// The responses with these codes, one for each status. The document describes them, together with those of the other
/// routes.
pub(crate) fn documented(sets: &[&[Code]], own: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in sets.iter().copied().flatten().chain(own) {
        let codes = by_status.entry(code.status().as_u16()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    let response = |codes: Vec<Code>| {
        let own: Vec<_> = codes.iter().copied().filter(|code| own.contains(code)).collect();
        let extensions = Extensions::from_iter([(CODES, names(&codes)), (OWN_CODES, names(&own))]);
        ResponseBuilder::new().extensions(Some(extensions)).build()
    };
    by_status.into_iter().map(|(status, codes)| (status.to_string(), response(codes).into())).collect()
}

fn names(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().map(|code| code.as_str()).collect()
}
