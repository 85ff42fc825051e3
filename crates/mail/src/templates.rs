//! What the mails say, in English and Korean, as plain text and HTML.
//!
//! Writing a mail is a pure function of what happened: the same notice gives the same mail.

mod layout;
mod texts;

use boxoffice_domain::{
    ReservationId, TimeZone,
    mail::{EmailAddress, Mail, MailLanguage},
    seats::SeatLabel,
    text::Name,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;
use uuid::Uuid;

use crate::message::{NAME_CHARACTERS_MAX, SUBJECT_CHARACTERS_MAX, one_line, shortened};
use layout::{Content, Fact, Link};
use texts::Texts;

pub use boxoffice_domain::mail::{Notice, Show};

/// The most characters of a title in a subject.
const TITLE_CHARACTERS_MAX: usize = 80;
/// What is encoded in a link: all but the unreserved characters of RFC 3986, section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    name: String,
    public_url: Option<Url>,
    time_zone: TimeZone,
}

/// The URL is none that a reader of a mail can open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must begin with https:// or http:// and have nothing behind the path, such as https://tickets.example.org")]
pub struct InvalidPublicUrl;

impl Shop {
    /// A shop with its name and the zone in which it shows what happened in an account. Without the URL of its pages, mails
    /// have no links.
    pub fn new(name: &str, public_url: Option<&str>, time_zone: TimeZone) -> Result<Self, InvalidPublicUrl> {
        let public_url = public_url.map(|text| Url::parse(text).map_err(|_| InvalidPublicUrl)).transpose()?;
        let is_public = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        if public_url.as_ref().is_some_and(|url| !is_public(url)) {
            return Err(InvalidPublicUrl);
        }
        Ok(Self { name: one_line(name, NAME_CHARACTERS_MAX), public_url, time_zone })
    }

    fn link(&self, path: &str) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{}{path}", url.as_str().trim_end_matches('/')))
    }
}

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a field without a comment is what its name says")]
pub struct Reader {
    pub address: EmailAddress,
    /// The name of the account.
    pub name: Option<Name>,
    pub language: MailLanguage,
}

/// Writes a mail. The id is that of the mail: one notice to one reader always has the same.
///
/// ```
/// use boxoffice_domain::{TimeZone, mail::{EmailAddress, MailLanguage}, uuid::Uuid};
/// use boxoffice_mail::templates::{Notice, Reader, Shop, written};
/// let shop = Shop::new("boxoffice", Some("https://tickets.example.org"), TimeZone::default())?;
/// let address = EmailAddress::new("haneul@example.org")?;
/// let reader = Reader { address, name: None, language: MailLanguage::English };
/// let notice = Notice::EmailVerification { code: "123456".to_owned(), minutes_valid: 10 };
/// let mail = written(Uuid::from_u128(1), &reader, &shop, &notice);
/// assert_eq!(mail.subject, "Confirm your e-mail address");
/// assert!(mail.text.contains("123456") && mail.text.contains("10 minutes"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn written(id: Uuid, reader: &Reader, shop: &Shop, notice: &Notice) -> Mail {
    let texts = Texts::of(reader.language);
    let key = |part: &str| format!("{}.{part}", notice.kind());
    let title = notice.title().map(|title| shortened(title.as_str(), TITLE_CHARACTERS_MAX)).unwrap_or_default();
    let subject = one_line(&texts.get(&key("subject"), &[("title", &title)]), SUBJECT_CHARACTERS_MAX);
    let name = name_of(reader, notice);
    let greeting = match &name {
        Some(name) => texts.get("greeting.named", &[("name", name)]),
        None => texts.get("greeting", &[]),
    };
    let link = path_of(notice).and_then(|path| shop.link(&path));
    let code = code_of(notice, link.is_some());
    let is_reset_by_code = matches!(notice, Notice::PasswordReset { .. }) && code.is_some();
    let content = Content {
        language: reader.language,
        greeting,
        lead: texts.get(&key(if is_reset_by_code { "lead_code" } else { "lead" }), &[]),
        facts: facts(texts, shop, notice),
        code,
        after: texts.get(&key("after"), &[("minutes", &minutes(texts, notice))]),
        link: link.map(|url| Link { label: texts.get(&key("link"), &[]), url }),
        footer: texts.get("footer", &[("shop", &shop.name)]),
        subject,
    };
    let (text, html) = (layout::text(&content), layout::html(&content));
    let Content { subject, language, .. } = content;
    Mail { id, to: reader.address.clone(), to_name: name, language, subject, text, html }
}

/// The name with which the reader is greeted; none in a mail to an address that may be a stranger's.
fn name_of(reader: &Reader, notice: &Notice) -> Option<String> {
    if matches!(notice, Notice::EmailVerification { .. }) {
        return None;
    }
    reader.name.as_ref().map(|name| one_line(name.as_str(), NAME_CHARACTERS_MAX)).filter(|name| !name.is_empty())
}

/// Where the reader may go on, on the pages of the shop.
fn path_of(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::PurchaseConfirmed { .. } | Notice::PerformanceChanged { .. } | Notice::PerformanceCancelled { .. } => {
            "/tickets".to_owned()
        }
        Notice::ReservationRefunded { .. } => "/wallet".to_owned(),
        Notice::PasswordChanged { .. } | Notice::NewSignIn { .. } => "/account".to_owned(),
        // Browsers send no server what is behind the #, so the token is in no log.
        Notice::PasswordReset { token, .. } => format!("/reset-password#{}", utf8_percent_encode(token, ENCODED)),
        Notice::EmailVerification { .. } => return None,
    })
}

fn code_of(notice: &Notice, has_link: bool) -> Option<String> {
    match notice {
        Notice::EmailVerification { code, .. } => Some(code.clone()),
        Notice::PasswordReset { token, .. } if !has_link => Some(token.clone()),
        _ => None,
    }
}

fn minutes(texts: &Texts, notice: &Notice) -> String {
    match notice {
        Notice::EmailVerification { minutes_valid, .. } | Notice::PasswordReset { minutes_valid, .. } => {
            texts.minutes(*minutes_valid)
        }
        _ => String::new(),
    }
}

fn facts(texts: &Texts, shop: &Shop, notice: &Notice) -> Vec<Fact> {
    let fact = |key: &str, value: String| Fact { label: texts.get(&format!("label.{key}"), &[]), value };
    match notice {
        Notice::PurchaseConfirmed { reservation_id, show, seats, amount } => {
            let mut facts = facts_of_seats(texts, *reservation_id, show, seats);
            facts.push(fact("paid", texts.points(*amount)));
            facts
        }
        Notice::ReservationRefunded { reservation_id, show, seats, refunded } => {
            let mut facts = facts_of_seats(texts, *reservation_id, show, seats);
            facts.push(fact("refunded", texts.points(*refunded)));
            facts
        }
        Notice::PerformanceCancelled { reservation_id, show, seats } => {
            facts_of_seats(texts, *reservation_id, show, seats)
        }
        Notice::PerformanceChanged { reservation_id, before, after } => {
            let mut facts = facts_of_change(texts, before, after);
            facts.push(fact("reservation", reservation_id.to_string()));
            facts
        }
        Notice::PasswordChanged { at } => vec![fact("at", texts.time(*at, shop.time_zone))],
        Notice::NewSignIn { at, client } => {
            let client =
                client.as_ref().map_or_else(|| texts.get("client.unknown", &[]), |name| name.as_str().to_owned());
            vec![fact("at", texts.time(*at, shop.time_zone)), fact("client", client)]
        }
        Notice::EmailVerification { .. } | Notice::PasswordReset { .. } => Vec::new(),
    }
}

fn facts_of_seats(texts: &Texts, reservation_id: ReservationId, show: &Show, seats: &[SeatLabel]) -> Vec<Fact> {
    let labels: Vec<_> = seats.iter().map(SeatLabel::as_str).collect();
    let values = [
        ("label.concert", show.title.to_string()),
        ("label.artist", show.artist.to_string()),
        ("label.venue", venue(texts, show)),
        ("label.starts_at", texts.time(show.starts_at, show.time_zone)),
        ("label.seats", labels.join(", ")),
        ("label.reservation", reservation_id.to_string()),
    ];
    values.into_iter().map(|(key, value)| Fact { label: texts.get(key, &[]), value }).collect()
}

/// What a performance was and is; what has not changed is there once.
fn facts_of_change(texts: &Texts, before: &Show, after: &Show) -> Vec<Fact> {
    let fact = |key: String, value: &str| Fact { label: texts.get(&key, &[]), value: value.to_owned() };
    let mut facts = vec![
        fact("label.concert".to_owned(), after.title.as_str()),
        fact("label.artist".to_owned(), after.artist.as_str()),
    ];
    let start = |show: &Show| texts.time(show.starts_at, show.time_zone);
    for (key, old, new) in
        [("starts_at", start(before), start(after)), ("venue", venue(texts, before), venue(texts, after))]
    {
        if old == new {
            facts.push(fact(format!("label.{key}"), &new));
        } else {
            facts.push(fact(format!("label.{key}_before"), &old));
            facts.push(fact(format!("label.{key}_now"), &new));
        }
    }
    facts
}

fn venue(texts: &Texts, show: &Show) -> String {
    texts.get("venue", &[("name", show.venue.as_str()), ("location", show.location.as_str())])
}
