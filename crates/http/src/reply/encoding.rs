//! What a client accepts: weighted items (RFC 9110, section 12.4.2), and content codings (section 12.5.3).

use axum::http::{HeaderMap, HeaderName, header::ACCEPT_ENCODING};

/// The content codings that a client accepts, of those that the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Whether it accepts `gzip`, and does not prefer the plain form.
    pub gzip: bool,
    /// Whether it accepts the plain form.
    pub plain: bool,
}

/// Reads the `Accept-Encoding` fields. Without any, a client gets the plain form, since it may know no coding.
pub(crate) fn accepted(headers: &HeaderMap) -> Accepted {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for (coding, weight) in weighted(headers, &ACCEPT_ENCODING) {
        match coding.as_str() {
            // `x-gzip` is the same (RFC 9110, section 8.4.1.3).
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // The plain form is acceptable unless the client excludes it.
    let plain = identity.or(any.filter(|weight| *weight == 0));
    Accepted { gzip: gzip > 0 && gzip >= identity.unwrap_or(0), plain: plain != Some(0) }
}

/// The items of the fields of this name in lower case, each with its weight in thousandths.
pub(crate) fn weighted(headers: &HeaderMap, name: &HeaderName) -> impl Iterator<Item = (String, u16)> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|item| {
        let mut parts = item.split(';').map(str::trim);
        (parts.next().unwrap_or_default().to_ascii_lowercase(), weight_of(parts))
    })
}

/// A weight in thousandths; 0 if it cannot be read.
fn weight_of<'p>(mut parameters: impl Iterator<Item = &'p str>) -> u16 {
    let Some(text) = parameters.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="))) else {
        return 1_000;
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = format!("{fraction:0<3}").parse();
    match (whole, thousandths) {
        ("0", Ok(thousandths)) if digits => thousandths,
        ("1", Ok(0)) if digits => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Whether `gzip` and the plain form are accepted.
    fn of(fields: &[&'static str]) -> (bool, bool) {
        let fields = fields.iter().map(|field| (ACCEPT_ENCODING, HeaderValue::from_static(field)));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        let Accepted { gzip, plain } = accepted(&headers);
        (gzip, plain)
    }

    #[test]
    fn a_client_gets_gzip_if_it_prefers_it_and_may_exclude_the_plain_form() {
        let gzip = ["gzip", "GZIP", "x-gzip", "gzip, deflate, br", "*", "gzip;q=1.000, identity;q=0.5"];
        for field in gzip.into_iter().chain(["gzip ; q=0.001", "*;q=0.1, br;q=0", "*;q=0, identity;q=0.5, gzip"]) {
            assert_eq!(of(&[field]), (true, true), "{field}");
        }
        assert_eq!(of(&["br", "gzip;q=0.5"]), (true, true));
        let plain = ["", "identity", "br", "gzip;q=0", "gzip;q=0.000, br", "*, gzip;q=0", "gzip;q=0.5, identity"];
        for field in plain.into_iter().chain(["gzip;q=2", "gzip;q=0.0001", "*;q=0, identity"]) {
            assert_eq!(of(&[field]), (false, true), "{field}");
        }
        assert_eq!(of(&[]), (false, true));
        for (field, expected) in [("gzip, identity;q=0", true), ("gzip, *;q=0", true), ("*;q=0", false)] {
            assert_eq!(of(&[field]), (expected, false), "{field}");
        }
        assert_eq!(of(&["identity;q=0"]), (false, false));
    }
}
