//! What organisers do: publishing by forms and by a file, and running a sale from its desk.

use std::fs;

use boxoffice_tests::workspace;
use chrono::TimeDelta;
use serde_json::json;

use super::session::Browser;
use crate::support::{
    client::Buyer,
    now,
    server::Server,
    show::{PRICE, Show, Terms},
    text, until,
};

/// The figure of the desk with this name.
const FIGURE: &str = r#"
const name = [...document.querySelectorAll("dl.figures dt")].find((one) => one.textContent === arguments[0]);
return name?.nextElementSibling?.textContent ?? "";
"#;
/// What is said of the line in the chart with this name.
const LINE: &str = r#"
const all = [...document.querySelectorAll(".chart svg")].map((one) => one.getAttribute("aria-label"));
return all.find((said) => said.startsWith(arguments[0])) ?? "";
"#;
const CHOOSE_FILE: &str = "return document.querySelector('#catalog-file')";

impl Browser {
    /// A figure of the desk that is a number.
    pub(super) async fn figure(&self, name: &str) -> u64 {
        let label = json!(self.words.say(&format!("organiser.figure.{name}")));
        let shown = self.run(FIGURE, &[label]).await;
        shown.as_str().and_then(|shown| shown.replace(',', "").parse().ok()).unwrap_or_default()
    }

    /// Waits until a figure of the desk is this.
    pub(super) async fn sees_figure(&self, name: &str, value: &str) {
        let label = json!(self.words.say(&format!("organiser.figure.{name}")));
        until(&format!("`{name}` is {value}"), async || self.run(FIGURE, std::slice::from_ref(&label)).await == value)
            .await;
    }

    /// Waits until the chart says so of a line.
    async fn sees_line(&self, name: &str, least: u64, most: u64, last: u64) {
        let line = self.words.say(&format!("organiser.line.{name}"));
        let values = [("line", json!(line)), ("least", json!(least)), ("most", json!(most)), ("last", json!(last))];
        let said = self.words.say_with("organiser.line_said", &values);
        until(&said, async || self.run(LINE, &[json!(line)]).await == said).await;
    }

    /// Fills a field for a time, so many hours from now, as clocks in UTC show it.
    async fn enter_time(&self, name: &str, hours_from_now: i64) {
        let at = (now() + TimeDelta::hours(hours_from_now)).format("%Y-%m-%dT%H:%M").to_string();
        let label = self.words.say(&format!("organiser.field.{name}"));
        self.set(&label, &at).await;
    }

    /// Presses what acts, and then the same in the question that is asked.
    async fn confirm(&self, act: &str, said: &str) {
        self.press_word(act).await;
        self.sees(said).await;
        self.look(&format!("question of {act}")).await;
        self.press_word(act).await;
    }

    async fn choose_file(&self, path: &str) {
        let input = self.element(CHOOSE_FILE, &[]).await.expect("a field for files");
        input.send_keys(path).await.expect("a file can be chosen");
    }
}

async fn publish_venue(browser: &Browser) {
    let words = &browser.words;
    browser.press_word("organiser.new_venue").await;
    browser.press_word("organiser.publish_venue").await;
    browser.sees_word("violation.missing_field").await;
    browser.look("venue with what is missing").await;
    browser.enter(&words.say("organiser.venue_name"), "Small Hall").await;
    browser.enter(&words.say("organiser.field.location"), "Berlin").await;
    browser.enter(&words.say("organiser.field.time_zone"), "UTC").await;
    browser.enter(&words.say("organiser.rows"), "2").await;
    browser.enter(&words.say("organiser.seats_per_row"), "0").await;
    browser.press_word("organiser.publish_venue").await;
    browser.sees_word("violation.range").await;
    browser.enter(&words.say("organiser.seats_per_row"), "5").await;
    browser.press_word("organiser.publish_venue").await;
    let published = [("name", json!("Small Hall")), ("count", json!(10))];
    browser.sees(&words.say_with("organiser.venue_published", &published)).await;
    browser.press_word("organiser.new_venue").await;
}

async fn publish_concert(browser: &Browser) {
    let words = &browser.words;
    browser.press_word("organiser.new_concert").await;
    browser.enter(&words.say("organiser.field.title"), "Night of Songs").await;
    browser.enter(&words.say("organiser.field.artist"), "The Han River Band").await;
    browser.enter(&words.say("organiser.field.time_zone"), "UTC").await;
    browser.enter_time("sales_open_at", -24).await;
    browser.enter_time("sales_close_at", -48).await;
    browser.press_word("organiser.publish_concert").await;
    browser.sees_word("violation.sales_window").await;
    browser.enter_time("sales_close_at", 48).await;
    browser.press_word("organiser.publish_concert").await;
    browser.sees(&words.say_with("organiser.concert_published", &[("title", json!("Night of Songs"))])).await;
    browser.press_word("organiser.new_concert").await;
}

async fn publish_performance(browser: &Browser) {
    let words = &browser.words;
    browser.press_word("organiser.new_performance").await;
    browser.enter_time("starts_at", 72).await;
    let price = words.say_with("organiser.price_of", &[("section", json!("A"))]);
    browser.enter(&price, &PRICE.to_string()).await;
    browser.look("date to be published").await;
    browser.press_word("organiser.publish_performance").await;
    browser.press_word("organiser.to_desk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hall_is_published_by_forms_and_its_sale_is_seen() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let browser = Browser::start(&server).await;
    browser.open_as(&promoter, "/").await;
    browser.press_word("nav.organiser").await;
    browser.sees_word("organiser.no_concerts").await;
    browser.look("organiser without a concert").await;
    browser.press_word("organiser.publish").await;
    publish_venue(&browser).await;
    publish_concert(&browser).await;
    publish_performance(&browser).await;

    browser.sees_heading("Night of Songs").await;
    browser.sees_figure("available", "10").await;
    browser.look("desk before the first buyer").await;
    let path = browser.path().await;
    let concert = path.rsplit('/').next().expect("an id");
    let buyer = Buyer::admitted(server.api(), concert).await;
    let performance = buyer.list(&format!("/v1/concerts/{concert}/performances")).await.remove(0);
    browser
        .sees_figure(
            "active",
            &browser.words.say_with("organiser.of_at_most", &[("count", json!(1)), ("most", json!(500))]),
        )
        .await;
    browser.sees_line("rate", 0, 1, 1).await;
    buyer.charge(2 * PRICE).await;
    let reservation = buyer.hold(text(&performance, "id"), &["A-1-1", "A-1-2"]).await;
    browser.sees_figure("held", "2").await;
    buyer.pay(&reservation).await;
    browser.sees_figure("sold", "2").await;
    browser.sees_figure("held", "0").await;
    browser.sees_figure("revenue", "2,000").await;
    browser.sees_line("sold", 0, 2, 2).await;
    browser.look("desk after the first purchase").await;
    // What the desk has seen outlasts a reload.
    browser.web().refresh().await.expect("it is loaded again");
    browser.sees_line("sold", 0, 2, 2).await;

    // Buyers find what was published.
    browser.open("/").await;
    browser.press("Night of Songs").await;
    browser.sees("Small Hall, Berlin").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_paused_resumed_widened_and_emptied_from_the_desk() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let show = Show::publish(&promoter, Terms::max_active(1)).await;
    let buyers = Buyer::many_in_queue(server.api(), 5, &show.concert).await;
    let browser = Browser::start(&server).await;
    let words = &browser.words;
    browser.open_as(&promoter, &format!("/organiser/concerts/{}", show.concert)).await;
    browser.sees_figure("waiting", "4").await;

    let waiting = |name: &str, count: u64| words.say_with(name, &[("count", json!(count))]);
    browser.confirm("organiser.pause", &waiting("organiser.pause_said", 4)).await;
    browser.sees_word("organiser.pause_done").await;
    assert_eq!(buyers[1].queue().await["reason"], "paused");
    buyers[0].leave().await;
    browser.sees_figure("active", "0 of 1").await;
    browser.confirm("organiser.resume", &waiting("organiser.resume_said", 1)).await;
    browser.sees_figure("waiting", "3").await;

    browser.press_word("organiser.cap").await;
    browser.enter(&words.say("organiser.max_active"), "2").await;
    browser.press_word("organiser.change").await;
    browser.sees(&waiting("organiser.cap_more", 1)).await;
    browser.press_word("organiser.cap").await;
    browser.sees_figure("active", "2 of 2").await;

    browser.press_word("organiser.empty").await;
    browser.sees(&waiting("organiser.empty_said", 2)).await;
    browser.press_word("organiser.leave_it").await;
    browser.confirm("organiser.empty", &waiting("organiser.empty_said", 2)).await;
    browser.sees(&waiting("organiser.empty_done", 2)).await;
    browser.sees_figure("waiting", "0").await;
    assert_eq!(buyers[4].queue_status().await, "expired");
    assert_eq!(buyers[2].queue_status().await, "active");

    for act in ["queue_paused", "queue_resumed", "queue_emptied", "concert_published"] {
        browser.sees_word(&format!("organiser.act.{act}")).await;
    }
    browser.look("desk with its history").await;
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_file_is_published_once_and_its_mistakes_are_shown_at_their_places() {
    let server = Server::start(&[]).await;
    let promoter = server.promoter("promoter").await;
    let browser = Browser::start(&server).await;
    let words = &browser.words;
    browser.open_as(&promoter, "/organiser/publish").await;
    browser.sees_word("organiser.file.choose").await;

    let club = workspace().join("tests/catalog/club.json");
    let catalog = fs::read_to_string(&club).expect("it is read");
    let file = |name: &str, content: &str| {
        let path = server.folder().join(name);
        fs::write(&path, content).expect("it is written");
        path.to_str().expect("a path").to_owned()
    };
    browser.choose_file(&file("cut.json", "{\n \"venues\": [,]}")).await;
    let said = words.say("organiser.file.json.value");
    let place = [("line", json!(2)), ("column", json!(13)), ("said", json!(said))];
    browser.sees(&words.say_with("organiser.file.no_json", &place)).await;

    browser.choose_file(&file("wrong.json", &catalog.replace("\"price\": 55000", "\"price\": -1"))).await;
    browser.press_word("organiser.file.publish").await;
    browser.sees(&words.say_with("organiser.file.mistakes", &[("count", json!(2))])).await;
    browser.sees_word("violation.range").await;
    browser.look("file with mistakes").await;

    browser.choose_file(club.to_str().expect("a path")).await;
    browser.sees("Rolling Hall").await;
    browser.press_word("organiser.file.publish").await;
    // The venue and the concert were right before, too.
    browser.sees(&words.say_with("organiser.file.done", &[("count", json!(2))])).await;
    browser.sees(&words.say_with("organiser.file.were_there", &[("count", json!(2))])).await;
    browser.look("file that is published").await;
    let listed = promoter.list("/v1/me/concerts").await;
    assert_eq!((listed.len(), &listed[0]["performances_count"]), (1, &json!(2)));
    browser.finish().await;
    server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_comes_to_the_desk() {
    let server = Server::start(&[]).await;
    let show = Show::on(&server, Terms::default()).await;
    let buyer = Buyer::new(server.api()).await;
    let browser = Browser::start(&server).await;
    for path in ["/organiser", "/organiser/publish", &format!("/organiser/concerts/{}", show.concert)] {
        browser.open_as(&buyer, path).await;
        browser.sees_word("problem.forbidden").await;
        browser.look("organiser for a customer").await;
        assert!(!browser.has_control(&browser.words.say("nav.organiser")).await);
    }
    browser.finish().await;
    server.finish().await;
}
