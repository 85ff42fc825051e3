//! One stampede in which everything around the server is killed, and the server too.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_testkit::{
    TestFolder,
    faulty_stripe::FaultyStripe,
    rabbitmq::{Queue, RabbitServer},
    smtp::{SmtpOptions, SmtpServer},
    tcp_proxy::{CutAt, TcpProxy},
};
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};
use url::Url;

use crate::{
    events::{buy, first_arrivals, take},
    outside::verify,
    stripe::{
        BEGINS_PAYMENT, MachineClock, answered as answered_by_gateway, ask_charge, ask_refund, assert_books_agree,
        becomes, events_url, secrets_in,
    },
    support::{
        all,
        client::{Buyer, fresh},
        server::{MARIADB, Server},
        show::{PRICE, Show, Terms, labels},
        text, until,
    },
    webhooks::{Endpoints, webhook},
};

const BUYERS: usize = 12;
/// How often each buyer charges points, holds, and pays or cancels.
const ROUNDS: usize = 6;
const POLL: Duration = Duration::from_millis(50);
/// As often as the events module pays.
const PAID_ROUNDS: usize = ROUNDS - ROUNDS.div_ceil(3);
/// What waits for its next attempt is tried at once: nobody waits for hours.
const TRY_AGAIN: [&str; 2] = [
    "UPDATE mails SET next_attempt_at = created_at WHERE next_attempt_at IS NOT NULL",
    "UPDATE webhook_deliveries SET next_attempt_at = occurred_at WHERE status = 'pending'",
];

/// What the server depends on, and tells of what happens.
struct Outside {
    gateway: FaultyStripe,
    /// Between the server and the gateway.
    network: TcpProxy,
    gateway_url: Url,
    broker: RabbitServer,
    endpoints: Endpoints,
    smtp: SmtpServer,
    secrets: TestFolder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Gateway,
    Broker,
    Endpoint,
    MailServer,
    Server,
}

const PARTS: [Part; 5] = [Part::Gateway, Part::Broker, Part::Endpoint, Part::MailServer, Part::Server];

impl Outside {
    async fn start() -> Self {
        let gateway = FaultyStripe::start(Arc::new(MachineClock)).await.expect("a gateway");
        let (network, gateway_url) = TcpProxy::before_web(&gateway.base_url()).expect("a free port");
        Self {
            gateway,
            network,
            gateway_url,
            broker: RabbitServer::start().await.expect("RabbitMQ"),
            endpoints: Endpoints::start().await,
            smtp: SmtpServer::start(SmtpOptions::default()).await.expect("a mail server"),
            secrets: TestFolder::create(),
        }
    }

    async fn queue(&self) -> Queue {
        Queue::bind(&self.broker.url(), "boxoffice", "warehouse", "#").await
    }

    async fn server(&self) -> Server {
        let mail = format!("smtp://127.0.0.1:{}", self.smtp.port());
        let events = self.broker.url();
        let secrets = secrets_in(self.secrets.path());
        let settings = [
            ("GATEWAY", "stripe"),
            ("GATEWAY_TIMEOUT_MILLISECONDS", "2000"),
            ("CHARGE_RETRY_SECONDS", "1"),
            ("STRIPE_API_BASE", self.gateway_url.as_str()),
            ("EVENTS", &events),
            ("EVENTS_REQUIRE_QUEUE", "true"),
            ("MAIL", &mail),
            ("MAIL_FROM", "Boxoffice <tickets@shop.example.org>"),
            ("MAIL_LANGUAGE", "en"),
            ("PUBLIC_URL", "https://tickets.example.org"),
            ("WEBHOOKS_PRIVATE_ADDRESSES", "true"),
        ];
        let files = secrets.iter().map(|(name, path)| (*name, path.as_str()));
        Server::start_on(MARIADB, &settings.into_iter().chain(files).collect::<Vec<_>>()).await
    }

    async fn kill(&mut self, part: Part, server: &mut Server) {
        match part {
            Part::Gateway => self.gateway.stop().await,
            Part::Broker => self.broker.kill().await.expect("it is killed"),
            Part::Endpoint => self.endpoints.stop().await,
            Part::MailServer => self.smtp.kill().await.expect("it is killed"),
            Part::Server => server.kill(),
        }
    }

    async fn start_again(&mut self, part: Part, server: &mut Server) {
        match part {
            Part::Gateway => self.gateway.start_again().await.expect("its port is free"),
            Part::Broker => {
                self.broker.start_again().await.expect("it starts");
                drop(self.queue().await);
            }
            Part::Endpoint => self.endpoints.start_again().await,
            Part::MailServer => self.smtp.start_again().await.expect("it starts"),
            Part::Server => server.start_again().await,
        }
    }

    /// The kinds of events that the endpoint has had, by their subjects.
    fn delivered(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut delivered = BTreeMap::<String, BTreeSet<String>>::new();
        for (_, body) in self.endpoints.received("shop") {
            let event: Value = serde_json::from_str(&body).expect("JSON");
            let kinds = delivered.entry(text(&event, "subject").to_owned()).or_default();
            kinds.insert(text(&event, "kind").to_owned());
        }
        delivered
    }

    /// The ids of the mails to an address that speak of a seat.
    fn mails(&self, address: &str, seat: &str) -> BTreeSet<String> {
        let mails = self.smtp.received_for(address).into_iter();
        let about = mails.filter(|mail| mail.content.part("text/plain").is_some_and(|part| part.text.contains(seat)));
        about.map(|mail| mail.content.header("Message-ID").expect("an id").to_owned()).collect()
    }
}

/// What a buyer has done: the charges, and the events of each reservation in their order.
#[derive(Default)]
struct Done {
    charges: Vec<String>,
    reservations: Vec<(String, Vec<&'static str>)>,
}

async fn charge_and_buy(buyer: &mut Buyer, show: &Show, seat: &str, round: usize, done: &mut Done) {
    let key = fresh("charge");
    let charged = answered_by_gateway(|| ask_charge(buyer, PRICE, "pm_card_visa", &key)).await;
    assert!(matches!(charged.status, 201 | 202), "{}", charged.text);
    becomes_completed(buyer, &charged.id()).await;
    done.charges.push(charged.id());
    done.reservations.push(buy(buyer, show, seat, round).await);
}

/// As [`becomes`], while the server may be away.
async fn becomes_completed(buyer: &Buyer, charge: &str) {
    // A task needs a future that any thread may go on with, which `until` does not give.
    for _ in 0..1_000 {
        let found = buyer.get(format!("/v1/wallet/charges/{charge}")).try_send().await;
        if found.is_some_and(|found| found.status == 200 && found.json["status"] == "completed") {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
    panic!("charge {charge} is not completed");
}

fn address(index: usize) -> String {
    format!("buyer-{index}@example.org")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_point_no_event_and_no_mail_is_lost_while_everything_is_killed() {
    let mut outside = Outside::start().await;
    drop(outside.queue().await);
    let mut server = outside.server().await;
    server.breaks_things = true;
    let notifications = outside.gateway.deliver_to(&events_url(&server));
    let promoter = server.promoter("promoter").await;
    webhook(&promoter, &outside.endpoints.url("shop")).await;
    // Beside the kills, answers of the gateway and of the endpoint are lost: what they did has to count once.
    outside.network.cut_when(BEGINS_PAYMENT, CutAt::Answer, 5);
    outside.endpoints.cut_one_in(5, CutAt::Answer);
    let show = Arc::new(Show::publish(&promoter, Terms::default()).await);
    let buyers = Buyer::many(server.api(), BUYERS).await;
    for (index, buyer) in buyers.iter().enumerate() {
        verify(buyer, &outside.smtp, &address(index)).await;
    }

    let rounds = Arc::new(AtomicUsize::new(0));
    let tasks = buyers.into_iter().zip(labels()).map(|(mut buyer, seat)| {
        let (rounds, show) = (Arc::clone(&rounds), Arc::clone(&show));
        tokio::spawn(async move {
            let mut done = Done::default();
            for round in 0..ROUNDS {
                charge_and_buy(&mut buyer, &show, &seat, round, &mut done).await;
                rounds.fetch_add(1, Ordering::SeqCst);
            }
            (buyer, seat, done)
        })
    });
    let tasks: Vec<_> = tasks.collect();
    // Each of them alone, and then all of them.
    for (step, parts) in PARTS.chunks(1).chain([&PARTS[..]]).enumerate() {
        let enough = step * BUYERS * ROUNDS / (PARTS.len() + 2);
        until("some rounds are done", async || rounds.load(Ordering::SeqCst) >= enough).await;
        for part in parts {
            outside.kill(*part, &mut server).await;
        }
        for part in parts {
            outside.start_again(*part, &mut server).await;
        }
    }
    let done = all(tasks).await;

    let (queue, mut messages) = (outside.queue().await, Vec::new());
    let of_buyers = || done.iter().flat_map(|(.., done)| &done.reservations);
    until("every event is in the queue", async || {
        take(&queue, &mut messages).await;
        let arrived = first_arrivals(&messages);
        of_buyers().all(|(id, kinds)| arrived.get(id).is_some_and(|arrived| arrived.len() >= kinds.len()))
    })
    .await;
    let arrived = first_arrivals(&messages);
    for (id, kinds) in of_buyers() {
        assert_eq!(&arrived[id], kinds, "reservation {id}");
    }
    for charge in done.iter().flat_map(|(.., done)| &done.charges) {
        assert_eq!(arrived[charge], ["charge.requested", "charge.completed"]);
        assert_eq!(outside.gateway.taken(charge.parse().expect("an id")), PRICE);
    }
    let mut database = server.database_connection().await;
    let mut try_again = async || {
        for statement in TRY_AGAIN {
            database.query_drop(statement).await.expect("the database answers");
        }
    };
    until("the endpoint has every event", async || {
        try_again().await;
        let delivered = outside.delivered();
        of_buyers().all(|(id, kinds)| delivered.get(id).is_some_and(|had| kinds.iter().all(|kind| had.contains(*kind))))
    })
    .await;
    for (index, (_, seat, _)) in done.iter().enumerate() {
        // One of the purchase, and one of its end.
        let wanted = 2 * PAID_ROUNDS;
        until(&format!("buyer {index} has {wanted} mails"), async || {
            try_again().await;
            outside.mails(&address(index), seat).len() >= wanted
        })
        .await;
        assert_eq!(outside.mails(&address(index), seat).len(), wanted, "one mail for each event");
    }
    drop(database);
    assert!(outside.network.cuts() > 0 && outside.endpoints.cuts() > 0, "nothing was lost");
    give_back(&server, &outside, &done).await;
    notifications.abort();
    server.finish().await;
}

/// Everything was cancelled, so every point is there, and goes back to where it came from.
async fn give_back(server: &Server, outside: &Outside, done: &[(Buyer, String, Done)]) {
    for (buyer, _, Done { charges, .. }) in done {
        let points = PRICE * i64::try_from(ROUNDS).expect("a few");
        assert_eq!(buyer.balance().await, points);
        for charge in charges {
            let refunded = answered_by_gateway(|| ask_refund(buyer, charge, &json!({}), charge)).await;
            refunded.is(200);
            becomes(buyer, charge, "refunded").await;
            assert_eq!(outside.gateway.given_back(charge.parse().expect("an id")), PRICE);
        }
        assert_eq!(buyer.balance().await, 0);
    }
    assert_books_agree(server).await;
}
