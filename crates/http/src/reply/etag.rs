//! Entity tags (RFC 9110, section 8.8.3): a client that has the current response gets a 304.

use std::collections::BTreeMap;

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::{
    IntoResponses,
    openapi::{RefOr, Response as DocumentedResponse, ResponseBuilder},
};

use super::{problem::Problem, refusals::header};

/// Which caches may keep a response. They validate it before each use.
#[derive(Clone, Copy)]
pub(crate) enum CacheScope {
    /// All: the response is the same for every client.
    Public,
    /// The cache of the client alone: the response is for admitted accounts.
    Private,
}

/// A response body with its tag. Copies share the body.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    tag: HeaderValue,
    content: Bytes,
}

impl Tagged {
    /// Makes the tag of the content.
    pub(crate) fn of(body: &impl Serialize) -> Result<Self, Problem> {
        let content = json_of(body)?;
        Ok(Self { tag: tag_of(&Sha256::digest(&content), ""), content: content.into() })
    }

    /// Makes the tag of the version and the content.
    pub(crate) fn of_version(version: u32, body: &impl Serialize) -> Result<Self, Problem> {
        let content = json_of(body)?;
        Ok(Self { tag: of_version(version, &content), content: content.into() })
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The response to a request with these header fields: 304 if the client has the body.
    pub(crate) fn respond(&self, headers: &HeaderMap, scope: CacheScope) -> Response {
        let fields = fields(&self.tag, scope);
        if none_matches(headers, &self.tag) {
            let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (StatusCode::OK, fields, json, Body::from(self.content.clone())).into_response()
        } else {
            (StatusCode::NOT_MODIFIED, fields).into_response()
        }
    }
}

/// Documents the response to a client that has the current one.
pub(crate) struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
        let response = ResponseBuilder::new().description("The client has the current response.");
        BTreeMap::from([("304".to_owned(), response.header("ETag", header("The tag of this response")).build().into())])
    }
}

/// A tag of a digest of the content, and of a suffix that distinguishes encodings of the same content.
pub(crate) fn tag_of(digest: &[u8], suffix: &str) -> HeaderValue {
    tag("", digest, suffix)
}

/// A tag of a version and of the content, which time may change at one version. `If-Match` compares the version alone,
/// so that the server does not refuse a change because a sale has opened since.
fn of_version(version: u32, content: &[u8]) -> HeaderValue {
    tag(&format!("{version}-"), &Sha256::digest(content), "")
}

fn tag(prefix: &str, digest: &[u8], suffix: &str) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(&digest[..12]);
    HeaderValue::try_from(format!("\"{prefix}{digest}{suffix}\"")).expect("a tag is made of visible characters")
}

/// The tag of [`Tagged::of_version`], as a header field.
pub(crate) fn version_field(version: u32, body: &impl Serialize) -> Result<(HeaderName, HeaderValue), Problem> {
    Ok((ETAG, of_version(version, &json_of(body)?)))
}

fn json_of(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a response body has no JSON form");
        Problem::internal()
    })
}

/// The header fields of a response with this tag, whole or not modified.
pub(crate) fn fields(tag: &HeaderValue, scope: CacheScope) -> [(HeaderName, HeaderValue); 2] {
    let caching = match scope {
        CacheScope::Public => "no-cache",
        CacheScope::Private => "private, no-cache",
    };
    [(ETAG, tag.clone()), (CACHE_CONTROL, HeaderValue::from_static(caching))]
}

/// Whether the client does not have the response with this tag: the condition of `If-None-Match`, which compares
/// weakly.
pub(crate) fn none_matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    !listed(headers, &IF_NONE_MATCH).any(|listed| listed == "*" || listed.trim_start_matches("W/").as_bytes() == tag)
}

/// The versions that `If-Match` allows; `None` if it allows any. A tag that this server did not make stands for version
/// 0, which nothing has.
pub(crate) fn versions_allowed(headers: &HeaderMap) -> Option<Vec<u32>> {
    if !headers.contains_key(IF_MATCH) || listed(headers, &IF_MATCH).any(|tag| tag == "*") {
        return None;
    }
    Some(listed(headers, &IF_MATCH).map(|tag| version_of(tag).unwrap_or_default()).collect())
}

/// `If-Match` compares strongly, so a weak tag has no version.
fn version_of(tag: &str) -> Option<u32> {
    tag.strip_prefix('"')?.strip_suffix('"')?.split('-').next()?.parse().ok()
}

/// Splits at each comma: the tags of this server hold none.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_the_current_response_gets_a_304() {
        let response = Tagged::of(&"body").unwrap();
        let tag = response.tag.to_str().unwrap();
        let has = |tags: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(tags).unwrap())]);
            response.respond(&headers, CacheScope::Private)
        };
        for tags in [tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let unchanged = has(tags);
            assert_eq!((unchanged.status(), &unchanged.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &response.tag));
        }
        let other = has("\"x\"");
        assert_eq!(
            (other.status(), other.headers()[CACHE_CONTROL].to_str().unwrap()),
            (StatusCode::OK, "private, no-cache")
        );
    }
}
