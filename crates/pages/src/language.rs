//! The language of a page: what the client prefers, of those that the pages have.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Korean,
}

impl Language {
    pub(crate) const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// Its tag (RFC 5646), which is also the name of the file of its texts.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

/// The language with the highest weight in `Accept-Language` (RFC 9110, section 12.5.4), the first of equal ones; English if
/// the client prefers none.
pub(crate) fn preferred(headers: &HeaderMap) -> Language {
    let fields = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|field| field.to_str().ok());
    let mut best: Option<(Language, f32)> = None;
    for item in fields.flat_map(|field| field.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |weight| weight.parse().ok());
        let known = Language::ALL.into_iter().find(|language| tag.split('-').next() == Some(language.tag()));
        if let (Some(language), Some(weight)) = (known, weight)
            && weight > best.map_or(0.0, |(_, weight)| weight)
        {
            best = Some((language, weight));
        }
    }
    best.map_or(Language::English, |(language, _)| language)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_with_the_highest_weight_is_shown() {
        for (field, language) in [
            ("ko", Language::Korean),
            ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Language::Korean),
            ("en-GB, ko;q=0.5", Language::English),
            ("en;q=0.3, KO-kr;q=0.8", Language::Korean),
            ("de, fr;q=0.5, ko;q=0.1", Language::Korean),
            ("ko;q=0, en;q=0.1", Language::English),
            ("ko;q=much", Language::English),
            ("kok", Language::English),
            ("*", Language::English),
            ("", Language::English),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(field))]);
            assert_eq!(preferred(&headers), language, "{field}");
        }
        assert_eq!(preferred(&HeaderMap::new()), Language::English);
    }
}
