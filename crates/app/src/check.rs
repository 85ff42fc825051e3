//! `boxoffice check`: whether a server could serve with these settings. Changes nothing.

use std::{fmt::Display, sync::Arc};

use boxoffice_domain::{Clock, Timestamp, rfc3339};
use boxoffice_peers::Alone;
use chrono::TimeDelta;

use crate::{
    adapters::{Keys, SystemClock, keys::Key},
    exit::Exit,
    output, routes,
    settings::{Gateway, Settings},
    tls::Tls,
    wiring::{self, Adapters},
    workers::WARNED_FROM,
};

/// From which age on keys should be rotated.
const KEYS_OLD: TimeDelta = TimeDelta::days(92);

/// How it stands with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, and the operator should know.
    Warn,
    /// A server would not serve.
    Wrong,
}

/// What was found, a line each.
#[derive(Debug, Default)]
struct Findings {
    is_wrong: bool,
}

impl Findings {
    fn say(&mut self, verdict: Verdict, part: &str, found: impl Display) -> anyhow::Result<()> {
        self.is_wrong |= verdict == Verdict::Wrong;
        let word = match verdict {
            Verdict::Good => "ok",
            Verdict::Warn => "warning",
            Verdict::Wrong => "wrong",
        };
        Ok(output::print_line(&format!("{word:<8} {part}: {found}"))?)
    }

    fn wrong(&mut self, part: &str, error: &anyhow::Error) -> anyhow::Result<()> {
        // With its causes.
        self.say(Verdict::Wrong, part, format_args!("{error:#}"))
    }
}

/// Looks at every part, and prints what it found. Exits with 1 if a server would not serve.
pub(crate) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let mut findings = Findings::default();
    findings.say(Verdict::Good, "settings", "can be read")?;
    check_database(settings, &mut findings).await?;
    check_queues(settings, &mut findings).await?;
    check_keys(settings, &mut findings)?;
    check_files(settings, &mut findings)?;
    match settings.gateway {
        Gateway::None => findings.say(Verdict::Warn, "gateway", "none is set: charging points is refused")?,
        Gateway::Stripe => match wiring::check_stripe(settings) {
            Ok(()) if settings.stripe_webhook_secret_file.is_none() => {
                findings.say(
                    Verdict::Warn,
                    "gateway",
                    "Stripe; its events are refused without `stripe_webhook_secret_file`",
                )?;
            }
            Ok(()) => findings.say(Verdict::Good, "gateway", "Stripe")?,
            Err(error) => findings.wrong("gateway", &error)?,
        },
        Gateway::Simulator => findings.say(Verdict::Warn, "gateway", "it is a simulator: points cost nothing")?,
    }
    match wiring::check_mail(settings) {
        Ok(Some(way)) if settings.public_url.is_none() => {
            let found = format!("{way}; without `public_url` it has no links");
            findings.say(Verdict::Warn, "mail", found)?;
        }
        Ok(Some(way)) => findings.say(Verdict::Good, "mail", way)?,
        Ok(None) => findings.say(Verdict::Good, "mail", "none is sent")?,
        Err(error) => findings.wrong("mail", &error)?,
    }
    Ok(if findings.is_wrong { Exit::Refused } else { Exit::Success })
}

async fn check_database(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let url = settings.database_url();
    if let Some(path) = url.sqlite_path().filter(|path| !path.exists()) {
        let found = format!("there is no database at {}; the first start makes it", path.display());
        return findings.say(Verdict::Warn, "database", found);
    }
    let found = match boxoffice_persistence::inspect(url.expose()).await {
        Ok(found) => found,
        Err(error) => return findings.wrong("database", &anyhow::Error::new(error).context(url.to_string())),
    };
    let what = format!("{url}, {}", found.server);
    match &found.schema {
        None => {
            findings.say(
                Verdict::Warn,
                "database",
                format!("{what}; it is empty; the first start makes the schema"),
            )?;
        }
        Some(schema) if *schema < found.needed => {
            let needs = format!("{what}; its schema {schema} is behind this program, which needs {}", found.needed);
            findings.say(Verdict::Wrong, "database", format!("{needs}: run `boxoffice migrate`"))?;
        }
        Some(schema) if *schema > found.needed => {
            findings.say(Verdict::Good, "database", format!("{what}, schema {schema}, of a later version"))?;
        }
        Some(schema) => findings.say(Verdict::Good, "database", format!("{what}, schema {schema}"))?,
    }
    if !found.may_see_locks {
        let found = "has no privilege PROCESS: transactions of instances that stand still are not ended";
        findings.say(Verdict::Warn, "database user", found)?;
    }
    check_clock(settings, findings).await
}

async fn check_clock(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let adapters = match Adapters::connect(settings).await {
        Ok(adapters) => adapters,
        Err(error) => return findings.wrong("database", &error),
    };
    let compared = adapters.clock_watch(settings, Arc::new(Alone)).compare().await;
    let trusted = adapters.system_clock.is_trusted();
    adapters.database.shutdown().await;
    let ahead = match compared {
        Ok(Some(ahead)) => ahead,
        Ok(None) => return findings.say(Verdict::Good, "clock", "is that of the database, which is on this machine"),
        Err(error) => return findings.wrong("clock", &error),
    };
    let verdict = match ahead.abs() {
        _ if !trusted => Verdict::Wrong,
        off if off >= WARNED_FROM => Verdict::Warn,
        _ => Verdict::Good,
    };
    let milliseconds = (-ahead).num_milliseconds();
    let max = settings.clock_skew_max_milliseconds;
    findings.say(
        verdict,
        "clock",
        format!("{milliseconds} ms ahead of that of the database; at most {max} are allowed"),
    )
}

async fn check_queues(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let Some(link) = wiring::redis_link(settings) else {
        let verdict = if settings.database_url().sqlite_path().is_some() { Verdict::Good } else { Verdict::Warn };
        return findings.say(verdict, "queues", "are in the memory of the server, which has to be the only one");
    };
    let place = settings.waiting_room.to_string();
    if tokio::time::timeout(link.connect_timeout(), link.up()).await.is_err() {
        return findings.say(Verdict::Wrong, "queues", format!("{place} cannot be connected to"));
    }
    let found = match link.inspect().await {
        Ok(found) => found,
        Err(error) => return findings.wrong("queues", &anyhow::Error::new(error).context(place)),
    };
    let version = found.version.as_deref().unwrap_or("of unknown version");
    findings.say(Verdict::Good, "queues", format!("{place}, Redis {version}"))?;
    if let Some(policy) = found.maxmemory_policy.filter(|policy| policy != "noeviction") {
        let found = format!("maxmemory-policy is {policy}: an evicted queue loses its buyers; set noeviction");
        findings.say(Verdict::Warn, "queues", found)?;
    }
    if found.appends == Some(false) {
        findings.say(Verdict::Warn, "queues", "appendonly is off: a restarted Redis is empty, and queues re-form")?;
    }
    Ok(())
}

fn check_keys(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    let path = wiring::keys_path(settings);
    let keys = match Keys::load_shared(&path) {
        Ok(keys) => keys,
        Err(_) if settings.keys_file.is_none() && !path.exists() => {
            let found = format!("there are none at {}; the first start makes them", path.display());
            return findings.say(Verdict::Warn, "keys", found);
        }
        Err(error) => return findings.wrong("keys", &error),
    };
    let now = SystemClock::default().now();
    for (name, list) in [("access_tokens", &keys.access_tokens), ("queue_tokens", &keys.queue_tokens)] {
        let signing = list.iter().find(|key| key.signs).and_then(Key::made_at);
        let (verdict, age) = match signing {
            Some(made_at) if now - made_at > KEYS_OLD => (Verdict::Warn, age_of(made_at, now)),
            Some(made_at) => (Verdict::Good, age_of(made_at, now)),
            None => (Verdict::Good, "of unknown age".to_owned()),
        };
        let count = list.len();
        findings.say(verdict, "keys", format!("{name} of {}: {count}, the one that signs {age}", path.display()))?;
    }
    Ok(())
}

fn age_of(made_at: Timestamp, now: Timestamp) -> String {
    format!("made {}, {} days ago", rfc3339(made_at), (now - made_at).num_days())
}

fn check_files(settings: &Settings, findings: &mut Findings) -> anyhow::Result<()> {
    match wiring::check_files(settings) {
        _ if !settings.data_dir.exists() => {
            let found = format!("there is none at {}; the first start makes it", settings.data_dir.display());
            findings.say(Verdict::Warn, "data folder", found)?;
        }
        Ok(()) => findings.say(Verdict::Good, "data folder", settings.data_dir.display())?,
        Err(error) => findings.wrong("data folder", &error)?,
    }
    match Tls::of(settings) {
        Ok(Some(_)) => findings.say(Verdict::Good, "certificate", "can be used")?,
        Ok(None) if settings.listen.is_loopback() || settings.trust_forwarded_for => {}
        Ok(None) => findings.say(Verdict::Warn, "certificate", "none: passwords come over the network without TLS")?,
        Err(error) => findings.wrong("certificate", &error)?,
    }
    if let Some(folder) = settings.pages_brand_dir.as_deref().filter(|_| settings.pages) {
        match routes::pages(settings) {
            Ok(_) => findings.say(Verdict::Good, "pages", format!("have the face of {}", folder.display()))?,
            Err(error) => findings.wrong("pages", &error)?,
        }
    }
    Ok(())
}
