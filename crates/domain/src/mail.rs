//! Mail to account holders: whom it is addressed to, what it says, and the port that hands it over.

mod notice;
mod queue;

use std::{error::Error, fmt, str::FromStr};

use async_trait::async_trait;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::string_conversions;

pub use notice::{Notice, Show};
#[cfg(feature = "mocks")]
pub use queue::MockMailQueue;
pub use queue::{Addressee, DueMail, EndedMail, MailOutcome, MailQueue, NewMail, PostponedMail, Ticket};

/// The most bytes of an address: a path of SMTP has at most 256, with its brackets (RFC 5321, section 4.5.3.1.3).
pub const EMAIL_ADDRESS_BYTES_MAX: usize = 254;
/// The most bytes of an address before its `@` (RFC 5321, section 4.5.3.1.1).
pub const LOCAL_PART_BYTES_MAX: usize = 64;
/// The most bytes of one part of a host name (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// An e-mail address: `local-part@host.name`, at most 254 bytes of ASCII.
///
/// It is the `Mailbox` of RFC 5321, section 4.1.2, without what no shop's customer has: quoted local parts, comments, and
/// IP addresses in place of a host name. The host has at least one dot, so that it is not a name of the local network.
/// Letters of other scripts are refused: only servers with the extension SMTPUTF8 (RFC 6531) accept them, so a mail could
/// get lost on any server in between. An internationalised host can be written in ASCII (`xn--…`, RFC 5890).
///
/// The host is made lower-case. The local part stays as it was typed, since its capitals may count to the host that
/// receives mail for it (RFC 5321, section 2.4).
///
/// `Debug` shows the host only, so that logs do not have the address. `Display` shows all of it.
///
/// ```
/// use boxoffice_domain::mail::EmailAddress;
/// let address = EmailAddress::new(" Haneul.Kim+tickets@Example.ORG ")?;
/// assert_eq!(address.as_str(), "Haneul.Kim+tickets@example.org");
/// assert_eq!(address.host(), "example.org");
/// assert_eq!(format!("{address:?}"), "EmailAddress(…@example.org)");
/// assert!(EmailAddress::new("haneul@localhost").is_err());
/// # Ok::<(), boxoffice_domain::mail::InvalidEmailAddress>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct EmailAddress(String);

/// The text is not an e-mail address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address such as name@example.org, of at most 254 plain characters")]
pub struct InvalidEmailAddress;

impl EmailAddress {
    /// Trims and checks an address.
    pub fn new(text: &str) -> Result<Self, InvalidEmailAddress> {
        let text = text.trim();
        // The last `@`: a host has none, and neither has a local part that is not quoted.
        let (local, host) = text.rsplit_once('@').ok_or(InvalidEmailAddress)?;
        if text.len() <= EMAIL_ADDRESS_BYTES_MAX && is_local_part(local) && is_host(host) {
            Ok(Self(format!("{local}@{}", host.to_ascii_lowercase())))
        } else {
            Err(InvalidEmailAddress)
        }
    }

    /// The name of the host that receives its mail, in lower case.
    pub fn host(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, host)| host)
    }
}

/// Whether the text is a `Dot-string` of RFC 5321: words of `atext` (RFC 5322, section 3.2.3) with dots in between.
fn is_local_part(text: &str) -> bool {
    let is_atom_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let is_atom = |word: &str| !word.is_empty() && word.bytes().all(is_atom_byte);
    text.len() <= LOCAL_PART_BYTES_MAX && text.split('.').all(is_atom)
}

/// Whether the text is the name of a host with a dot. The last part of none has only digits (RFC 3696, section 2), so
/// none is an IPv4 address.
fn is_host(text: &str) -> bool {
    let is_label_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(is_label_byte)
    };
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.split('.').all(is_label) && text.rsplit_once('.').is_some_and(|(_, last)| !is_number(last))
}

string_conversions! {
    EmailAddress, InvalidEmailAddress;
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress(…@{})", self.host())
    }
}

/// The language in which an account holder gets mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub enum MailLanguage {
    /// English.
    #[cfg_attr(feature = "serde", serde(rename = "en"))]
    English,
    /// Korean, which account holders get who chose none.
    #[default]
    #[cfg_attr(feature = "serde", serde(rename = "ko"))]
    Korean,
}

impl MailLanguage {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Korean];

    /// Its tag (BCP 47): `en` or `ko`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }
}

/// The text is the tag of no language that mail is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a language is `en` or `ko`")]
pub struct UnknownMailLanguage;

impl FromStr for MailLanguage {
    type Err = UnknownMailLanguage;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|language| language.as_str() == text).ok_or(UnknownMailLanguage)
    }
}

/// A mail to one person, in two forms of the same content.
///
/// The texts are whatever the caller says: an adapter makes sure that none of them changes how the mail is read, whatever
/// characters they have. `Debug` shows neither the address nor the texts, which may have codes and links for one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The adapter makes the `Message-ID` of it. A caller makes it of the event that is written about, so that the mail
    /// about one event has one id however often it is sent.
    pub id: Uuid,
    /// Who gets it.
    pub to: EmailAddress,
    /// The name beside the address; none in a mail to an address that is not verified, since that may belong to
    /// another person than the account.
    pub to_name: Option<String>,
    /// The language of the texts.
    pub language: MailLanguage,
    /// One line.
    pub subject: String,
    /// The content as plain text, with line feeds at the ends of its lines.
    pub text: String,
    /// The content as an HTML document.
    pub html: String,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, to, language, .. } = self;
        f.debug_struct("Mail").field("id", id).field("to", to).field("language", language).finish_non_exhaustive()
    }
}

/// Why a mail was not handed over. The sources name neither the address nor a password.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Not now: the same mail may be accepted later. Whether it was accepted may be unknown, if the connection was lost.
    #[error("the mail could not be handed over now")]
    Temporary(#[source] Box<dyn Error + Send + Sync>),
    /// Never: the same mail would be refused again.
    #[error("the mail was refused for good")]
    Permanent(#[source] Box<dyn Error + Send + Sync>),
}

/// Hands mail over to be delivered.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a mail over, and does not try again: that is up to the caller. `Ok` means that the other side has taken
    /// responsibility for it, and not that it was delivered. A mail that is handed over twice has the same `Message-ID`
    /// both times; an adapter that keeps mail keeps one of each id.
    ///
    /// Returns within a bounded time. A mail is [refused for good](MailError::Permanent) only for what is in it, such as an
    /// address that does not exist, and never because the adapter is set up wrongly: that would lose all mail.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_any_server_accepts() {
        let longest_local = format!("{}@example.org", "a".repeat(LOCAL_PART_BYTES_MAX));
        let longest = format!("a@{}.{}.{}.{}.org", "b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(56));
        assert_eq!(longest.len(), EMAIL_ADDRESS_BYTES_MAX);
        for good in [
            "a@b.co",
            "o'brien@example.org",
            "a.b+c=d@example.org",
            "!#$%&'*+-/=?^_`{|}~@example.org",
            "a@xn--hq1bm8jm9l.xn--3e0b707e",
            "a@1.example",
            &longest_local,
            &longest,
        ] {
            assert_eq!(EmailAddress::new(good).map(String::from).as_deref(), Ok(good));
        }
    }

    #[test]
    fn what_some_server_would_refuse_or_misread_is_no_address() {
        let too_long = format!("aa@{}.{}.{}.{}.org", "b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(56));
        for bad in [
            "",
            "@",
            "a",
            "@example.org",
            "a@",
            "a@localhost",
            "a@example.",
            "a@.example",
            "a@example..org",
            "a@-example.org",
            "a@example-.org",
            "a@exa_mple.org",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@example.123",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "a b@example.org",
            "a@b@example.org",
            "\"a b\"@example.org",
            "a(comment)@example.org",
            "<a@example.org>",
            "a,b@example.org",
            "a\r\nRCPT TO:<b@example.org>@example.org",
            "a\0@example.org",
            "a@example.org\u{202e}",
            "하늘@example.org",
            "a@예시.한국",
            &format!("{}@example.org", "a".repeat(LOCAL_PART_BYTES_MAX + 1)),
            &format!("a@{}.org", "b".repeat(64)),
            &too_long,
        ] {
            assert_eq!(EmailAddress::new(bad), Err(InvalidEmailAddress), "{bad:?}");
        }
    }

    #[test]
    fn an_address_is_trimmed_and_its_host_has_no_capitals() {
        let address = EmailAddress::new("\u{3000}\tHaneul@EXAMPLE.Org\n").unwrap();
        assert_eq!((address.as_str(), address.host()), ("Haneul@example.org", "example.org"));
        assert_eq!("Haneul@example.org".parse(), Ok(address.clone()));
        assert_ne!(EmailAddress::new("haneul@example.org"), Ok(address));
    }

    #[test]
    fn what_is_printed_for_debugging_names_nobody() {
        let mail = Mail {
            id: Uuid::from_u128(7),
            to: EmailAddress::new("haneul@example.org").unwrap(),
            to_name: Some("Haneul".to_owned()),
            language: MailLanguage::English,
            subject: "The code 123456".to_owned(),
            text: "123456".to_owned(),
            html: "<p>123456</p>".to_owned(),
        };
        let printed = format!("{mail:?}").to_lowercase();
        assert!(!printed.contains("haneul") && !printed.contains("123456"), "{printed}");
        assert!(printed.contains("example.org"), "{printed}");
        assert_eq!(mail.to.to_string(), "haneul@example.org");
    }

    #[test]
    fn a_language_is_read_back_from_its_tag() {
        for language in MailLanguage::ALL {
            assert_eq!(language.as_str().parse(), Ok(language));
        }
        assert_eq!("EN".parse::<MailLanguage>(), Err(UnknownMailLanguage));
        assert_eq!(MailLanguage::default(), MailLanguage::Korean);
    }
}
