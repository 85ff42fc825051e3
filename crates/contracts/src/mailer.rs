//! The contract of [`Mailer`].

use boxoffice_domain::{
    EntropySource,
    fixtures::TestEntropy,
    mail::{EmailAddress, Mail, MailLanguage, Mailer},
};
use futures::future::join_all;

/// Makes a test of each function of the contract, in the module that calls it. The argument is an
/// `async fn() -> impl Subject`.
#[macro_export]
macro_rules! mailer_contract {
    ($subject:expr) => {
        $crate::contract_tests! { mailer, $subject;
            a_mail_arrives_as_it_was_written
            a_mail_that_is_sent_again_has_the_same_id
            no_text_changes_how_a_mail_is_read
            a_long_mail_arrives_whole
            mails_that_are_sent_at_once_all_arrive
        }
    };
}

/// A mailer that is tested, with the other side that takes its mail.
pub trait Subject: Send + Sync {
    /// The mailer.
    fn mailer(&self) -> &dyn Mailer;

    /// What the other side has of the mails to this address, in any order.
    fn arrived(&self, to: &EmailAddress) -> Vec<ArrivedMail>;

    /// Whether the other side keeps one mail of each id.
    fn keeps_one_of_each_id(&self) -> bool;
}

/// A mail as a mail program reads it: decoded, and with line feeds at the ends of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedMail {
    /// Names and values of the header fields, in order.
    pub headers: Vec<(String, String)>,
    /// The names and addresses to which it is addressed. A name that is not there is empty.
    pub to: Vec<(String, String)>,
    /// Types and contents of its parts, in order.
    pub parts: Vec<(String, String)>,
    /// What in it is not as the standards have it.
    pub defects: Vec<String>,
}

impl ArrivedMail {
    /// The value of a field that is there once.
    fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).collect();
        let [(_, value)] = values[..] else { panic!("{name} is there {} times", values.len()) };
        value
    }

    fn header_names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

fn mail(language: MailLanguage) -> Mail {
    let id = TestEntropy.uuid();
    let subject = match language {
        MailLanguage::English => "Your tickets: \"Night\" <live> & more",
        MailLanguage::Korean => "예매 완료: 한여름 밴드 \"라이브\" 🎸",
    };
    let text = format!("{subject}\n\n.\n..\nFrom here\n--=_{}\n= 100 %  \n", id.simple());
    Mail {
        id,
        to: EmailAddress::new(&format!("reader.{}@example.org", id.simple())).expect("an address"),
        to_name: Some("김하늘, \"Kim\" <x@example.com>".to_owned()),
        language,
        subject: subject.to_owned(),
        html: format!("<!doctype html>\n<p title=\"x=y\">{}</p>\n", text.replace('<', "&lt;")),
        text,
    }
}

/// Sends a mail, and returns how it arrived.
async fn sent(subject: &impl Subject, mail: &Mail) -> ArrivedMail {
    subject.mailer().send(mail).await.expect("the mail is taken");
    let mut arrived = subject.arrived(&mail.to);
    assert_eq!(arrived.len(), 1, "one mail arrives");
    arrived.remove(0)
}

fn assert_parts(arrived: &ArrivedMail, mail: &Mail) {
    let kinds = [("text/plain", &mail.text), ("text/html", &mail.html)];
    // A line feed at the end may be the delimiter's.
    let parts = arrived.parts.iter().map(|(kind, content)| (kind.as_str(), content.trim_end_matches('\n')));
    let expected = kinds.map(|(kind, content)| (kind, content.trim_end_matches('\n')));
    assert_eq!(parts.collect::<Vec<_>>(), expected);
    assert_eq!(arrived.defects, [""; 0]);
}

/// All that a mail says arrives: its subject, its reader and both parts, in every language. It has an id and says that no
/// person wrote it.
pub async fn a_mail_arrives_as_it_was_written<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    for language in MailLanguage::ALL {
        let mail = mail(language);
        let arrived = sent(&subject, &mail).await;
        assert_eq!(arrived.header("Subject"), mail.subject);
        assert_eq!(arrived.to, [(mail.to_name.clone().expect("a name"), mail.to.to_string())]);
        assert_parts(&arrived, &mail);
        assert!(arrived.header("Message-ID").starts_with(&format!("<{}@", mail.id)), "{arrived:?}");
        assert_eq!(arrived.header("Auto-Submitted"), "auto-generated");
        assert_eq!(arrived.header("Content-Language"), language.as_str());
        assert!(!arrived.header("Date").is_empty() && arrived.header("From").contains('@'));
    }
}

/// One mail that is sent again can be known as the same.
pub async fn a_mail_that_is_sent_again_has_the_same_id<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let (mail, other) = (mail(MailLanguage::English), mail(MailLanguage::English));
    for mail in [&mail, &mail, &other] {
        subject.mailer().send(mail).await.expect("the mail is taken");
    }
    let arrived = subject.arrived(&mail.to);
    assert_eq!(arrived.len(), if subject.keeps_one_of_each_id() { 1 } else { 2 });
    let ids: Vec<_> = arrived.iter().map(|mail| mail.header("Message-ID")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let others = subject.arrived(&other.to);
    assert_ne!(others[0].header("Message-ID"), ids[0]);
}

/// Whatever the texts are, a mail has the header fields and parts that every mail has, and one reader.
pub async fn no_text_changes_how_a_mail_is_read<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let plain = sent(&subject, &mail(MailLanguage::English)).await;
    for hostile in [
        "x\r\nBcc: victim@example.com",
        "x\nBcc: victim@example.com\n\nAnother body",
        "x\rBcc: victim@example.com",
        "x\0y\u{7f}\u{85}Bcc: victim@example.com\u{2028}",
        "\u{202e}gro.elpmaxe@mik\u{2066}",
        "\" <victim@example.com>, \"",
        "x <victim@example.com>, y",
        "=?utf-8?q?x=0D=0ABcc:_victim@example.com?=",
        "=?utf-8?b?DQpCY2M6IHZpY3RpbUBleGFtcGxlLmNvbQ==?=",
        "\\\"\\",
        "(comment) group: victim@example.com;",
        "",
        " ",
        "\r\n.\r\nMAIL FROM:<victim@example.com>\r\n",
        &"긴 이름 ".repeat(2_000),
        &"x".repeat(20_000),
    ] {
        let mut mail = mail(MailLanguage::English);
        mail.to_name = Some(hostile.to_owned());
        hostile.clone_into(&mut mail.subject);
        let arrived = sent(&subject, &mail).await;
        assert_eq!(arrived.header_names(), plain.header_names(), "{hostile:?}");
        let addresses: Vec<_> = arrived.to.iter().map(|(_, address)| address.as_str()).collect();
        assert_eq!(addresses, [mail.to.as_str()], "{hostile:?}");
        let shown = [arrived.header("Subject"), arrived.to[0].0.as_str()].concat();
        let turns = |character: char| character.is_control() || ('\u{202a}'..='\u{202e}').contains(&character);
        assert!(!shown.contains(turns), "{shown:?}");
        assert!(shown.chars().count() < 1_000, "{} characters", shown.chars().count());
        assert_parts(&arrived, &mail);
    }
}

/// A reservation may have many seats with long names. No line of a mail is too long for that.
pub async fn a_long_mail_arrives_whole<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    for (language, name) in [(MailLanguage::English, "Balcony, left side"), (MailLanguage::Korean, "2층 왼쪽 발코니")]
    {
        let seats: Vec<_> = (1..=2_000).map(|number| format!("{name}-가-{number}")).collect();
        let mut mail = mail(language);
        mail.text = seats.join(", ");
        mail.html = format!("<!doctype html><p>{}</p>", mail.text);
        assert_parts(&sent(&subject, &mail).await, &mail);
    }
}

/// A mailer takes several mails at once, and mixes none of them up.
pub async fn mails_that_are_sent_at_once_all_arrive<S: Subject>(subject: impl AsyncFn() -> S) {
    let subject = subject().await;
    let mails: Vec<_> = (0..20).map(|_| mail(MailLanguage::Korean)).collect();
    for outcome in join_all(mails.iter().map(|mail| subject.mailer().send(mail))).await {
        outcome.expect("the mail is taken");
    }
    for mail in &mails {
        let arrived = subject.arrived(&mail.to);
        assert_eq!(arrived.len(), 1);
        assert_parts(&arrived[0], mail);
    }
}
