//! Why a server did not take a mail, in words that can be logged.

use std::{error::Error as _, fmt};

use boxoffice_domain::mail::{Mail, MailError};
use lettre::transport::smtp::Error;

use crate::message;

/// The most characters of what a server says that are passed on.
const WORDS_CHARACTERS_MAX: usize = 300;

/// What the server was asked when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To greet.
    Connection,
    /// To begin TLS.
    Encryption,
    /// To let the user in.
    Login,
    /// To take mail of the sender.
    Sender,
    /// To take mail for the recipient.
    Recipient,
    /// To take the mail itself.
    Content,
}

impl Stage {
    fn in_words(self) -> &'static str {
        match self {
            Self::Connection => "the server of the mail cannot be reached",
            Self::Encryption => "the connection to the server of the mail cannot be encrypted",
            Self::Login => "the server of the mail does not let the user in",
            Self::Sender => "the server of the mail does not accept the sender",
            Self::Recipient => "the server of the mail does not accept the recipient",
            Self::Content => "the server of the mail did not take the content",
        }
    }

    /// Whether the server judged the mail, and not its client.
    fn is_about_the_mail(self) -> bool {
        matches!(self, Self::Recipient | Self::Content)
    }
}

/// What a server did not do, and what it said. It does not name the recipient, whom servers like to repeat.
#[derive(Debug)]
struct Failure {
    stage: Stage,
    words: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage.in_words(), self.words)
    }
}

impl std::error::Error for Failure {}

/// The error for a caller, who learns whether trying again may help.
pub(super) fn failed(stage: Stage, error: &Error, mail: &Mail) -> MailError {
    let judges_mail = error.status().is_some_and(|code| judges_mail(&code.to_string()));
    let is_permanent = stage.is_about_the_mail() && judges_mail && !is_of_policy(error);
    let failure = Box::new(Failure { stage, words: words_without_recipient(&error.to_string(), mail.to.as_str()) });
    if is_permanent { MailError::Permanent(failure) } else { MailError::Temporary(failure) }
}

/// Whether a reply of this number is about the mail: 501 (the address is not understood), 550 to 554 (RFC 5321, section
/// 4.2.3), and 555 and 556 (RFC 7504). Others are about the session, such as 503 and 530.
fn judges_mail(code: &str) -> bool {
    matches!(code, "501" | "550" | "551" | "552" | "553" | "554" | "555" | "556")
}

/// Whether the server says by an enhanced code that its policy refuses (RFC 3463, section 3.8), such as that of whom it
/// relays for, or which hosts may send for a domain.
fn is_of_policy(error: &Error) -> bool {
    error.source().is_some_and(|words| words.to_string().trim_start().starts_with("5.7."))
}

fn words_without_recipient(words: &str, recipient: &str) -> String {
    // Capitals do not count in what servers repeat. Both are lowered in ASCII only, so that places stay the same.
    let (lower, needle) = (words.to_ascii_lowercase(), recipient.to_ascii_lowercase());
    let (mut shown, mut rest) = (String::new(), 0);
    for (at, _) in lower.match_indices(&needle) {
        shown.push_str(&words[rest..at]);
        shown.push_str("(the recipient)");
        rest = at + needle.len();
    }
    shown.push_str(&words[rest..]);
    message::one_line(&shown, WORDS_CHARACTERS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_one_bounded_line_without_the_recipient() {
        let shown = words_without_recipient("550 <Kim@Example.org>\r\nkim@example.org: no\u{202e}", "kim@example.org");
        assert_eq!(shown, "550 <(the recipient)> (the recipient): no");
        assert_eq!(words_without_recipient(&"가".repeat(1_000), "kim@example.org").chars().count(), 300);
    }
}
