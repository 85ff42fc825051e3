//! Several instances of the real binary behind a real load balancer.

use std::{process::Command, sync::Arc};

use boxoffice_testkit::{load_balancer::LoadBalancer, servers::RedisServer, tcp_proxy::TcpProxy};

use super::{
    chronicle::Chronicle,
    client::Api,
    server::{Server, binary},
};

/// How long an instance that was told to stop still takes requests: longer than the load balancer needs to see it.
const DRAIN_SECONDS: &str = "3";

/// Where a fleet keeps what it shares.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// The URL of the database of each instance: of one server, or of several nodes of one cluster.
    pub(crate) databases: Vec<String>,
    /// The Redis that has the waiting room of all instances.
    pub(crate) redis: Arc<RedisServer>,
    /// How it is reached.
    pub(crate) waiting_room: String,
}

impl Shared {
    /// All instances over one database, and over a Redis of their own.
    pub(crate) async fn over(database: &str, instances: usize) -> Self {
        let redis = RedisServer::start().await.expect("a Redis of its own");
        let waiting_room = redis.url();
        Self { databases: vec![database.to_owned(); instances], redis: Arc::new(redis), waiting_room }
    }

    /// Lets all instances reach Redis through a proxy alone.
    pub(crate) fn reach_redis_through(&mut self, proxy: &TcpProxy) {
        self.waiting_room = format!("redis://{}", proxy.address());
    }
}

/// Instances and what stands before them. They share the database, the waiting room and the keys.
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Server>,
    pub(crate) balancer: LoadBalancer,
    pub(crate) shared: Shared,
    api: Api,
    chronicle: Chronicle,
}

impl Fleet {
    pub(crate) async fn start(shared: Shared, settings: &[(&str, &str)], chronicle: &Chronicle) -> Self {
        let mut instances = Vec::new();
        for database in &shared.databases {
            let mut server = Server::prepare(settings);
            server.keeps_its_port();
            server.breaks_things();
            // On a busy machine everything takes long, and nothing is away because of that.
            server.set("REDIS_CONNECT_MILLISECONDS", "2000");
            server.set("REDIS_TIMEOUT_MILLISECONDS", "2000");
            server.set("DATABASE", database);
            server.set("WAITING_ROOM", &shared.waiting_room);
            server.set("DRAIN_SECONDS", DRAIN_SECONDS);
            server.set("TRUST_FORWARDED_FOR", "true");
            instances.push(server);
        }
        // As an operator does it: one file of keys, given to every instance.
        let keys = instances[0].folder().join("shared-keys.json");
        let made = Command::new(binary()).args(["keys", "rotate", "--keys-file"]).arg(&keys).output();
        let made = made.expect("the binary starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        for server in &mut instances {
            server.set("KEYS_FILE", keys.to_str().expect("a path"));
            server.start_again().await;
        }
        let addresses: Vec<_> = instances.iter().map(Server::address).collect();
        let balancer = LoadBalancer::start(&addresses).await.expect("the load balancer starts");
        for index in 0..instances.len() {
            balancer.wait_for(index, true).await.expect("the instance is taken in");
        }
        let api = Api::balanced(&format!("http://{}", balancer.address()));
        chronicle.note(format!("{} instances serve", instances.len()));
        Self { instances, balancer, shared, api, chronicle: chronicle.clone() }
    }

    /// The API through the load balancer.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// Kills an instance at this instant.
    pub(crate) fn kill(&mut self, index: usize) {
        self.instances[index].kill();
        self.chronicle.note(format!("instance {index} is killed"));
    }

    /// Stops an instance as an operator does, and starts it again. It must end well.
    pub(crate) async fn restart(&mut self, index: usize) {
        self.chronicle.note(format!("instance {index} is told to stop"));
        self.instances[index].stop().await;
        self.chronicle.note(format!("instance {index} has ended"));
        self.start_again(index).await;
    }

    /// Starts an instance that has ended, and waits until it is given requests.
    pub(crate) async fn start_again(&mut self, index: usize) {
        self.instances[index].start_again().await;
        self.balancer.wait_for(index, true).await.expect("the instance is taken in");
        self.chronicle.note(format!("instance {index} serves again"));
    }

    /// Checks every invariant of the database, as this instance sees it.
    pub(crate) async fn audit(&self, index: usize) {
        self.instances[index].audit().await;
        self.chronicle.note("the audit is clean");
    }

    /// The end of a test: each instance that runs ends well, and the audit is clean.
    pub(crate) async fn finish(mut self, audited: usize) {
        for server in self.instances.iter().filter(|server| server.is_running()) {
            server.terminate();
        }
        for server in self.instances.iter_mut().filter(|server| server.is_running()) {
            assert_eq!(server.ended().await.code(), Some(0), "an instance did not end well");
        }
        self.audit(audited).await;
    }
}
