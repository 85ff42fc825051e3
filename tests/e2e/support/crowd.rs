//! A stampede over a fleet: buyers who want the same seats, repeat unanswered requests, and remember every answer.

mod outcome;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use boxoffice_rush::Request;
use boxoffice_testkit::{
    servers::{RedisMonitor, RedisServer, RedisStep},
    tcp_proxy::{Network, TcpProxy},
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
    fleet::Fleet,
    line_log::{self, LineLog, Sampler},
    now, seconds_from_now,
    show::PRICE,
};

pub(crate) use outcome::Outcome;

const SEATS_PER_ROW: usize = 10;
/// A buyer chooses among this share of the free seats: few, so that buyers collide.
const CHOICE_SHARE: usize = 4;
/// One buyer in so many cancels its first hold.
const CHANGES_ITS_MIND: usize = 6;
/// How long a request is repeated that is not answered, or that is refused because a service is down.
const REPEATED_MAX: Duration = Duration::from_secs(90);
/// How long a whole stampede may take.
const STAMPEDE_MAX: Duration = Duration::from_mins(4);
const PAUSE: Duration = Duration::from_millis(100);
const AT_ONCE: usize = 32;
/// Up to this position positions are exact; further back they have an error of up to 1/16.
const POSITION_EXACT_MAX: i64 = 448;

/// How large a stampede is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) buyers: usize,
    pub(crate) rows: usize,
    /// How many are admitted at once.
    pub(crate) max_active: usize,
    /// Whether the queue is lost meanwhile: then buyers may come back in another order, and a position may grow.
    pub(crate) queue_is_lost: bool,
}

impl Plan {
    pub(crate) fn seats(&self) -> usize {
        self.rows * SEATS_PER_ROW
    }
}

/// A successful answer, which must be true afterwards.
#[derive(Clone, Debug)]
enum Told {
    Charged(Value),
    Held(Value),
    Paid(Value),
    GivenBack(Value),
}

/// A buyer in the stampede.
struct Patron {
    number: usize,
    plan: Plan,
    buyer: Buyer,
    told: Vec<Told>,
    /// When it first asked for a place in the queue, and when it had one.
    joined: (Instant, Instant),
    /// When it was answered that it is admitted, in microseconds since 1970.
    told_active: Vec<i64>,
    /// How many requests were repeated because they were not answered, and because a service was down.
    unanswered: usize,
    unavailable: usize,
    chronicle: Chronicle,
}

/// Ends the other buyers when the task of a buyer panics: its holds would never be free for them.
struct Broken(Arc<AtomicBool>);

impl Drop for Broken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A stampede before it begins.
pub(crate) struct Gathering {
    pub(crate) concert: String,
    performance: String,
    /// Another performance of the concert, which the crowd does not want.
    pub(crate) beside: String,
    plan: Plan,
    patrons: Vec<Patron>,
    line: Line,
    chronicle: Chronicle,
}

/// A stampede that is under way.
pub(crate) struct Crowd {
    pub(crate) concert: String,
    performance: String,
    plan: Plan,
    sold: Arc<AtomicUsize>,
    joining: JoinHandle<Vec<JoinHandle<Patron>>>,
    line: Line,
    chronicle: Chronicle,
}

/// What Redis logs of the queue.
struct Line {
    redis: Arc<RedisServer>,
    monitor: RedisMonitor,
    sampler: Sampler,
    /// The steps on the queues that were lost.
    lost: Vec<Vec<RedisStep>>,
}

impl Gathering {
    /// Publishes a concert and makes the buyers.
    pub(crate) async fn of(fleet: &Fleet, plan: Plan, chronicle: &Chronicle) -> Self {
        let (concert, [performance, beside]) = publish(fleet, plan).await;
        let redis = Arc::clone(&fleet.shared.redis);
        let monitor = line_log::listen(&redis, &concert).await;
        let line = Line { sampler: Sampler::start(&redis, &concert), redis, monitor, lost: Vec::new() };
        let buyers = Buyer::many(fleet.api(), plan.buyers).await;
        chronicle.note(format!("{} buyers are there for {} seats", plan.buyers, plan.seats()));
        let began = Instant::now();
        let patron = |(number, buyer)| Patron {
            number,
            plan,
            buyer,
            told: Vec::new(),
            joined: (began, began),
            told_active: Vec::new(),
            unanswered: 0,
            unavailable: 0,
            chronicle: chronicle.clone(),
        };
        let patrons = buyers.into_iter().enumerate().map(patron).collect();
        Self { concert, performance, beside, plan, patrons, line, chronicle: chronicle.clone() }
    }

    /// Lets the buyers join the queue, and buy when all have a place.
    pub(crate) fn run(self) -> Crowd {
        let Self { concert, performance, plan, patrons, line, chronicle, .. } = self;
        let sold = Arc::new(AtomicUsize::new(0));
        let is_broken = Arc::new(AtomicBool::new(false));
        let joining = tokio::spawn({
            let (concert, performance) = (concert.clone(), performance.clone());
            let (sold, chronicle) = (Arc::clone(&sold), chronicle.clone());
            async move {
                let joined = stream::iter(patrons).map(|patron| patron.join(&concert)).buffer_unordered(AT_ONCE);
                let joined: Vec<_> = joined.collect().await;
                chronicle.note("all have joined the queue");
                let run = |mut patron: Patron| {
                    let (performance, sold) = (performance.clone(), Arc::clone(&sold));
                    let is_broken = Arc::clone(&is_broken);
                    tokio::spawn(async move {
                        let broken = Broken(is_broken);
                        patron.buy(&performance, &sold, &broken).await;
                        patron
                    })
                };
                joined.into_iter().map(run).collect()
            }
        });
        Crowd { concert, performance, plan, sold, joining, line, chronicle }
    }
}

impl Crowd {
    /// Publishes a concert and makes the buyers, who join the queue and buy when all have a place.
    pub(crate) async fn start(fleet: &Fleet, plan: Plan, chronicle: &Chronicle) -> Self {
        Gathering::of(fleet, plan, chronicle).await.run()
    }

    /// Waits until at least so many percent of the seats are sold.
    pub(crate) async fn sold_percent(&self, percent: usize) {
        let began = Instant::now();
        while self.sold.load(Ordering::Relaxed) < self.plan.seats() * percent / 100 {
            assert!(began.elapsed() < STAMPEDE_MAX, "{percent} % of the seats were not sold in {STAMPEDE_MAX:?}");
            sleep(PAUSE).await;
        }
        self.chronicle.note(format!("{percent} % of the seats are sold"));
    }

    /// Restarts Redis, which then is empty. The instances reach it through the proxy alone, so that no step on the queue
    /// is missed before or after.
    pub(crate) async fn empty_redis(&mut self, proxy: &TcpProxy) {
        proxy.set(Network::Refusing).await;
        proxy.cut_all();
        let line = &mut self.line;
        line.lost.push(line.monitor.steps().await.expect("Redis tells what it did"));
        line.redis.kill().await.expect("it is killed");
        self.chronicle.note("Redis is killed, and everything in it");
        line.redis.start_again().await.expect("it starts");
        line.monitor = line_log::listen(&line.redis, &self.concert).await;
        proxy.set(Network::Whole).await;
        self.chronicle.note("Redis is back, and empty");
    }

    /// Waits until every buyer has bought or found nothing left.
    pub(crate) async fn ended(self) -> Outcome {
        let Self { concert, performance, plan, joining, line, chronicle, .. } = self;
        let patrons = all(all(vec![joining]).await.remove(0)).await;
        let unanswered: usize = patrons.iter().map(|patron| patron.unanswered).sum();
        let unavailable: usize = patrons.iter().map(|patron| patron.unavailable).sum();
        chronicle
            .note(format!("the stampede has ended: {unanswered} requests unanswered, {unavailable} refused for now"));
        let (samples, most) = line.sampler.end().await;
        assert!(samples > 10 && most <= plan.max_active, "{most} were admitted at once in one of {samples} samples");
        let mut lines = line.lost;
        lines.push(line.monitor.steps().await.expect("Redis tells what it did"));
        let lines = lines.iter().map(|steps| LineLog::replay(steps, plan.max_active)).collect();
        Outcome { concert, performance, plan, patrons, lines, chronicle }
    }
}

/// Gives the concert and two performances of it.
async fn publish(fleet: &Fleet, plan: Plan) -> (String, [String; 2]) {
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
    let path = format!("/v1/concerts/{}/performances", concert.id());
    let performances = [promoter.post(&path, &body).send().await, promoter.post(&path, &body).send().await];
    (concert.id(), performances.map(|performance| performance.id()))
}

impl Patron {
    /// Sends a request until it is answered. It has a key, or changes nothing.
    async fn persist(&mut self, what: &str, ask: impl Fn(&Buyer) -> Ask) -> Answer {
        let began = Instant::now();
        loop {
            let (why, pause) = match ask(&self.buyer).try_send().await {
                Some(answer) if answer.status == 503 => {
                    self.unavailable += 1;
                    let seconds = answer.header("retry-after").and_then(|text| text.parse().ok());
                    ("is refused for now", Duration::from_secs(seconds.expect("a number of seconds")))
                }
                Some(answer) => return answer,
                None => {
                    self.unanswered += 1;
                    ("is not answered", PAUSE)
                }
            };
            self.chronicle.note(format!("buyer {}: {what} {why}", self.number));
            assert!(began.elapsed() < REPEATED_MAX, "buyer {}: {what} {why} for {REPEATED_MAX:?}", self.number);
            sleep(pause).await;
        }
    }

    async fn command(&mut self, what: &str, request: impl Fn(&boxoffice_rush::Buyer) -> Request) -> Answer {
        let key = fresh("crowd");
        self.persist(what, |buyer| buyer.api.ask(request(&buyer.asks).key(key.as_str()))).await
    }

    async fn join(mut self, concert: &str) -> Self {
        let began = Instant::now();
        let answer = self.persist("joining the queue", |buyer| buyer.ask_join(concert)).await;
        assert!(matches!(answer.status, 200 | 201), "buyer {}: {}", self.number, answer.text);
        answer.json["token"].as_str().expect("a token").clone_into(&mut self.buyer.asks.queue_token);
        self.joined = (began, Instant::now());
        self
    }

    async fn be_admitted(&mut self) {
        let mut nearest = i64::MAX;
        loop {
            let answer = self.persist("a poll", |buyer| buyer.api.ask(buyer.asks.poll())).await;
            let status = answer.is(200);
            let position = status["position"].as_i64().expect("a number");
            let error = if nearest > POSITION_EXACT_MAX { nearest / 7 } else { 0 };
            let is_put_back = position.saturating_sub(error) > nearest;
            assert!(self.plan.queue_is_lost || !is_put_back, "buyer {} was put back: {status}", self.number);
            nearest = nearest.min(position);
            match status["status"].as_str() {
                Some("active") => {
                    self.told_active.push(now().timestamp_micros());
                    return;
                }
                Some("waiting") => {
                    let seconds = status["poll_after_seconds"].as_u64().expect("a number");
                    sleep(Duration::from_secs(seconds)).await;
                }
                _ => panic!("buyer {} has lost its place: {status}", self.number),
            }
        }
    }

    /// Sends a command that needs an admission, and waits for another one if the queue was lost.
    async fn command_when_admitted(
        &mut self,
        what: &str,
        request: impl Fn(&boxoffice_rush::Buyer) -> Request,
    ) -> Answer {
        let key = fresh("crowd");
        loop {
            let answer = self.persist(what, |buyer| buyer.api.ask(request(&buyer.asks).key(key.as_str()))).await;
            if !self.has_to_wait(&answer) {
                return answer;
            }
            self.be_admitted().await;
        }
    }

    /// Whether the queue that admitted it was lost, and it is in a queue again.
    fn has_to_wait(&self, answer: &Answer) -> bool {
        let has_to = answer.status == 403 && answer.json["code"] == "queue_token_not_active";
        assert!(self.plan.queue_is_lost || !has_to, "buyer {} was put back in the queue: {}", self.number, answer.text);
        has_to
    }

    /// Buys one or two seats, or finds that all are sold and leaves.
    async fn buy(&mut self, performance: &str, sold: &AtomicUsize, broken: &Broken) {
        let began = Instant::now();
        let mut numbers = Numbers::new(u64::try_from(self.number).expect("few") * 7_919 + 1);
        self.be_admitted().await;
        let mut is_sure = numbers.below(CHANGES_ITS_MIND) > 0;
        let map = format!("/v1/performances/{performance}/seats?status=available");
        loop {
            let answer = self.persist("a look", |buyer| buyer.get(map.as_str()).without("if-none-match")).await;
            if self.has_to_wait(&answer) {
                self.be_admitted().await;
                continue;
            }
            let seats = choose(answer.is(200), &mut numbers);
            if seats.is_empty() {
                if broken.0.load(Ordering::Relaxed) {
                    return;
                }
                if sold.load(Ordering::Relaxed) == self.plan.seats() {
                    self.persist("leaving", |buyer| buyer.delete("/v1/queue")).await.is(204);
                    return;
                }
                // All that are not sold are held, and may come back.
                assert!(began.elapsed() < STAMPEDE_MAX, "buyer {}: seats stay held and are not paid", self.number);
                sleep(2 * PAUSE).await;
                continue;
            }
            if self.told.is_empty() {
                let charged = self.command("a charge", |asks| asks.charge(2 * PRICE)).await;
                self.told.push(Told::Charged(charged.is(201).clone()));
            }
            let count = seats.len();
            let held = self.command_when_admitted("a hold", |asks| asks.hold(performance, &seats)).await;
            match (held.status, held.json["code"].as_str()) {
                (201, _) => self.told.push(Told::Held(held.json.clone())),
                (409, Some("seat_unavailable")) => {
                    // What is shown may be half a second old.
                    sleep(2 * PAUSE).await;
                    continue;
                }
                _ => panic!("buyer {}: a hold was answered with {}", self.number, held.text),
            }
            if !is_sure {
                is_sure = true;
                let given_back = self.command("a cancellation", |asks| asks.cancel(held.id())).await;
                self.told.push(Told::GivenBack(given_back.is(200).clone()));
                continue;
            }
            let paid = self.command_when_admitted("a payment", |asks| asks.pay(held.id())).await;
            self.told.push(Told::Paid(paid.is(201).clone()));
            sold.fetch_add(count, Ordering::Relaxed);
            return;
        }
    }
}

/// One or two of the first free seats, if there is any.
fn choose(map: &Value, numbers: &mut Numbers) -> Vec<String> {
    let free = map["seats"].as_array().expect("seats");
    if free.is_empty() {
        return Vec::new();
    }
    let first = numbers.below(free.len().div_ceil(CHOICE_SHARE));
    let count = 1 + numbers.below(2);
    let label = |seat: &Value| seat["label"].as_str().expect("a label").to_owned();
    free.iter().skip(first).take(count).map(label).collect()
}
