//! Searching a large catalog: many different searches, and the same one.

use anyhow::{Context, ensure};
use boxoffice_rush::{
    Connection, Request,
    buyer::{Identified, List},
    plot::grouped_count,
};
use mysql_async::{Conn, prelude::Queryable};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    drive::{self, Measured},
    options::Bench,
    report::{Row, Section, Spread},
    server::{self, Backend, Store},
    world::World,
};

const CONCERTS: usize = 100_000;
const CONCERTS_SMOKE: usize = 2_000;
const VENUES: usize = 200;
/// More than are asked in a round, so that none is asked again while its answer is kept.
const SEARCHES: usize = 40_000;
const SEARCHES_SMOKE: usize = 200;
const CONNECTIONS: usize = 64;
const SEED: u64 = 20_261_126;
/// The words of titles and artists are made of these.
const SYLLABLES: [&str; 24] = [
    "가", "나라", "다", "마루", "바람", "사", "아", "자", "하늘", "한", "강", "별", "빛", "밤", "노래", "숲", "꽃",
    "달", "물결", "소리", "길", "봄", "여름", "겨울",
];
const LATIN: [&str; 24] = [
    "lu", "na", "ri", "ver", "sta", "no", "va", "ech", "o", "mid", "night", "sun", "day", "blue", "star", "gol", "den",
    "fire", "wo", "od", "sil", "ent", "éto", "ile",
];
/// How many different words there are, half of them Korean.
const WORDS: usize = 6_000;

/// What the searches of a row ask for.
#[derive(Clone, Copy)]
enum Load {
    /// Words of titles and artists, and parts of words, in all orders; some with a range of dates.
    Different,
    /// One search again and again.
    Same,
    /// Ranges of dates without words, by start.
    Dates,
}

const LOADS: [(Load, &str); 3] = [
    (Load::Different, "different searches"),
    (Load::Dates, "different ranges of dates"),
    (Load::Same, "the same search"),
];

/// What there is to be found.
struct Titles {
    random: SmallRng,
    titles: Vec<(String, String)>,
}

impl Titles {
    fn new(count: usize) -> Self {
        let mut random = SmallRng::seed_from_u64(SEED);
        let mut word = |number: usize| {
            let syllables = if number.is_multiple_of(2) { &SYLLABLES } else { &LATIN };
            (0..random.random_range(1..=3)).filter_map(|_| syllables.choose(&mut random).copied()).collect::<String>()
        };
        let words: Vec<String> = (0..WORDS).map(&mut word).collect();
        let mut text = |words_max: usize| {
            let count = random.random_range(1..=words_max);
            let chosen: Vec<_> = (0..count).filter_map(|_| words.choose(&mut random)).map(String::as_str).collect();
            chosen.join(" ")
        };
        let titles = (0..count).map(|number| (format!("{} {number}", text(4)), text(2))).collect();
        Self { random, titles }
    }

    /// The words to look for: those of a concert, whole or in part.
    fn words(&mut self) -> String {
        let (title, artist) = self.titles.choose(&mut self.random).cloned().unwrap_or_default();
        let words: Vec<_> = title.split(' ').chain(artist.split(' ')).collect();
        let count = self.random.random_range(1..=3);
        let chosen = (0..count).filter_map(|_| words.choose(&mut self.random).copied());
        let mut chosen: Vec<String> = chosen.map(str::to_owned).collect();
        if self.random.random_bool(0.3)
            && let Some(word) = chosen.first_mut()
            && word.chars().count() > 2
        {
            word.pop();
        }
        chosen.join(" ")
    }

    fn range(&mut self) -> String {
        let (year, month) = (self.random.random_range(2_027..2_029), self.random.random_range(1..=11));
        let (first, last) = (self.random.random_range(1..=28), self.random.random_range(1..=28));
        format!("from={year}-{month:02}-{first:02}T00:00:00Z&to={year}-{:02}-{last:02}T00:00:00Z", month + 1)
    }

    fn query(&mut self, load: Load) -> String {
        match load {
            Load::Same => "q=night&sort=starts_at".to_owned(),
            Load::Dates => format!("{}&sort=starts_at", self.range()),
            Load::Different => {
                let mut query = format!("q={}", encoded(&self.words()));
                let orders = ["", "&sort=starts_at", "&sort=sales_open_at", "&sort=-created_at"];
                query.push_str(orders[self.random.random_range(0..orders.len())]);
                if self.random.random_bool(0.2) {
                    query = format!("{query}&{}", self.range());
                }
                query
            }
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn path(query: &str) -> String {
    format!("/v1/concerts?{query}&limit=20")
}

/// The venues, and one concert to be copied.
fn catalog() -> Value {
    let sections = json!([{"name": "A", "rows": [{"name": "1", "seats": 1}]}]);
    let venue = |number: usize| json!({"key": format!("v{number}"), "name": format!("Hall {number}"), "location": "Seoul", "sections": sections});
    json!({"venues": (0..VENUES).map(venue).collect::<Vec<_>>(), "concerts": [{
        "key": "model", "title": "Model", "artist": "Model", "description": "A night of songs.",
        "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2029-12-31T15:00:00Z",
        "performances": [{"key": "model", "venue": "v0", "starts_at": "2030-01-01T10:00:00Z",
                          "prices": [{"section": "A", "price": 1_000}]}],
    }]})
}

/// Adds copies of the concert and its performance, without seats: two performances for each concert. The copies have every
/// column that the tables have.
async fn add_concerts(connection: &mut Conn, titles: &[(String, String)]) -> anyhow::Result<()> {
    connection
        .query_drop(
            "CREATE TEMPORARY TABLE titles (seq INT PRIMARY KEY, title VARCHAR(255) NOT NULL, artist VARCHAR(255) NOT NULL) \
             CHARACTER SET utf8mb4",
        )
        .await?;
    for (chunk, rows) in titles.chunks(1_000).enumerate() {
        let places = vec!["(?, ?, ?)"; rows.len()].join(", ");
        let mut values: Vec<mysql_async::Value> = Vec::new();
        for (index, (title, artist)) in rows.iter().enumerate() {
            values.extend([(chunk * 1_000 + index).into(), title.into(), artist.into()]);
        }
        connection.exec_drop(format!("INSERT INTO titles VALUES {places}"), values).await?;
    }
    let id = |of: &str, seq: &str| {
        format!("UNHEX(CONCAT(LPAD(HEX({seq} + 1), 12, '0'), LEFT(MD5(CONCAT('{of}-', {seq})), 20)))")
    };
    let (concert_id, concert_of, performance_id) =
        (id("concert", "seq"), id("concert", "(seq DIV 2)"), id("performance", "seq"));
    let count = titles.len();
    let venue_ids = "CREATE TEMPORARY TABLE halls (INDEX (seq)) AS SELECT ROW_NUMBER() OVER (ORDER BY id) - 1 AS seq, id FROM venues";
    let statements = [
        "CREATE TEMPORARY TABLE copies AS SELECT concerts.*, titles.seq, titles.title AS new_title, \
         titles.artist AS new_artist FROM concerts JOIN titles"
            .to_owned(),
        format!(
            "UPDATE copies SET id = {concert_id}, catalog_key = NULL, title = new_title, artist = new_artist, \
             sales_open_at = sales_open_at + INTERVAL (seq * 7919) % 500 HOUR, \
             created_at = created_at + INTERVAL seq SECOND"
        ),
        "ALTER TABLE copies DROP COLUMN seq, DROP COLUMN new_title, DROP COLUMN new_artist".to_owned(),
        "INSERT INTO concerts SELECT * FROM copies".to_owned(),
        venue_ids.to_owned(),
        format!(
            "CREATE TEMPORARY TABLE dates AS SELECT performances.*, numbers.seq, halls.id AS new_venue_id \
             FROM performances JOIN seq_0_to_{} AS numbers JOIN halls ON halls.seq = numbers.seq * 31 % {VENUES}",
            2 * count - 1
        ),
        // Sooner than the performance that is copied: whatever else is stored of its end stays after its start.
        format!(
            "UPDATE dates SET id = {performance_id}, catalog_key = NULL, concert_id = {concert_of}, \
             venue_id = new_venue_id, starts_at = '2027-01-01' + INTERVAL (seq * 7919) % 25000 HOUR"
        ),
        "ALTER TABLE dates DROP COLUMN seq, DROP COLUMN new_venue_id".to_owned(),
        "INSERT INTO performances SELECT * FROM dates".to_owned(),
        "ANALYZE TABLE concerts, performances".to_owned(),
    ];
    for statement in statements {
        connection.query_drop(&statement).await.with_context(|| format!("cannot run `{statement}`"))?;
    }
    Ok(())
}

/// The milliseconds of the first search, and the bytes of memory that it took.
#[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
async fn first_search(world: &World) -> anyhow::Result<(f64, f64)> {
    let before = world.server.watched()?.cost()?.resident_bytes;
    let mut connection = Connection::open(world.server.address).await?;
    let sent = Instant::now();
    let response = connection.send(&Request::get(path("q=night")).prepare()).await?;
    let took = sent.elapsed().as_secs_f64() * 1e3;
    ensure!(drive::ok(&response), drive::refusal(&response));
    let found: List<Identified> = response.read()?;
    ensure!(!found.items.is_empty(), "the first search finds nothing");
    let after = world.server.watched()?.cost()?.resident_bytes;
    Ok((took, after.saturating_sub(before) as f64 / 1e6))
}

pub(super) async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let store = Store::start(Backend::MariaDb, bench).await?;
    let (concerts, searches) = if bench.smoke { (CONCERTS_SMOKE, SEARCHES_SMOKE) } else { (CONCERTS, SEARCHES) };
    let world = World::open(bench, &store, "search", &catalog(), &[]).await?;
    let mut titles = Titles::new(concerts);
    let mut connection = server::connect(&world.server.database_url).await?;
    add_concerts(&mut connection, &titles.titles).await?;
    connection.disconnect().await?;
    let (first_ms, memory_mb) = first_search(&world).await?;
    let mut rounds = [const { Vec::<Measured>::new() }; LOADS.len()];
    // The first round warms everything up, and is not counted.
    for round in 0..=bench.rounds {
        for ((load, _), rounds) in LOADS.into_iter().zip(&mut rounds) {
            let requests: Vec<_> = (0..searches).map(|_| Request::get(path(&titles.query(load))).prepare()).collect();
            let measured = world.load(CONNECTIONS, bench.time, drive::ok).repeat(&requests).await?;
            if round > 0 {
                rounds.push(measured);
            }
        }
    }
    world.server.stop().await?;
    let setting = format!(
        "{}. {} generated concerts with two performances each, in {VENUES} venues; titles and artists are of one to four \
         Korean and Latin words out of {}. *Different searches*: one to three words or parts of words of a random \
         concert, in each of the four orders, one in five with a range of dates; {} searches in a round, so that no \
         answer is shown again. *Different ranges of dates*: by start, without words. Pages of 20. Closed loop.",
        store.described,
        grouped_count(concerts as u64),
        grouped_count(WORDS as u64),
        grouped_count(searches as u64),
    );
    let mut section = Section::new("Searching concerts", setting);
    for ((_, name), rounds) in LOADS.into_iter().zip(&rounds) {
        section.rows.push(Row::of(name, format!("{CONNECTIONS} connections"), rounds));
    }
    section.figure("first search after the start, which reads all concerts", Spread::of([first_ms]), "ms");
    section.figure("resident memory that the first search adds", Spread::of([memory_mb]), "MB");
    Ok(section)
}
