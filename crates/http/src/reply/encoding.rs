//! Which content coding a client accepts (RFC 9110, section 12.5.3).

use axum::http::{HeaderMap, header::ACCEPT_ENCODING};

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
    let lines = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    for item in lines.flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let weight = weight_of(parts);
        // `x-gzip` is the same (RFC 9110, section 8.4.1.3).
        if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") {
            gzip = Some(weight);
        } else if coding.eq_ignore_ascii_case("identity") {
            identity = Some(weight);
        } else if coding == "*" {
            any = Some(weight);
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    // The plain form is acceptable unless the client excludes it.
    let plain = identity.or(any.filter(|weight| *weight == 0));
    Accepted { gzip: gzip > 0 && gzip >= identity.unwrap_or(0), plain: plain != Some(0) }
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

    fn of(lines: &[&'static str]) -> (bool, bool) {
        let headers = lines.iter().map(|line| (ACCEPT_ENCODING, HeaderValue::from_static(line)));
        let mut fields = HeaderMap::new();
        headers.for_each(|(name, value)| {
            fields.append(name, value);
        });
        let Accepted { gzip, plain } = accepted(&fields);
        (gzip, plain)
    }

    #[test]
    fn a_client_that_prefers_gzip_gets_it() {
        let both: [&[&'static str]; 9] = [
            &["gzip"],
            &["GZIP"],
            &["x-gzip"],
            &["gzip, deflate, br"],
            &["br", "gzip;q=0.5"],
            &["*"],
            &["gzip;q=1.000, identity;q=0.5"],
            &["gzip ; q=0.001"],
            &["*;q=0.1, br;q=0"],
        ];
        for lines in both {
            assert_eq!(of(lines), (true, true), "{lines:?}");
        }
    }

    #[test]
    fn other_clients_get_the_plain_form() {
        let plain: [&[&'static str]; 10] = [
            &[],
            &[""],
            &["identity"],
            &["br"],
            &["gzip;q=0"],
            &["gzip;q=0.000, br"],
            &["*, gzip;q=0"],
            &["gzip;q=0.5, identity"],
            &["gzip;q=2"],
            &["gzip;q=0.0001"],
        ];
        for lines in plain {
            assert_eq!(of(lines), (false, true), "{lines:?}");
        }
    }

    #[test]
    fn a_client_may_exclude_the_plain_form() {
        assert_eq!(of(&["gzip, identity;q=0"]), (true, false));
        assert_eq!(of(&["gzip, *;q=0"]), (true, false));
        assert_eq!(of(&["identity;q=0"]), (false, false));
        assert_eq!(of(&["*;q=0"]), (false, false));
        assert_eq!(of(&["*;q=0, identity"]), (false, true));
        assert_eq!(of(&["*;q=0, identity;q=0.5, gzip"]), (true, true));
    }
}
