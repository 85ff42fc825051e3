//! A mail as it is sent and kept: header fields and two parts, as RFC 5322 and MIME have them.
//!
//! Nothing that a mail says can add a header field, end a part, or change the direction in which a header field is read.
//! The same mail at the same time gives the same bytes.

use std::time::{Duration, SystemTime};

use boxoffice_domain::{
    Timestamp,
    mail::{EmailAddress, Mail},
};
use lettre::{
    Address,
    message::{
        Body, Mailbox, Mailboxes, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, Date, From, HeaderName, HeaderValue, Headers, Subject, To},
    },
};

use crate::Sender;

/// The most characters of a subject.
pub const SUBJECT_CHARACTERS_MAX: usize = 150;
/// The most characters of the name beside an address.
pub const NAME_CHARACTERS_MAX: usize = 80;

/// The mail with its header fields, in ASCII, with lines that end with CR and LF.
pub(crate) fn rendered(mail: &Mail, sender: &Sender, now: Timestamp) -> Vec<u8> {
    let mut headers = Headers::new();
    headers.set(From::from(mailbox(sender.name.as_deref(), &sender.address)));
    headers.set(To::from(mailbox(mail.to_name.as_deref(), &mail.to)));
    headers.set(Subject::from(one_line(&mail.subject, SUBJECT_CHARACTERS_MAX)));
    headers.set(Date::new(system_time(now)));
    headers.insert_raw(plain("Message-ID", format!("<{}@{}>", mail.id, sender.address.host())));
    // Programs that answer mail by themselves leave it alone (RFC 3834, section 5).
    headers.insert_raw(plain("Auto-Submitted", "auto-generated".to_owned()));
    headers.insert_raw(plain("Content-Language", mail.language.as_str().to_owned()));
    headers.insert_raw(plain("MIME-Version", "1.0".to_owned()));
    let mut message = headers.to_string().into_bytes();
    message.extend(parts(mail).formatted());
    message
}

/// The text and the HTML, of which programs show the last that they can.
fn parts(mail: &Mail) -> MultiPart {
    // Both encodings write `=` only before two digits, at the end of a line or at the end of the part, so no content has
    // the boundary (RFC 2045, section 6.7).
    let parts = MultiPart::alternative().boundary(format!("=_{}", mail.id.simple()));
    parts.singlepart(part(ContentType::TEXT_PLAIN, &mail.text)).singlepart(part(ContentType::TEXT_HTML, &mail.html))
}

fn part(content_type: ContentType, content: &str) -> SinglePart {
    // Most of a Korean text takes nine bytes a character if it is quoted, and four in base 64.
    let is_mostly_ascii = content.bytes().filter(u8::is_ascii).count() > content.len() / 2;
    let encoding =
        if is_mostly_ascii { ContentTransferEncoding::QuotedPrintable } else { ContentTransferEncoding::Base64 };
    let body = match Body::new_with_encoding(content.to_owned(), encoding) {
        Ok(body) => body,
        // Both encodings take every text.
        Err(content) => Body::new(content),
    };
    SinglePart::builder().header(content_type).body(body)
}

/// A header field whose value is plain and short.
fn plain(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), value.clone(), value)
}

fn mailbox(name: Option<&str>, address: &EmailAddress) -> Mailboxes {
    let name = name.map(|name| one_line(name, NAME_CHARACTERS_MAX)).filter(|name| !name.is_empty());
    Mailboxes::from(Mailbox::new(name, lettre_address(address)))
}

/// An address as the client of SMTP takes it. It was checked, more strictly than lettre does.
pub(crate) fn lettre_address(address: &EmailAddress) -> Address {
    let (local, host) = address.as_str().rsplit_once('@').unwrap_or_default();
    Address::new_dangerous(local, host)
}

/// The text as one line of at most so many characters, which looks the same wherever it is shown: without control
/// characters, controls of the direction, and what looks like an encoded word (RFC 2047).
pub(crate) fn one_line(text: &str, characters_max: usize) -> String {
    let spaced = |character: char| match character {
        '\u{2028}' | '\u{2029}' => ' ',
        _ if character.is_control() => ' ',
        _ => character,
    };
    let text: String = text.chars().filter(|character| !turns_text(*character)).map(spaced).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("=?", "= ?");
    shortened(&text, characters_max)
}

/// The text, cut to at most so many characters; then the last one says so.
pub(crate) fn shortened(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max.saturating_sub(1)) {
        Some((at, last)) if at + last.len_utf8() < text.len() => format!("{}…", text[..at].trim_end()),
        _ => text.to_owned(),
    }
}

/// Whether the character changes the direction of what follows: the controls of Unicode Standard Annex 9, section 2.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.timestamp()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_nothing_that_breaks_or_turns_it() {
        assert_eq!(one_line(" a\r\nBcc: b@example.org\u{0}\t c\u{2028}d ", 80), "a Bcc: b@example.org c d");
        assert_eq!(one_line("a\u{202e}gpj.exe\u{2066}", 80), "agpj.exe");
        assert_eq!(one_line("=?utf-8?q?=0D=0ABcc:?=", 80), "= ?utf-8?q?=0D=0ABcc:?=");
        assert_eq!(one_line("\u{202e}\r\n", 80), "");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(shortened("가나다라", 4), "가나다라");
        assert_eq!(shortened("가나다라마", 4), "가나다…");
        assert_eq!(shortened("가나 다라마", 4), "가나…");
        assert_eq!(one_line(&"=?".repeat(100), 10).chars().count(), 10);
    }
}
