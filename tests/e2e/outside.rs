//! What buyers do reaches mailboxes and endpoints, as real events.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_testkit::smtp::{SmtpOptions, SmtpServer};
use serde_json::{Value, json};

use crate::{
    support::{
        answered_in_queue,
        client::{Buyer, fresh},
        server::{MARIADB, PASSWORD, Server},
        show::{PRICE, Show, Terms, labels},
        text, until,
    },
    webhooks::{Endpoints, webhook},
};

async fn server_with(smtp: &SmtpServer) -> Server {
    let url = format!("smtp://127.0.0.1:{}", smtp.port());
    let settings = [
        ("MAIL", url.as_str()),
        ("MAIL_FROM", "Boxoffice <tickets@shop.example.org>"),
        ("MAIL_LANGUAGE", "en"),
        ("PUBLIC_URL", "https://tickets.example.org"),
        ("WEBHOOKS_PRIVATE_ADDRESSES", "true"),
    ];
    Server::start_on(MARIADB, &settings).await
}

/// The text of the mail with this in it, when it has come.
pub(crate) async fn mail_to(smtp: &SmtpServer, address: &str, part: &str) -> String {
    let find = || {
        let texts = smtp.received_for(address).into_iter();
        let mut texts = texts.filter_map(|mail| Some(mail.content.part("text/plain")?.text.clone()));
        texts.find(|text| text.contains(part))
    };
    until(&format!("{address} has a mail with `{part}`"), async || find().is_some()).await;
    find().expect("it has come")
}

/// Gives a buyer a verified address, by the code in the mail.
pub(crate) async fn verify(buyer: &Buyer, smtp: &SmtpServer, address: &str) {
    buyer.post("/v1/me/email", &json!({"email": address, "password": PASSWORD})).send().await.is(202);
    let mail = mail_to(smtp, address, "minutes").await;
    let code = mail.split(|character: char| !character.is_ascii_digit()).find(|digits| digits.len() == 8);
    let code = code.unwrap_or_else(|| panic!("no code in {mail}"));
    let verified = buyer.post("/v1/me/email/verify", &json!({"code": code})).send().await;
    assert!(verified.status < 300, "{}", verified.text);
    assert_eq!(buyer.get("/v1/me").send().await.is(200)["email"], address);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_verified_opens_a_concert_and_helps_who_forgot_the_password() {
    let smtp = SmtpServer::start(SmtpOptions::default()).await.expect("a mail server");
    let server = server_with(&smtp).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let path = format!("/v1/concerts/{}", show.concert);
    let version = promoter.get(&path).send().await.header("etag").expect("a version").to_owned();
    let demand = promoter.patch(&path, &json!({"requires_verified_email": true})).header("if-match", version);
    demand.send().await.is(200);

    let mut buyer = Buyer::new(server.api()).await;
    until("the demand counts", async || buyer.ask_join(&show.concert).send().await.status == 403).await;
    buyer.ask_join(&show.concert).send().await.refuses(403, "email_not_verified");
    let address = "haneul@example.org";
    verify(&buyer, &smtp, address).await;
    buyer.be_admitted(&show.concert).await;
    buyer.charge(PRICE).await;
    let reservation = buyer.hold(&show.performance, &["A-1-1"]).await;
    buyer.pay(&reservation).await;
    mail_to(&smtp, address, "A-1-1").await;

    // The answer is the same whether an account has the login id or not.
    for login_id in [buyer.login_id.as_str(), "nobody-of-this-name"] {
        let asked = server.api().post("/v1/password-resets", &json!({"login_id": login_id})).send().await;
        assert_eq!((asked.status, asked.text.as_str()), (202, ""));
    }
    let mail = mail_to(&smtp, address, "/reset-password#").await;
    let token = mail.split("/reset-password#").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    let reset = async |token: &str| {
        let body = json!({"password": "another horse battery staple"});
        server.api().post(format!("/v1/password-resets/{token}"), &body).send().await
    };
    assert_eq!(reset(token).await.status, 204);
    reset(token).await.refuses(404, "password_reset_invalid");
    assert_eq!(buyer.get("/v1/me").send().await.status, 401, "the sessions have ended");
    mail_to(&smtp, address, "password").await;
    let signs_in = async |password: &str| {
        let body = json!({"login_id": buyer.login_id, "password": password});
        server.api().post("/v1/sessions", &body).send().await.status
    };
    assert_eq!((signs_in(PASSWORD).await, signs_in("another horse battery staple").await), (401, 201));
    assert!(!server.log().contains(token) && !server.log().contains(address), "{}", server.log());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_purchase_reaches_webhook_and_mailbox_while_servers_are_killed() {
    let mut smtp = SmtpServer::start(SmtpOptions::default()).await.expect("a mail server");
    let mut server = server_with(&smtp).await;
    server.breaks_things = true;
    let endpoints = Endpoints::start().await;
    let promoter = server.promoter("promoter").await;
    let path = webhook(&promoter, &endpoints.url("fails_once")).await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let mut buyers = Buyer::many(server.api(), 8).await;
    for (index, buyer) in buyers.iter().enumerate() {
        verify(buyer, &smtp, &format!("buyer-{index}@example.org")).await;
        buyer.charge(PRICE).await;
    }
    let mut bought = BTreeMap::new();
    for (index, (buyer, seat)) in buyers.iter_mut().zip(labels()).enumerate() {
        match index {
            2 => smtp.kill().await.expect("it is killed"),
            4 => {
                server.kill();
                server.start_again().await;
            }
            6 => smtp.start_again().await.expect("it starts"),
            _ => {}
        }
        let (hold, pay) = (fresh("hold"), fresh("payment"));
        let ask = |buyer: &Buyer| buyer.ask_hold(&show.performance, &[&seat]).key(&hold);
        let id = answered_in_queue(buyer, &show.concert, ask).await;
        answered_in_queue(buyer, &show.concert, |buyer| buyer.ask_pay(&id).key(&pay)).await;
        bought.insert(id, seat);
    }
    let wanted = ["reservation.held", "reservation.confirmed", "payment.completed"];
    let kinds_of = |id: &str| -> BTreeSet<String> {
        let received = endpoints.received("fails_once");
        let events = received.iter().map(|(_, body)| serde_json::from_str::<Value>(body).expect("JSON"));
        events.filter(|event| event["subject"] == id).map(|event| text(&event, "kind").to_owned()).collect()
    };
    until("the endpoint has each event of its concert", async || {
        bought.keys().all(|id| wanted.iter().all(|kind| kinds_of(id).contains(*kind)))
    })
    .await;
    let kinds = kinds_of(&show.concert);
    assert!(kinds.contains("concert.published"), "{kinds:?}");
    // A delivery is recorded after it was received.
    until("each of these deliveries is recorded", async || {
        let delivered = promoter.get(format!("{path}/deliveries?limit=100&status=delivered")).send().await;
        delivered.is(200)["items"].as_array().expect("a list").len() >= 3 * bought.len()
    })
    .await;

    let retry = "UPDATE mails SET next_attempt_at = created_at WHERE next_attempt_at IS NOT NULL";
    for seat in bought.values() {
        let has_mail = || {
            smtp.received()
                .iter()
                .any(|mail| mail.content.part("text/plain").is_some_and(|part| part.text.contains(seat)))
        };
        until(&format!("the buyer of {seat} has a mail"), async || {
            let mut connection = server.database_connection().await;
            mysql_async::prelude::Queryable::query_drop(&mut connection, retry).await.expect("the database answers");
            has_mail()
        })
        .await;
    }
    let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
    for mail in smtp.received() {
        let about =
            mail.content.part("text/plain").and_then(|part| bought.values().find(|seat| part.text.contains(*seat)));
        if let Some(seat) = about {
            ids.entry(seat.clone()).or_default().insert(mail.content.header("Message-ID").expect("an id").to_owned());
        }
    }
    assert_eq!(
        (ids.len(), ids.values().map(BTreeSet::len).max()),
        (bought.len(), Some(1)),
        "one mail for each purchase"
    );
    server.finish().await;
}
