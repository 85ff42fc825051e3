//! Every request that the server answers, once, and the queries that it makes for each.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::{Context, ensure};
use boxoffice_rush::{Buyer, Connection, Request, buyer};
use mysql_async::{Conn, prelude::Queryable};
use serde_json::{Value, json};
use uuid::Uuid;

use super::log::Logged;
use crate::{
    drive,
    server::{self, Server},
    world::{World, ids},
};

/// The purpose of what the workers ask without any request. They ask it during every act too, so it has no other.
const AT_REST: &str = "workers";
const REST: Duration = Duration::from_millis(2_500);
/// How long holds last here: longer than the acts that need them.
pub(super) const HOLD_SECONDS: &str = "30";
/// How many buyers come at once, so that there are batches of several.
const CROWD: usize = 48;
const PASSWORD: &str = "correct horse";

/// A statement of the server.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The longest of its shape, and of those the last: a batch of many, and a repeated request that finds what it
    /// looks for.
    pub(super) sql: String,
    pub(super) purposes: Vec<&'static str>,
}

/// Reads the queries from the log of the database.
pub(super) struct Recorder {
    connection: Conn,
    own_id: u64,
    asked: BTreeMap<String, Asked>,
}

impl Recorder {
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        let mut connection = server::connect(url).await?;
        let own_id = u64::from(connection.id());
        for setting in ["log_output = 'TABLE'", "general_log = 'ON'"] {
            connection.query_drop(format!("SET GLOBAL {setting}")).await?;
        }
        Ok(Self { connection, own_id, asked: BTreeMap::new() })
    }

    /// Notes the purpose of the queries since the last call.
    async fn note(&mut self, purpose: &'static str) -> anyhow::Result<()> {
        let read =
            "SELECT argument FROM mysql.general_log WHERE command_type IN ('Execute', 'Query') AND thread_id <> ?";
        let entries: Vec<Vec<u8>> = self.connection.exec(read, (self.own_id,)).await?;
        self.connection.query_drop("TRUNCATE TABLE mysql.general_log").await?;
        for logged in entries.iter().filter_map(|entry| Logged::read(entry)) {
            let none = Asked { sql: String::new(), purposes: Vec::new() };
            let asked = self.asked.entry(logged.shape).or_insert(none);
            if logged.sql.len() >= asked.sql.len() {
                asked.sql = logged.sql;
            }
            if !asked.purposes.contains(&purpose) && !asked.purposes.contains(&AT_REST) {
                asked.purposes.push(purpose);
            }
        }
        Ok(())
    }

    /// The queries by their shapes.
    pub(super) async fn stop(mut self) -> anyhow::Result<BTreeMap<String, Asked>> {
        self.connection.query_drop("SET GLOBAL general_log = 'OFF'").await?;
        self.connection.disconnect().await?;
        Ok(self.asked)
    }
}

struct Acting<'a> {
    world: &'a World,
    recorder: &'a mut Recorder,
    connection: Connection,
}

/// Does everything once.
pub(super) async fn all(world: &mut World, binary: &Path, recorder: &mut Recorder) -> anyhow::Result<()> {
    tokio::time::sleep(REST).await;
    recorder.note(AT_REST).await?;
    world.admit(0..CROWD + 2).await?;
    recorder.note("joining a line").await?;
    let connection = Connection::open(world.server.address).await?;
    let mut acting = Acting { world, recorder, connection };
    acting.sign_up().await?;
    acting.browse().await?;
    let held = acting.hold().await?;
    acting.charge().await?;
    let paid = acting.pay(&held).await?;
    acting.cancel(&held, &paid).await?;
    acting.remember(binary).await?;
    acting.publish(binary).await?;
    acting.expire().await?;
    acting.operate(binary).await
}

impl Acting<'_> {
    fn buyer(&self, index: usize) -> &Buyer {
        &self.world.buyers[index]
    }

    /// Sends a request that has to succeed.
    async fn send(&mut self, request: &Request) -> anyhow::Result<Value> {
        let answer = self.connection.send(&request.prepare()).await?;
        if answer.status == 204 { Ok(Value::Null) } else { Ok(answer.read().with_context(|| request.path.clone())?) }
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.send(&self.buyer(0).get(path)).await
    }

    /// Asks for the first page of a list, and for the next one.
    async fn leaf_through(&mut self, path: &str) -> anyhow::Result<()> {
        let joined = if path.contains('?') { '&' } else { '?' };
        let page = self.get(path).await?;
        if let Some(cursor) = page["next_cursor"].as_str() {
            self.get(&format!("{path}{joined}cursor={cursor}")).await?;
        }
        Ok(())
    }

    /// Asks for these lists or things, for one purpose.
    async fn look(&mut self, purpose: &'static str, paths: &[&str]) -> anyhow::Result<()> {
        for path in paths {
            self.leaf_through(path).await?;
        }
        self.recorder.note(purpose).await
    }

    /// Sends the same twice under one key.
    async fn twice(&mut self, request: Request, key: &str) -> anyhow::Result<Value> {
        let request = request.key(key);
        self.send(&request).await?;
        self.send(&request).await
    }

    async fn sign_up(&mut self) -> anyhow::Result<()> {
        self.twice(buyer::sign_up("somebody-1", PASSWORD, "Somebody"), "sign-up-1").await?;
        self.recorder.note("signing up").await?;
        let tokens = self.sign_in("somebody-1").await?;
        self.recorder.note("signing in").await?;
        let refresh = Request::post("/v1/sessions/refresh", &json!({"refresh_token": tokens["refresh_token"]}));
        let tokens = self.send(&refresh).await?;
        self.recorder.note("refreshing").await?;
        let access_token = text(&tokens["access_token"]);
        self.send(&Buyer::new(access_token).get("/v1/me")).await?;
        self.recorder.note("the own account").await?;
        // A spent one is refused, and ends the session.
        let spent = self.connection.send(&refresh.prepare()).await?;
        ensure!(spent.status == 401, "a spent refresh token was answered with {}", spent.status);
        self.recorder.note("refreshing twice").await?;
        let access_token = text(&self.sign_in("somebody-1").await?["access_token"]);
        self.send(&Buyer::new(access_token).request("DELETE", "/v1/sessions/current")).await?;
        self.recorder.note("signing out").await
    }

    async fn sign_in(&mut self, login_id: &str) -> anyhow::Result<Value> {
        self.send(&buyer::sign_in(login_id, PASSWORD)).await
    }

    async fn browse(&mut self) -> anyhow::Result<()> {
        let concert = format!("/v1/concerts/{}", self.world.concert_id);
        let dates = format!("{concert}/performances");
        let performance = format!("/v1/performances/{}", self.world.performances[0]);
        self.look("concerts", &["/v1/concerts"]).await?;
        self.look("concerts that can be booked", &["/v1/concerts?bookable=true"]).await?;
        self.look("a concert", &[&concert]).await?;
        self.look("dates", &[&format!("{dates}?limit=1")]).await?;
        self.look("dates with seats", &[&format!("{dates}?available=true&limit=1")]).await?;
        self.look("a date", &[&performance]).await?;
        self.look("seat map", &[&format!("{performance}/seats")]).await
    }

    /// Holds seats, one of them under a key, and gives the reservations of the buyers by their number.
    async fn hold(&mut self) -> anyhow::Result<Vec<(usize, Uuid)>> {
        let place = &self.world.places[CROWD];
        self.twice(self.buyer(CROWD).hold(place.performance_id, &[&place.label]), "hold-1").await?;
        self.recorder.note("holding under a key").await?;
        let requests: Vec<_> = (0..CROWD).map(|place| self.world.hold(place)).collect();
        let held = ids(&self.world.send_all(&requests, drive::created).await?)?;
        self.recorder.note("holding").await?;
        self.look("reservations", &["/v1/reservations"]).await?;
        let of_status = ["held", "confirmed", "expired", "cancelled"].map(|of| format!("/v1/reservations?status={of}"));
        self.look("reservations of a status", &of_status.each_ref().map(String::as_str)).await?;
        self.look("a reservation", &[&format!("/v1/reservations/{}", held[0].1)]).await?;
        Ok(held)
    }

    async fn charge(&mut self) -> anyhow::Result<()> {
        let charge = |buyer: &Buyer| buyer.charge(100_000).key("charge-1");
        let requests: Vec<_> = (1..CROWD).map(|buyer| charge(self.buyer(buyer)).prepare()).collect();
        let charge = self.twice(charge(self.buyer(0)), "charge-1").await?;
        self.world.send_all(&requests, drive::created).await?;
        self.recorder.note("charging").await?;
        self.look("wallet", &[&format!("/v1/wallet/charges/{}", text(&charge["id"])), "/v1/wallet"]).await?;
        self.look("entries of a wallet", &["/v1/wallet/entries"]).await?;
        // By this amount the gateway answers too late; the worker asks it again.
        let late = self.connection.send(&self.world.buyers[1].charge(1_504).key("charge-late").prepare()).await?;
        ensure!(late.status == 502, "a late charge was answered with {}", late.status);
        tokio::time::sleep(REST * 2).await;
        self.recorder.note("pending charges").await
    }

    /// Pays half of the holds, and gives the buyers of them.
    async fn pay(&mut self, held: &[(usize, Uuid)]) -> anyhow::Result<Vec<usize>> {
        let payment = self.twice(self.buyer(0).pay(held[0].1), "pay-1").await?;
        let paying = &held[1..CROWD / 2];
        let requests: Vec<_> = paying.iter().map(|(buyer, id)| self.world.pay(*buyer, *id)).collect();
        self.world.send_all(&requests, drive::created).await?;
        self.recorder.note("paying").await?;
        self.look("payments", &["/v1/payments"]).await?;
        self.look("a payment", &[&format!("/v1/payments/{}", text(&payment["id"]))]).await?;
        Ok((0..CROWD / 2).collect())
    }

    /// Cancels a hold, twice under a key, and a paid reservation.
    async fn cancel(&mut self, held: &[(usize, Uuid)], paid: &[usize]) -> anyhow::Result<()> {
        let (buyer, id) = &held[paid.len()];
        self.twice(self.buyer(*buyer).cancel(id), "cancel-1").await?;
        let (buyer, id) = &held[1];
        self.send(&self.buyer(*buyer).cancel(id)).await?;
        self.recorder.note("cancelling").await
    }

    /// A second server on the same database has no queue yet, as after a restart: it reads which places are spent, and
    /// which accounts hold seats.
    async fn remember(&mut self, binary: &Path) -> anyhow::Result<()> {
        let (folder, url) = (&self.world.server.folder, &self.world.server.database_url);
        let second = Server::start(binary, folder, url, &[("hold_seconds", HOLD_SECONDS)]).await?;
        self.recorder.note("starting").await?;
        let mut connection = Connection::open(second.address).await?;
        for buyer in [0, CROWD - 1] {
            let answer = connection.send(&self.buyer(buyer).poll().prepare()).await?;
            ensure!(answer.status == 200, "an old queue token was answered with {}", answer.status);
        }
        self.recorder.note("coming back after a restart").await?;
        second.stop().await
    }

    async fn publish(&mut self, binary: &Path) -> anyhow::Result<()> {
        self.world.server.run(binary, &["account", "promoter-1", "--role", "promoter"], PASSWORD).await?;
        self.world.server.run(binary, &["account", "promoter-1", "--role", "promoter"], PASSWORD).await?;
        self.recorder.note("`boxoffice account`").await?;
        let access_token = text(&self.sign_in("promoter-1").await?["access_token"]);
        let promoter = Buyer::new(access_token);
        self.recorder.note("signing in").await?;
        let venue = json!({"name": "Hall", "location": "Seoul", "sections": [
            {"name": "A", "rows": [{"name": "1", "seats": 10}]}]});
        let venue = self.twice(promoter.request("POST", "/v1/venues").json(&venue), "venue-1").await?;
        self.recorder.note("publishing a venue").await?;
        let concert = json!({"title": "Night", "artist": "Band", "description": "", "sales_open_at":
            "2026-01-05T11:00:00Z", "sales_close_at": "2030-12-31T15:00:00Z"});
        let concert = self.twice(promoter.request("POST", "/v1/concerts").json(&concert), "concert-1").await?;
        self.recorder.note("publishing a concert").await?;
        let path = format!("/v1/concerts/{}", text(&concert["id"]));
        let change = promoter.request("PATCH", &path).json(&json!({"title": "Nights"}));
        self.send(&change).await?;
        self.recorder.note("changing a concert").await?;
        let date = json!({"venue_id": venue["id"], "starts_at": "2031-01-01T10:00:00Z", "prices": [
            {"section": "A", "price": 1_000}]});
        let date = promoter.request("POST", format!("{path}/performances")).json(&date);
        let performance = self.twice(date, "date-1").await?;
        self.recorder.note("publishing a date").await?;
        let path = format!("/v1/performances/{}/sales", text(&performance["id"]));
        self.send(&promoter.get(path)).await?;
        self.recorder.note("sales").await
    }

    /// Waits until a worker has expired the holds that are left.
    async fn expire(&mut self) -> anyhow::Result<()> {
        let count = "SELECT COUNT(*) FROM reservations WHERE status = 'held'";
        for _ in 0..600 {
            let held: Option<u64> = self.recorder.connection.query_first(count).await?;
            if held == Some(0) {
                return self.recorder.note("expiring holds").await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("holds are not expired")
    }

    async fn operate(&mut self, binary: &Path) -> anyhow::Result<()> {
        self.world.server.run(binary, &["audit"], "").await?;
        self.recorder.note("`boxoffice audit`").await?;
        let file = self.world.server.folder.join("catalog.json");
        self.world.server.run(binary, &["import", &file.to_string_lossy()], "").await?;
        self.recorder.note("`boxoffice import`").await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
