//! Which adapter implements which port; no other file knows.

mod events;
mod gateway;
mod mail;
mod webhooks;

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountLocks, AccountService, CatalogGeneration, CatalogImportService, CatalogService, EventReader, Gate, KeptDays,
    MaintenanceMode, PaymentService, ReservationService, RetentionService, SaleTermsCache, SaleWatch,
    WaitingRoomService, WalletService, WebhookService,
    accounts::{Guesses, KnownAccounts, Revocations, SessionSettings},
};
use boxoffice_domain::{
    Clock, EntropySource,
    accounts::{AccessTokens, GuessingRule},
    event_delivery::EventSink,
    waiting_room::{QueueTokens, WaitingRoom},
};
use boxoffice_http::{ReadinessCheck, Services};
use boxoffice_peers::{
    Alone, Peers, Subscription,
    leases::Lease,
    presence::Presence,
    redis::{Link, RedisPeers, RedisSettings, RedisUrl},
};
use boxoffice_persistence::{Database, PersistenceSettings};
use boxoffice_waiting_room::{MemoryWaitingRoom, RedisWaitingRoom};
use chrono::TimeDelta;

pub(crate) use gateway::check_stripe;
pub(crate) use mail::{check_mail, mail_reader, mail_sender};
pub(crate) use webhooks::webhook_fan_out;

use crate::{
    adapters::{Argon2Passwords, CurrentTokens, Keys, PasswordSettings, SystemClock, SystemEntropy, keys::FILE_NAME},
    private_files,
    settings::{DatabaseUrl, Settings, StaffSecondFactor, WaitingRoomUrl},
    workers::ClockWatch,
};

/// The greatest age of cached seats. A seat map may be half a second old, and a rendering of it is shown for the other half.
const SEATS_AGE_MAX: Duration = Duration::from_millis(250);

/// How long ago it may have been looked before a search whether another process has changed a concert. The answer is shown
/// for `cache_milliseconds` besides.
const SEARCHES_AGE_MAX: Duration = Duration::from_millis(50);

/// How many commands a batch should have. Smaller batches were slower: each command pays more of the fixed cost.
const BATCH_COMMANDS_WANTED: usize = 64;

/// The most bytes of descriptions that are kept for searches: those of 100,000 concerts with a few lines each.
const DESCRIPTIONS_BYTES_MAX: usize = 32 << 20;

/// What the services are built from.
pub(crate) struct Adapters {
    pub(crate) clock: Arc<dyn Clock>,
    /// The same.
    pub(crate) system_clock: Arc<SystemClock>,
    pub(crate) entropy: Arc<dyn EntropySource>,
    pub(crate) database: Database,
}

/// The services, and what the workers need beside them.
pub(crate) struct UseCases {
    pub(crate) services: Services,
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    pub(crate) wallet: Arc<WalletService>,
    /// Where events go, if there is a broker.
    pub(crate) broker: Option<Arc<dyn EventSink>>,
    pub(crate) webhooks: Arc<WebhookService>,
    pub(crate) import: CatalogImportService,
    pub(crate) peering: Peering,
    pub(crate) tokens: Arc<CurrentTokens>,
}

impl Adapters {
    /// Connects to the database, and leaves its schema as it is.
    pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let (system_clock, entropy) = (Arc::<SystemClock>::default(), Arc::new(SystemEntropy));
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn EntropySource>) = (Arc::clone(&system_clock) as _, entropy);
        let url = settings.database_url();
        let persistence = PersistenceSettings {
            lanes: settings.write_lanes,
            batch_commands_max: settings.write_batch_max,
            lane_waiting_max: settings.write_waiting_max,
            connections_max: settings.database_connections,
            connect_timeout: seconds(settings.database_connect_seconds),
            retry_max: settings.write_retry_max,
            seats_age_max: cache_time(settings).min(SEATS_AGE_MAX),
            searches_age_max: cache_time(settings).min(SEARCHES_AGE_MAX),
            batch_commands_wanted: BATCH_COMMANDS_WANTED,
            descriptions_bytes_max: DESCRIPTIONS_BYTES_MAX,
        };
        let connected =
            boxoffice_persistence::connect(url.expose(), persistence, Arc::clone(&clock), Arc::clone(&entropy)).await;
        let database = connected.with_context(|| format!("cannot use the database {url}"))?;
        Ok(Self { clock, system_clock, entropy, database })
    }

    /// Compares the clock of this machine with that of the database, and with those of the peers.
    pub(crate) fn clock_watch(&self, settings: &Settings, peers: Arc<dyn Peers>) -> ClockWatch {
        let readiness = Arc::clone(&self.database.readiness);
        ClockWatch::new(Arc::clone(&self.system_clock), readiness, peers, settings.clock_skew_max_milliseconds)
    }

    pub(crate) fn accounts(
        &self,
        settings: &Settings,
        tokens: &Arc<CurrentTokens>,
        peers: Arc<dyn Peers>,
    ) -> anyhow::Result<AccountService> {
        let passwords = PasswordSettings {
            memory_kib: settings.password_memory_kib,
            iterations: settings.password_iterations,
            parallel: hashing_parallel(settings),
            waiting_max: settings.hashing_waiting_max,
        };
        let passwords = Argon2Passwords::new(passwords, Arc::clone(&self.entropy));
        Ok(AccountService {
            accounts: Arc::clone(&self.database.accounts),
            sessions: Arc::clone(&self.database.sessions),
            records: Arc::clone(&self.database.records),
            factors: Arc::clone(&self.database.factors),
            emails: Arc::clone(&self.database.emails),
            resets: Arc::clone(&self.database.resets),
            passwords: Arc::new(passwords.context("passwords cannot be hashed with these settings")?),
            tokens: Arc::clone(tokens) as Arc<dyn AccessTokens>,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            settings: SessionSettings {
                access_seconds: settings.access_token_seconds,
                refresh_seconds: settings.refresh_token_seconds,
                refresh_grace_seconds: settings.refresh_grace_seconds,
                session_days_max: settings.session_days_max,
                sessions_per_account: settings.sessions_per_account,
                staff_needs_second_factor: settings.staff_second_factor == StaffSecondFactor::Required,
                demo: settings.demo,
                mails_are_sent: mail::is_sent(settings),
                guessing: GuessingRule {
                    free: settings.wrong_passwords_free,
                    wait_seconds_max: settings.wrong_password_wait_seconds_max,
                },
            },
            guesses: Guesses::default(),
            known: Arc::new(KnownAccounts::new(Arc::clone(&self.database.accounts), Arc::clone(&self.clock))),
            revocations: Revocations::default(),
            peers,
        })
    }

    /// What fills wallets, with the payment gateway that the settings name.
    pub(crate) fn wallet(&self, settings: &Settings) -> anyhow::Result<WalletService> {
        Ok(WalletService {
            wallets: Arc::clone(&self.database.wallets),
            inbox: Arc::clone(&self.database.gateway_inbox),
            gateway: gateway::gateway(settings, &self.clock)?,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            rules: settings.selling_rules(),
            pending_max: TimeDelta::hours(i64::from(settings.charge_pending_hours)),
            action_max: TimeDelta::minutes(i64::from(settings.charge_action_minutes)),
        })
    }

    pub(crate) async fn use_cases(&self, settings: &Settings) -> anyhow::Result<UseCases> {
        let tokens = tokens(settings, self.entropy.as_ref())?;
        let (clock, entropy) = (&self.clock, &self.entropy);
        let peering = self.peering(settings);
        let peers = Arc::clone(&peering.peers);
        self.database.publish_to(Arc::clone(&peers));
        let generation = Arc::new(CatalogGeneration::new(Arc::clone(&peers)));
        let maintenance = Arc::new(MaintenanceMode::new(Arc::clone(&self.database.maintenance)));
        let accounts = Arc::new(self.accounts(settings, &tokens, Arc::clone(&peers))?);
        let waiting_room = Arc::new(WaitingRoomService {
            known: Arc::clone(&accounts.known),
            waiting_room: waiting_room(settings, Arc::clone(clock), peering.link.clone()).await,
            tokens: Arc::clone(&tokens) as Arc<dyn QueueTokens>,
            accounts: Arc::clone(&self.database.accounts),
            emails: Arc::clone(&self.database.emails),
            catalog: Arc::clone(&self.database.catalog),
            payments: Arc::clone(&self.database.payments),
            reservations: Arc::clone(&self.database.reservations),
            terms: SaleTermsCache::new(cache_time(settings), Arc::clone(&generation)),
            maintenance: Arc::clone(&maintenance),
            sales: SaleWatch::default(),
            clock: Arc::clone(clock),
            account_age_min: TimeDelta::minutes(i64::from(settings.account_age_minutes)),
        });
        let gate = Gate::Queue(Arc::clone(&waiting_room));
        let account_locks = Arc::new(AccountLocks::default());
        let import =
            CatalogImportService { import: Arc::clone(&self.database.import), generation: Arc::clone(&generation) };
        let wallet = Arc::new(self.wallet(settings)?);
        let webhooks = Arc::new(webhooks::webhook_service(settings, self)?);
        let services = Services {
            accounts,
            catalog: Arc::new(CatalogService {
                catalog: Arc::clone(&self.database.catalog),
                history: Arc::clone(&self.database.history),
                gate: gate.clone(),
                generation,
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
            }),
            reservations: Arc::new(ReservationService {
                reservations: Arc::clone(&self.database.reservations),
                catalog: Arc::clone(&self.database.catalog),
                gate: gate.clone(),
                account_locks: Arc::clone(&account_locks),
                entropy: Arc::clone(entropy),
                rules: settings.selling_rules(),
            }),
            payments: Some(Arc::new(PaymentService {
                payments: Arc::clone(&self.database.payments),
                reservations: Arc::clone(&self.database.reservations),
                gate,
                account_locks,
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
            })),
            wallet: Some(Arc::clone(&wallet)),
            webhooks: Some(Arc::clone(&webhooks)),
            peers,
            maintenance,
            readiness: Arc::new(ReadinessCheck::new(Arc::clone(&self.database.readiness))),
            entropy: Arc::clone(entropy),
            clock: Arc::clone(clock),
        };
        let broker = events::broker(settings)?;
        Ok(UseCases { services, waiting_room, wallet, broker, webhooks, import, peering, tokens })
    }

    fn peering(&self, settings: &Settings) -> Peering {
        match &settings.waiting_room {
            WaitingRoomUrl::Redis(url) => {
                let link = open_link(url, settings);
                let peers = RedisPeers::new(Arc::clone(&link), Arc::clone(&self.clock));
                let subscription = Some(peers.subscribe());
                Peering { peers: Arc::new(peers), presence: None, subscription, link: Some(link) }
            }
            // An embedded database has one instance.
            WaitingRoomUrl::Memory if settings.database_url().sqlite_path().is_some() => {
                Peering { peers: Arc::new(Alone), presence: None, subscription: None, link: None }
            }
            // There should be no peers, but an operator may have started some.
            WaitingRoomUrl::Memory => {
                let (leases, clock) = (Arc::clone(&self.database.leases), Arc::clone(&self.clock));
                let presence = Arc::new(Presence::new(leases, clock, self.entropy.uuid()));
                let peers = Arc::clone(&presence) as Arc<dyn Peers>;
                Peering { peers, presence: Some(presence), subscription: None, link: None }
            }
        }
    }

    pub(crate) fn retention(&self, settings: &Settings) -> RetentionService {
        RetentionService {
            retention: Arc::clone(&self.database.retention),
            clock: Arc::clone(&self.clock),
            kept_days: KeptDays {
                ended_sessions: settings.ended_session_days,
                lapsed: settings.lapsed_days,
                outbox: settings.outbox_days,
                outbox_unread: settings.outbox_unread_days.max(settings.outbox_days),
            },
        }
    }

    /// A reader of events, which gets them into `sink`.
    pub(crate) fn event_reader(&self, name: &'static str, sink: Arc<dyn EventSink>) -> EventReader {
        let (log, catalog) = (Arc::clone(&self.database.event_log), Arc::clone(&self.database.catalog));
        EventReader::new(name, sink, log, catalog, Arc::clone(&self.clock))
    }

    /// A lease of the database, for this instance.
    pub(crate) fn lease(&self, job: &'static str) -> Lease {
        Lease::new(Arc::clone(&self.database.leases), Arc::clone(&self.clock), job, self.entropy.uuid())
    }
}

/// Signs and accepts tokens under the keys of this installation, which are made at the first start unless a file is named.
pub(crate) fn tokens(settings: &Settings, entropy: &dyn EntropySource) -> anyhow::Result<Arc<CurrentTokens>> {
    let keys = match &settings.keys_file {
        Some(path) => Keys::load_shared(path).context("`keys_file` cannot be used")?,
        None => Keys::load_or_create(&settings.data_dir, entropy)?,
    };
    Ok(Arc::new(CurrentTokens::new(keys)?))
}

pub(crate) fn keys_path(settings: &Settings) -> PathBuf {
    settings.keys_file.clone().unwrap_or_else(|| settings.data_dir.join(FILE_NAME))
}

/// How this instance reaches its peers.
pub(crate) struct Peering {
    pub(crate) peers: Arc<dyn Peers>,
    /// Looks for peers, if this instance cannot reach them.
    pub(crate) presence: Option<Arc<Presence>>,
    /// What they publish.
    pub(crate) subscription: Option<Subscription>,
    link: Option<Arc<Link>>,
}

/// The peers of a command, which only publishes. Waits for the connection, at most as long as connecting may take.
pub(crate) async fn peers_of_command(settings: &Settings) -> Arc<dyn Peers> {
    let WaitingRoomUrl::Redis(url) = &settings.waiting_room else { return Arc::new(Alone) };
    let link = open_link(url, settings);
    // If Redis is away, the link has logged it.
    let _ = tokio::time::timeout(link.connect_timeout(), link.up()).await;
    Arc::new(RedisPeers::publish_only(link, Arc::<SystemClock>::default()))
}

/// The queues for a command that looks at them.
pub(crate) async fn queues_of_command(settings: &Settings, adapters: &Adapters) -> Arc<dyn WaitingRoom> {
    waiting_room(settings, Arc::clone(&adapters.clock), redis_link(settings)).await
}

/// The connection to Redis, if queues are there.
pub(crate) fn redis_link(settings: &Settings) -> Option<Arc<Link>> {
    match &settings.waiting_room {
        WaitingRoomUrl::Redis(url) => Some(open_link(url, settings)),
        WaitingRoomUrl::Memory => None,
    }
}

fn open_link(url: &RedisUrl, settings: &Settings) -> Arc<Link> {
    let redis = RedisSettings {
        prefix: settings.redis_prefix.clone(),
        connect_timeout: milliseconds(settings.redis_connect_milliseconds),
        command_timeout: milliseconds(settings.redis_timeout_milliseconds),
    };
    Link::open(url.clone(), redis)
}

/// The queues: in Redis if there is a link to it. The server also starts if Redis is away; joining is refused meanwhile.
async fn waiting_room(settings: &Settings, clock: Arc<dyn Clock>, link: Option<Arc<Link>>) -> Arc<dyn WaitingRoom> {
    let rules = boxoffice_waiting_room::Settings {
        capacity: settings.queue_capacity,
        queues_max: settings.queue_lines_max,
        admission_seconds: settings.admission_seconds,
        no_show_seconds: settings.no_show_seconds,
        idle_admission_seconds: settings.idle_admission_seconds,
        joins_per_network_max: settings.queue_joins_per_network,
        reform_seconds: settings.reform_seconds,
        poll_seconds_max: settings.poll_seconds_max,
        restorable_seconds: settings.restorable_seconds,
    };
    match link {
        None => Arc::new(MemoryWaitingRoom::new(clock, rules)),
        Some(link) => {
            let snapshot_age_max = milliseconds(settings.redis_poll_milliseconds);
            Arc::new(RedisWaitingRoom::open(link, clock, rules, snapshot_age_max).await)
        }
    }
}

/// By default half of the processors, so that a flood of sign-ins leaves the other half to the buyers.
pub(crate) fn hashing_parallel(settings: &Settings) -> usize {
    match settings.hashing_parallel {
        0 => thread::available_parallelism().map_or(1, |processors| processors.get() / 2),
        parallel => parallel,
    }
}

/// Makes the data folder and the file of an embedded database if they are missing, readable by their owner only. Refuses
/// those that others may read: they hold what all accounts have and have done.
pub(crate) fn make_files(settings: &Settings) -> anyhow::Result<()> {
    let folder = &settings.data_dir;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    if let Some(path) = settings.database_url().sqlite_path() {
        let opened = File::options().create(true).append(true).mode(0o600).open(path);
        opened.with_context(|| format!("cannot open the database {}", path.display()))?;
    }
    check_files(settings)
}

/// Refuses a data folder or an embedded database that others may read.
pub(crate) fn check_files(settings: &Settings) -> anyhow::Result<()> {
    let folder = &settings.data_dir;
    if let Some(path) = settings.database_url().sqlite_path() {
        for ending in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            // The files beside it are there while it is open.
            if let Ok(metadata) = fs::metadata(&name) {
                private_files::refuse_if_open(Path::new(&name), &metadata).context("the database cannot be used")?;
            }
        }
    }
    let metadata = fs::metadata(folder).with_context(|| format!("cannot look at the folder {}", folder.display()))?;
    private_files::refuse_if_open(folder, &metadata).context("the data folder cannot be used")
}

/// Brings the schema up to date, and returns the names of the migrations that it applied.
pub(crate) async fn migrate(url: &DatabaseUrl) -> anyhow::Result<Vec<String>> {
    let applied = boxoffice_persistence::migrate(url.expose()).await;
    let applied = applied.with_context(|| format!("the database {url} cannot be migrated"))?;
    if let Some(last) = applied.last() {
        tracing::info!(count = applied.len(), last, "migrations were applied");
    }
    Ok(applied)
}

/// Keeps a second server from using an embedded database, since each would run separate queues. The lock ends with the
/// process, however that happens.
pub(crate) fn lock(url: &DatabaseUrl) -> anyhow::Result<Option<File>> {
    let Some(path) = url.sqlite_path() else { return Ok(None) };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = Path::new(&name);
    let opened = File::options().create(true).truncate(false).write(true).open(path);
    let file = opened.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => bail!("another server is working with {url}"),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

/// How long responses about the catalog are cached.
pub(crate) fn cache_time(settings: &Settings) -> Duration {
    milliseconds(settings.cache_milliseconds)
}

fn milliseconds(milliseconds: u32) -> Duration {
    Duration::from_millis(u64::from(milliseconds))
}

pub(crate) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
