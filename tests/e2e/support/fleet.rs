//! Several instances of the real binary behind a real load balancer.

use std::{path::Path, sync::Arc};

use boxoffice_testkit::{
    load_balancer::LoadBalancer,
    servers::{RedisServer, ServerKind, TestDatabase, fresh_database},
};
use boxoffice_tests::binary;

use super::{
    client::{Api, Buyer},
    server::{Server, run_binary},
    timeline::{Printed, Timeline},
};

/// How long an instance that stops still takes requests: longer than the load balancer needs to notice it.
const DRAIN_SECONDS: &str = "3";

/// Instances and their load balancer. They share the database, the waiting room in Redis, and the keys.
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Server>,
    pub(crate) balancer: LoadBalancer,
    pub(crate) redis: Arc<RedisServer>,
    pub(crate) timeline: Timeline,
    api: Api,
    /// Removed at the end of a test that succeeds.
    database: Option<TestDatabase>,
    _printed: Printed,
}

impl Fleet {
    /// So many instances over one database of a MariaDB server.
    pub(crate) async fn start(instances: usize, settings: &[(&str, &str)]) -> Self {
        let database = fresh_database(ServerKind::MariaDb).await.expect("a database");
        let urls = vec![database.url().to_owned(); instances];
        Self { database: Some(database), ..Self::over(urls, settings).await }
    }

    /// An instance over each of these databases, which are one or replicate each other.
    pub(crate) async fn over(databases: Vec<String>, settings: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start().await.expect("a private Redis");
        let url = redis.url();
        Self::over_redis(databases, redis, &url, settings).await
    }

    /// As [`Self::over`], with Redis reached by this URL.
    pub(crate) async fn over_redis(
        databases: Vec<String>,
        redis: RedisServer,
        redis_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::of_program(binary(), databases, redis, redis_url, settings).await
    }

    /// As [`Self::over_redis`], of another program than the one under test.
    pub(crate) async fn of_program(
        program: &Path,
        databases: Vec<String>,
        redis: RedisServer,
        redis_url: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        let (timeline, printed) = Timeline::new();
        let mut instances = Vec::new();
        for database in &databases {
            let mut server = Server::prepare(settings);
            program.clone_into(&mut server.program);
            server.breaks_things = true;
            for (name, value) in [
                // A busy machine is slow, and no service is away because of that.
                ("REDIS_CONNECT_MILLISECONDS", "2000"),
                ("REDIS_TIMEOUT_MILLISECONDS", "2000"),
                ("DATABASE", database.as_str()),
                ("WAITING_ROOM", redis_url),
                ("DRAIN_SECONDS", DRAIN_SECONDS),
                ("TRUST_FORWARDED_FOR", "true"),
            ] {
                server.set(name, value);
            }
            instances.push(server);
        }
        // As an operator does it: one file of keys for every instance.
        let keys = instances[0].keys_file();
        run_binary(&["keys", "rotate", "--keys-file", &keys]);
        for server in &mut instances {
            server.set("KEYS_FILE", &keys);
            server.start_again().await;
        }
        let addresses: Vec<_> = instances.iter().map(Server::address).collect();
        let balancer = LoadBalancer::start(&addresses).await.expect("the load balancer starts");
        for index in 0..instances.len() {
            balancer.wait_for(index, true).await.expect("the instance is taken in");
        }
        let api = Api::balanced(&format!("http://{}", balancer.address()));
        timeline.note(format!("{} instances serve", instances.len()));
        Self { instances, balancer, redis: Arc::new(redis), timeline, api, database: None, _printed: printed }
    }

    /// The API through the load balancer.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// The same buyer at one instance itself.
    pub(crate) fn at(&self, index: usize, buyer: &Buyer) -> Buyer {
        Buyer { api: self.instances[index].api().clone(), ..buyer.clone() }
    }

    /// The same buyer at each instance itself.
    pub(crate) fn at_each(&self, buyer: &Buyer) -> Vec<Buyer> {
        (0..self.instances.len()).map(|index| self.at(index, buyer)).collect()
    }

    pub(crate) async fn promoter(&self) -> Buyer {
        self.instances[0].promoter("promoter").await
    }

    pub(crate) fn kill(&mut self, index: usize) {
        self.instances[index].kill();
        self.timeline.note(format!("instance {index} is killed"));
    }

    /// Stops an instance as an operator does, and starts it again. It must exit with 0.
    pub(crate) async fn restart(&mut self, index: usize) {
        self.timeline.note(format!("instance {index} gets the signal to stop"));
        self.instances[index].stop().await;
        self.timeline.note(format!("instance {index} has ended"));
        self.start_again(index).await;
    }

    /// Starts an instance that has ended, and waits until the load balancer sends it requests.
    pub(crate) async fn start_again(&mut self, index: usize) {
        self.instances[index].start_again().await;
        self.balancer.wait_for(index, true).await.expect("the instance is taken in");
        self.timeline.note(format!("instance {index} serves again"));
    }

    /// The end of a test: each running instance exits with 0, and the audit is clean.
    pub(crate) async fn finish(mut self) {
        for server in self.instances.iter().filter(|server| server.is_running()) {
            server.terminate();
        }
        for server in self.instances.iter_mut().filter(|server| server.is_running()) {
            assert_eq!(server.ended().await.code(), Some(0), "an instance did not end well");
        }
        self.instances[0].audit().await;
        if let Some(database) = self.database.take() {
            database.remove().await.expect("the database is removed");
        }
    }
}
