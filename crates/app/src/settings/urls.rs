//! Settings that are URLs.

use std::{fmt, path::Path};

use axum::http::Uri;
use boxoffice_event_delivery::amqp::AmqpUrl;
use boxoffice_peers::redis::RedisUrl;

/// The URL of the database. Showing it leaves out the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let url = Self(text.to_owned());
        // A message does not repeat the text, which may contain a password.
        let wrong = match (url.sqlite_path(), text.strip_prefix("mysql://")) {
            (Some(path), _) if path.as_os_str().is_empty() => "names no file after `sqlite:`",
            (Some(path), _) if path.to_string_lossy().contains(":memory:") => {
                "must be a file: each connection would have another database in memory"
            }
            (None, Some(server)) if !names_database(server) => {
                "must name a database, as in `mysql://USER:PASSWORD@HOST:PORT/NAME`"
            }
            (None, None) => "must begin with `sqlite://` or `mysql://`",
            _ => return Ok(url),
        };
        Err(wrong.to_owned())
    }

    pub(super) fn within(&self, data_dir: &Path) -> Self {
        Self(self.0.replace("{data_dir}", &data_dir.to_string_lossy()))
    }

    /// With TLS to a server of this authority.
    pub(super) fn trusting(self, ca_file: Option<&Path>) -> Self {
        match ca_file {
            Some(ca_file) if self.sqlite_path().is_none() => {
                Self(boxoffice_persistence::with_ca_file(&self.0, ca_file))
            }
            _ => self,
        }
    }

    /// The URL with its password, for connecting.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The file of an embedded database.
    pub(crate) fn sqlite_path(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("sqlite:")?;
        Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
    }
}

/// Whether there is a name after the user, the password and the host.
fn names_database(server: &str) -> bool {
    let host = server.rsplit('@').next().unwrap_or_default();
    host.split_once('/').is_some_and(|(_, name)| !name.is_empty())
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.0.split_once("://").and_then(|(scheme, rest)| {
            let (user, host) = rest.rsplit_once('@')?;
            let (user, _password) = user.split_once(':')?;
            Some(format!("{scheme}://{user}:…@{host}"))
        });
        f.write_str(secret.as_deref().unwrap_or(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Where the queues are. Showing it leaves out the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitingRoomUrl {
    /// In this process.
    Memory,
    /// In Redis, for any number of processes.
    Redis(RedisUrl),
}

impl fmt::Display for WaitingRoomUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

impl WaitingRoomUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        // A message does not repeat the text, which may contain a password.
        match text.split_once(':') {
            Some((scheme, _)) if scheme.starts_with("redis") => RedisUrl::parse(text).map(Self::Redis),
            _ => Err("must be `memory:` or a URL that begins with `redis`".to_owned()),
        }
    }
}

/// Where events go. Showing it leaves out the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventsUrl {
    /// To a broker.
    Amqp(AmqpUrl),
    /// Into a stream of Redis.
    Redis(RedisUrl),
}

impl fmt::Display for EventsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Amqp(url) => url.fmt(f),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

impl EventsUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // A message does not repeat the text, which may contain a password.
        match text.split_once(':') {
            Some((scheme, _)) if scheme.starts_with("redis") => RedisUrl::parse(text).map(Self::Redis),
            Some((scheme, _)) if scheme.starts_with("amqp") => AmqpUrl::parse(text).map(Self::Amqp),
            _ => Err("must be a URL that begins with `amqp` or `redis`".to_owned()),
        }
    }
}

/// The address of a collector of traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CollectorUrl(String);

impl CollectorUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // A message does not repeat the text, which may contain a secret.
        let url: Uri = text.parse().map_err(|error| format!("must be a URL: {error}"))?;
        match (url.scheme_str(), url.authority()) {
            (_, Some(authority)) if authority.as_str().contains('@') => {
                Err("must be without a password: `OTEL_EXPORTER_OTLP_HEADERS` is for that".to_owned())
            }
            (Some("http"), Some(_)) => Ok(Self(text.to_owned())),
            _ => Err("must begin with `http://`".to_owned()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::of_variables;
    use super::*;

    #[test]
    fn the_password_in_a_url_is_never_shown() {
        let database = "mysql://seller:hun@ter2@db.example:3306/boxoffice";
        let waiting_room = "redis://seller:hunter2@h:6379/1";
        let settings =
            of_variables(&[("BOXOFFICE_DATABASE", database), ("BOXOFFICE_WAITING_ROOM", waiting_room)]).unwrap();
        let shown = format!("{settings:?} {}", settings.database_url());
        assert!(!shown.contains("hun") && !shown.contains("ter2"), "{shown}");
        assert_eq!(settings.database_url().to_string(), "mysql://seller:…@db.example:3306/boxoffice");
        assert_eq!(settings.database_url().expose(), database);
        for (variable, wrong) in [
            ("BOXOFFICE_DATABASE", "mysql://seller:hunter2@db.example"),
            ("BOXOFFICE_DATABASE", "mysql:seller:hunter2@db.example/boxoffice"),
            ("BOXOFFICE_EVENTS", "amqp://u:hunter2@h:99999"),
            ("BOXOFFICE_EVENTS", "amqp2://u:hunter2@h"),
            ("BOXOFFICE_EVENTS", "redis://:hunter2@h/x"),
            ("BOXOFFICE_EVENTS", "kafka://:hunter2@h"),
            ("BOXOFFICE_WAITING_ROOM", "redis:hunter2@h"),
            ("BOXOFFICE_WAITING_ROOM", "redis://:hunter2@h/x"),
            ("BOXOFFICE_WAITING_ROOM", "redis-ring://:hunter2@h"),
            ("BOXOFFICE_WAITING_ROOM", "rediss-sentinel://:hunter2@h"),
        ] {
            let refusal = of_variables(&[(variable, wrong)]).unwrap_err().to_string();
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn a_database_in_a_file_is_found_in_its_url() {
        let path = |url: &str| DatabaseUrl::parse(url).unwrap().sqlite_path().map(Path::to_owned);
        assert_eq!(path("sqlite:///var/lib/b.db"), Some("/var/lib/b.db".into()));
        assert_eq!(path("sqlite://b.db"), Some("b.db".into()));
        assert_eq!(path("sqlite:b.db"), Some("b.db".into()));
        assert_eq!(path("mysql://u@h/d"), None);
        assert!(DatabaseUrl::parse("sqlite:").is_err() && DatabaseUrl::parse("sqlite::memory:").is_err());
    }

    #[test]
    fn the_authority_of_a_database_server_goes_with_its_url() {
        let ca_file = ("BOXOFFICE_DATABASE_CA_FILE", "/etc/boxoffice/our authority&1.pem");
        let of = |database| of_variables(&[ca_file, ("BOXOFFICE_DATABASE", database)]);
        let settings = of("mysql://seller:hunter2@h/d?pool_min=1").unwrap();
        let shown = "mysql://seller:…@h/d?pool_min=1&ca_file=%2Fetc%2Fboxoffice%2Four+authority%261.pem";
        assert_eq!(settings.database_url().to_string(), shown);
        let refusal = of("sqlite://b.db").unwrap_err().to_string();
        assert_eq!(refusal, "`database_ca_file` is for a database server, and `database` is a file");
    }

    #[test]
    fn a_collector_is_reached_by_http() {
        let url = "http://127.0.0.1:4318/v1/traces";
        assert_eq!(CollectorUrl::parse(url).unwrap().as_str(), url);
        for wrong in [
            "grpc://h:4317",
            "127.0.0.1:4318",
            "/v1/traces",
            "http://",
            "https://h/v1/traces",
            "http://u:hunter2@h/v1/traces",
        ] {
            let refusal = CollectorUrl::parse(wrong).unwrap_err();
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn events_go_where_the_url_says() {
        let amqp = EventsUrl::parse("amqp://u:hunter2@h/shop").unwrap();
        assert_eq!(amqp.to_string(), "amqp://h:5672/shop");
        let redis = EventsUrl::parse("redis://h:6379/1").unwrap();
        assert!(matches!(redis, EventsUrl::Redis(_)) && redis.to_string() == "redis://h:6379/1");
    }

    #[test]
    fn the_queues_are_where_the_url_says() {
        assert_eq!(WaitingRoomUrl::parse("memory:"), Ok(WaitingRoomUrl::Memory));
        for url in ["redis://h:1", "rediss://h", "redis-cluster://a:1,b:2", "redis-sentinel://a,b/main"] {
            let parsed = WaitingRoomUrl::parse(url);
            assert!(matches!(parsed, Ok(WaitingRoomUrl::Redis(shown)) if shown.to_string() == url), "{url}");
        }
    }
}
