//! What a load works on: a server with a catalog, admitted buyers, and seats for each.

use std::{fs, ops::Range, path::Path, time::Duration};

use anyhow::{Context, ensure};
use boxoffice_domain::AccountId;
use boxoffice_rush::{
    Buyer, Connection, Prepared, Request, Response, TokenSigner,
    buyer::{self, Identified, List, Performance, QueueState, QueueStatus, SeatMap},
};
use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    clock,
    drive::{self, ClosedLoop, Processes},
    options::{self, Bench},
    process::Watched,
    server::{Server, Store},
    workspace,
};

/// Requests that prepare something go over this many connections.
const PREPARING: usize = 64;
/// Longer than any preparation.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
/// How many seats of a concert an account may have: the default of boxoffice.
pub(crate) const SEATS_PER_ACCOUNT: usize = 4;
/// The seats of the hall.
const SEATS: usize = 15_002;
/// More than enough for every seat that an account may have.
const POINTS_EACH: i64 = 1_000_000;
const SEED: u64 = 20_261_121;

/// A seat of a performance.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) performance_id: Uuid,
    pub(crate) section: String,
    pub(crate) label: String,
}

/// A server with something to sell, and its buyers.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) processes: Processes,
    pub(crate) concert_id: Uuid,
    pub(crate) buyers: Vec<Buyer>,
    /// Of the buyers, in their order.
    pub(crate) account_ids: Vec<AccountId>,
    /// The seats that there are buyers for, in a random order.
    pub(crate) places: Vec<Place>,
    pub(crate) signer: TokenSigner,
}

/// The size of a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    performances: usize,
    /// How many seats there are buyers for.
    seats: usize,
    /// How many sections of the hall there are at most.
    sections_max: usize,
    /// How many seats each buyer holds already.
    live_holds: usize,
}

impl Shape {
    /// Performances with buyers for all seats, or, in a smoke test, one in a small hall with few buyers.
    pub(crate) fn new(bench: &Bench, performances: usize) -> Self {
        if bench.smoke {
            return Self { performances: 1, seats: 400, sections_max: 1, live_holds: 0 };
        }
        Self { performances, seats: performances * SEATS, sections_max: usize::MAX, live_holds: 0 }
    }

    pub(crate) fn with_live_holds(self, live_holds: usize) -> Self {
        Self { live_holds, ..self }
    }

    /// How many seats a buyer may have.
    fn seats_each(self) -> usize {
        self.live_holds + SEATS_PER_ACCOUNT
    }
}

/// A file of the catalogs that the tests share.
pub(crate) fn shared_catalog(name: &str) -> anyhow::Result<Value> {
    let file = workspace().join("tests/catalog").join(name);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// The arena, without its layout, which other sections would not fit.
pub(crate) fn arena() -> anyhow::Result<Value> {
    let mut venue = shared_catalog("arena.json")?["venues"][0].take();
    venue.as_object_mut().context("the catalog has no venue")?.remove("layout");
    Ok(venue)
}

/// The catalog: the arena of 15,002 seats, and one concert in it.
fn catalog(shape: Shape) -> anyhow::Result<Value> {
    let mut venue = arena()?;
    // The arena has one performance at a time, every three hours; more of them are at the same times.
    if shape.performances > 28 * 8 {
        venue["overlaps_allowed"] = json!(true);
    }
    let sections = venue["sections"].as_array_mut().context("the arena has no sections")?;
    sections.truncate(shape.sections_max);
    let prices: Vec<_> = sections.iter().map(|section| json!({"section": section["name"], "price": 1_000})).collect();
    let performance = |index: usize| {
        json!({"key": format!("p{index}"), "venue": venue["key"], "prices": prices,
               "starts_at": format!("2030-03-{:02}T{:02}:00:00Z", 1 + index % 28, index / 28 % 8 * 3)})
    };
    let performances: Vec<_> = (0..shape.performances).map(performance).collect();
    Ok(json!({"venues": [venue], "concerts": [{
        "key": "tour", "title": "ORBIT 월드 투어", "artist": "ORBIT", "description": "",
        "sales_open_at": "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z",
        "max_seats_per_account": shape.seats_each(), "max_active": 1_000_000, "performances": performances,
    }]}))
}

impl World {
    /// Admissions and holds outlast every preparation and measurement.
    pub(crate) const PATIENT: [(&str, &str); 4] = [
        ("admission_seconds", "86400"),
        ("no_show_seconds", "86400"),
        ("idle_admission_seconds", "0"),
        ("hold_seconds", "86400"),
    ];

    /// Starts a server on an empty database, and prepares seats and buyers.
    pub(crate) async fn prepare(
        bench: &Bench,
        store: &Store,
        name: &str,
        shape: Shape,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut world = Self::open(bench, store, name, &catalog(shape)?, settings).await?;
        world.sign_up(shape.seats / shape.seats_each()).await?;
        world.find_places(shape.seats_each()).await?;
        if shape.live_holds > 0 {
            world.admit_all().await?;
            let held = shape.live_holds * world.buyers.len();
            world.hold_all(0..held).await?;
            world.places.drain(..held);
        }
        Ok(world)
    }

    /// Starts a server on an empty database, with a catalog and without buyers.
    pub(crate) async fn open(
        bench: &Bench,
        store: &Store,
        name: &str,
        catalog: &Value,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let folder = options::folder().join(format!("{}-{name}", store.backend.name()));
        let database_url = store.database(name).await?;
        let settings: Vec<_> = Self::PATIENT.iter().chain(settings).copied().collect();
        let server = Server::start(&bench.binary, &folder, &database_url, &settings).await?;
        let signer = TokenSigner::of_server(&folder, clock::now().timestamp())?;
        let mut processes = vec![("boxoffice", server.watched()?)];
        processes.extend(store.process.map(|process| ("database", process)));
        processes.push(("generator", Watched::this()?));
        let world = Self {
            server,
            processes: Processes(processes),
            concert_id: Uuid::nil(),
            buyers: Vec::new(),
            account_ids: Vec::new(),
            places: Vec::new(),
            signer,
        };
        world.import(&bench.binary, catalog).await?;
        Ok(world)
    }

    pub(crate) async fn import(&self, binary: &Path, catalog: &Value) -> anyhow::Result<()> {
        let file = self.server.folder.join("catalog.json");
        fs::write(&file, catalog.to_string())?;
        self.server.run(binary, &["import", &file.to_string_lossy()]).await
    }

    pub(crate) async fn sign_up(&mut self, count: usize) -> anyhow::Result<()> {
        let request = |index: usize| buyer::sign_up(&format!("buyer-{index}"), "correct horse", "Buyer").prepare();
        let requests: Vec<_> = (0..count).map(request).collect();
        for (_, response) in self.send_all(&requests, drive::created).await? {
            let Identified { id } = response.read()?;
            self.buyers.push(Buyer::new(self.signer.sign(id)));
            self.account_ids.push(AccountId::new(id));
        }
        Ok(())
    }

    async fn find_places(&mut self, seats_each: usize) -> anyhow::Result<()> {
        let mut connection = Connection::open(self.server.address).await?;
        let concerts: List<Identified> = connection.send(&Request::get("/v1/concerts").prepare()).await?.read()?;
        self.concert_id = concerts.items.first().context("there is no concert")?.id;
        self.admit(0..1).await?;
        let mut ask = async |request: Request| connection.send(&request.prepare()).await;
        let performances: List<Performance> = ask(self.buyers[0].performances(self.concert_id)).await?.read()?;
        for Performance { id, .. } in performances.items {
            let map: SeatMap = ask(self.buyers[0].seats(id)).await?.read()?;
            let place = |seat: buyer::Seat| Place { performance_id: id, section: seat.section, label: seat.label };
            self.places.extend(map.seats.into_iter().map(place));
        }
        self.places.shuffle(&mut SmallRng::seed_from_u64(SEED));
        self.places.truncate(self.buyers.len() * seats_each);
        Ok(())
    }

    /// Lets all buyers join the queue, which admits each at once.
    pub(crate) async fn admit_all(&mut self) -> anyhow::Result<()> {
        self.admit(0..self.buyers.len()).await
    }

    async fn admit(&mut self, buyers: Range<usize>) -> anyhow::Result<()> {
        let requests: Vec<_> =
            self.buyers[buyers.clone()].iter().map(|buyer| buyer.join(self.concert_id).prepare()).collect();
        for (index, response) in self.send_all(&requests, |response| matches!(response.status, 200 | 201)).await? {
            let status: QueueStatus = response.read()?;
            ensure!(status.status == QueueState::Active, "a buyer was not admitted");
            self.buyers[buyers.start + index].queue_token = status.token;
        }
        Ok(())
    }

    /// The buyer of a place. Buyers alternate, so that two requests of one buyer do not come close together.
    pub(crate) fn buyer_of(&self, place: usize) -> usize {
        place % self.buyers.len()
    }

    /// Holds a place for its buyer.
    pub(crate) fn hold(&self, place: usize) -> Prepared {
        let Place { performance_id, label, .. } = &self.places[place];
        self.buyers[self.buyer_of(place)].hold(performance_id, &[label]).prepare()
    }

    /// Pays the reservation of a place, under its id as the key.
    pub(crate) fn pay(&self, place: usize, reservation_id: Uuid) -> Prepared {
        self.buyers[self.buyer_of(place)].pay(reservation_id).key(reservation_id.to_string()).prepare()
    }

    pub(crate) fn cancel(&self, place: usize, reservation_id: Uuid) -> Prepared {
        self.buyers[self.buyer_of(place)].cancel(reservation_id).prepare()
    }

    /// A closed loop that is measured.
    pub(crate) fn load(&self, connections: usize, time_max: Duration, wanted: drive::Wanted) -> ClosedLoop<'_> {
        ClosedLoop {
            address: self.server.address,
            connections,
            time_max,
            wanted,
            processes: &self.processes,
            per_second: None,
        }
    }

    /// Sends requests that prepare or clean up, each of which must get a wanted response. Gives the responses with the
    /// indexes of their requests.
    pub(crate) async fn send_all(
        &self,
        requests: &[Prepared],
        wanted: drive::Wanted,
    ) -> anyhow::Result<Vec<(usize, Response)>> {
        let processes = &Processes::default();
        let load = ClosedLoop { processes, ..self.load(PREPARING, PATIENCE, wanted) };
        let (_, responses) = load.once(requests).await.context("preparing failed")?;
        Ok(responses)
    }

    /// Tops up the wallet of every buyer.
    pub(crate) async fn charge_all(&self) -> anyhow::Result<()> {
        let requests: Vec<_> =
            self.buyers.iter().map(|buyer| buyer.charge(POINTS_EACH).key("every-buyer").prepare()).collect();
        self.send_all(&requests, drive::created).await.map(drop)
    }

    /// Holds places, and gives them with their reservations.
    pub(crate) async fn hold_all(&self, places: Range<usize>) -> anyhow::Result<Vec<(usize, Uuid)>> {
        let requests: Vec<_> = places.clone().map(|place| self.hold(place)).collect();
        let held = ids(&self.send_all(&requests, drive::created).await?)?;
        Ok(held.into_iter().map(|(index, id)| (places.start + index, id)).collect())
    }

    /// Pays the reservations of places.
    pub(crate) async fn pay_all(&self, held: &[(usize, Uuid)]) -> anyhow::Result<()> {
        let requests: Vec<_> = held.iter().map(|(place, id)| self.pay(*place, *id)).collect();
        self.send_all(&requests, drive::created).await.map(drop)
    }

    /// Cancels the reservations of places, so that the places are free again.
    pub(crate) async fn cancel_all(&self, held: &[(usize, Uuid)]) -> anyhow::Result<()> {
        let requests: Vec<_> = held.iter().map(|(place, id)| self.cancel(*place, *id)).collect();
        self.send_all(&requests, drive::ok).await.map(drop)
    }
}

/// The ids in responses, by the index of the request.
pub(crate) fn ids(responses: &[(usize, Response)]) -> anyhow::Result<Vec<(usize, Uuid)>> {
    responses.iter().map(|(index, response)| Ok((*index, response.read::<Identified>()?.id))).collect()
}
