//! Where Redis is.

use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult,
    TlsMode,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType},
};

/// The port of a sentinel whose address names none.
const SENTINEL_PORT: u16 = 26_379;
/// How often a command is sent to a cluster while the node of its keys changes. All scripts can be repeated.
const CLUSTER_RETRIES: u32 = 2;

/// The URL of a Redis or Valkey server, or of several that are one. What shows it leaves the passwords out.
///
/// * `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`
/// * `redis-cluster://[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…`: a cluster, by some of its nodes
/// * `redis-sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME[/DATABASE]`: the master called `NAME` of the sentinels listed.
///   `?sentinel_password=…&sentinel_username=…` sign in at the sentinels
///
/// With `rediss` instead of `redis` all connections use TLS, with the certificates that the system trusts.
#[derive(Clone)]
pub struct RedisUrl {
    shown: String,
    target: Target,
}

#[derive(Clone)]
enum Target {
    Server(Box<Client>),
    Cluster(Vec<ConnectionInfo>),
    Sentinel(Box<Sentinels>),
}

#[derive(Clone)]
struct Sentinels {
    nodes: Vec<ConnectionInfo>,
    master: String,
    /// The user, the password and the database of the master.
    master_settings: RedisConnectionInfo,
    tls: bool,
}

/// A connection that any number of tasks share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl RedisUrl {
    /// Reads a URL. The refusal says what is wrong without repeating the text, in which there may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let forms = || {
            "must be `redis://HOST:PORT`, `redis-cluster://HOST:PORT,HOST:PORT` or \
             `redis-sentinel://HOST:PORT,HOST:PORT/NAME`, or one of them with `rediss` for TLS"
                .to_owned()
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(forms)?;
        let (security, kind) = scheme.split_once('-').unwrap_or((scheme, "server"));
        let tls = match security {
            "redis" => false,
            "rediss" => true,
            _ => return Err(forms()),
        };
        let parts = Parts::new(rest);
        if parts.hosts.iter().any(|host| host.is_empty()) {
            return Err("must name a host".to_owned());
        }
        let target = match kind {
            "server" => Client::open(text).map(|client| Target::Server(Box::new(client))).map_err(refusal),
            "cluster" => cluster(security, &parts),
            "sentinel" => sentinel(security, tls, &parts),
            _ => Err(forms()),
        }?;
        Ok(Self { shown: parts.shown(scheme), target })
    }

    /// Connects; the caller bounds how long that may take.
    pub(super) async fn connect(&self, connect_timeout: Duration, timeout: Duration) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect_timeout))
            .set_response_timeout(Some(timeout));
        match &self.target {
            Target::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::One)
            }
            Target::Sentinel(sentinels) => {
                sentinels.client()?.get_async_connection_with_config(&config).await.map(Connection::One)
            }
            Target::Cluster(nodes) => {
                let client = ClusterClientBuilder::new(nodes.clone())
                    .retries(CLUSTER_RETRIES)
                    .connection_timeout(connect_timeout)
                    .response_timeout(timeout)
                    .build()?;
                client.get_async_connection().await.map(Connection::Cluster)
            }
        }
    }

    /// Opens a connection to listen on; the caller bounds how long that may take. Any node of a cluster passes on what is
    /// published at another one.
    pub(super) async fn listen(&self, attempt: usize) -> RedisResult<PubSub> {
        match &self.target {
            Target::Server(client) => client.get_async_pubsub().await,
            Target::Sentinel(sentinels) => sentinels.client()?.async_get_client().await?.get_async_pubsub().await,
            // A URL names at least one node.
            Target::Cluster(nodes) => Client::open(nodes[attempt % nodes.len()].clone())?.get_async_pubsub().await,
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown
    }
}

impl Eq for RedisUrl {}

impl Sentinels {
    fn client(&self) -> RedisResult<SentinelClient> {
        let settings = self.master_settings.clone();
        let mut master = SentinelNodeConnectionInfo::default().set_redis_connection_info(settings);
        if self.tls {
            master = master.set_tls_mode(TlsMode::Secure);
        }
        SentinelClient::build(self.nodes.clone(), &self.master, Some(master), SentinelServerType::Master)
    }
}

/// A URL taken apart, after its scheme.
struct Parts<'a> {
    /// User and password, with the `@` after them.
    credentials: &'a str,
    hosts: Vec<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Parts<'a> {
    fn new(rest: &'a str) -> Self {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may hold a slash that was not escaped; what is after the last `@` cannot.
        let (credentials, rest) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self { credentials, hosts: hosts.split(',').collect(), path, query }
    }

    fn shown(&self, scheme: &str) -> String {
        let user = match self.credentials.split_once(':') {
            Some((user, _)) => format!("{user}:…@"),
            None if self.credentials.is_empty() => String::new(),
            None => "…@".to_owned(),
        };
        let path = if self.path.is_empty() { String::new() } else { format!("/{}", self.path) };
        format!("{scheme}://{user}{}{path}", self.hosts.join(","))
    }

    fn parameter(&self, name: &str) -> &'a str {
        let found = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default()
    }
}

fn cluster(security: &str, parts: &Parts<'_>) -> Result<Target, String> {
    if !parts.path.is_empty() {
        return Err("must not name a database: a cluster has one only".to_owned());
    }
    let node = |host: &&str| format!("{security}://{}{host}", parts.credentials).into_connection_info();
    let nodes: RedisResult<_> = parts.hosts.iter().map(node).collect();
    nodes.map(Target::Cluster).map_err(refusal)
}

fn sentinel(security: &str, tls: bool, parts: &Parts<'_>) -> Result<Target, String> {
    let (master, database) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
    if master.is_empty() {
        return Err("must name the master, as in `redis-sentinel://HOST:PORT,HOST:PORT/NAME`".to_owned());
    }
    let database: i64 = database.parse().map_err(|_| "must end with the number of a database".to_owned())?;
    let info = |credentials: &str, address: &str| {
        format!("{security}://{credentials}{address}").into_connection_info().map_err(refusal)
    };
    let (user, password) = (parts.parameter("sentinel_username"), parts.parameter("sentinel_password"));
    let credentials = if password.is_empty() { String::new() } else { format!("{user}:{password}@") };
    let node = |host: &&str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        info(&credentials, &format!("{host}{port}"))
    };
    Ok(Target::Sentinel(Box::new(Sentinels {
        nodes: parts.hosts.iter().map(node).collect::<Result<_, _>>()?,
        master: master.to_owned(),
        master_settings: info(parts.credentials, &format!("localhost/{database}"))?.redis_settings().clone(),
        tls,
    })))
}

/// What the client says of a wrong URL may hold parts of it.
fn refusal(_: RedisError) -> String {
    "is not a URL that Redis can be reached by".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, expected) in [
            ("redis://h", "redis://h"),
            ("redis://h:6380/3", "redis://h:6380/3"),
            ("rediss://seller:secret@h:6380", "rediss://seller:…@h:6380"),
            ("redis://:secret@h", "redis://:…@h"),
            ("redis-cluster://seller:secret@a:1,b:2,c", "redis-cluster://seller:…@a:1,b:2,c"),
            ("rediss-cluster://a", "rediss-cluster://a"),
            (
                "redis-sentinel://seller:secret@a,b:2/main/1?sentinel_password=secret",
                "redis-sentinel://seller:…@a,b:2/main/1",
            ),
            ("rediss-sentinel://a/main", "rediss-sentinel://a/main"),
        ] {
            let url = RedisUrl::parse(text).expect("a URL");
            assert_eq!((url.to_string(), format!("{url:?}")), (expected.to_owned(), format!("\"{expected}\"")));
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_without_repeating_it() {
        for text in [
            "secret",
            "http://secret@h",
            "redis-ring://secret@h",
            "redis://",
            "redis://u:secret@",
            "redis://u:secret@h:port",
            "redis://u:secret@h/secret",
            "redis-cluster://u:secret@a,,b",
            "redis-cluster://u:secret@a/1",
            "redis-sentinel://u:secret@a",
            "redis-sentinel://u:secret@a/main/secret",
        ] {
            let refusal = RedisUrl::parse(text).expect_err(text);
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn the_parts_of_a_sentinel_url_are_where_they_belong() {
        let text = "rediss-sentinel://seller:se%2Fcret@a,[::1]:7,b:2/main/4?sentinel_username=s&sentinel_password=p";
        let url = RedisUrl::parse(text).expect("a URL");
        let Target::Sentinel(sentinels) = url.target else { panic!("not a sentinel") };
        let addresses: Vec<String> = sentinels.nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(addresses, ["a:26379", "::1:7", "b:2"]);
        assert!(sentinels.tls && sentinels.master == "main");
        let (master, sentinel) = (&sentinels.master_settings, sentinels.nodes[0].redis_settings());
        assert_eq!((master.username(), master.password(), master.db()), (Some("seller"), Some("se/cret"), 4));
        assert_eq!((sentinel.username(), sentinel.password()), (Some("s"), Some("p")));
        assert!(sentinels.client().is_ok());
    }
}
