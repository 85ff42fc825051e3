//! The demo over several starts.

use serde_json::{Value, json};

use crate::support::{client::Buyer, eventually, list, server::Server, text};

/// The access token of the promoter of the demo.
async fn promoter(server: &Server) -> String {
    let body = json!({"login_id": "promoter", "password": "promoter-password"});
    let session = eventually("the promoter signs in", async || {
        let answer = server.api().post("/v1/sessions", &body).send().await;
        (answer.status == 201).then(|| answer.json.clone())
    });
    text(&session.await, "access_token").to_owned()
}

/// All concerts with their performances, as the promoter of the demo sees them.
async fn catalog(server: &Server) -> Vec<(Value, Vec<Value>)> {
    let (api, promoter, mut catalog) = (server.api(), promoter(server).await, Vec::new());
    for concert in list(api.get("/v1/concerts?limit=100").send().await.is(200), "items") {
        let path = format!("/v1/concerts/{}/performances?limit=100", text(concert, "id"));
        let performances = list(api.get(&path).bearer(&promoter).send().await.is(200), "items").to_vec();
        catalog.push((concert.clone(), performances));
    }
    catalog
}

/// Imports these performances of concerts for the promoter of the demo, and takes their others from sale.
async fn import(server: &Server, concerts: &[(&str, Value)]) {
    let entry = |(key, performances): &(&str, Value)| json!({"key": key, "performances": performances});
    let concerts: Vec<_> = concerts.iter().map(entry).collect();
    let file = server.folder().join("changes.json");
    std::fs::write(&file, json!({"venues": [], "concerts": concerts}).to_string()).expect("it can be written");
    let file = file.to_str().expect("a path");
    let arguments = ["import", file, "--promoter", "promoter", "--withdraw", "--allow-harm"];
    let (code, _, error) = server.run(&arguments, &[]).await;
    assert_eq!(code, 0, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_start_leaves_the_demo_as_users_changed_it_and_makes_it_again_when_nothing_can_be_sold() {
    let mut server = Server::start(&[("DEMO", "true"), ("DEMO_BUYERS", "0"), ("REFORM_SECONDS", "0")]).await;
    let api = server.api().clone();
    let made = catalog(&server).await;
    assert_eq!(made.len(), 4);
    let (club, nights) = made.iter().find(|(concert, _)| concert["title"] == "겨울밤 어쿠스틱").expect("the club");
    let id = text(club, "id");
    let renamed = json!({"title": "Renamed", "max_seats_per_account": 3});
    let patch = api.ask(boxoffice_rush::Request::new("PATCH", format!("/v1/concerts/{id}"))).json(&renamed);
    patch.bearer(&promoter(&server).await).send().await.is(200);
    let buyer = Buyer::admitted(&api, id).await;
    buyer.charge(100_000).await;
    buyer.pay(&buyer.hold(text(&nights[0], "id"), &["A-1-1"]).await).await;
    let moved = json!([{"key": "club-night-1", "starts_at": "2030-01-12T11:00:00Z"}]);
    import(&server, &[("club-night", moved)]).await;

    server.restart().await;
    let changed = catalog(&server).await;
    let (club, nights) = changed.iter().find(|(concert, _)| concert["id"] == id).expect("the club");
    assert_eq!((&club["title"], &club["max_seats_per_account"], changed.len()), (&json!("Renamed"), &json!(3), 4));
    assert_eq!(nights[0]["starts_at"], "2030-01-12T11:00:00Z");
    assert_eq!((&nights[0]["withdrawn"], &nights[1]["withdrawn"]), (&json!(false), &json!(true)));
    server.restart().await;
    assert_eq!(catalog(&server).await, changed);

    // The sold seat still takes the club, so the concerts are made again in the next year.
    import(&server, &["club-night", "tour", "symphony", "later"].map(|key| (key, json!([])))).await;
    server.restart().await;
    let again = catalog(&server).await;
    let (old, new) = again.split_at(4);
    assert!(old.iter().flat_map(|(_, performances)| performances).all(|found| found["withdrawn"] == true), "{old:?}");
    assert_eq!(old.iter().filter(|(concert, _)| concert["title"] == "Renamed").count(), 1);
    let starts: Vec<_> = new.iter().map(|(concert, _)| text(concert, "first_performance_at")).collect();
    assert!(new.len() == 4 && starts.iter().all(|starts_at| starts_at.starts_with("2031-")), "{starts:?}");
    assert_eq!(list(api.get("/v1/concerts?bookable=true").send().await.is(200), "items").len(), 3);
    server.restart().await;
    assert_eq!(catalog(&server).await, again);
    server.finish().await;
}
