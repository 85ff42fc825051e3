//! How the text of a setting becomes its value. A refusal goes on after the name of the setting.

use std::{fmt, num::NonZeroU32, path::PathBuf, str::FromStr};

use boxoffice_domain::Points;
use tracing_subscriber::EnvFilter;
use url::Url;

pub(super) fn whole<T: FromStr + PartialOrd + fmt::Display>(min: T, max: T) -> impl Fn(&str) -> Result<T, String> {
    move |text| match text.parse() {
        Ok(number) if min <= number && number <= max => Ok(number),
        _ => Err(format!("must be a whole number from {min} to {max}, not `{text}`")),
    }
}

/// A whole number from 1 to `max`.
pub(super) fn positive(max: u32) -> impl Fn(&str) -> Result<NonZeroU32, String> {
    move |text| NonZeroU32::new(whole(1, max)(text)?).ok_or_else(|| "must not be 0".to_owned())
}

/// 1 to `max` points.
pub(super) fn points(max: i64) -> impl Fn(&str) -> Result<Points, String> {
    move |text| Points::new(whole(1, max)(text)?).map_err(|error| error.to_string())
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("must be `true` or `false`, not `{text}`"))
}

/// A part of a whole.
pub(super) fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("must be a number from 0 to 1, not `{text}`"))
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.into()) }
}

pub(super) fn url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("must be a URL: {error}"))
}

/// A value that says itself what is wrong with a text. A value with a secret does not repeat it.
pub(super) fn of_text<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A name of one line for people to read.
pub(super) fn shop_name(text: &str) -> Result<String, String> {
    let is_name = (1..=80).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_name { Ok(text.to_owned()) } else { Err("must be a name of 1 to 80 characters".to_owned()) }
}

pub(super) fn optional<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

pub(super) fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!("must be one of {}, not `{text}`", names.join(", "))
        })
    }
}

pub(super) fn log_directives(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| format!("cannot be used: {error}, in `{text}`"))?;
    Ok(text.to_owned())
}

/// A browser names an origin by scheme, host and port; any other text would never match one.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    let given = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let check = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        if host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain)) {
            Ok(origin.to_owned())
        } else {
            Err(format!("must be origins such as https://tickets.example.org, not `{origin}`"))
        }
    };
    given.map(check).collect()
}

/// A prefix without braces, which would spread the keys of one queue over a Redis cluster.
pub(super) fn key_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to 64 letters, digits or `-_.:`, not `{text}`"))
    }
}
