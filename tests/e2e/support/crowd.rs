//! A stampede over a fleet: buyers who want the same seats, repeat what was not answered, and remember what was.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    Numbers, all,
    chronicle::Chronicle,
    client::{Answer, Ask, Buyer, fresh},
    eventually,
    fleet::Fleet,
    seconds_from_now,
    show::PRICE,
};

const SEATS_PER_ROW: usize = 10;
/// Among how many of the free seats a buyer chooses: few, so that they get in each other's way.
const CHOICE: usize = 12;
/// One in so many gives its first hold back.
const CHANGES_ITS_MIND: usize = 6;
/// How long one request is repeated that is not answered, or refused because something is away.
const REPEATED_MAX: Duration = Duration::from_secs(90);
/// How long a whole stampede may take.
const STAMPEDE_MAX: Duration = Duration::from_secs(150);
const PAUSE: Duration = Duration::from_millis(100);
const AT_ONCE: usize = 32;

/// How large a stampede is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) buyers: usize,
    pub(crate) rows: usize,
    /// How many are admitted at once. Everybody, where each instance has a line of its own.
    pub(crate) max_active: usize,
}

impl Plan {
    pub(crate) fn seats(&self) -> usize {
        self.rows * SEATS_PER_ROW
    }
}

/// What a buyer was answered with success, and must find true afterwards.
#[derive(Clone, Debug)]
enum Told {
    Charged(Value),
    Held(Value),
    Paid(Value),
    GivenBack(Value),
}

/// Somebody in the stampede.
struct Patron {
    number: usize,
    buyer: Buyer,
    told: Vec<Told>,
    /// How many requests were sent again because their fate was unknown, or because something was away.
    unanswered: usize,
    unavailable: usize,
    /// Whether its place may only come nearer: nobody is put back in the line that all share.
    one_line: bool,
    chronicle: Chronicle,
}

/// Tells all others when the task of a buyer panics: what that one held would never be free for them.
struct Broken(Arc<AtomicBool>);

impl Drop for Broken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A stampede that is under way.
pub(crate) struct Crowd {
    pub(crate) concert: String,
    pub(crate) performance: String,
    plan: Plan,
    sold: Arc<AtomicUsize>,
    patrons: Vec<JoinHandle<Patron>>,
    chronicle: Chronicle,
}

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) concert: String,
    performance: String,
    plan: Plan,
    patrons: Vec<Patron>,
    chronicle: Chronicle,
}

impl Crowd {
    /// Publishes a concert, makes the buyers, lets them in line, and lets them run.
    pub(crate) async fn start(fleet: &Fleet, plan: Plan, chronicle: &Chronicle) -> Self {
        let (concert, performance) = publish(fleet, plan).await;
        let one_line = !fleet.shared.has_a_line_each();
        let door = fleet.door();
        let mut patrons = Vec::with_capacity(plan.buyers);
        let mut made = stream::iter(0..plan.buyers).map(|_| Buyer::new(fleet.api())).buffered(AT_ONCE);
        while let Some(mut buyer) = made.next().await {
            let api = std::mem::replace(&mut buyer.api, door.clone());
            buyer.join(&concert).await;
            buyer.api = api;
            let (number, chronicle) = (patrons.len(), chronicle.clone());
            let told = Vec::new();
            patrons.push(Patron { number, buyer, told, unanswered: 0, unavailable: 0, one_line, chronicle });
        }
        chronicle.note(format!("{} buyers are in line for {} seats", plan.buyers, plan.seats()));
        let sold = Arc::new(AtomicUsize::new(0));
        let is_broken = Arc::new(AtomicBool::new(false));
        let run = |mut patron: Patron| {
            let (performance, sold) = (performance.clone(), Arc::clone(&sold));
            let is_broken = Arc::clone(&is_broken);
            tokio::spawn(async move {
                let broken = Broken(is_broken);
                patron.buy(&performance, &sold, &broken).await;
                patron
            })
        };
        let patrons = patrons.into_iter().map(run).collect();
        Self { concert, performance, plan, sold, patrons, chronicle: chronicle.clone() }
    }

    /// Waits until at least so many percent of the seats are sold.
    pub(crate) async fn sold_percent(&self, percent: usize) {
        let enough = self.plan.seats() * percent / 100;
        eventually("enough seats are sold", || async { (self.sold.load(Ordering::Relaxed) >= enough).then_some(()) })
            .await;
        self.chronicle.note(format!("{percent} % of the seats are sold"));
    }

    /// Waits until every buyer has bought or found nothing left.
    pub(crate) async fn ended(self) -> Outcome {
        let Self { concert, performance, plan, patrons, chronicle, .. } = self;
        let patrons = all(patrons).await;
        let unanswered: usize = patrons.iter().map(|patron| patron.unanswered).sum();
        let unavailable: usize = patrons.iter().map(|patron| patron.unavailable).sum();
        chronicle
            .note(format!("the stampede has ended: {unanswered} requests unanswered, {unavailable} refused for now"));
        Outcome { concert, performance, plan, patrons, chronicle }
    }
}

async fn publish(fleet: &Fleet, plan: Plan) -> (String, String) {
    let promoter = fleet.instances[0].promoter("promoter").await;
    let rows: Vec<_> = (1..=plan.rows).map(|row| json!({"name": row.to_string(), "seats": SEATS_PER_ROW})).collect();
    let venue = json!({"name": "Hall", "location": "서울", "sections": [{"name": "A", "rows": rows}]});
    let venue = promoter.post("/v1/venues", &venue).send().await;
    assert_eq!(venue.is(201)["capacity"], plan.seats());
    let concert = json!({
        "title": "The rush", "artist": "Everybody", "description": "Once.", "max_seats_per_account": 4,
        "sales_open_at": seconds_from_now(-60), "sales_close_at": seconds_from_now(86_400),
        "max_active": plan.max_active,
    });
    let concert = promoter.post("/v1/concerts", &concert).send().await;
    concert.is(201);
    let body = json!({
        "venue_id": venue.id(), "starts_at": seconds_from_now(2 * 86_400),
        "prices": [{"section": "A", "price": PRICE}],
    });
    let performance = promoter.post(format!("/v1/concerts/{}/performances", concert.id()), &body).send().await;
    performance.is(201);
    (concert.id(), performance.id())
}

impl Patron {
    /// Sends a request until somebody answers it one way or the other. It carries a key, or changes nothing.
    async fn persist(&mut self, what: &str, ask: impl Fn(&Buyer) -> Ask) -> Answer {
        let began = Instant::now();
        loop {
            let why = match ask(&self.buyer).try_send().await {
                Some(answer) if answer.status == 503 => {
                    self.unavailable += 1;
                    "is refused for now"
                }
                Some(answer) => return answer,
                None => {
                    self.unanswered += 1;
                    "is not answered"
                }
            };
            self.chronicle.note(format!("buyer {}: {what} {why}", self.number));
            assert!(began.elapsed() < REPEATED_MAX, "buyer {}: {what} {why} for {REPEATED_MAX:?}", self.number);
            sleep(PAUSE).await;
        }
    }

    async fn command(&mut self, path: &str, body: Value) -> Answer {
        let key = fresh("crowd");
        self.persist(path, |buyer| buyer.post(path, &body).key(key.as_str())).await
    }

    async fn be_admitted(&mut self) {
        let mut nearest = i64::MAX;
        loop {
            let answer = self.persist("a poll", |buyer| buyer.get("/v1/queue")).await;
            let status = answer.is(200);
            let position = status["position"].as_i64().expect("a number");
            assert!(!self.one_line || position <= nearest, "buyer {} was put back: {status}", self.number);
            nearest = position;
            match status["status"].as_str() {
                Some("active") => return,
                Some("waiting") => sleep(2 * PAUSE).await,
                _ => panic!("buyer {} has lost its place: {status}", self.number),
            }
        }
    }

    /// Buys one or two seats, or finds that all are sold.
    async fn buy(&mut self, performance: &str, sold: &AtomicUsize, broken: &Broken) {
        let began = Instant::now();
        let mut numbers = Numbers::new(u64::try_from(self.number).expect("few") * 7_919 + 1);
        let charged = self.command("/v1/wallet/charges", json!({"amount": 2 * PRICE})).await;
        self.told.push(Told::Charged(charged.is(201).clone()));
        self.be_admitted().await;
        let mut is_sure = numbers.below(CHANGES_ITS_MIND) > 0;
        loop {
            let map = self
                .persist("a look", |buyer| {
                    buyer.get(format!("/v1/performances/{performance}/seats")).without("if-none-match")
                })
                .await;
            if map.status == 403 {
                self.be_admitted().await;
                continue;
            }
            let Some(seats) = choose(map.is(200), &mut numbers) else { return };
            if seats.is_empty() {
                // All that are not sold are held, and may come back.
                if broken.0.load(Ordering::Relaxed) {
                    return;
                }
                assert!(began.elapsed() < STAMPEDE_MAX, "buyer {}: seats are held that nobody pays", self.number);
                sleep(2 * PAUSE).await;
                continue;
            }
            let count = seats.len();
            let held = self.command("/v1/reservations", json!({"performance_id": performance, "seats": seats})).await;
            match (held.status, held.json["code"].as_str()) {
                (201, _) => self.told.push(Told::Held(held.json.clone())),
                (409, Some("seat_unavailable")) => continue,
                (403, Some("queue_token_not_active")) => {
                    self.be_admitted().await;
                    continue;
                }
                _ => panic!("buyer {}: a hold was answered with {}", self.number, held.text),
            }
            if !is_sure {
                is_sure = true;
                let path = format!("/v1/reservations/{}/cancel", held.id());
                let given_back = self.command(&path, json!({})).await;
                self.told.push(Told::GivenBack(given_back.is(200).clone()));
                continue;
            }
            let paid = self.command("/v1/payments", json!({"reservation_id": held.id()})).await;
            self.told.push(Told::Paid(paid.is(201).clone()));
            sold.fetch_add(count, Ordering::Relaxed);
            return;
        }
    }
}

/// One or two of the first free seats; none of them where all that is left is held; nothing where all are sold.
fn choose(map: &Value, numbers: &mut Numbers) -> Option<Vec<String>> {
    let seats = map["seats"].as_array().expect("seats");
    let with = |status: &str| seats.iter().filter(|seat| seat["status"] == status).collect::<Vec<_>>();
    let free = with("available");
    if free.is_empty() {
        return (!with("held").is_empty()).then(Vec::new);
    }
    let first = numbers.below(free.len().min(CHOICE));
    let label = |seat: &Value| seat["label"].as_str().expect("a label").to_owned();
    let count = 1 + numbers.below(2);
    Some(free.iter().skip(first).take(count).map(|seat| label(seat)).collect())
}

impl Outcome {
    /// How many requests were repeated because nobody answered, and because something was away.
    pub(crate) fn repeated(&self) -> (usize, usize) {
        let sum = |count: fn(&Patron) -> usize| self.patrons.iter().map(count).sum();
        (sum(|patron| patron.unanswered), sum(|patron| patron.unavailable))
    }

    /// Every answer is true, every seat is sold exactly once, and every point is accounted for.
    pub(crate) async fn verify(&self) {
        let checks = self.patrons.iter().map(verify_patron);
        let sold: Vec<_> = stream::iter(checks).buffered(AT_ONCE).collect().await;
        let mut owners: BTreeMap<String, usize> = BTreeMap::new();
        for (patron, labels) in self.patrons.iter().zip(sold) {
            for label in labels {
                let before = owners.insert(label.clone(), patron.number);
                assert_eq!(before, None, "{label} is sold twice, also to buyer {}", patron.number);
            }
        }
        assert_eq!(owners.len(), self.plan.seats(), "not every seat is sold");
        let mut looking = Buyer::new(&self.patrons[0].buyer.api).await;
        looking.join(&self.concert).await;
        let sold = "the map shows every seat as sold";
        eventually(sold, || async {
            let path = format!("/v1/performances/{}/seats", self.performance);
            let answer = looking.get(path).try_send().await?;
            let seats = answer.json["seats"].as_array()?;
            seats.iter().all(|seat| seat["status"] == "sold").then_some(())
        })
        .await;
        self.chronicle.note("every answer was true, and every seat is sold once");
    }
}

/// Gives the labels that this buyer owns.
async fn verify_patron(patron: &Patron) -> Vec<String> {
    let buyer = &patron.buyer;
    let who = patron.number;
    let (mut owned, mut given_back, mut charged, mut paid) = (Vec::new(), Vec::new(), 0, 0);
    for told in &patron.told {
        match told {
            Told::Charged(charge) => {
                charged += charge["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/wallet/charges/{}", text(charge, "id"))).send().await;
                assert_eq!(now.is(200), charge, "buyer {who}");
            }
            Told::Held(held) => {
                let now = buyer.reservation(text(held, "id")).await;
                assert_eq!(now["seats"], held["seats"], "buyer {who}");
            }
            Told::GivenBack(reservation) => given_back.push(text(reservation, "id")),
            Told::Paid(payment) => {
                paid += payment["amount"].as_i64().expect("a number");
                let now = buyer.get(format!("/v1/payments/{}", text(payment, "id"))).send().await;
                assert_eq!(now.is(200), payment, "buyer {who}");
                let seats = now.json["reservation"]["seats"].as_array().expect("seats");
                owned.extend(seats.iter().map(|seat| text(seat, "label").to_owned()));
            }
        }
    }
    for reservation in buyer.list("/v1/reservations").await {
        let id = text(&reservation, "id");
        let expected = if given_back.contains(&id) { "cancelled" } else { "confirmed" };
        assert_eq!(reservation["status"], expected, "buyer {who} has a reservation that nobody told of: {reservation}");
    }
    // Nothing was charged or paid twice, however often it was asked for.
    assert_eq!(buyer.balance().await, charged - paid, "buyer {who}");
    owned
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().expect("a text")
}
