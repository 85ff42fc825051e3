//! Entity tags (RFC 9110, section 8.8.3): a client that has the current answer gets a 304.

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

use crate::problem::Problem;

/// Who may keep an answer, to be asked about again before each use.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// Anybody: it is the same for all.
    ByAll,
    /// The client alone: it was given to an admitted account.
    ByClient,
}

/// An answer with its tag. Copies share it.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    tag: HeaderValue,
    content: Bytes,
}

impl Tagged {
    /// An answer with a tag made of its content.
    pub(crate) fn of(answer: &impl Serialize) -> Result<Self, Problem> {
        let content = json_of(answer)?;
        Ok(Self { tag: tag_of(&Sha256::digest(&content), ""), content: content.into() })
    }

    /// An answer with a tag made of its version and content.
    pub(crate) fn of_version(version: u32, answer: &impl Serialize) -> Result<Self, Problem> {
        let content = json_of(answer)?;
        Ok(Self { tag: of_version(version, &content), content: content.into() })
    }

    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// The answer to a request, or 304 where the client has it.
    pub(crate) fn answer(&self, headers: &HeaderMap, kept: Kept) -> Response {
        let fields = fields(&self.tag, kept);
        if none_matches(headers, &self.tag) {
            let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (StatusCode::OK, fields, json, Body::from(self.content.clone())).into_response()
        } else {
            (StatusCode::NOT_MODIFIED, fields).into_response()
        }
    }
}

/// A tag made of a digest of the content, and of what tells its form from others of the same content.
pub(crate) fn tag_of(digest: &[u8], form: &str) -> HeaderValue {
    field(format!("\"{}{form}\"", text_of(digest)))
}

/// A tag made of a version and of the content, which may change with time at one version. `If-Match` looks
/// at the version alone, so a change is not refused because a sale has opened meanwhile.
fn of_version(version: u32, content: &[u8]) -> HeaderValue {
    field(format!("\"{version}-{}\"", text_of(&Sha256::digest(content))))
}

fn text_of(digest: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&digest[..12])
}

fn field(tag: String) -> HeaderValue {
    HeaderValue::try_from(tag).expect("a tag is made of visible characters")
}

/// The tag under which [`Tagged::of_version`] gives the same answer, as a header field.
pub(crate) fn version_field(version: u32, answer: &impl Serialize) -> Result<(HeaderName, HeaderValue), Problem> {
    Ok((ETAG, of_version(version, &json_of(answer)?)))
}

fn json_of(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "an answer has no JSON form");
        Problem::internal()
    })
}

/// The fields of an answer of this tag, whole or not modified.
pub(crate) fn fields(tag: &HeaderValue, kept: Kept) -> [(HeaderName, HeaderValue); 2] {
    let caching = match kept {
        Kept::ByAll => "no-cache",
        Kept::ByClient => "private, no-cache",
    };
    [(ETAG, tag.clone()), (CACHE_CONTROL, HeaderValue::from_static(caching))]
}

/// Whether the client has another answer than this, or none: the condition of `If-None-Match`, which
/// compares weakly.
pub(crate) fn none_matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    !listed(headers, &IF_NONE_MATCH).any(|listed| listed == "*" || listed.trim_start_matches("W/").as_bytes() == tag)
}

/// The versions that `If-Match` allows, `None` where it allows any. A tag that is not one of ours stands for
/// version 0, which nothing has.
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

/// Our tags hold no comma, so a list of them may be split at each.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(text))])
    }

    #[test]
    fn if_match_allows_the_versions_of_its_strong_tags() {
        assert_eq!(versions_allowed(&HeaderMap::new()), None);
        assert_eq!(versions_allowed(&if_match("*")), None);
        assert_eq!(versions_allowed(&if_match("\"3-abc\"")), Some(vec![3]));
        assert_eq!(versions_allowed(&if_match("\"3-abc\", \"4-d_-e\"")), Some(vec![3, 4]));
        assert_eq!(versions_allowed(&if_match("W/\"3-abc\"")), Some(vec![0]));
        assert_eq!(versions_allowed(&if_match("3")), Some(vec![0]));
    }
}
