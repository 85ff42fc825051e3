//! Mail that waits, and its way to a mail server that others wrote, which refuses, cuts connections and is killed.

use std::collections::{BTreeMap, BTreeSet};

use boxoffice_domain::{EntropySource, fixtures::TestEntropy, mail::Notice, uuid::Uuid};
use boxoffice_testkit::smtp::{ReceivedMail, SmtpOptions, SmtpServer};
use mysql_async::prelude::Queryable;

use crate::support::{
    client::Buyer,
    now,
    server::{MARIADB, Server},
    until,
};

/// How many mails may be sent a second time after a crash.
const AT_ONCE: usize = 8;

/// A server that sends mail here.
async fn server_with(smtp: &SmtpServer) -> Server {
    let url = format!("smtp://127.0.0.1:{}", smtp.port());
    let settings = [
        ("MAIL", url.as_str()),
        ("MAIL_FROM", "Boxoffice <tickets@shop.example.org>"),
        ("MAIL_LANGUAGE", "en"),
        ("PUBLIC_URL", "https://tickets.example.org"),
    ];
    Server::start_on(MARIADB, &settings).await
}

/// Gives an account a verified address.
async fn verify(server: &Server, account: &[u8], address: &str) {
    let insert = "REPLACE INTO account_emails (account_id, address, verified_at, changed_at) \
        VALUES (?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))";
    server.database_connection().await.exec_drop(insert, (account, address)).await.expect("an address");
}

/// Queues a mail of an account: to this address, or to the verified one.
async fn queue(server: &Server, account: &[u8], addresses: &[Option<String>]) -> Vec<Uuid> {
    let notice = serde_json::to_string(&Notice::PasswordChanged { at: now() }).expect("it is JSON");
    let ids: Vec<Uuid> = addresses.iter().map(|_| TestEntropy.uuid()).collect();
    let rows = ids.iter().zip(addresses).map(|(id, address)| (id.as_bytes().to_vec(), account, address, &notice));
    let insert = "INSERT INTO mails (id, account_id, address, notice, created_at, next_attempt_at) \
        VALUES (?, ?, ?, ?, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))";
    server.database_connection().await.exec_batch(insert, rows).await.expect("the mails");
    ids
}

/// What became of a mail: its outcome, and how often it was tried.
async fn fate(server: &Server, id: Uuid) -> (Option<String>, i64) {
    let select = "SELECT outcome, attempts FROM mails WHERE id = ?";
    let row = server.database_connection().await.exec_first(select, (id.as_bytes().to_vec(),)).await;
    row.expect("the database answers").expect("a mail")
}

/// Has all mail tried at once that waits, as the operations guide says.
async fn try_now(server: &Server) {
    let update = "UPDATE mails SET next_attempt_at = created_at WHERE next_attempt_at IS NOT NULL";
    server.database_connection().await.query_drop(update).await.expect("the database answers");
}

fn message_id(mail: &ReceivedMail) -> &str {
    mail.content.header("Message-ID").expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mail_arrives_once_it_can_and_what_is_refused_for_good_does_not() {
    let smtp = SmtpServer::start(SmtpOptions::default()).await.expect("a mail server");
    let server = server_with(&smtp).await;
    let (status, found, error) = server.run(&["check"], &[]).await;
    assert!(status == 0 && found.contains(&format!("mail: over 127.0.0.1:{}", smtp.port())), "{found}{error}");
    let mut mails = BTreeMap::new();
    for behaviour in ["plain", "goodbye", "later-1", "cut-before", "cut-after", "never", "content", "nobody"] {
        let account = Buyer::new(server.api()).await.account_bytes();
        let address = format!("{behaviour}@example.org");
        if behaviour != "nobody" {
            verify(&server, &account, &address).await;
        }
        let id = queue(&server, &account, &[None]).await.remove(0);
        mails.insert(behaviour, (id, account, address));
    }
    let becomes = async |behaviour: &str, outcome: Option<&str>, attempts| {
        let id = mails[behaviour].0;
        let what = format!("{behaviour} has ended as {outcome:?} after {attempts} attempts");
        until(&what, async || fate(&server, id).await == (outcome.map(str::to_owned), attempts)).await;
    };
    let received = |behaviour: &str| smtp.received_for(&mails[behaviour].2);
    for (behaviour, outcome) in [
        ("plain", Some("sent")),
        ("goodbye", Some("sent")),
        ("never", Some("refused")),
        ("content", Some("refused")),
        ("nobody", Some("dropped")),
        ("later-1", None),
        ("cut-before", None),
        ("cut-after", None),
    ] {
        becomes(behaviour, outcome, 1).await;
    }
    let plain = received("plain").remove(0);
    assert_eq!(plain.sender, "tickets@shop.example.org");
    assert_eq!(message_id(&plain), format!("<{}@shop.example.org>", mails["plain"].0));
    let text = &plain.content.part("text/plain").expect("a text").text;
    assert!(text.contains("https://tickets.example.org/account"), "{text}");

    // The connection may have been cut before or after the server took the mail: nobody knows but the server.
    for behaviour in ["cut-before", "cut-after"] {
        verify(&server, &mails[behaviour].1, &format!("then-{behaviour}@example.org")).await;
    }
    try_now(&server).await;
    for behaviour in ["later-1", "cut-before", "cut-after"] {
        becomes(behaviour, Some("sent"), 2).await;
    }
    let counts = ["plain", "goodbye", "later-1", "cut-before", "cut-after", "never", "content", "nobody"]
        .map(|behaviour| received(behaviour).len());
    assert_eq!(counts, [1, 1, 1, 0, 1, 0, 0, 0]);
    let again = smtp.received_for("then-cut-after@example.org");
    assert_eq!(message_id(&again[0]), message_id(&received("cut-after")[0]));
    assert_eq!(smtp.received_for("then-cut-before@example.org").len(), 1);

    for (outcome, count) in [("sent", 5.0), ("refused", 2.0), ("dropped", 1.0), ("given_up", 0.0), ("postponed", 3.0)] {
        let name = format!("boxoffice_mails_total{{outcome=\"{outcome}\"}}");
        assert_eq!(server.api().metric(&name).await.to_bits(), f64::to_bits(count), "{name}");
    }
    let kept: Vec<(Option<String>, Option<String>)> =
        server.database_connection().await.query("SELECT notice, address FROM mails").await.expect("the mails");
    assert!(kept.iter().all(|row| *row == (None, None)), "nothing is kept of what they said");
    assert!(!server.log().contains("@example.org"), "{}", server.log());
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mail_arrives_while_both_servers_are_killed() {
    const MAILS: usize = 400;
    let mut smtp = SmtpServer::start(SmtpOptions::default()).await.expect("a mail server");
    let mut server = server_with(&smtp).await;
    server.breaks_things = true;
    let account = Buyer::new(server.api()).await.account_bytes();
    let recipients: Vec<_> = (0..MAILS).map(|number| Some(format!("reader-{number}@example.org"))).collect();
    queue(&server, &account, &recipients).await;
    let mut kills = 0;
    for count in [MAILS / 8, MAILS / 4, MAILS / 2, MAILS * 3 / 4] {
        until("some mails have arrived", async || {
            try_now(&server).await;
            smtp.received().len() >= count
        })
        .await;
        kills += 1;
        if kills % 2 == 0 {
            server.kill();
            server.start_again().await;
        } else {
            smtp.kill().await.expect("it is killed");
            // Meanwhile none is taken.
            let arrived = smtp.received().len();
            until("a mail is postponed", async || {
                server.api().metric("boxoffice_mails_total{outcome=\"postponed\"}").await > 0.0
            })
            .await;
            assert_eq!(smtp.received().len(), arrived);
            smtp.start_again().await.expect("it starts");
        }
    }
    let waiting = async || -> i64 {
        let count = "SELECT COUNT(*) FROM mails WHERE outcome IS NULL";
        server.database_connection().await.query_first(count).await.expect("the database answers").expect("a count")
    };
    until("no mail waits", async || {
        try_now(&server).await;
        waiting().await == 0
    })
    .await;
    let others = "SELECT COUNT(*) FROM mails WHERE outcome <> 'sent'";
    let others: Option<i64> = server.database_connection().await.query_first(others).await.expect("a count");
    assert_eq!(others, Some(0));
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let received = smtp.received();
    for mail in &received {
        ids.entry(mail.recipients[0].clone()).or_default().insert(message_id(mail).to_owned());
    }
    assert_eq!(ids.len(), MAILS, "each reader has the mail");
    assert!(ids.values().all(|ids| ids.len() == 1), "no mail has two ids");
    assert!(received.len() - MAILS <= AT_ONCE * kills, "{} are there twice", received.len() - MAILS);
    server.finish().await;
}
