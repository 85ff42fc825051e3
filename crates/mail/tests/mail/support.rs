//! Senders, clocks and mails for the tests.

use std::sync::Arc;

use boxoffice_contracts::mailer::ArrivedMail;
use boxoffice_domain::{
    EntropySource, Timestamp,
    fixtures::{TestClock, TestEntropy},
    mail::{EmailAddress, Mail, MailLanguage},
};
use boxoffice_mail::Sender;
use boxoffice_testkit::smtp::ParsedMail;

pub(crate) const NOW: &str = "2026-12-05T10:30:00.123456Z";

pub(crate) fn clock() -> Arc<TestClock> {
    let clock = TestClock::new();
    clock.set(at(NOW));
    Arc::new(clock)
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn sender() -> Sender {
    "박스오피스 <tickets@shop.example.org>".parse().unwrap()
}

/// A mail to a recipient with whom a server does what the first word says.
pub(crate) fn mail_to(behaviour: &str) -> Mail {
    let id = TestEntropy.uuid();
    Mail {
        id,
        to: EmailAddress::new(&format!("{behaviour}.{}@example.org", id.simple())).unwrap(),
        to_name: Some("Haneul".to_owned()),
        language: MailLanguage::English,
        subject: "A subject".to_owned(),
        text: "A text\n".to_owned(),
        html: "<!doctype html><p>A text</p>\n".to_owned(),
    }
}

pub(crate) fn arrived(mail: ParsedMail) -> ArrivedMail {
    let parts = mail.parts.into_iter().map(|part| {
        assert!(part.media_type.starts_with("text/") && part.charset == "utf-8", "{part:?}");
        (part.media_type, part.text)
    });
    let parts = parts.collect();
    assert_eq!(mail.media_type, "multipart/alternative");
    // A line has at most 998 bytes (RFC 5322, section 2.1.1).
    assert!(mail.is_ascii && mail.line_bytes_max <= 998, "{}", mail.line_bytes_max);
    ArrivedMail { headers: mail.headers, to: mail.to, parts, defects: mail.defects }
}
