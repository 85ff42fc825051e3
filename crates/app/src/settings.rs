//! What can be set, and where each value comes from.
//!
//! One list says everything about every setting: its key in the file, from which its variable and its flag
//! follow, its type, its default, what it accepts, and what it is for. The help of the command line and the
//! loading follow from it. A test compares it with `docs/configuration.md`.

mod urls;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use boxoffice_domain::catalog::{ACTIVE_MAX, SEATS_PER_ACCOUNT_MAX};
use toml::{Table, Value};
use tracing_subscriber::EnvFilter;

use crate::adapters::SimulatorMode;

pub(crate) use urls::{DatabaseUrl, WaitingRoomUrl};

/// What every variable of ours begins with.
pub(crate) const VARIABLE_PREFIX: &str = "BOXOFFICE_";
/// Variables of ours that are no settings: where the file is, and the password of `boxoffice account`.
const OTHER_VARIABLES: [&str; 2] = ["BOXOFFICE_CONFIG", "BOXOFFICE_PASSWORD"];
/// The most accounts that the demonstration makes.
const DEMO_BUYERS_MAX: u32 = 1_000_000;
const DAY_SECONDS: u32 = 86_400;
const YEAR_SECONDS: u32 = 366 * DAY_SECONDS;

/// What can be said of a setting without knowing its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its key in the file.
    pub(crate) key: &'static str,
    /// Its value where nothing sets it, as text.
    pub(crate) default: &'static str,
    /// What it is for.
    pub(crate) help: &'static str,
}

impl Setting {
    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_uppercase())
    }

    /// The flag that sets it, without the dashes before it.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether it is on or off; its flag alone then means on.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.default, "true" | "false")
    }
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty = $default:literal, $parse:expr;)*) => {
        /// Every setting, with the value it has in this process.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings {
            $($(#[doc = $help])+ pub(crate) $key: $type,)*
        }

        /// What there is to be set, in the order of the help.
        pub(crate) const SETTINGS: &[Setting] = &[
            $(Setting { key: stringify!($key), default: $default, help: concat!($($help),+) },)*
        ];

        impl Settings {
            /// Reads each setting, and names every one that is wrong.
            fn read(values: &Values, mut wrong: Vec<String>) -> Result<Self, SettingsError> {
                $(let $key: Option<$type> = read_one(values, stringify!($key), $parse, &mut wrong);)*
                let ($(Some($key),)*) = ($($key,)*) else {
                    return Err(SettingsError(wrong));
                };
                if wrong.is_empty() { Ok(Self { $($key,)* }) } else { Err(SettingsError(wrong)) }
            }
        }
    };
}

settings! {
    /// The address and port to serve on; port 0 takes any that is free
    listen: SocketAddr = "127.0.0.1:8080", address;
    /// The database: `sqlite://PATH` or `mysql://USER:PASSWORD@HOST:PORT/NAME`; `{data_dir}` stands for the
    /// data folder
    database: DatabaseUrl = "sqlite://{data_dir}/boxoffice.db", DatabaseUrl::parse;
    /// Where people wait in line: `memory:` keeps the lines in this process; several servers share those of
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`, `redis-cluster://HOST:PORT,HOST:PORT` or
    /// `redis-sentinel://HOST:PORT,HOST:PORT/NAME`, each with `rediss` for TLS
    waiting_room: WaitingRoomUrl = "memory:", WaitingRoomUrl::parse;
    /// The folder for the signing keys and the embedded database; it is made where it is missing
    data_dir: PathBuf = "./data", path;
    /// The file of the signing keys that all instances share; `boxoffice keys rotate` makes it. Without it, keys are
    /// made in the data folder
    keys_file: Option<PathBuf> = "", optional(path);
    /// Imports a small catalog whose sale is open and makes accounts with public passwords
    demo: bool = "false", switch;
    /// How many accounts the demonstration has for `make rush`, `buyer-00001` and so on
    demo_buyers: u32 = "20000", whole(0, DEMO_BUYERS_MAX);
    /// How log lines look: `human` or `json`
    log_format: LogFormat = "human", choice(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
    /// What is logged: a level, or directives such as `info,boxoffice_http=debug`
    log: String = "info", log_directives;
    /// Another address and port for /healthz, /readyz and /metrics; /metrics is then found only there
    metrics_listen: Option<SocketAddr> = "", optional(address);

    /// How long seats are held before they must be paid
    hold_seconds: u32 = "300", whole(1, DAY_SECONDS);
    /// How long an admission lasts, at least
    admission_seconds: u32 = "600", whole(1, DAY_SECONDS);
    /// How many accounts a concert admits at once where it does not say so itself
    max_active: u32 = "500", whole(1, ACTIVE_MAX);
    /// How many seats of a concert an account may have where the concert does not say so itself
    max_seats_per_account: u32 = "4", whole(1, SEATS_PER_ACCOUNT_MAX);
    /// How many seats one reservation may have
    seats_per_reservation: usize = "4", whole(1, 100);
    /// How many points one charge may add
    charge_points_max: i64 = "10000000", whole(1, 1_000_000_000_000);
    /// How many points charging may bring a wallet to
    balance_points_max: i64 = "1000000000000", whole(1, 1_000_000_000_000_000);
    /// How long somebody whose turn has come may stay away before being passed over
    no_show_seconds: u32 = "60", whole(3, DAY_SECONDS);
    /// How long nobody is admitted after a start, so that the lines of before can re-form
    reform_seconds: u32 = "5", whole(0, DAY_SECONDS);
    /// How many may wait in one line
    queue_capacity: usize = "1000000", whole(1, 100_000_000);
    /// How many lines there may be at once
    queue_lines_max: usize = "10000", whole(1, 1_000_000);
    /// The longest time between two polls that anybody in line is asked for; a third of `no_show_seconds` at
    /// most
    poll_seconds_max: u32 = "20", whole(1, 3_600);
    /// For how long from its joining a place in line outlives a restart of the server
    restorable_seconds: u32 = "86400", whole(0, YEAR_SECONDS);
    /// What the keys in Redis begin with; installations that share a Redis differ in it
    redis_prefix: String = "boxoffice", key_prefix;
    /// How long connecting to Redis may take
    redis_connect_milliseconds: u32 = "1000", whole(10, 60_000);
    /// How long a command to Redis may take
    redis_timeout_milliseconds: u32 = "500", whole(10, 60_000);
    /// How old what is known of a line in Redis may be where a poll is answered from it; 0 asks Redis each time
    redis_poll_milliseconds: u32 = "250", whole(0, 1_000);

    /// How long an access token is good
    access_token_seconds: u32 = "900", whole(1, DAY_SECONDS);
    /// How long a session lasts without being refreshed
    refresh_token_seconds: u32 = "2592000", whole(1, YEAR_SECONDS);
    /// How many sign-ups, sign-ins and refreshes a minute one client address may ask for; 0 for no limit, as the
    /// demonstration has it where nothing else is set
    account_requests_per_minute: u32 = "30", whole(0, 1_000_000);
    /// The memory that hashing one password takes, in KiB
    password_memory_kib: u32 = "19456", whole(8, 4_194_304);
    /// How often hashing a password goes over that memory
    password_iterations: u32 = "2", whole(1, 1_000);
    /// How many passwords are hashed at once; 0 for half of the processors
    hashing_parallel: usize = "0", whole(0, 1_024);
    /// How many passwords may wait to be hashed
    hashing_waiting_max: usize = "200", whole(0, 100_000);

    /// How long a request may take
    request_timeout_seconds: u32 = "30", whole(1, 3_600);
    /// How many connections there are at once; further ones wait
    connections_max: usize = "10000", whole(1, 1_000_000);
    /// How long a connection may be idle or take to send the head of a request
    connection_idle_seconds: u32 = "75", whole(1, 3_600);
    /// How many requests are worked on at once
    concurrent_requests_max: usize = "4096", whole(1, 1_000_000);
    /// How long what is read of the catalog is kept to be shown again; 0 keeps nothing
    cache_milliseconds: u32 = "250", whole(0, 500);
    /// The most bytes of a request's body
    body_bytes_max: usize = "65536", whole(1_024, 67_108_864);
    /// How many event streams of queues are open at once
    event_streams_max: usize = "1000", whole(0, 1_000_000);
    /// The origins whose pages may call the API from a browser, separated by commas
    cors_origins: Vec<String> = "", origins;
    /// Takes the client's address from the last `X-Forwarded-For`; right only behind a proxy that writes it
    trust_forwarded_for: bool = "false", switch;

    /// In how many lanes writes are grouped; over SQLite always in one
    write_lanes: usize = "2", whole(1, 64);
    /// How many commands one transaction takes at most
    write_batch_max: usize = "256", whole(1, 10_000);
    /// How many commands may wait in a lane; further ones are told to come later
    write_waiting_max: usize = "8192", whole(1, 1_000_000);
    /// How often a transaction is tried again after a lost connection; after a deadlock it is for five seconds
    write_retry_max: u32 = "6", whole(0, 100);
    /// How many connections to the database there are for reading; writing has a few of its own
    database_connections: u32 = "16", whole(1, 10_000);
    /// How long to wait for a connection to the database
    database_connect_seconds: u32 = "3", whole(1, 600);

    /// How often lapsed holds are tidied away; nothing depends on it
    sweep_seconds: u32 = "1", whole(1, 3_600);
    /// How long a charge may be pending before the payment gateway is asked again
    charge_retry_seconds: u32 = "10", whole(1, DAY_SECONDS);
    /// What the simulated payment gateway does: `approve`, `decline`, `time_out`, `answer_late` or `fail`
    gateway_mode: SimulatorMode = "approve", choice(GATEWAY_MODES);
    /// How long the simulated payment gateway takes to answer
    gateway_delay_milliseconds: u32 = "0", whole(0, 600_000);
    /// How long to wait for the payment gateway
    gateway_timeout_milliseconds: u32 = "5000", whole(1, 600_000);
    /// Lets the last digits of an amount say what the simulated payment gateway does: 402 declines, 502 fails,
    /// 504 answers late
    gateway_scripted_by_amount: bool = "false", switch;
    /// How long requests are still taken after the server was told to stop, while /readyz says no: as long as the
    /// load balancer needs to see it
    drain_seconds: u32 = "0", whole(0, 600);
    /// How long requests in flight have to end when the server is told to stop
    shutdown_seconds: u32 = "30", whole(0, 3_600);
}

/// What the demonstration sets where nothing else does: its thousands of buyers sign in from one address, with a
/// password that there is no guessing of.
const DEMO_DEFAULTS: [(&str, &str); 1] = [("account_requests_per_minute", "0")];

const GATEWAY_MODES: &[(&str, SimulatorMode)] = &[
    ("approve", SimulatorMode::Approve),
    ("decline", SimulatorMode::Decline),
    ("time_out", SimulatorMode::TimeOut),
    ("answer_late", SimulatorMode::AnswerLate),
    ("fail", SimulatorMode::Fail),
];

/// Where settings come from; a later one wins over an earlier one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// The file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// Every variable whose name begins with `BOXOFFICE_`, with its value.
    pub(crate) variables: Vec<(String, String)>,
    /// The flags that were given, by key.
    pub(crate) flags: Vec<(&'static str, String)>,
}

/// Every setting that is wrong, in words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SettingsError(pub(crate) Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// The settings of this process.
    pub(crate) fn load(layers: &Layers) -> Result<Self, SettingsError> {
        let mut wrong = Vec::new();
        let mut values = Values::default();
        for Setting { key, default, .. } in SETTINGS {
            values.set(key, *default, DEFAULT);
        }
        if let Some(path) = &layers.file {
            let source = format!("the file {}", path.display());
            for (key, value) in read_file(path).map_err(|error| SettingsError(vec![error]))? {
                match SETTINGS.iter().find(|setting| setting.key == key) {
                    Some(setting) => values.set(setting.key, value, &source),
                    None => wrong.push(format!("`{key}` is no setting (in {source})")),
                }
            }
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            // An empty variable is one that a compose file or a shell has not filled in.
            let given = layers.variables.iter().find(|(name, value)| *name == variable && !value.is_empty());
            if let Some((_, value)) = given {
                values.set(setting.key, value.as_str(), &format!("the variable {variable}"));
            }
            if let Some((_, value)) = layers.flags.iter().find(|(key, _)| *key == setting.key) {
                values.set(setting.key, value.as_str(), &format!("the flag --{}", setting.flag()));
            }
        }
        if values.text("demo").is_ok_and(|text| text.trim() == "true") {
            for (key, value) in DEMO_DEFAULTS {
                values.set_default(key, value);
            }
        }
        Self::read(&values, wrong)
    }

    /// The URL of the database, with the data folder put in.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        self.database.within(&self.data_dir)
    }
}

/// The variables that look like settings and are none: misspelt, or of an environment that makes variables for
/// a service of our name. So they are worth a warning, and not a refusal.
pub(crate) fn unknown_variables(variables: &[(String, String)]) -> Vec<&str> {
    let names = variables.iter().map(|(name, _)| name.as_str());
    let known = |name: &str| SETTINGS.iter().any(|setting| setting.variable() == name);
    names.filter(|name| !OTHER_VARIABLES.contains(name) && !known(name)).collect()
}

/// The value of each setting, with the source that has set it.
#[derive(Default)]
struct Values(HashMap<&'static str, (Value, String)>);

const DEFAULT: &str = "its default";

impl Values {
    /// Sets a value, in the place of that of an earlier source.
    fn set(&mut self, key: &'static str, value: impl Into<Value>, source: &str) {
        self.0.insert(key, (value.into(), source.to_owned()));
    }

    /// Sets another default.
    fn set_default(&mut self, key: &'static str, value: &str) {
        if self.0.get(key).is_none_or(|(_, source)| source == DEFAULT) {
            self.set(key, value, "the demonstration");
        }
    }

    fn text(&self, key: &str) -> Result<String, String> {
        self.0.get(key).map_or_else(|| Err("is no setting".to_owned()), |(value, _)| text_of(value))
    }
}

fn read_file(path: &Path) -> Result<Table, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let table = text.parse::<Table>();
    table.map_err(|error| format!("{shown} is not a TOML file: {}", without_source_lines(&error.to_string())))
}

/// The error without the lines of the file that it quotes: there may be a password in them.
fn without_source_lines(error: &str) -> String {
    let quotes =
        |line: &str| line.trim_start().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start().starts_with('|');
    error.lines().filter(|line| !quotes(line)).collect::<Vec<_>>().join(": ")
}

/// One setting.
fn read_one<T>(
    values: &Values,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    wrong: &mut Vec<String>,
) -> Option<T> {
    match values.text(key).and_then(|text| parse(text.trim())) {
        Ok(value) => Some(value),
        Err(what) => {
            let source = values.0.get(key).map_or("unknown", |(_, source)| source);
            wrong.push(format!("`{key}` {what} (set by {source})"));
            None
        }
    }
}

/// A value of the file as a variable would have it.
fn text_of(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Boolean(on) => Ok(on.to_string()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(_) => Err("must not be a fraction".to_owned()),
        Value::Array(values) => Ok(values.iter().map(text_of).collect::<Result<Vec<_>, _>>()?.join(",")),
        Value::Datetime(_) | Value::Table(_) => Err("must be one value".to_owned()),
    }
}

fn whole<T: FromStr + PartialOrd + fmt::Display>(min: T, max: T) -> impl Fn(&str) -> Result<T, String> {
    move |text| match text.parse() {
        Ok(number) if min <= number && number <= max => Ok(number),
        _ => Err(format!("must be a whole number from {min} to {max}, not `{text}`")),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("must be `true` or `false`, not `{text}`"))
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("must be an address and a port such as 127.0.0.1:8080, not `{text}`"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.into()) }
}

fn optional<T>(parse: impl Fn(&str) -> Result<T, String>) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

fn choice<T: Copy>(choices: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let names = || choices.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let chosen = choices.iter().find(|(name, _)| *name == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| format!("must be one of {}, not `{text}`", names()))
    }
}

fn log_directives(text: &str) -> Result<String, String> {
    let checked = EnvFilter::try_new(text).map_err(|error| format!("cannot be used: {error}, in `{text}`"))?;
    drop(checked);
    Ok(text.to_owned())
}

/// A browser names an origin by scheme, host and port alone; anything else would never be equal to one.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let given = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    let check = |origin: &str| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let plain =
            |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
        if host.is_some_and(plain) {
            Ok(origin.to_owned())
        } else {
            Err(format!("must be origins such as https://tickets.example.org, not `{origin}`"))
        }
    };
    given.map(check).collect()
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// A part of keys in Redis; braces in it would scatter those of a line over a cluster.
fn key_prefix(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to 64 letters, digits or `-_.:`, not `{text}`"))
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
