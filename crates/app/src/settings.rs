//! Settings: one list says everything about each.
//!
//! The list in this file has the key of a setting (from which its variable and its flag follow), its type, its default,
//! the values that it accepts, and its help. A test compares the list with `docs/configuration.md`.

mod listen_address;
mod load;
mod parse;
mod secrets;
mod urls;

use std::{num::NonZeroU32, path::PathBuf};

use boxoffice_domain::{
    Points, SellingRules,
    catalog::{ACTIVE_MAX, SEATS_PER_ACCOUNT_MAX},
    seats::SEATS_PER_RESERVATION_MAX,
};

use boxoffice_domain::mail::MailLanguage;
use boxoffice_mail::{MailRoute, Sender};
use url::Url;

use crate::adapters::SimulatorMode;
use parse::{
    choice, key_prefix, log_directives, of_text, optional, origins, path, points, positive, ratio, shop_name, switch,
    url, whole,
};

pub(crate) use listen_address::ListenAddress;
pub(crate) use load::{Layers, SettingsError, VARIABLE_PREFIX, unknown_variables};
pub(crate) use secrets::{SECRET_FILES, read_secret};
pub(crate) use urls::{CollectorUrl, DatabaseUrl, EventsUrl, WaitingRoomUrl};

const DEMO_BUYERS_MAX: u32 = 1_000_000;
const DAY_SECONDS: u32 = 86_400;
const YEAR_SECONDS: u32 = 366 * DAY_SECONDS;
/// A hundred years: for ever.
const KEPT_DAYS_MAX: u32 = 36_525;

/// A setting, apart from its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// The value unless a source sets another, as text.
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

impl Setting {
    pub(crate) fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_uppercase())
    }

    /// The flag that sets it, without its dashes.
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    /// Whether it is `true` or `false`; its flag alone then means `true`.
    pub(crate) fn is_switch(&self) -> bool {
        matches!(self.default, "true" | "false")
    }
}

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $key:ident: $type:ty = $default:literal, $parse:expr;)*) => {
        /// Every setting, with the value that it has in this process.
        #[derive(Clone, Debug)]
        pub(crate) struct Settings {
            $($(#[doc = $help])+ pub(crate) $key: $type,)*
        }

        /// All settings, in the order of the help.
        pub(crate) const SETTINGS: &[Setting] = &[
            $(Setting { key: stringify!($key), default: $default, help: concat!($($help),+).trim_ascii() },)*
        ];

        impl Settings {
            /// The keys of the settings that have other values there.
            pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $(if format!("{:?}", self.$key) != format!("{:?}", other.$key) {
                    keys.push(stringify!($key));
                })*
                keys
            }

            /// Reads each setting, and names every one that is wrong.
            fn read(values: &load::Values, mut wrong: Vec<String>) -> Result<Self, SettingsError> {
                $(let $key: Option<$type> = values.read(stringify!($key), $parse, &mut wrong);)*
                let ($(Some($key),)*) = ($($key,)*) else {
                    return Err(SettingsError(wrong));
                };
                if wrong.is_empty() { Ok(Self { $($key,)* }) } else { Err(SettingsError(wrong)) }
            }
        }
    };
}

settings! {
    /// Host (an address or a name) and port to serve on; port 0 takes any free port
    listen: ListenAddress = "127.0.0.1:8080", ListenAddress::parse;
    /// File with the certificate of the server, and those between it and the authority, for TLS without a proxy; read again
    /// when it changes
    tls_certificate_file: Option<PathBuf> = "", optional(path);
    /// File with the key of that certificate
    tls_key_file: Option<PathBuf> = "", optional(path);
    /// `sqlite://PATH` or `mysql://USER:PASSWORD@HOST:PORT/NAME`; `{data_dir}` stands for the data folder
    database: DatabaseUrl = "sqlite://{data_dir}/boxoffice.db", DatabaseUrl::parse;
    /// File with the certificate of the authority of the database server; with it all connections use TLS, and the server has
    /// to show a certificate of this authority for its name
    database_ca_file: Option<PathBuf> = "", optional(path);
    /// Where the queues are: `memory:` is this process; several instances share those in
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`, `redis-cluster://HOST:PORT,HOST:PORT` or
    /// `redis-sentinel://HOST:PORT,HOST:PORT/NAME` (`rediss…` for TLS)
    waiting_room: WaitingRoomUrl = "memory:", WaitingRoomUrl::parse;
    /// Folder for the signing keys and the embedded database; made if it is missing
    data_dir: PathBuf = "./data", path;
    /// File of the signing keys that all instances share, made by `boxoffice keys rotate`; without it, keys are made in
    /// the data folder
    keys_file: Option<PathBuf> = "", optional(path);
    /// Imports a small catalog and makes accounts with public passwords
    demo: bool = "false", switch;
    /// Allows `demo` on an address that other machines reach, or over a database server
    demo_anywhere: bool = "false", switch;
    /// Number of demo accounts for `make rush`: `buyer-00001` and so on
    demo_buyers: u32 = "20000", whole(0, DEMO_BUYERS_MAX);
    /// Format of log lines: `human` or `json`
    log_format: LogFormat = "human", choice(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
    /// What is logged: a level, or directives such as `info,boxoffice_http=debug`
    log: String = "info", log_directives;
    /// Another host and port for `/metrics`, `/healthz` and `/readyz`; `/metrics` is then only there, otherwise it answers
    /// to this machine alone
    metrics_listen: Option<ListenAddress> = "", optional(ListenAddress::parse);
    /// Collector to which traces of requests are sent by OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`; without
    /// it none are made
    traces_endpoint: Option<CollectorUrl> = "", optional(CollectorUrl::parse);
    /// Of which part of all requests a trace is made, from `0` to `1`
    traces_ratio: f64 = "0.01", ratio;

    /// How long seats are held before they must be paid
    hold_seconds: NonZeroU32 = "300", positive(DAY_SECONDS);
    /// How many holds of a concert an account may let end unpaid; then it waits 1, 2, 4 … minutes after each further one
    unpaid_holds_free: u32 = "3", whole(0, 1_000_000_000);
    /// How long an admission lasts, at least
    admission_seconds: u32 = "600", whole(1, DAY_SECONDS);
    /// How many accounts a concert admits at once, unless the concert sets another number
    max_active: NonZeroU32 = "500", positive(ACTIVE_MAX);
    /// How many seats of a concert an account may have, unless the concert sets another number
    max_seats_per_account: NonZeroU32 = "4", positive(SEATS_PER_ACCOUNT_MAX);
    /// How many seats a reservation may have
    seats_per_reservation: NonZeroU32 = "4", positive(SEATS_PER_RESERVATION_MAX);
    /// How many points one charge may add
    charge_points_max: Points = "10000000", points(1_000_000_000_000);
    /// Highest balance that a charge may bring a wallet to
    balance_points_max: Points = "1000000000000", points(1_000_000_000_000_000);
    /// How long an admitted account without held seats may be absent before it is passed over
    no_show_seconds: u32 = "60", whole(3, DAY_SECONDS);
    /// How long an admission without held seats may go unused before it passes to the next account; 0 for no limit
    idle_admission_seconds: u32 = "120", whole(0, DAY_SECONDS);
    /// How old an account has to be to join a queue; 0 for any age
    account_age_minutes: u32 = "0", whole(0, YEAR_SECONDS / 60);
    /// How many accounts may join a queue from one network (IPv4 /24, IPv6 /48) within an hour; 0 for any number
    queue_joins_per_network: u32 = "0", whole(0, 1_000_000);
    /// How long no account is admitted after a start, so that queues can re-form
    reform_seconds: u32 = "5", whole(0, DAY_SECONDS);
    /// How many accounts may wait in one queue
    queue_capacity: usize = "1000000", whole(1, 100_000_000);
    /// How many queues there may be at once
    queue_lines_max: usize = "10000", whole(1, 1_000_000);
    /// Longest time between two polls; at most a third of `no_show_seconds`
    poll_seconds_max: u32 = "20", whole(1, 3_600);
    /// How long after joining a position survives a restart
    restorable_seconds: u32 = "86400", whole(0, YEAR_SECONDS);
    /// Prefix of the keys in Redis; installations that share a Redis need different ones
    redis_prefix: String = "boxoffice", key_prefix;
    /// How long connecting to Redis may take
    redis_connect_milliseconds: u32 = "1000", whole(10, 60_000);
    /// How long a command to Redis may take
    redis_timeout_milliseconds: u32 = "500", whole(10, 60_000);
    /// Greatest age of the queue's state that a poll is answered from; 0 asks Redis each time
    redis_poll_milliseconds: u32 = "250", whole(0, 1_000);

    /// How long an access token is valid
    access_token_seconds: u32 = "900", whole(1, DAY_SECONDS);
    /// How long a session lasts without a refresh
    refresh_token_seconds: u32 = "2592000", whole(1, YEAR_SECONDS);
    /// How long a refresh token that was exchanged gives the same pair again; used later, it ends the session
    refresh_grace_seconds: u32 = "20", whole(0, 3_600);
    /// After how many days a session ends, however often it is refreshed
    session_days_max: u32 = "90", whole(1, 3_660);
    /// How many sessions an account may have at once; one more ends the oldest
    sessions_per_account: u32 = "20", whole(1, 10_000);
    /// Whether promoters and admins need a second factor: `optional`, or `required`, with which those without one can only
    /// set it up
    staff_second_factor: StaffSecondFactor = "optional", choice(STAFF_SECOND_FACTOR);
    /// Sign-ups and sign-ins of one client address (IPv6: a /48); 0 for no limit, which is the default with `--demo`
    account_requests_per_minute: u32 = "30", whole(0, 1_000_000);
    /// How many wrong passwords in a row, for one login id, cost nothing; each further attempt has to wait 1, 2, 4 … seconds
    /// after the one before
    wrong_passwords_free: u32 = "5", whole(1, 1_000_000);
    /// The longest of these waits; 0 for none
    wrong_password_wait_seconds_max: u32 = "10", whole(0, 900);
    /// Refreshes of one session; 0 for no limit
    session_refreshes_per_minute: u32 = "30", whole(0, 1_000_000);
    /// Memory for hashing one password (Argon2id)
    password_memory_kib: u32 = "19456", whole(8, 4_194_304);
    /// Passes over that memory
    password_iterations: u32 = "2", whole(1, 1_000);
    /// How many passwords are hashed at once; 0 for half of the processors
    hashing_parallel: usize = "0", whole(0, 1_024);
    /// How many passwords may wait to be hashed; networks (IPv4 /24, IPv6 /48) take turns
    hashing_waiting_max: usize = "200", whole(0, 100_000);

    /// How long a request may take
    request_timeout_seconds: u32 = "30", whole(1, 3_600);
    /// How many connections there are at once; further ones wait
    connections_max: usize = "10000", whole(1, 1_000_000);
    /// How many connections one address (IPv6: a /64) has at once; further ones are closed; 0 for any number, which is the
    /// default with `--demo`; not counted with `trust_forwarded_for`, where the proxy has to do it
    connections_per_address: u32 = "256", whole(0, 1_000_000);
    /// How long a connection may be idle
    connection_idle_seconds: u32 = "75", whole(1, 3_600);
    /// How long a client may take to send the first KiB of a head or a body, after which it has to send 1 KiB a second;
    /// twice as long for taking a response
    slow_client_seconds: u32 = "5", whole(1, 3_600);
    /// How many requests are served at once; further ones get a 503; a request with a body counts when that has come
    concurrent_requests_max: usize = "4096", whole(1, 1_000_000);
    /// How many requests of one account are served at once; 0 for any number
    account_requests_in_flight: u32 = "32", whole(0, 1_000_000);
    /// How many requests that change something one account may send a second, counted by each instance; 0 for any number
    account_acts_per_second: u32 = "20", whole(0, 1_000_000);
    /// How many of them it may send at once
    account_acts_burst: u32 = "40", whole(1, 1_000_000);
    /// How long cached catalog responses are shown, at most 500; 0 turns the caches off
    cache_milliseconds: u32 = "250", whole(0, 500);
    /// Longest body of a request, except where a route promises to take more
    body_bytes_max: usize = "65536", whole(1_024, 67_108_864);
    /// How much memory all bodies together may take, beyond 8 KiB each; further ones get a 503; the longest, a venue, takes
    /// 134217728
    bodies_bytes_max: usize = "268435456", whole(1_048_576, 1_099_511_627_776);
    /// How many queue streams may be open at once
    event_streams_max: usize = "1000", whole(0, 1_000_000);
    /// How many of them one account may have; 0 for any number
    event_streams_per_account: u32 = "3", whole(0, 1_000_000);
    /// How many of them one network (IPv4 /24, IPv6 /48) may have; 0 for any number, which is the default with `--demo`
    event_streams_per_network: u32 = "100", whole(0, 1_000_000);
    /// Serves `/docs` and `/openapi.json`
    docs: bool = "true", switch;
    /// Serves the pages of the shop at `/`
    pages: bool = "true", switch;
    /// Folder with another face of the pages: `brand.css`, `logo.svg`, `icons.svg` and `texts.json`, each if it is there
    pages_brand_dir: Option<PathBuf> = "", optional(path);
    /// Origins whose pages may call the API, separated by commas
    cors_origins: Vec<String> = "", origins;
    /// Takes the client's address from the last `X-Forwarded-For` entry; only behind a proxy that writes it
    trust_forwarded_for: bool = "false", switch;

    /// Number of write lanes; always one over SQLite
    write_lanes: usize = "2", whole(1, 64);
    /// How many commands a batch has at most
    write_batch_max: usize = "256", whole(1, 10_000);
    /// How many commands may wait in a write lane; further ones get a 503
    write_waiting_max: usize = "8192", whole(1, 1_000_000);
    /// How often a transaction is retried after a lost connection
    write_retry_max: u32 = "6", whole(0, 100);
    /// Number of connections for reading
    database_connections: u32 = "16", whole(1, 10_000);
    /// How long to wait for a connection
    database_connect_seconds: u32 = "3", whole(1, 600);
    /// How far the clock of this machine may be from that of the database; further off, the server is not ready and writes
    /// nothing
    clock_skew_max_milliseconds: u32 = "2000", whole(100, 3_600_000);

    /// How often lapsed holds are marked as expired; no rule depends on it
    sweep_seconds: u32 = "1", whole(1, 3_600);
    /// How many days ended sessions are kept
    ended_session_days: u32 = "30", whole(1, KEPT_DAYS_MAX);
    /// How many days reservations are kept that were never paid, from the end of the hold on; at least until the performance
    lapsed_days: u32 = "90", whole(1, KEPT_DAYS_MAX);
    /// How many days events are kept
    outbox_days: u32 = "30", whole(1, KEPT_DAYS_MAX);
    /// How many days events are kept that a reader of them, such as the broker, has not had yet; at least `outbox_days`
    outbox_unread_days: u32 = "90", whole(1, KEPT_DAYS_MAX);
    /// Where events go: a broker at `amqp://USER:PASSWORD@HOST:PORT/VHOST` (`amqps` for TLS), or a stream of Redis at a URL
    /// like those of `waiting_room`; nowhere without it
    events: Option<EventsUrl> = "", optional(EventsUrl::parse);
    /// Name of the exchange at the broker, or of the stream
    events_name: String = "boxoffice", key_prefix;
    /// Keeps events for which no queue is bound at the broker, and all that follow, until there is one; otherwise they are
    /// gone, and counted
    events_require_queue: bool = "false", switch;
    /// About how many entries the stream of Redis has at most; older ones are removed
    events_stream_entries_max: u64 = "1000000", whole(1_000, 1_000_000_000);
    /// File with the certificate of an authority of the broker, beside those that the system trusts
    events_ca_file: Option<PathBuf> = "", optional(path);
    /// How many days it is kept what became of each event that was sent to a webhook; longer than it is tried
    webhook_delivery_days: u32 = "30", whole(5, KEPT_DAYS_MAX);
    /// Lets webhooks lead to private, local and special addresses; only where every promoter may reach what is there
    webhooks_private_addresses: bool = "false", switch;
    /// How long a charge may be pending before the gateway is asked again
    charge_retry_seconds: u32 = "10", whole(1, DAY_SECONDS);
    /// How long a charge may be without a verdict; then the server gives it up, and it ends as the gateway says
    charge_pending_hours: u32 = "24", whole(1, 8_784);
    /// How long a buyer has for what the gateway asks of them; then the server gives the charge up
    charge_action_minutes: u32 = "30", whole(1, 10_080);
    /// Payment gateway that takes money for points: `none`, which refuses all charges, `stripe`, or `simulator`, which approves
    /// them and takes no money; `simulator` is the default with `--demo`
    gateway: Gateway = "none", choice(GATEWAYS);
    /// How long the server waits for the gateway
    gateway_timeout_milliseconds: u32 = "5000", whole(1, 600_000);
    /// File with the secret key of Stripe
    stripe_secret_key_file: Option<PathBuf> = "", optional(path);
    /// File with the signing secret of the webhook endpoint that Stripe sends its events to; two lines while one replaces the
    /// other. Without it, only the worker asks what became of open charges
    stripe_webhook_secret_file: Option<PathBuf> = "", optional(path);
    /// Where the API of Stripe is
    stripe_api_base: Url = "https://api.stripe.com", url;
    /// Page that Stripe sends a buyer's browser back to; without it, pages have to use Stripe's own client
    stripe_return_url: Option<Url> = "", optional(url);
    /// What the simulator does: `approve`, `decline`, `time_out`, `answer_late`, `fail` or `require_action`
    simulator_mode: SimulatorMode = "approve", choice(SIMULATOR_MODES);
    /// How long the simulator takes to answer
    simulator_delay_milliseconds: u32 = "0", whole(0, 600_000);
    /// The simulator declines, is lost, asks the buyer to act (who does so within 3 seconds), fails, or answers late if the
    /// amount ends in 402, 408, 428, 502 or 504
    simulator_scripted_by_amount: bool = "false", switch;
    /// Where mail to account holders goes: `none`, which sends none, `smtp://[USER:PASSWORD@]HOST[:PORT]` (with STARTTLS),
    /// `smtps://…` or `folder:/PATH`, where each mail becomes a file
    mail: MailTarget = "none", MailTarget::parse;
    /// File with the certificate of an authority that is trusted for the mail server besides those of browsers
    mail_ca_file: Option<PathBuf> = "", optional(path);
    /// Whom mail is from: `tickets@example.org` or `Boxoffice <tickets@example.org>`; needed with `mail`
    mail_from: Option<Sender> = "", optional(of_text);
    /// Name of the shop in mails
    mail_shop_name: String = "boxoffice", shop_name;
    /// Language of mails to account holders who chose none: `ko` or `en`
    mail_language: MailLanguage = "ko", of_text;
    /// Where buyers find the pages, such as `https://tickets.example.org`; without it mails have no links
    public_url: Option<Url> = "", optional(url);
    /// After a stop signal: how long requests are still accepted while `/readyz` answers 503
    drain_seconds: u32 = "0", whole(0, 600);
    /// After that: how long requests in flight have to end
    shutdown_seconds: u32 = "30", whole(0, 3_600);
}

/// Everything that a source may set: the settings, and the files of those that are secret.
pub(crate) fn named() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().chain(SECRET_FILES)
}

/// The defaults that `--demo` replaces: thousands of demo buyers sign in from one address, with a public password, and pay
/// with points that cost nothing.
const DEMO_DEFAULTS: [(&str, &str); 4] = [
    ("account_requests_per_minute", "0"),
    ("connections_per_address", "0"),
    ("event_streams_per_network", "0"),
    ("gateway", "simulator"),
];

const GATEWAYS: &[(&str, Gateway)] =
    &[("none", Gateway::None), ("stripe", Gateway::Stripe), ("simulator", Gateway::Simulator)];

const SIMULATOR_MODES: &[(&str, SimulatorMode)] = &[
    ("approve", SimulatorMode::Approve),
    ("decline", SimulatorMode::Decline),
    ("time_out", SimulatorMode::TimeOut),
    ("answer_late", SimulatorMode::AnswerLate),
    ("fail", SimulatorMode::Fail),
    ("require_action", SimulatorMode::RequireAction),
];

const STAFF_SECOND_FACTOR: &[(&str, StaffSecondFactor)] =
    &[("optional", StaffSecondFactor::Optional), ("required", StaffSecondFactor::Required)];

/// Whether staff needs a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StaffSecondFactor {
    Optional,
    Required,
}

/// The payment gateway behind charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Charges are refused.
    None,
    Stripe,
    /// Charges cost nothing.
    Simulator,
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MailTarget {
    /// Nowhere: none is sent.
    None,
    Route(MailRoute),
}

impl MailTarget {
    /// A refusal does not repeat the text, which may have a password.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::None) } else { of_text(text).map(Self::Route) }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

impl Settings {
    /// The URL of the database, with the data folder filled in.
    pub(crate) fn database_url(&self) -> DatabaseUrl {
        self.database.within(&self.data_dir).trusting(self.database_ca_file.as_deref())
    }

    /// The rules of selling.
    pub(crate) fn selling_rules(&self) -> SellingRules {
        SellingRules {
            hold_seconds: self.hold_seconds,
            unpaid_holds_free: self.unpaid_holds_free,
            seats_per_reservation_max: self.seats_per_reservation,
            max_seats_per_account: self.max_seats_per_account,
            max_active: self.max_active,
            charge_points_max: self.charge_points_max,
            balance_points_max: self.balance_points_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_page_says_the_same_as_the_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let mut documented: Vec<_> = page.lines().filter(|line| line.starts_with("| `BOXOFFICE_")).collect();
        let row = |setting: &Setting| {
            let default = if setting.default.is_empty() { "none" } else { &format!("`{}`", setting.default) };
            format!("| `{}` | {default} | {} |", setting.variable(), setting.help)
        };
        let mut listed: Vec<_> = named().map(row).collect();
        documented.sort_unstable();
        listed.sort_unstable();
        assert_eq!(documented, listed);
    }
}
