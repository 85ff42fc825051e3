//! The cookie in which a browser keeps the refresh token of its session.
//!
//! No script can read it (`HttpOnly`), it goes with the requests of this host's own pages alone (`SameSite=Strict`; see
//! [`Browser::refresh_token`] for what else is checked), only to the addresses of sessions, and with TLS only over TLS.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{COOKIE, HOST, ORIGIN, SET_COOKIE},
        request::Parts,
    },
};

use crate::{
    api::Api,
    reply::{Code, Problem},
};

/// Its name.
const NAME: &str = "boxoffice_refresh";
/// The addresses that it goes to: those that exchange or end a session.
const PATH: &str = "/v1/sessions";
/// Written by a proxy in front that ends TLS.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A client that may keep its refresh token in a cookie.
pub(crate) struct Browser {
    /// The refresh token in the cookie that it sent.
    sent: Option<String>,
    /// Whether a page of this host sent the request.
    is_own_page: bool,
    /// Whether it came over TLS.
    secure: bool,
}

impl FromRequestParts<Api> for Browser {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let forwarded = api.settings.trust_forwarded_for && ends_with_https(&parts.headers);
        Ok(Self {
            sent: cookie(&parts.headers),
            is_own_page: is_own_page(parts),
            secure: api.settings.tls || forwarded,
        })
    }
}

impl Browser {
    /// The refresh token in its cookie. A request with it has to come from a page of this host, and says so: browsers write
    /// `Origin`, and no page can change it.
    pub(crate) fn refresh_token(&self) -> Result<&str, Problem> {
        match &self.sent {
            None => Err(Problem::new(Code::Unauthenticated).detail("There is neither a refresh token nor a cookie.")),
            Some(_) if !self.is_own_page => {
                Err(Problem::new(Code::Forbidden).detail("The cookie counts only in a request of a page of this host."))
            }
            Some(token) => Ok(token),
        }
    }

    /// The header field that lets it keep a refresh token for so long.
    pub(crate) fn keeps(&self, refresh_token: &str, seconds: u32) -> [(HeaderName, HeaderValue); 1] {
        self.set(refresh_token, seconds)
    }

    /// The header field that takes its cookie back, if it sent one.
    pub(crate) fn drops(&self) -> Option<(HeaderName, HeaderValue)> {
        let [field] = self.set("", 0);
        self.sent.is_some().then_some(field)
    }

    fn set(&self, value: &str, seconds: u32) -> [(HeaderName, HeaderValue); 1] {
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!("{NAME}={value}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        // A refresh token is of letters, digits, `-` and `_`.
        [(SET_COOKIE, HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("")))]
    }
}

/// The value of the cookie in a request (RFC 6265, section 4.2.1).
fn cookie(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value.to_owned())
}

/// Whether the page that sent a request is of the host that it was sent to.
fn is_own_page(parts: &Parts) -> bool {
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
    let origin = parts.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let origin = origin.and_then(|origin| origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")));
    origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
}

fn ends_with_https(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back().and_then(|field| field.to_str().ok());
    last.and_then(|field| field.rsplit(',').next()).is_some_and(|proto| proto.trim().eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(fields: &[(&'static str, &str)]) -> Parts {
        let request = fields.iter().fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for (fields, found) in [
            (&["a=b; boxoffice_refresh=token; c=d"][..], Some("token")),
            (&["boxoffice_refresh=token"], Some("token")),
            (&["a=b", "boxoffice_refresh=token"], Some("token")),
            (&["xboxoffice_refresh=token; boxoffice_refresher=token"], None),
            (&["boxoffice_refresh"], None),
            (&[], None),
        ] {
            let fields: Vec<_> = fields.iter().map(|field| ("cookie", *field)).collect();
            assert_eq!(cookie(&parts(&fields).headers).as_deref(), found, "{fields:?}");
        }
    }

    #[test]
    fn only_a_page_of_the_host_that_was_asked_is_its_own() {
        for (host, origin, own) in [
            ("tickets.example", Some("https://tickets.example"), true),
            ("Tickets.example:8080", Some("http://tickets.example:8080"), true),
            ("tickets.example", Some("https://tickets.example:8443"), false),
            ("tickets.example", Some("https://evil.example"), false),
            ("tickets.example", Some("https://tickets.example.evil.example"), false),
            ("tickets.example", Some("tickets.example"), false),
            ("tickets.example", Some("null"), false),
            ("tickets.example", None, false),
        ] {
            let fields: Vec<_> = [("host", host)].into_iter().chain(origin.map(|origin| ("origin", origin))).collect();
            assert_eq!(is_own_page(&parts(&fields)), own, "{fields:?}");
        }
        // HTTP/2 has the host in the address.
        let mut parts = parts(&[("origin", "https://tickets.example")]);
        parts.uri = "https://tickets.example/v1/sessions/refresh".parse().unwrap();
        assert!(is_own_page(&parts));
    }

    #[test]
    fn the_last_proxy_says_whether_there_was_tls() {
        for (fields, tls) in [
            (&[("x-forwarded-proto", "https")][..], true),
            (&[("x-forwarded-proto", "http, HTTPS")], true),
            (&[("x-forwarded-proto", "http"), ("x-forwarded-proto", "https")], true),
            (&[("x-forwarded-proto", "https, http")], false),
            (&[], false),
        ] {
            assert_eq!(ends_with_https(&parts(fields).headers), tls, "{fields:?}");
        }
    }
}
