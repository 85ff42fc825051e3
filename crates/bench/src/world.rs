//! What the load is about: a server with a catalogue, buyers who were admitted, and seats for each.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};
use boxoffice_domain::AccountId;
use boxoffice_load::{Answer, Connection, Request};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};

use crate::{
    drive::{self, Processes},
    process::Watched,
    server::{Server, Store},
    tokens::TokenMaker,
    workspace,
};

/// Requests that prepare something go over this many connections.
pub(crate) const PREPARING: usize = 64;
/// Longer than anything is prepared.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
/// How many seats of a concert an account may have: the default of boxoffice.
pub(crate) const SEATS_PER_ACCOUNT: usize = 4;
const SEED: u64 = 20_261_121;

/// Somebody who buys.
#[derive(Clone, Debug)]
pub(crate) struct Buyer {
    pub(crate) account_id: AccountId,
    pub(crate) access_token: String,
    /// Of the concert that is sold; empty before joining.
    pub(crate) queue_token: String,
}

impl Buyer {
    fn begins(&self, request: Request) -> Request {
        request.bearer(&self.access_token)
    }

    /// Joins the line of a concert.
    pub(crate) fn joins(&self, concert_id: &str) -> Request {
        self.begins(Request::post(&format!("/v1/concerts/{concert_id}/queue"))).empty()
    }

    /// Asks for what only those who were admitted are shown.
    pub(crate) fn asks(&self, path: &str) -> Request {
        self.begins(Request::get(path)).header("Queue-Token", &self.queue_token).empty()
    }

    /// The same, packed if the server can.
    pub(crate) fn asks_packed(&self, path: &str) -> Request {
        let request = self.begins(Request::get(path)).header("Accept-Encoding", "gzip");
        request.header("Queue-Token", &self.queue_token).empty()
    }

    /// The same, unless it is still what has this tag.
    pub(crate) fn asks_unless(&self, path: &str, tag: &str) -> Request {
        self.begins(Request::get(path)).header("Queue-Token", &self.queue_token).header("If-None-Match", tag).empty()
    }

    /// Leaves the line, or ends the admission.
    pub(crate) fn leaves(&self) -> Request {
        self.begins(Request::new("DELETE", "/v1/queue")).header("Queue-Token", &self.queue_token).empty()
    }

    pub(crate) fn holds(&self, place: &Place) -> Request {
        self.begins(Request::post("/v1/reservations"))
            .header("Queue-Token", &self.queue_token)
            .json(&json!({"performance_id": place.performance_id, "seats": [place.label]}))
    }

    pub(crate) fn pays(&self, reservation_id: &str) -> Request {
        self.begins(Request::post("/v1/payments"))
            .header("Queue-Token", &self.queue_token)
            .header("Idempotency-Key", reservation_id)
            .json(&json!({"reservation_id": reservation_id}))
    }

    pub(crate) fn cancels(&self, reservation_id: &str) -> Request {
        self.begins(Request::post(&format!("/v1/reservations/{reservation_id}/cancel"))).empty()
    }

    pub(crate) fn charges(&self, amount: i64, key: &str) -> Request {
        self.begins(Request::post("/v1/wallet/charges")).header("Idempotency-Key", key).json(&json!({"amount": amount}))
    }
}

/// A seat of a performance.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) performance_id: String,
    pub(crate) section: String,
    pub(crate) label: String,
}

/// A server in which there is something to sell, and to whom.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) processes: Processes,
    pub(crate) concert_id: String,
    pub(crate) performances: Vec<String>,
    pub(crate) buyers: Vec<Buyer>,
    /// The seats that there are buyers for, in an order that nobody would guess.
    pub(crate) places: Vec<Place>,
    pub(crate) tokens: TokenMaker,
}

/// The shape of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) performances: usize,
    pub(crate) buyers: usize,
    /// How many sections of the hall there are at most.
    pub(crate) sections_max: usize,
}

impl Shape {
    /// With this many performances of the arena, and buyers for all of their seats.
    pub(crate) fn of_performances(performances: usize) -> Self {
        Self { performances, buyers: performances * 15_002 / SEATS_PER_ACCOUNT, sections_max: usize::MAX }
    }
}

/// A file of the catalogues that the tests share.
pub(crate) fn shared_catalogue(name: &str) -> anyhow::Result<Value> {
    let file = workspace().join("tests/catalogue").join(name);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// The catalogue: the arena of 15,002 seats, and one concert in it.
fn catalogue(shape: Shape) -> anyhow::Result<Value> {
    let mut venue = shared_catalogue("arena.json")?["venues"][0].take();
    let sections = venue["sections"].as_array_mut().context("the arena has no sections")?;
    sections.truncate(shape.sections_max);
    let prices: Vec<_> = sections.iter().map(|section| json!({"section": section["name"], "price": 1_000})).collect();
    let performance = |index: usize| {
        json!({"key": format!("p{index}"), "venue": venue["key"], "prices": prices,
               "starts_at": format!("2030-03-{:02}T{:02}:00:00Z", 1 + index % 28, index / 28)})
    };
    let performances: Vec<_> = (0..shape.performances).map(performance).collect();
    Ok(json!({"venues": [venue], "concerts": [{
        "key": "tour", "title": "ORBIT 월드 투어", "artist": "ORBIT", "description": "",
        "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z",
        "max_seats_per_account": SEATS_PER_ACCOUNT, "max_active": 1_000_000, "performances": performances,
    }]}))
}

impl World {
    /// However long there is measured and prepared, who was admitted stays so.
    pub(crate) const PATIENT: [(&str, &str); 3] =
        [("admission_seconds", "86400"), ("no_show_seconds", "86400"), ("hold_seconds", "86400")];

    /// Starts a server on an empty database, and puts everything in place.
    pub(crate) async fn prepare(
        binary: &Path,
        folder: &Path,
        store: &Store,
        name: &str,
        shape: Shape,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut world = Self::open(binary, folder, store, name, &catalogue(shape)?, settings).await?;
        world.sign_up(shape.buyers).await?;
        world.find_places().await?;
        Ok(world)
    }

    /// Starts a server on an empty database, with a catalogue and without buyers.
    pub(crate) async fn open(
        binary: &Path,
        folder: &Path,
        store: &Store,
        name: &str,
        catalogue: &Value,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = folder.join(format!("{}-{name}", store.backend.name()));
        let database_url = store.database(name).await?;
        let settings: Vec<_> = Self::PATIENT.iter().chain(settings).copied().collect();
        let server = Server::start(binary, &folder, &database_url, &settings).await?;
        let tokens = TokenMaker::of_server(&folder)?;
        let mut processes = vec![("boxoffice", server.watched()?)];
        processes.extend(store.process.map(|process| ("database", process)));
        processes.push(("generator", Watched::this()?));
        let world = Self {
            server,
            processes: Processes(processes),
            concert_id: String::new(),
            performances: Vec::new(),
            buyers: Vec::new(),
            places: Vec::new(),
            tokens,
        };
        world.import(binary, catalogue).await?;
        Ok(world)
    }

    /// Adds concerts.
    pub(crate) async fn import(&self, binary: &Path, catalogue: &Value) -> anyhow::Result<()> {
        let file = self.server.folder.join("catalogue.json");
        fs::write(&file, catalogue.to_string())?;
        self.server.run(binary, &["import", &file.to_string_lossy()], "").await.map(drop)
    }

    /// Makes accounts.
    async fn sign_up(&mut self, count: usize) -> anyhow::Result<()> {
        let request = |index: usize| {
            let body = json!({"login_id": format!("buyer-{index}"), "password": "correct horse", "name": "Buyer"});
            Request::post("/v1/accounts").json(&body)
        };
        let requests: Vec<_> = (0..count).map(request).collect();
        for (_, answer) in self.send_all(&requests, drive::created).await? {
            let account_id: AccountId = text(&answer.json()?, "id")?.parse()?;
            let access_token = self.tokens.make(account_id);
            self.buyers.push(Buyer { account_id, access_token, queue_token: String::new() });
        }
        Ok(())
    }

    /// Finds out what there is to sell.
    async fn find_places(&mut self) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.server.address).await?;
        let concerts: Value = connection.send(&Request::get("/v1/concerts").empty()).await?.json()?;
        self.concert_id = text(&concerts["items"][0], "id")?;
        self.admit(0..1).await?;
        let path = format!("/v1/concerts/{}/performances?limit=100", self.concert_id);
        let performances: Value = connection.send(&self.asks(0, &path)).await?.json()?;
        for performance in performances["items"].as_array().context("there are no performances")? {
            self.performances.push(text(performance, "id")?);
        }
        for performance_id in &self.performances {
            let map: Value =
                connection.send(&self.asks(0, &format!("/v1/performances/{performance_id}/seats"))).await?.json()?;
            for seat in map["seats"].as_array().context("there are no seats")? {
                let (section, label) = (text(seat, "section")?, text(seat, "label")?);
                self.places.push(Place { performance_id: performance_id.clone(), section, label });
            }
        }
        self.places.shuffle(&mut SmallRng::seed_from_u64(SEED));
        self.places.truncate(self.buyers.len() * SEATS_PER_ACCOUNT);
        Ok(())
    }

    /// Lets these buyers join the line, where each is admitted at once. Who is in already stays.
    pub(crate) async fn admit(&mut self, buyers: std::ops::Range<usize>) -> anyhow::Result<()> {
        let requests: Vec<_> = self.buyers[buyers.clone()].iter().map(|buyer| buyer.joins(&self.concert_id)).collect();
        for (index, answer) in self.send_all(&requests, |answer| matches!(answer.status, 200 | 201)).await? {
            let status: Value = answer.json()?;
            ensure!(status["status"] == "active", "a buyer was not admitted: {status}");
            self.buyers[buyers.start + index].queue_token = text(&status, "token")?;
        }
        Ok(())
    }

    /// A request of a buyer who was admitted.
    pub(crate) fn asks(&self, buyer: usize, path: &str) -> Request {
        self.buyers[buyer].asks(path)
    }

    /// Who takes a place: buyers take turns, so that no two requests of one come close together.
    pub(crate) fn buyer_of(&self, place: usize) -> usize {
        place % self.buyers.len()
    }

    /// Asks for a place, for the buyer whose it is.
    pub(crate) fn holds(&self, place: usize) -> Request {
        self.holds_for(self.buyer_of(place), place)
    }

    pub(crate) fn holds_for(&self, buyer: usize, place: usize) -> Request {
        self.buyers[buyer].holds(&self.places[place])
    }

    /// Pays what a hold was answered with.
    pub(crate) fn pays(&self, place: usize, reservation_id: &str) -> Request {
        self.buyers[self.buyer_of(place)].pays(reservation_id)
    }

    pub(crate) fn cancels(&self, place: usize, reservation_id: &str) -> Request {
        self.buyers[self.buyer_of(place)].cancels(reservation_id)
    }

    /// Gives everybody points.
    pub(crate) async fn charge_all(&self, amount: i64) -> anyhow::Result<()> {
        let requests: Vec<_> = self.buyers.iter().map(|buyer| buyer.charges(amount, "everybody")).collect();
        self.send_all(&requests, drive::created).await.map(drop)
    }

    /// Sends requests that prepare or clean up, each of which must get a wanted answer. Gives the answers in the order
    /// of the requests.
    pub(crate) async fn send_all(
        &self,
        requests: &[Request],
        wanted: drive::Wanted,
    ) -> anyhow::Result<Vec<(usize, Answer)>> {
        let none = Processes::default();
        let sent = drive::closed_loop(self.server.address, PREPARING, PATIENCE, requests, wanted, &none).await?;
        let (measured, mut answers) = sent;
        ensure!(measured.errors.is_empty(), "preparing failed: {:?}", measured.errors);
        answers.sort_unstable_by_key(|(index, _)| *index);
        Ok(answers)
    }

    /// Gives up what was held, so that the same places are free again.
    pub(crate) async fn cancel_all(&self, held: &[(usize, String)]) -> anyhow::Result<()> {
        let requests: Vec<_> = held.iter().map(|(place, id)| self.cancels(*place, id)).collect();
        self.send_all(&requests, drive::ok).await.map(drop)
    }
}

/// A text in an answer.
pub(crate) fn text(value: &Value, name: &str) -> anyhow::Result<String> {
    let text = value[name].as_str().with_context(|| format!("an answer has no `{name}`: {value}"))?;
    Ok(text.to_owned())
}

/// The ids in answers, by the index of what was asked for.
pub(crate) fn ids(answers: &[(usize, Answer)]) -> anyhow::Result<Vec<(usize, String)>> {
    answers.iter().map(|(index, answer)| Ok((*index, text(&answer.json()?, "id")?))).collect()
}
