//! Real money: charges over Stripe, against a stand-in that others wrote, and one of our own that fails.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_domain::{ChargeId, Clock, Timestamp};
use boxoffice_testkit::{
    faulty_stripe::{Act, Fault, FaultyStripe, SECRET_KEY, WEBHOOK_SECRET},
    localstripe::{CARD_CONFIRMED, CARD_DECLINED, CARD_GOOD, LocalStripe},
    tcp_proxy::{CutAt, TcpProxy},
};
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    all,
    client::{Answer, Ask, Buyer, fresh},
    now, send_together,
    server::Server,
    text, until,
};

/// The time of this machine, which the server goes by.
#[derive(Debug)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        now()
    }
}

/// A server that charges over this API.
async fn server_over(api: &Url) -> Server {
    let mut server = Server::prepare(&[
        ("GATEWAY", "stripe"),
        ("GATEWAY_TIMEOUT_MILLISECONDS", "2000"),
        ("CHARGE_RETRY_SECONDS", "1"),
        ("STRIPE_API_BASE", api.as_str()),
    ]);
    for (name, path) in secrets_in(server.folder()) {
        server.set(name, &path);
    }
    server.started().await
}

/// Writes the secrets of the gateway into a folder. Gives the settings that name their files.
pub(crate) fn secrets_in(folder: &Path) -> [(&'static str, String); 2] {
    [("STRIPE_SECRET_KEY_FILE", SECRET_KEY), ("STRIPE_WEBHOOK_SECRET_FILE", WEBHOOK_SECRET)].map(|(name, secret)| {
        let path = folder.join(name.to_lowercase());
        fs::write(&path, format!("{secret}\n")).expect("a file");
        (name, path.to_str().expect("a path").to_owned())
    })
}

pub(crate) fn events_url(server: &Server) -> Url {
    Url::parse(&format!("{}/v1/gateway/stripe/events", server.url())).expect("a URL")
}

pub(crate) fn ask_charge(buyer: &Buyer, amount: i64, method: &str, key: &str) -> Ask {
    buyer.post("/v1/wallet/charges", &json!({"amount": amount, "payment_method": method})).key(key)
}

pub(crate) fn ask_refund(buyer: &Buyer, charge: &str, body: &Value, key: &str) -> Ask {
    buyer.post(format!("/v1/wallet/charges/{charge}/refund"), body).key(key)
}

async fn charge_of(buyer: &Buyer, id: &str) -> Value {
    buyer.get(format!("/v1/wallet/charges/{id}")).send().await.is(200).clone()
}

/// Waits until a charge has this status.
pub(crate) async fn becomes(buyer: &Buyer, id: &str, status: &str) {
    until(&format!("charge {id} is {status}"), async || charge_of(buyer, id).await["status"] == status).await;
}

/// Compares the books, which have to agree.
pub(crate) async fn assert_books_agree(server: &Server) {
    let (status, differences, error) = server.run(&["reconcile", "--from", "2026-01-01T00:00:00Z"], &[]).await;
    assert_eq!((status, differences.as_str()), (0, ""), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn money_comes_over_localstripe_and_goes_back() {
    let stripe = LocalStripe::start().await.expect("localstripe");
    let server = server_over(&stripe.base_url()).await;
    stripe.register_webhook("boxoffice", &events_url(&server), WEBHOOK_SECRET).await.expect("a webhook");
    let buyer = Buyer::new(server.api()).await;
    let method = async |card| stripe.payment_method(card).await.expect("a way to pay");

    let paid = ask_charge(&buyer, 5_000, &method(CARD_GOOD).await, "paid").send().await;
    assert_eq!(paid.is(201)["status"], "completed");
    let declined = ask_charge(&buyer, 700, &method(CARD_DECLINED).await, "declined").send().await;
    let declined = text(declined.refuses(402, "charge_declined"), "charge_id").to_owned();
    assert_eq!(charge_of(&buyer, &declined).await["status"], "declined");

    // The buyer has to confirm, and does so elsewhere: the gateway's message credits the points.
    let waiting = ask_charge(&buyer, 900, &method(CARD_CONFIRMED).await, "waiting").send().await;
    let secret = text(&waiting.is(202)["action"], "client_secret").to_owned();
    let intent = secret.split("_secret_").next().expect("an intent");
    assert!(stripe.authenticate(intent, true).await.expect("localstripe answers"));
    becomes(&buyer, &waiting.id(), "completed").await;
    assert_eq!(ask_charge(&buyer, 900, &method(CARD_CONFIRMED).await, "again").send().await.status, 202);
    assert_eq!(buyer.balance().await, 5_900);

    // What is begun while it is away is begun again by the server alone: localstripe ignores keys, so two who ask at once
    // would both pay.
    let late = method(CARD_GOOD).await;
    stripe.kill();
    let begun = ask_charge(&buyer, 300, &late, "late").send().await;
    let begun = text(begun.refuses(502, "gateway_failed"), "charge_id").to_owned();
    stripe.start_again().await.expect("it starts");
    becomes(&buyer, &begun, "completed").await;
    assert_eq!(stripe.sums(&begun).await.expect("the books"), (300, 0));
    assert_eq!(buyer.balance().await, 6_200);

    let refund = ask_refund(&buyer, &paid.id(), &json!({"amount": 2_000}), "r1").send().await;
    assert_eq!(refund.is(200)["status"], "completed");
    ask_refund(&buyer, &waiting.id(), &json!({}), "r2").send().await.is(200);
    assert_eq!(stripe.sums(&paid.id()).await.expect("the books"), (5_000, 2_000));
    assert_eq!(stripe.sums(&waiting.id()).await.expect("the books"), (900, 900));
    assert_eq!(charge_of(&buyer, &paid.id()).await["status"], "partially_refunded");
    assert_eq!(buyer.balance().await, 3_300);
    let (status, _, error) = server.run(&["check"], &[]).await;
    assert_eq!(status, 0, "{error}");
    assert_books_agree(&server).await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_by_stripe_is_refused_and_what_differs_is_named() {
    let stripe = FaultyStripe::start(Arc::new(MachineClock)).await.expect("a gateway");
    let server = server_over(&stripe.base_url()).await;
    let buyer = Buyer::new(server.api()).await;
    let charge = ask_charge(&buyer, 100, "pm_card_visa", "k").send().await;
    charge.is(201);
    let id: ChargeId = charge.id().parse().expect("an id");
    let message = stripe.messages(id, 1).await.remove(0);
    let client = reqwest::Client::new();
    let send = async |signature: &[u8], body: Vec<u8>| {
        let request = client.post(events_url(&server)).header("content-type", "application/json");
        request.header("stripe-signature", signature).body(body).send().await.expect("an answer").status().as_u16()
    };
    let field = message.fields.iter().find(|(name, _)| name == "stripe-signature").expect("a signature").1.clone();
    assert_eq!(send(&field, message.body.clone()).await, 204);
    assert_eq!(send(&field, message.body.clone()).await, 204);
    assert_eq!(send(&field, [&message.body[..], b" "].concat()).await, 400);
    assert_eq!(send(b"t=1,v1=00", message.body.clone()).await, 400);
    assert_eq!(send(&field, vec![b'{'; 300 * 1_024]).await, 413);
    assert_eq!(buyer.balance().await, 100);

    stripe.fail_refunds(id);
    assert_books_agree(&server).await;
    // Money that goes back without us is a difference.
    ask_refund(&buyer, &charge.id(), &json!({"amount": 40}), "r").send().await.is(200);
    assert_books_agree(&server).await;
    stripe.fail_refunds(id);
    let (status, found, _) = server.run(&["reconcile", "--from", "2026-01-01T00:00:00Z"], &[]).await;
    assert_eq!(status, 1);
    assert_eq!(found, format!("of charge {id}, 40 were given back here and 0 at the gateway\n"));
    server.finish().await;
}

/// What a request begins with that makes a payment intent.
pub(crate) const BEGINS_PAYMENT: &[u8] = b"POST /v1/payment_intents HTTP";
/// How many charges are begun at once.
const CHARGES: usize = 1_000;
const BUYERS: usize = 20;

/// Repeats a request under its key until it has an answer that stays.
pub(crate) async fn answered(ask: impl Fn() -> Ask) -> Answer {
    loop {
        match ask().try_send().await {
            Some(answer) if !matches!(answer.status, 409 | 500 | 502 | 503) => return answer,
            Some(answer) if answer.status == 409 => {
                answer.refuses(409, "idempotency_key_in_use");
            }
            _ => {}
        }
        // The server or the gateway is away.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn way_to_pay(number: usize) -> &'static str {
    match number % 10 {
        0 => "pm_card_chargeDeclinedInsufficientFunds",
        1 => "pm_card_authenticationRequired",
        _ => "pm_card_visa",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_charges_are_credited_once_or_not_at_all_while_gateway_and_server_are_killed() {
    let stripe = Arc::new(FaultyStripe::start(Arc::new(MachineClock)).await.expect("a gateway"));
    let (network, base_url) = TcpProxy::before_web(&stripe.base_url()).expect("a free port");
    let mut server = server_over(&base_url).await;
    server.breaks_things = true;
    let delivery = stripe.deliver_to(&events_url(&server));
    let buyers: Arc<Vec<Buyer>> = Arc::new(Buyer::many(server.api(), BUYERS).await);
    let faults = [
        Fault::CutBefore,
        Fault::CutAfter,
        Fault::Locked,
        Fault::TooMany(None),
        Fault::Broken(Some(true)),
        Fault::Nonsense,
        Fault::SilentAfter,
        Fault::KeyInUse,
    ];
    stripe.misbehave(Act::Create, faults.into_iter().cycle().take(80));
    stripe.misbehave(Act::Read, faults.into_iter().cycle().take(40));
    let done = Arc::new(AtomicUsize::new(0));
    let tasks = (0..CHARGES).map(|number| {
        let (buyers, done, stripe) = (Arc::clone(&buyers), Arc::clone(&done), Arc::clone(&stripe));
        tokio::spawn(async move {
            let (buyer, key, amount) = (&buyers[number % BUYERS], fresh("c"), 1_000 + number.cast_signed() as i64);
            let answer = answered(|| ask_charge(buyer, amount, way_to_pay(number), &key)).await;
            if answer.status == 202
                && let Some(secret) = answer.json["action"]["client_secret"].as_str()
            {
                stripe.act(secret.split("_secret").next().expect("an intent"), true);
            }
            done.fetch_add(1, Ordering::SeqCst);
            let id = if answer.status == 402 { text(&answer.json, "charge_id").to_owned() } else { answer.id() };
            (number, amount, id)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for (part, at) in (1..).zip([CutAt::Request, CutAt::Work, CutAt::Answer]) {
        let cuts = network.cuts();
        network.cut_when(BEGINS_PAYMENT, at, 10);
        until("some charges are done", async || done.load(Ordering::SeqCst) >= part * CHARGES / 5).await;
        until("the network has lost some", async || network.cuts() >= cuts + 10).await;
        server.kill();
        stripe.stop().await;
        server.start_again().await;
        stripe.start_again().await.expect("the port is free");
    }
    let charges = all(tasks).await;
    let mut balances: BTreeMap<usize, i64> = BTreeMap::new();
    for (number, amount, id) in &charges {
        let expected = if number % 10 == 0 { "declined" } else { "completed" };
        let buyer = &buyers[number % BUYERS];
        becomes(buyer, id, expected).await;
        let credited = if number % 10 == 0 { 0 } else { *amount };
        *balances.entry(number % BUYERS).or_default() += credited;
        assert_eq!(stripe.taken(id.parse().expect("an id")), credited, "charge {number}");
    }
    for (index, buyer) in buyers.iter().enumerate() {
        assert_eq!(buyer.balance().await, balances[&index]);
    }
    give_back(&stripe, &buyers, &charges, &balances).await;
    assert_books_agree(&server).await;
    delivery.abort();
    server.finish().await;
}

/// Refunds one charge of each buyer in two parts, while the gateway cuts connections.
async fn give_back(
    stripe: &FaultyStripe,
    buyers: &[Buyer],
    charges: &[(usize, i64, String)],
    balances: &BTreeMap<usize, i64>,
) {
    stripe.misbehave(Act::Refund, [Fault::CutAfter, Fault::CutBefore, Fault::SilentAfter].into_iter().cycle().take(12));
    let refunded: Vec<_> = charges.iter().filter(|(number, ..)| (100..100 + BUYERS).contains(number)).collect();
    let refunded: Vec<_> = refunded.into_iter().filter(|(number, ..)| number % 10 != 0).collect();
    for part in ["r1", "r2"] {
        let answers = send_together(refunded.len(), |index| {
            let (number, _, id) = refunded[index];
            ask_refund(&buyers[number % BUYERS], id, &json!({"amount": 500}), part)
        })
        .await;
        for (answer, (number, _, id)) in answers.iter().zip(&refunded) {
            let buyer = &buyers[number % BUYERS];
            if answer.status != 200 {
                answer.refuses(502, "gateway_failed");
            }
            let again = answered(|| ask_refund(buyer, id, &json!({"amount": 500}), part)).await;
            assert_eq!(again.is(200)["status"], "completed");
        }
    }
    for (number, _, id) in refunded {
        assert_eq!(stripe.given_back(id.parse().expect("an id")), 1_000);
        assert_eq!(buyers[number % BUYERS].balance().await, balances[&(number % BUYERS)] - 1_000);
    }
}
