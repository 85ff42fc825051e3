//! Webhooks: the request, and what comes of it.

use std::{sync::Arc, time::Duration};

use boxoffice_domain::{
    EntropySource,
    fixtures::{TestEntropy, instant},
};
use boxoffice_event_delivery::{
    tls::TlsTrust,
    webhooks::{
        ANSWER_BYTES_MAX, DeliveryAnswer, DeliveryFailure, SystemResolver, WebhookSecret, WebhookSender,
        WebhookSettings, WebhookTarget, WebhookUrl, signatures,
    },
};
use boxoffice_testkit::Authority;
use tokio::time::Instant;

use crate::{
    receiver::{Behaviour, Receiver, acceptor},
    support::trust,
};

/// How long a webhook may take here.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn target(url: &str) -> WebhookTarget {
    let url = WebhookUrl::parse(url).expect("a URL");
    WebhookTarget { url, secret: WebhookSecret::of_bytes(TestEntropy.secret()), former_secret: None }
}

/// A sender that may reach the receivers of this test.
fn sender(timeout: Duration, trust: TlsTrust) -> WebhookSender {
    WebhookSender::new(WebhookSettings { timeout, allow_private_addresses: true }, trust, Arc::new(SystemResolver))
}

async fn send(url: &str) -> DeliveryAnswer {
    sender(PATIENCE, trust()).send(&target(url), TestEntropy.uuid(), instant(0), "{}").await
}

#[tokio::test]
async fn a_webhook_is_a_signed_request() {
    let receiver = Receiver::start(Behaviour::status(204)).await;
    let (id, body) = (TestEntropy.uuid(), r#"{"kind":"reservation.held","seat":"좌석 1"}"#);
    let mut target = target(&receiver.url("/hooks/1?shop=a%20b"));
    let former = WebhookSecret::of_bytes([7; 32]);
    target.former_secret = Some(former.clone());
    let answer = sender(PATIENCE, trust()).send(&target, id, instant(9), body).await;
    assert!(answer.is_success(), "{answer:?}");
    let requests = receiver.received();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.first_line, "POST /hooks/1?shop=a%20b HTTP/1.1");
    assert_eq!(request.body, body);
    let timestamp = instant(9).timestamp();
    for (name, value) in [
        ("host", receiver.address.to_string()),
        ("content-type", "application/json".to_owned()),
        ("user-agent", concat!("boxoffice-webhooks/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("webhook-id", id.to_string()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", signatures([&target.secret, &former], &id.to_string(), timestamp, body)),
    ] {
        assert_eq!(request.header(name), value, "{name}");
    }
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn only_2xx_accepts_a_webhook() {
    for (status, is_success) in [(200, true), (202, true), (299, true), (400, false), (410, false), (500, false)] {
        let receiver = Receiver::start(Behaviour::status(status)).await;
        let answer = send(&receiver.url("/")).await;
        assert_eq!(answer, DeliveryAnswer::Answered { status, beginning: "body".to_owned() });
        assert_eq!((answer.is_success(), answer.is_gone()), (is_success, status == 410));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(Behaviour::status(200)).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url("/"));
        let receiver = Receiver::start(Behaviour::Answers(head.into_bytes())).await;
        let answer = send(&receiver.url("/")).await;
        assert_eq!(answer, DeliveryAnswer::Failed(DeliveryFailure::Redirected { status }));
    }
    assert_eq!(elsewhere.received(), []);
}

#[tokio::test]
async fn an_endpoint_that_takes_too_long_has_failed() {
    let silent = Behaviour::IsSilent;
    let slow = Behaviour::Dribbles(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", Duration::from_millis(100));
    for behaviour in [silent, slow] {
        let receiver = Receiver::start(behaviour).await;
        let begun = Instant::now();
        let sender = sender(Duration::from_millis(500), trust());
        let answer = sender.send(&target(&receiver.url("/")), TestEntropy.uuid(), instant(0), "{}").await;
        assert_eq!(answer, DeliveryAnswer::Failed(DeliveryFailure::TimedOut));
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}

/// The status says whether the webhook was accepted. A body that never ends is not waited for long.
#[tokio::test]
async fn a_status_that_comes_in_time_counts_whatever_its_body_does() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n";
    let receiver = Receiver::start(Behaviour::Dribbles(head, b"a", Duration::from_millis(100))).await;
    let sender = sender(Duration::from_millis(500), trust());
    let answer = sender.send(&target(&receiver.url("/")), TestEntropy.uuid(), instant(0), "{}").await;
    let DeliveryAnswer::Answered { status: 200, beginning } = &answer else { panic!("{answer:?}") };
    assert!(beginning.starts_with('a'), "{beginning}");
}

#[tokio::test]
async fn an_answer_is_read_up_to_a_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n";
    for (next, pause) in [(&[b'a'; 4_096][..], Duration::ZERO), (b"aaaaaaaa", Duration::from_millis(50))] {
        let receiver = Receiver::start(Behaviour::Dribbles(head, next, pause)).await;
        let answer = send(&receiver.url("/")).await;
        let DeliveryAnswer::Answered { status: 200, beginning } = &answer else { panic!("{answer:?}") };
        let letters = beginning.chars().filter(|letter| *letter == 'a').count();
        assert_eq!((letters, letters <= ANSWER_BYTES_MAX), (beginning.len(), true));
        assert!(letters == ANSWER_BYTES_MAX || !pause.is_zero(), "{letters}");
    }
    let headers = Behaviour::Dribbles(b"HTTP/1.1 200 OK\r\n", b"name: value\r\n", Duration::ZERO);
    let receiver = Receiver::start(headers).await;
    let answer = send(&receiver.url("/")).await;
    assert!(matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::Http(_))), "{answer:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_http_is_a_failure() {
    for bytes in [&b""[..], b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 20", b"\0\0\0\0\0"] {
        let receiver = Receiver::start(Behaviour::Answers(bytes.to_vec())).await;
        let answer = send(&receiver.url("/")).await;
        assert!(matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::Http(_))), "{answer:?}");
    }
    let port = boxoffice_testkit::servers::free_port().expect("a port");
    let answer = send(&format!("http://127.0.0.1:{port}/")).await;
    assert!(matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::Connection(_))), "{answer:?}");
    let answer = send("http://nowhere.invalid/").await;
    assert!(matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::UnknownHost(_))), "{answer:?}");
}

#[tokio::test]
async fn over_tls_the_certificate_has_to_be_that_of_the_host() {
    let authority = Authority::create();
    let known = TlsTrust::of_system([authority.der()]).expect("a certificate");
    for (host, trust, is_accepted) in
        [("localhost", known.clone(), true), ("localhost", trust(), false), ("elsewhere.example", known.clone(), false)]
    {
        let receiver = Receiver::start_with(Behaviour::status(200), Some(acceptor(&authority, host))).await;
        let url = format!("https://localhost:{}/", receiver.address.port());
        let answer = sender(PATIENCE, trust).send(&target(&url), TestEntropy.uuid(), instant(0), "{}").await;
        assert_eq!(answer.is_success(), is_accepted, "{host}: {answer:?}");
        let is_of_tls = matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::Tls(_)));
        assert_eq!((is_of_tls, receiver.received().len()), (!is_accepted, usize::from(is_accepted)));
    }
    // A port that speaks no TLS.
    let receiver = Receiver::start(Behaviour::status(200)).await;
    let url = receiver.url("/").replace("http:", "https:");
    let answer =
        sender(Duration::from_millis(500), known).send(&target(&url), TestEntropy.uuid(), instant(0), "{}").await;
    assert!(matches!(answer, DeliveryAnswer::Failed(_)), "{answer:?}");
}
