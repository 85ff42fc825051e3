//! The id of a request.

use std::{convert::Infallible, sync::Arc};

use axum::{extract::FromRequestParts, http::request::Parts};
use boxoffice_application::{Identity, Staff};

/// The id that the outermost layer gave the request, or that the client chose.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl RequestId {
    /// An account that acts by this request.
    pub(crate) fn staff(&self, identity: Identity) -> Staff {
        Staff { identity, request_id: Some(self.0.to_string()) }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self("".into())))
    }
}
