//! Webhooks go to the public internet only, whatever the URL or the name servers of its owner say.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{
    EntropySource, async_trait,
    fixtures::{TestEntropy, instant},
};
use boxoffice_event_delivery::webhooks::{
    DeliveryAnswer, DeliveryFailure, HostResolver, SystemResolver, WebhookSender, WebhookSettings,
};

use crate::{
    receiver::{Behaviour, Receiver},
    support::trust,
    webhooks::target,
};

/// Gives other addresses each time, as the name servers of an attacker would.
struct Rebinding {
    answers: Vec<Vec<SocketAddr>>,
    asked: AtomicUsize,
}

impl Rebinding {
    fn new(answers: &[&[SocketAddr]]) -> Arc<Self> {
        Arc::new(Self { answers: answers.iter().map(|answer| answer.to_vec()).collect(), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl HostResolver for Rebinding {
    async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers[asked % self.answers.len()].clone())
    }
}

fn sender(allow_private_addresses: bool, resolver: Arc<dyn HostResolver>) -> WebhookSender {
    WebhookSender::new(WebhookSettings { timeout: Duration::from_secs(5), allow_private_addresses }, trust(), resolver)
}

async fn send(sender: &WebhookSender, url: &str) -> DeliveryAnswer {
    sender.send(&target(url), TestEntropy.uuid(), instant(0), "{}").await
}

#[tokio::test]
async fn no_form_of_an_address_of_this_network_is_connected_to() {
    let receiver = Receiver::start(Behaviour::status(200)).await;
    let port = receiver.address.port();
    let strict = sender(false, Arc::new(SystemResolver));
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::1]",
        "[fd00::1]",
        "[fe80::1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "１２７.0.0.1",
        "127。0。0。1",
    ] {
        for scheme in ["http", "https"] {
            let answer = send(&strict, &format!("{scheme}://{host}:{port}/")).await;
            let refused = matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::RefusedAddress(_)));
            assert!(refused, "{scheme}://{host}: {answer:?}");
        }
    }
    assert_eq!(receiver.received(), []);
    // With leave, the same receiver is reached.
    assert!(send(&sender(true, Arc::new(SystemResolver)), &receiver.url("/")).await.is_success());
}

#[tokio::test]
async fn the_address_that_was_checked_is_the_one_that_is_connected_to() {
    let (first, second) =
        (Receiver::start(Behaviour::status(200)).await, Receiver::start(Behaviour::status(200)).await);
    let resolver = Rebinding::new(&[&[first.address], &[second.address]]);
    let lenient = sender(true, resolver.clone());
    assert!(send(&lenient, "http://rebinding.example/").await.is_success());
    assert_eq!((first.received().len(), second.received().len(), resolver.asked.load(Ordering::SeqCst)), (1, 0, 1));
    assert_eq!(first.received()[0].header("host"), "rebinding.example");
}

#[tokio::test]
async fn a_name_that_resolves_to_this_network_is_refused() {
    let receiver = Receiver::start(Behaviour::status(200)).await;
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().expect("an address"), receiver.address.port());
    let private = SocketAddr::from(([10, 0, 0, 1], receiver.address.port()));
    let resolver = Rebinding::new(&[&[receiver.address], &[mapped], &[private, receiver.address, mapped]]);
    let strict = sender(false, resolver);
    for expected in [receiver.address.ip(), mapped.ip(), IpAddr::from([10, 0, 0, 1])] {
        let answer = send(&strict, "https://rebinding.example/").await;
        assert_eq!(answer, DeliveryAnswer::Failed(DeliveryFailure::RefusedAddress(expected)));
    }
    assert_eq!(receiver.received(), []);
    let nowhere = sender(false, Rebinding::new(&[&[]]));
    let answer = send(&nowhere, "https://nowhere.example/").await;
    assert!(matches!(answer, DeliveryAnswer::Failed(DeliveryFailure::UnknownHost(_))), "{answer:?}");
}
