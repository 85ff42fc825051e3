//! Mail over a real server of SMTP, which behaves as badly as it can.

use std::{collections::BTreeSet, error::Error, fs, time::Duration};

use boxoffice_contracts::{
    mailer::{ArrivedMail, Subject},
    mailer_contract,
};
use boxoffice_domain::mail::{EmailAddress, Mail, MailError, Mailer};
use boxoffice_mail::{MailRoute, Sender, SmtpLimits, SmtpMailer};
use boxoffice_testkit::{
    servers::free_port,
    smtp::{SmtpOptions, SmtpServer, SmtpTls},
};
use tokio::{io::AsyncReadExt, net::TcpListener, time::Instant};

use crate::support::{arrived, clock, mail_to, sender};

const PASSWORD: &str = "päss:wörd@/1";
const PASSWORD_ENCODED: &str = "p%C3%A4ss%3Aw%C3%B6rd%40%2F1";

fn limits() -> SmtpLimits {
    SmtpLimits { send_max: Duration::from_secs(20), ..SmtpLimits::default() }
}

/// A mailer to a server of the loopback interface.
fn mailer(url: &str, authority: Option<&[u8]>, limits: SmtpLimits) -> SmtpMailer {
    mailer_of(url, authority, sender(), limits)
}

fn mailer_of(url: &str, authority: Option<&[u8]>, sender: Sender, limits: SmtpLimits) -> SmtpMailer {
    let Ok(MailRoute::Smtp(server)) = url.parse() else { panic!("{url} is a server") };
    SmtpMailer::new(server, authority, sender, clock(), limits).unwrap()
}

/// A server that asks for nothing, and a mailer to it.
struct Plain {
    server: SmtpServer,
    mailer: SmtpMailer,
}

impl Plain {
    async fn start() -> Self {
        Self::with(limits()).await
    }

    async fn with(limits: SmtpLimits) -> Self {
        let server = SmtpServer::start(SmtpOptions::default()).await.unwrap();
        let mailer = mailer(&format!("smtp://127.0.0.1:{}", server.port()), None, limits);
        Self { server, mailer }
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.mailer.send(mail).await
    }

    fn count(&self, mail: &Mail) -> usize {
        self.server.received_for(mail.to.as_str()).len()
    }
}

impl Subject for Plain {
    fn mailer(&self) -> &dyn Mailer {
        &self.mailer
    }

    fn arrived(&self, to: &EmailAddress) -> Vec<ArrivedMail> {
        let mails = self.server.received_for(to.as_str()).into_iter();
        mails.map(|mail| arrived(mail.content)).collect()
    }

    fn keeps_one_of_each_id(&self) -> bool {
        false
    }
}

mod contract {
    use super::*;

    mailer_contract!(Plain::start);
}

/// What a log would have of an error.
fn printed(error: &MailError) -> String {
    format!("{error}: {} {error:?}", error.source().unwrap())
}

#[tokio::test]
async fn a_server_that_is_busy_is_a_reason_to_try_again() {
    let (shop, mail) = (Plain::start().await, mail_to("later-2"));
    for _ in 0..2 {
        let error = shop.send(&mail).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
        assert!(printed(&error).contains("451") && !printed(&error).contains(mail.to.as_str()), "{error:?}");
    }
    assert_eq!(shop.count(&mail), 0, "the mailer does not try again by itself");
    shop.send(&mail).await.unwrap();
    assert_eq!(shop.count(&mail), 1);
}

#[tokio::test]
async fn a_recipient_or_a_content_that_is_refused_is_refused_for_good() {
    let shop = Plain::start().await;
    for (behaviour, code) in [("never", "550"), ("content", "554")] {
        let mail = mail_to(behaviour);
        let error = shop.send(&mail).await.unwrap_err();
        assert!(matches!(error, MailError::Permanent(_)), "{error:?}");
        assert!(printed(&error).contains(code) && !printed(&error).contains(mail.to.as_str()), "{error:?}");
        assert_eq!(shop.count(&mail), 0);
    }
    shop.send(&mail_to("reader")).await.unwrap();
}

#[tokio::test]
async fn what_the_operator_can_mend_loses_no_mail() {
    let server = SmtpServer::start(SmtpOptions::default()).await.unwrap();
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let refused = "refused@shop.example.org".parse().unwrap();
    for (sender, behaviour, code) in
        [(refused, "reader", "550"), (sender(), "relay", "530"), (sender(), "policy", "Relay access denied")]
    {
        let error = mailer_of(&url, None, sender, limits()).send(&mail_to(behaviour)).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
        assert!(printed(&error).contains(code), "{error:?}");
    }
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn a_lost_connection_is_a_reason_to_try_again() {
    let shop = Plain::start().await;
    // The other side of the second has the mail, which nobody can know: the same id makes it the same mail.
    for (behaviour, taken) in [("cut-before", 0), ("cut-after", 1)] {
        let mail = mail_to(behaviour);
        let error = shop.send(&mail).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
        assert_eq!(shop.count(&mail), taken);
    }
    shop.send(&mail_to("reader")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_within_bounds() {
    let limits = SmtpLimits { send_max: Duration::from_secs(2), connections_max: 1, ..limits() };
    let (shop, started) = (Plain::with(limits).await, Instant::now());
    let error = shop.send(&mail_to("slow")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // The only connection is free again.
    shop.send(&mail_to("reader")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_greets_is_waited_for_within_bounds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let limits = SmtpLimits { send_max: Duration::from_millis(300), ..limits() };
    let error = mailer(&url, None, limits).send(&mail_to("reader")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_a_reason_to_try_again() {
    let url = format!("smtp://127.0.0.1:{}", free_port().unwrap());
    let error = mailer(&url, None, limits()).send(&mail_to("reader")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    assert!(printed(&error).contains("cannot be reached"), "{error:?}");
}

#[tokio::test]
async fn connections_are_bounded_and_used_again() {
    let shop = Plain::with(SmtpLimits { connections_max: 3, ..limits() }).await;
    let mails: Vec<_> = (0..30).map(|_| mail_to("reader")).collect();
    let sent = futures::future::join_all(mails.iter().map(|mail| shop.send(mail))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let received = shop.server.received();
    let ports: BTreeSet<_> = received.iter().map(|mail| mail.peer_port).collect();
    assert_eq!((received.len(), ports.len()), (30, 3));
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_replaced() {
    let shop = Plain::start().await;
    for _ in 0..2 {
        shop.send(&mail_to("goodbye")).await.unwrap();
    }
    let ports: BTreeSet<_> = shop.server.received().iter().map(|mail| mail.peer_port).collect();
    assert_eq!(ports.len(), 2);
}

fn with_user(tls: SmtpTls) -> SmtpOptions {
    SmtpOptions { tls, user: Some(("shop@example.org".to_owned(), PASSWORD.to_owned())), ..SmtpOptions::default() }
}

#[tokio::test]
async fn a_mailer_signs_in_over_each_kind_of_connection() {
    for (tls, scheme, query) in
        [(SmtpTls::None, "smtp", ""), (SmtpTls::StartTls, "smtp", "?tls=starttls"), (SmtpTls::Implicit, "smtps", "")]
    {
        for without in [vec![], vec!["PLAIN"]] {
            let server = SmtpServer::start(SmtpOptions { without, ..with_user(tls) }).await.unwrap();
            let url = format!("{scheme}://shop%40example.org:{PASSWORD_ENCODED}@127.0.0.1:{}{query}", server.port());
            let authority = fs::read(server.authority_file()).unwrap();
            let mailer = mailer(&url, Some(&authority), limits());
            for _ in 0..2 {
                mailer.send(&mail_to("reader")).await.unwrap();
            }
            for mail in server.received() {
                assert_eq!(mail.is_encrypted, tls != SmtpTls::None, "{tls:?}");
                assert_eq!(mail.user.as_deref(), Some("shop@example.org"));
                assert_eq!(mail.sender, "tickets@shop.example.org");
            }
            assert_eq!(server.received().len(), 2);
            assert!(!format!("{mailer:?}").contains("rd@/1"), "{mailer:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_loses_no_mail_and_is_not_printed() {
    let server = SmtpServer::start(with_user(SmtpTls::None)).await.unwrap();
    let mailer = mailer(&format!("smtp://shop%40example.org:wrong-one@127.0.0.1:{}", server.port()), None, limits());
    let error = mailer.send(&mail_to("reader")).await.unwrap_err();
    assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    let printed = printed(&error);
    assert!(printed.contains("535") && !printed.contains("wrong-one"), "{printed}");
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_over_a_connection_that_is_not_protected_as_asked() {
    // This server offers no STARTTLS, as if somebody in between had removed the offer.
    let plain = SmtpServer::start(with_user(SmtpTls::None)).await.unwrap();
    let login = format!("shop%40example.org:{PASSWORD_ENCODED}");
    let authority = fs::read(plain.authority_file()).unwrap();
    for url in [
        format!("smtp://{login}@127.0.0.1:{}?tls=starttls", plain.port()),
        format!("smtps://{login}@127.0.0.1:{}", plain.port()),
    ] {
        let error = mailer(&url, Some(&authority), limits()).send(&mail_to("reader")).await.unwrap_err();
        assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
    }
    // The authority of another server did not issue the certificates of these.
    for (tls, scheme, query) in [(SmtpTls::StartTls, "smtp", "?tls=starttls"), (SmtpTls::Implicit, "smtps", "")] {
        let server = SmtpServer::start(with_user(tls)).await.unwrap();
        for authority in [None, Some(&*authority)] {
            let url = format!("{scheme}://{login}@127.0.0.1:{}{query}", server.port());
            let error = mailer(&url, authority, limits()).send(&mail_to("reader")).await.unwrap_err();
            assert!(matches!(error, MailError::Temporary(_)), "{error:?}");
            assert!(printed(&error).contains("certificate"), "{error:?}");
        }
        assert_eq!(server.received().len(), 0);
    }
    assert_eq!(plain.received().len(), 0);
}

#[tokio::test]
async fn no_password_is_sent_before_a_greeting_is_protected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtps://shop:secret@{}", listener.local_addr().unwrap());
    let mailer = mailer(&url, None, SmtpLimits { send_max: Duration::from_secs(2), ..limits() });
    let mail = mail_to("reader");
    let (_, bytes) = tokio::join!(mailer.send(&mail), async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0; 16];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    });
    assert_eq!(bytes[0], 0x16, "a handshake of TLS comes first");
}

#[test]
fn a_file_without_certificates_is_no_authority() {
    let Ok(MailRoute::Smtp(server)) = "smtps://mail.example.org".parse() else { panic!("it is a server") };
    for authority in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"] {
        let mailer = SmtpMailer::new(server.clone(), Some(authority.as_bytes()), sender(), clock(), limits());
        mailer.expect_err("the file has no authority");
    }
}
