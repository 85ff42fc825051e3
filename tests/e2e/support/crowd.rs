//! A crowd of buyers who want the same seats, repeat unanswered requests, and remember every answer.

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
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    Numbers, all,
    client::{Answer, Api, Ask, Buyer, fresh},
    fleet::Fleet,
    list, now,
    queue_log::{self, QueueLog},
    server::Server,
    show::{PRICE, SEATS_PER_ROW, Show, Terms, add_performance, venue_of},
    text,
    timeline::Timeline,
};

pub(crate) use outcome::Outcome;

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

/// How large a crowd is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) buyers: usize,
    pub(crate) rows: usize,
    pub(crate) max_active: usize,
    /// Whether the queue is lost meanwhile: then buyers may return in another order, and a position may grow.
    pub(crate) queue_is_lost: bool,
}

impl Plan {
    pub(crate) fn seats(&self) -> usize {
        self.rows * SEATS_PER_ROW
    }
}

/// A successful answer, which must be true afterwards.
#[derive(Clone, Debug)]
enum Success {
    Charged(Value),
    Held(Value),
    Cancelled(Value),
    Paid(Value),
}

/// A buyer in the crowd.
struct Patron {
    number: usize,
    plan: Plan,
    buyer: Buyer,
    successes: Vec<Success>,
    /// When it first asked for a place in the queue, and when it had one.
    joined: (Instant, Instant),
    /// When it was first answered that it is admitted, in microseconds since 1970.
    first_active_micros: Option<i64>,
    /// How many requests were repeated because they were not answered, and because a service was down.
    unanswered: usize,
    unavailable: usize,
    timeline: Timeline,
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

/// What a crowd wants, and how it is watched.
struct Sale {
    concert: String,
    performance: String,
    plan: Plan,
    watch: Option<QueueWatch>,
    timeline: Timeline,
}

/// What Redis logs of the queue.
struct QueueWatch {
    redis: Arc<RedisServer>,
    monitor: RedisMonitor,
    /// The steps on the queues that were lost.
    lost: Vec<Vec<RedisStep>>,
}

/// A crowd that has not begun.
pub(crate) struct Gathering {
    /// Another performance of the concert, which the crowd does not want.
    pub(crate) beside: String,
    sale: Sale,
    patrons: Vec<Patron>,
}

/// A crowd that is buying.
pub(crate) struct Crowd {
    sale: Sale,
    sold: Arc<AtomicUsize>,
    joining: JoinHandle<Vec<JoinHandle<Patron>>>,
}

impl Gathering {
    /// Publishes a concert on a fleet and makes the buyers.
    pub(crate) async fn of(fleet: &Fleet, plan: Plan) -> Self {
        Self::make(&fleet.promoter().await, fleet.api(), Some(&fleet.redis), plan, &fleet.timeline).await
    }

    async fn make(
        promoter: &Buyer,
        api: &Api,
        redis: Option<&Arc<RedisServer>>,
        plan: Plan,
        timeline: &Timeline,
    ) -> Self {
        let terms = Terms::max_active(plan.max_active);
        let starts_in_seconds = terms.starts_in_seconds;
        let Show { concert, performance, venue } = Show::publish_in(promoter, &venue_of(plan.rows), terms).await;
        let beside = add_performance(promoter, &concert, &venue, starts_in_seconds + 86_400).await;
        let watch = match redis {
            Some(redis) => {
                let monitor = queue_log::listen(redis, &concert).await;
                Some(QueueWatch { redis: Arc::clone(redis), monitor, lost: Vec::new() })
            }
            None => None,
        };
        let buyers = Buyer::many(api, plan.buyers).await;
        timeline.note(format!("{} buyers are there for {} seats", plan.buyers, plan.seats()));
        let began = Instant::now();
        let patron = |(number, buyer)| Patron {
            number,
            plan,
            buyer,
            successes: Vec::new(),
            joined: (began, began),
            first_active_micros: None,
            unanswered: 0,
            unavailable: 0,
            timeline: timeline.clone(),
        };
        let patrons = buyers.into_iter().enumerate().map(patron).collect();
        let sale = Sale { concert, performance, plan, watch, timeline: timeline.clone() };
        Self { beside, sale, patrons }
    }

    pub(crate) fn concert(&self) -> &str {
        &self.sale.concert
    }

    /// Lets the buyers join the queue, and buy when all have a place.
    pub(crate) fn run(self) -> Crowd {
        let Self { sale, patrons, .. } = self;
        let sold = Arc::new(AtomicUsize::new(0));
        let is_broken = Arc::new(AtomicBool::new(false));
        let joining = tokio::spawn({
            let (concert, performance) = (sale.concert.clone(), sale.performance.clone());
            let (sold, timeline) = (Arc::clone(&sold), sale.timeline.clone());
            async move {
                let joined = stream::iter(patrons).map(|patron| patron.join(&concert)).buffer_unordered(AT_ONCE);
                let joined: Vec<_> = joined.collect().await;
                timeline.note("all have joined the queue");
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
        Crowd { sale, sold, joining }
    }
}

impl Crowd {
    /// Publishes a concert on a fleet and makes the buyers, who join the queue and buy when all have a place.
    pub(crate) async fn start(fleet: &Fleet, plan: Plan) -> Self {
        Gathering::of(fleet, plan).await.run()
    }

    /// The same on a server that has its queues in memory.
    pub(crate) async fn on_server(server: &Server, plan: Plan, timeline: &Timeline) -> Self {
        let promoter = server.promoter("promoter").await;
        Gathering::make(&promoter, server.api(), None, plan, timeline).await.run()
    }

    pub(crate) fn concert(&self) -> &str {
        &self.sale.concert
    }

    /// Waits until at least so many percent of the seats are sold.
    pub(crate) async fn sold_percent(&self, percent: usize) {
        let began = Instant::now();
        while self.sold.load(Ordering::Relaxed) < self.sale.plan.seats() * percent / 100 {
            assert!(began.elapsed() < STAMPEDE_MAX, "{percent} % of the seats were not sold in {STAMPEDE_MAX:?}");
            sleep(PAUSE / 10).await;
        }
        self.sale.timeline.note(format!("{percent} % of the seats are sold"));
    }

    /// Restarts Redis, which then is empty. The instances reach it through the proxy alone, so that no step on the queue
    /// is missed before or after.
    pub(crate) async fn empty_redis(&mut self, proxy: &TcpProxy) {
        let Sale { concert, watch: Some(watch), timeline, .. } = &mut self.sale else { panic!("there is no Redis") };
        proxy.set(Network::Refusing).await;
        proxy.cut_all();
        watch.lost.push(watch.monitor.steps().await.expect("Redis shows what it did"));
        watch.redis.kill().await.expect("it is killed");
        timeline.note("Redis is killed, and everything in it");
        watch.redis.start_again().await.expect("it starts");
        watch.monitor = queue_log::listen(&watch.redis, concert).await;
        proxy.set(Network::Whole).await;
        timeline.note("Redis is back, and empty");
    }

    /// Waits until every buyer has bought or found nothing left.
    pub(crate) async fn ended(self) -> Outcome {
        let Self { sale, joining, .. } = self;
        let patrons = all(all(vec![joining]).await.remove(0)).await;
        let mut logs = Vec::new();
        if let Some(QueueWatch { monitor, mut lost, .. }) = sale.watch {
            lost.push(monitor.steps().await.expect("Redis shows what it did"));
            logs.extend(lost.iter().map(|steps| QueueLog::replay(steps, sale.plan.max_active)));
        }
        let Sale { concert, performance, plan, timeline, .. } = sale;
        let outcome = Outcome { concert, performance, plan, patrons, logs, timeline };
        let (unanswered, unavailable) = outcome.repeated();
        let event = format!("the crowd has ended: {unanswered} requests unanswered, {unavailable} refused for now");
        outcome.timeline.note(event);
        outcome
    }
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
            self.timeline.note(format!("buyer {}: {what} {why}", self.number));
            assert!(began.elapsed() < REPEATED_MAX, "buyer {}: {what} {why} for {REPEATED_MAX:?}", self.number);
            sleep(pause).await;
        }
    }

    async fn join(mut self, concert: &str) -> Self {
        let began = Instant::now();
        let answer = self.persist("joining the queue", |buyer| buyer.ask_join(concert)).await;
        assert!(matches!(answer.status, 200 | 201), "buyer {}: {}", self.number, answer.text);
        self.buyer.keep_token(&answer);
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
            match text(status, "status") {
                "active" => {
                    self.first_active_micros.get_or_insert(now().timestamp_micros());
                    return;
                }
                "waiting" => {
                    let seconds = status["poll_after_seconds"].as_u64().expect("a number");
                    sleep(Duration::from_secs(seconds)).await;
                }
                _ => panic!("buyer {} has lost its place: {status}", self.number),
            }
        }
    }

    /// Sends a command. If it needs an admission and the queue was lost, waits for another one.
    async fn command(&mut self, what: &str, request: impl Fn(&boxoffice_rush::Buyer) -> Request) -> Answer {
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
            let seats = choose(list(answer.is(200), "seats"), &mut numbers);
            if seats.is_empty() {
                if broken.0.load(Ordering::Relaxed) {
                    return;
                }
                if sold.load(Ordering::Relaxed) == self.plan.seats() {
                    self.persist("leaving", |buyer| buyer.delete("/v1/queue")).await.is(204);
                    return;
                }
                // All that are not sold are held, and may be cancelled.
                assert!(began.elapsed() < STAMPEDE_MAX, "buyer {}: seats stay held and are not paid", self.number);
                sleep(2 * PAUSE).await;
                continue;
            }
            if self.successes.is_empty() {
                let charged = self.command("a charge", |asks| asks.charge(2 * PRICE)).await;
                self.successes.push(Success::Charged(charged.is(201).clone()));
            }
            let held = self.command("a hold", |asks| asks.hold(performance, &seats)).await;
            match (held.status, held.json["code"].as_str()) {
                (201, _) => self.successes.push(Success::Held(held.json.clone())),
                (409, Some("seat_unavailable")) => {
                    // What is shown may be half a second old.
                    sleep(2 * PAUSE).await;
                    continue;
                }
                _ => panic!("buyer {}: a hold was answered with {}", self.number, held.text),
            }
            if !is_sure {
                is_sure = true;
                let cancelled = self.command("a cancellation", |asks| asks.cancel(held.id())).await;
                self.successes.push(Success::Cancelled(cancelled.is(200).clone()));
                continue;
            }
            let paid = self.command("a payment", |asks| asks.pay(held.id())).await;
            self.successes.push(Success::Paid(paid.is(201).clone()));
            sold.fetch_add(seats.len(), Ordering::Relaxed);
            return;
        }
    }
}

/// One or two of the first free seats, if there is any.
fn choose(free: &[Value], numbers: &mut Numbers) -> Vec<String> {
    if free.is_empty() {
        return Vec::new();
    }
    let first = numbers.below(free.len().div_ceil(CHOICE_SHARE));
    let count = 1 + numbers.below(2);
    free.iter().skip(first).take(count).map(|seat| text(seat, "label").to_owned()).collect()
}
