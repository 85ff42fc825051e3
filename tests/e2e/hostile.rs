//! Bodies and texts that are meant to do harm.

use serde_json::{Value, json};

use crate::support::{
    client::{Buyer, fresh},
    raw::Raw,
    server::{PASSWORD, Server},
    show::{Show, Terms, club, concert},
};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_bodies_are_refused_and_do_no_harm() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    let charge = |body: &str| buyer.ask_charge(1).raw("application/json", body.to_owned()).send();

    let nested = |count: usize| format!("{{\"amount\": {}1{}}}", "[".repeat(count), "]".repeat(count));
    for body in [
        "",
        "null",
        "nul",
        "{",
        "{} {}",
        "\u{feff}{\"amount\": 1}",
        "{'amount': 1}",
        "{\"amount\": 01}",
        "{\"amount\": NaN}",
    ] {
        let answer = charge(body).await;
        assert!([400, 422].contains(&answer.status), "{body}: {}", answer.text);
    }
    for depth in [100, 1_000, 30_000] {
        let answer = charge(&nested(depth)).await;
        assert!([400, 422].contains(&answer.status), "{depth}: {}", answer.text);
    }
    charge(&"[".repeat(60_000)).await.refuses(400, "malformed_request");
    charge(&format!("{{\"amount\": {}}}", "1".repeat(200_000))).await.refuses(413, "payload_too_large");
    let bytes = buyer.ask_charge(1).raw("application/json", b"{\"amount\": \"\xff\xfe\"}".to_vec()).send().await;
    bytes.refuses(400, "malformed_request");
    for amount in ["0", "-1", "-9223372036854775808", "9223372036854775807", "10000001"] {
        let answer = charge(&format!("{{\"amount\": {amount}}}")).await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations(), [("/amount", "range")], "{amount}");
    }
    for amount in ["9223372036854775808", "1e400", "-1e400", "1e7000000000000000000000", &"9".repeat(400)] {
        let answer = charge(&format!("{{\"amount\": {amount}}}")).await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations(), [("/amount", "range")], "{amount}");
    }
    for amount in ["1.5", "1e-3", "\"1\"", "true", "null", "[1]", "{}"] {
        let answer = charge(&format!("{{\"amount\": {amount}}}")).await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations(), [("/amount", "wrong_type")], "{amount}");
        assert_eq!(answer.json["errors"][0]["message"], "must be a whole number", "{amount}");
    }
    charge("{\"amount\": 1, \"amount\": 2}").await.refuses(422, "validation_failed");
    assert_eq!(buyer.balance().await, 0);

    let hold = |seats: Value| {
        buyer.post("/v1/reservations", &json!({"performance_id": show.performance, "seats": seats})).send()
    };
    for (seats, pointer) in [
        (json!([]), "/seats"),
        (json!(["A-1-1", "A-1-1"]), "/seats/1"),
        (json!("A-1-1"), "/seats"),
        (json!(["A-1-1", 5]), "/seats/1"),
        (json!(["A-1-1", "no seat at all"]), "/seats/1"),
        (json!(["A-1-0001"]), "/seats/0"),
        (json!(["A-1-1\u{0}"]), "/seats/0"),
    ] {
        let answer = hold(seats).await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations()[0].0, pointer, "{}", answer.text);
    }
    let crowd: Vec<_> = (1..=10_000).map(|number| format!("A-{number}")).collect();
    hold(json!(crowd)).await.refuses(413, "payload_too_large");
    let crowd: Vec<_> = (1..=3_000).map(|number| format!("A-1-{number}")).collect();
    hold(json!(crowd)).await.refuses(422, "too_many_seats");
    assert_eq!(buyer.seats(&show.performance).await["seats_available"], 50);
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_are_refused_or_kept_as_they_are() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::default()).await;
    for name in ["", "   ", "a\u{0}b", "a\nb", "\u{200b}", "a\u{202e}b", "\u{3164}", &"x".repeat(256)] {
        let body = json!({"login_id": fresh("hostile"), "password": PASSWORD, "name": name});
        let answer = server.api().post("/v1/accounts", &body).send().await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations()[0].0, "/name");
    }
    for login_id in
        ["ab", "upper\u{200b}", "-dash", "a b", "ä-umlaut", "x\u{0}y", "a'; DROP TABLE accounts; --", &"x".repeat(65)]
    {
        let body = json!({"login_id": login_id, "password": PASSWORD, "name": "A"});
        server.api().post("/v1/accounts", &body).send().await.refuses(422, "validation_failed");
        let body = json!({"login_id": login_id, "password": PASSWORD});
        server.api().post("/v1/sessions", &body).send().await.refuses(401, "invalid_credentials");
    }
    for password in ["short", &"x".repeat(129)] {
        let body = json!({"login_id": fresh("hostile"), "password": password, "name": "A"});
        let answer = server.api().post("/v1/accounts", &body).send().await;
        answer.refuses(422, "validation_failed");
        assert!(!answer.text.contains(password));
    }
    // What would be SQL or HTML is text.
    for title in [
        "'; DROP TABLE concerts; --",
        "\" OR 1=1 --",
        "<script>alert(1)</script>",
        "좌석 🎫 \\ %s ${x} {{y}}",
        "🎫".repeat(255).as_str(),
    ] {
        let mut body = concert(&Terms::default());
        body["title"] = json!(title);
        let made = promoter.post("/v1/concerts", &body).send().await;
        assert_eq!(made.is(201)["title"], title);
        let shown = server.api().get(format!("/v1/concerts/{}", made.id())).send().await;
        assert_eq!(shown.is(200)["title"], title);
    }
    let buyer = Buyer::admitted(server.api(), &show.concert).await;
    for section in ["'%20OR%201=1", "%00", "%F0%9F%8E%AB", "A%27--"] {
        let path = format!("/v1/performances/{}/seats?section={section}", show.performance);
        assert_eq!(buyer.get(path).send().await.is(200)["seats"], json!([]));
    }
    for path in ["/v1/concerts/%00", "/v1/concerts/1%20OR%201=1", "/v1/concerts/%FF", "/v1/reservations/'--"] {
        buyer.get(path).send().await.refuses(400, "malformed_request");
    }
    for (pointer, body) in hostile_venues() {
        let answer = promoter.post("/v1/venues", &body).send().await;
        answer.refuses(422, "validation_failed");
        assert_eq!(answer.violations()[0].0, pointer, "{}", answer.text);
    }
    server.finish().await;
}

fn hostile_venues() -> Vec<(&'static str, Value)> {
    let with = |pointer: &'static str, value: Value| {
        let mut body = club();
        *body.pointer_mut(pointer).expect("it is there") = value;
        (pointer, body)
    };
    vec![
        with("/name", json!("\u{7}")),
        with("/sections", json!([])),
        with("/sections/0/name", json!("A-B")),
        with("/sections/0/rows", json!([])),
        with("/sections/0/rows/1/name", json!("1")),
        with("/sections/0/rows/0/seats", json!(0)),
        with("/sections/0/rows/0/seats", json!(-5)),
        with("/sections/0/rows/0/seats", json!(200_001)),
        with("/sections/0/rows/0/seats", json!(1.5)),
        (
            "/sections",
            json!({"name": "A", "location": "B", "sections": [
            {"name": "A", "rows": [{"name": "1", "seats": 200_000}, {"name": "2", "seats": 1}]}]}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_body_is_read_keeps_the_connection_or_says_that_it_ends() {
    const NEXT: &str = "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n";
    let server = Server::start(&[]).await;
    let head = |line: &str, fields: &str, length: usize| {
        format!("{line} HTTP/1.1\r\nHost: test\r\n{fields}Content-Length: {length}\r\n\r\n")
    };
    let json = "Content-Type: application/json\r\n";
    let refusals = [
        (400, "POST /v1/sessions", "Host: other\r\n"),
        (400, "POST /v1/sessions?a=%FF", json),
        (401, "POST /v1/reservations", json),
        (404, "POST /v1/nothing", json),
        (405, "PATCH /v1/sessions", json),
        (406, "POST /v1/sessions", "Accept: text/html\r\n"),
        (415, "POST /v1/sessions", "Content-Type: text/plain\r\n"),
    ];
    for (status, line, fields) in refusals {
        for _ in 0..20 {
            let mut connection = Raw::connect(&server).await;
            connection.send(&head(line, fields, 100)).await;
            // The body is still on its way.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            connection.send(&format!("{}{NEXT}", " ".repeat(100))).await;
            let (answered, said, _) = connection.try_whole_response().await.expect("a response");
            assert!(answered == status && !said.contains("connection: close"), "{line}: {said}");
            assert_eq!(connection.response().await.0, 200, "{line}: the next request on the connection");
        }
        for (length, expects) in [(1 << 20, ""), (100, "Expect: 100-continue\r\n")] {
            let mut connection = Raw::connect(&server).await;
            connection.send(&head(line, &format!("{fields}{expects}"), length)).await;
            let (answered, said, _) = connection.try_whole_response().await.expect("a response");
            assert!(answered == status && said.contains("connection: close"), "{line}: {said}");
            assert!(connection.is_closed().await, "{line}");
        }
    }
    server.finish().await;
}
