//! Which adapter stands behind which port: the only place that knows.

use std::{
    fs::{self, File, TryLockError},
    num::NonZeroU32,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountService, AccountTurns, CatalogService, PaymentService, RememberedTerms, ReservationService,
    WaitingRoomService, WalletService,
    accounts::{EndedSessions, SessionSettings},
};
use boxoffice_domain::{
    Clock, EntropySource, Points,
    accounts::AccessTokens,
    announcements::{Alone, Announcements},
    payments::PaymentGateway,
    reservations::HOLD_SECONDS_DEFAULT,
    waiting_room::{QueueTokens, WaitingRoom},
};
use boxoffice_http::{Neighbours, SharedQuotas};
use boxoffice_persistence::{Database, PersistenceSettings};
use boxoffice_waiting_room::{Announced, MemoryWaitingRoom, RedisSettings, RedisWaitingRoom};

use crate::{
    adapters::{
        Argon2Passwords, CurrentTokens, Keys, PasswordSettings, QuotasInRedis, SimulatedGateway, SimulatorSettings,
        SystemClock, SystemEntropy, keys::FILE_NAME,
    },
    presence::Presence,
    settings::{DatabaseUrl, Settings, WaitingRoomUrl},
};

/// How long ago seats may have been read that are shown, at most: a seat map is half a second old at most, and a
/// rendering of it is shown for the other half.
const SEATS_AGE_MAX: Duration = Duration::from_millis(250);

/// What the use cases need that is no use case itself.
pub(crate) struct Adapters {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn EntropySource>,
    pub(crate) database: Database,
}

/// The use cases, and what the workers need beside them.
pub(crate) struct UseCases {
    pub(crate) accounts: Arc<AccountService>,
    pub(crate) catalog: Arc<CatalogService>,
    pub(crate) waiting_room: Arc<WaitingRoomService>,
    pub(crate) reservations: Arc<ReservationService>,
    pub(crate) payments: Arc<PaymentService>,
    pub(crate) wallet: Arc<WalletService>,
    pub(crate) queues: Arc<dyn WaitingRoom>,
    pub(crate) others: Others,
    pub(crate) tokens: Arc<CurrentTokens>,
}

impl Adapters {
    /// Connects to the database. Its schema is as it is.
    pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Self> {
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn EntropySource>) =
            (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let url = settings.database_url();
        let persistence = PersistenceSettings {
            lanes: settings.write_lanes,
            batch_commands_max: settings.write_batch_max,
            lane_waiting_max: settings.write_waiting_max,
            connections_max: settings.database_connections,
            connect_timeout: seconds(settings.database_connect_seconds),
            retry_max: settings.write_retry_max,
            seats_age_max: cache_time(settings).min(SEATS_AGE_MAX),
            ..PersistenceSettings::default()
        };
        let connected =
            boxoffice_persistence::connect(url.expose(), persistence, Arc::clone(&clock), Arc::clone(&entropy)).await;
        let database = connected.with_context(|| format!("cannot use the database {url}"))?;
        Ok(Self { clock, entropy, database })
    }

    /// Signing up and signing in.
    pub(crate) fn accounts(
        &self,
        settings: &Settings,
        tokens: &Arc<CurrentTokens>,
        announcements: Arc<dyn Announcements>,
    ) -> anyhow::Result<AccountService> {
        let defaults = PasswordSettings::default();
        let passwords = PasswordSettings {
            memory_kib: settings.password_memory_kib,
            iterations: settings.password_iterations,
            parallel: if settings.hashing_parallel == 0 { defaults.parallel } else { settings.hashing_parallel },
            waiting_max: settings.hashing_waiting_max,
        };
        let passwords = Argon2Passwords::new(passwords, Arc::clone(&self.entropy));
        Ok(AccountService {
            accounts: Arc::clone(&self.database.accounts),
            sessions: Arc::clone(&self.database.sessions),
            passwords: Arc::new(passwords.context("passwords cannot be hashed with these settings")?),
            tokens: Arc::clone(tokens) as Arc<dyn AccessTokens>,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            settings: SessionSettings {
                access_seconds: settings.access_token_seconds,
                refresh_seconds: settings.refresh_token_seconds,
            },
            ended: EndedSessions::default(),
            announcements,
        })
    }

    /// Every use case.
    pub(crate) async fn use_cases(&self, settings: &Settings) -> anyhow::Result<UseCases> {
        let tokens = tokens(settings, self.entropy.as_ref())?;
        let (clock, entropy) = (&self.clock, &self.entropy);
        let Lines { waiting_room, others } = waiting_room(settings, Arc::clone(clock)).await;
        self.database.announce_seats(Arc::clone(&others.announcements));
        let announcements = Arc::clone(&others.announcements);
        let gate = Arc::new(WaitingRoomService {
            waiting_room: Arc::clone(&waiting_room),
            tokens: Arc::clone(&tokens) as Arc<dyn QueueTokens>,
            catalog: Arc::clone(&self.database.catalog),
            payments: Arc::clone(&self.database.payments),
            reservations: Arc::clone(&self.database.reservations),
            terms: RememberedTerms::new(cache_time(settings)),
            clock: Arc::clone(clock),
        });
        let turns = Arc::new(AccountTurns::default());
        Ok(UseCases {
            accounts: Arc::new(self.accounts(settings, &tokens, announcements)?),
            catalog: Arc::new(CatalogService {
                catalog: Arc::clone(&self.database.catalog),
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
            }),
            reservations: Arc::new(ReservationService {
                reservations: Arc::clone(&self.database.reservations),
                catalog: Arc::clone(&self.database.catalog),
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                turns: Arc::clone(&turns),
                entropy: Arc::clone(entropy),
                // The setting is at least 1.
                hold_seconds: NonZeroU32::new(settings.hold_seconds).unwrap_or(HOLD_SECONDS_DEFAULT),
            }),
            payments: Arc::new(PaymentService {
                payments: Arc::clone(&self.database.payments),
                reservations: Arc::clone(&self.database.reservations),
                gate: Arc::clone(&gate),
                waiting_room: Arc::clone(&waiting_room),
                turns,
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
            }),
            wallet: Arc::new(WalletService {
                wallets: Arc::clone(&self.database.wallets),
                gateway: gateway(settings),
                clock: Arc::clone(clock),
                entropy: Arc::clone(entropy),
                balance_max: Points::new(settings.balance_points_max)?,
            }),
            waiting_room: gate,
            queues: waiting_room,
            others,
            tokens,
        })
    }
}

/// What signs and accepts tokens, under the keys of this installation.
pub(crate) fn tokens(settings: &Settings, entropy: &dyn EntropySource) -> anyhow::Result<Arc<CurrentTokens>> {
    let keys = match &settings.keys_file {
        Some(path) => Keys::load_shared(path).context("`keys_file` cannot be used")?,
        // Made at the first start.
        None => Keys::load_or_create(&settings.data_dir, entropy)?,
    };
    Ok(Arc::new(CurrentTokens::new(keys)?))
}

/// Where the keys are.
pub(crate) fn keys_path(settings: &Settings) -> PathBuf {
    settings.keys_file.clone().unwrap_or_else(|| settings.data_dir.join(FILE_NAME))
}

/// The waiting room, and what comes with it where several instances share it.
struct Lines {
    waiting_room: Arc<dyn WaitingRoom>,
    others: Others,
}

/// The other instances of this installation.
pub(crate) struct Others {
    pub(crate) announcements: Arc<dyn Announcements>,
    /// Whether there are any, where they cannot be heard.
    pub(crate) presence: Option<Arc<Presence>>,
    /// What they announce.
    pub(crate) announced: Option<Announced>,
    pub(crate) quotas: Option<Arc<dyn SharedQuotas>>,
}

impl Others {
    /// An embedded database has one instance.
    fn none() -> Self {
        Self { announcements: Arc::new(Alone), presence: None, announced: None, quotas: None }
    }

    /// There should be none, but there may be.
    fn unheard() -> Self {
        let presence = Arc::new(Presence::default());
        Self { announcements: Arc::clone(&presence) as _, presence: Some(presence), announced: None, quotas: None }
    }

    /// What the API has to do with them.
    pub(crate) fn neighbours(&self, settings: &Settings) -> Neighbours {
        Neighbours::new(cache_time(settings), Arc::clone(&self.announcements), self.quotas.clone())
    }
}

/// The lines. The server starts also where Redis is away: then joining is refused until it is there.
async fn waiting_room(settings: &Settings, clock: Arc<dyn Clock>) -> Lines {
    let rules = boxoffice_waiting_room::Settings {
        capacity: settings.queue_capacity,
        queues_max: settings.queue_lines_max,
        admission_seconds: settings.admission_seconds,
        no_show_seconds: settings.no_show_seconds,
        reform_seconds: settings.reform_seconds,
        poll_seconds_max: settings.poll_seconds_max,
        restorable_seconds: settings.restorable_seconds,
    };
    match &settings.waiting_room {
        WaitingRoomUrl::Memory => {
            let embedded = settings.database_url().sqlite_path().is_some();
            let others = if embedded { Others::none() } else { Others::unheard() };
            Lines { waiting_room: Arc::new(MemoryWaitingRoom::new(clock, rules)), others }
        }
        WaitingRoomUrl::Redis(url) => {
            let redis = RedisSettings {
                prefix: settings.redis_prefix.clone(),
                connect_timeout: milliseconds(settings.redis_connect_milliseconds),
                command_timeout: milliseconds(settings.redis_timeout_milliseconds),
                snapshot_age_max: milliseconds(settings.redis_poll_milliseconds),
            };
            let room = RedisWaitingRoom::connect(url.clone(), clock, rules, redis).await;
            let others = Others {
                announcements: room.announcements(),
                presence: None,
                announced: Some(room.listen()),
                quotas: Some(Arc::new(QuotasInRedis(room.quotas()))),
            };
            Lines { waiting_room: Arc::new(room), others }
        }
    }
}

fn gateway(settings: &Settings) -> Arc<dyn PaymentGateway> {
    Arc::new(SimulatedGateway::new(SimulatorSettings {
        mode: settings.gateway_mode,
        delay: milliseconds(settings.gateway_delay_milliseconds),
        timeout: milliseconds(settings.gateway_timeout_milliseconds),
        scripted_by_amount: settings.gateway_scripted_by_amount,
    }))
}

/// Makes the data folder and an embedded database's file, each for its owner alone, where they are missing.
pub(crate) fn make_files(settings: &Settings) -> anyhow::Result<()> {
    let folder = &settings.data_dir;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the data folder {}", folder.display()))?;
    if let Some(path) = settings.database_url().sqlite_path() {
        let opened = File::options().create(true).append(true).mode(0o600).open(path);
        opened.with_context(|| format!("cannot open the database {}", path.display()))?;
    }
    Ok(())
}

/// Brings the schema up to date. Gives the names of the migrations that were applied.
pub(crate) async fn migrate(url: &DatabaseUrl) -> anyhow::Result<Vec<String>> {
    let applied = boxoffice_persistence::migrate(url.expose()).await;
    let applied = applied.with_context(|| format!("the database {url} cannot be migrated"))?;
    if let Some(last) = applied.last() {
        tracing::info!(count = applied.len(), last, "migrations were applied");
    }
    Ok(applied)
}

/// Makes sure that no other server works with an embedded database: each would have a waiting room of its own, and
/// admit on its own. The lock ends with the process, however it ends.
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

/// How long what is read of the catalogue is kept.
pub(crate) fn cache_time(settings: &Settings) -> Duration {
    milliseconds(settings.cache_milliseconds)
}

/// A setting in milliseconds.
fn milliseconds(milliseconds: u32) -> Duration {
    Duration::from_millis(u64::from(milliseconds))
}

/// A setting in seconds.
pub(crate) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
