//! Ids in paths.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::reply::Problem;

/// The two ids in a path.
pub(crate) struct Ids<A, B>(pub A, pub B);

impl<S: Send + Sync, A: FromStr, B: FromStr> FromRequestParts<S> for Ids<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = || Problem::malformed("An id in the path is not a UUID.");
        let texts = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((first, second)) = texts.map_err(|_| malformed())?;
        let (first, second) = first.parse().ok().zip(second.parse().ok()).ok_or_else(malformed)?;
        Ok(Self(first, second))
    }
}

/// The id in a path.
pub(crate) struct Id<T>(pub T);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = || Problem::malformed("The id in the path is not a UUID.");
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| malformed())?;
        text.parse().map(Self).map_err(|_| malformed())
    }
}
