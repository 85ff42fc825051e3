//! What each command does.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use boxoffice_application::{CatalogGeneration, CatalogImportService};
use boxoffice_domain::{AccountId, ReservationId, audit::Breach, catalog::ImportOptions, maintenance::Notice, rfc3339};
use boxoffice_peers::Alone;
use boxoffice_persistence::Inspection;

use crate::{
    account::{self, AccountOptions},
    adapters::{
        Keys, SystemEntropy,
        rotation::{self, Rotation},
    },
    check,
    cli::{Command, CommandLine, ImportCommand, KeysCommand, MaintenanceCommand},
    copy,
    exit::Exit,
    import, output,
    reconcile::{self, ReconcileOptions},
    serve,
    settings::{self, Layers, Settings},
    shell_files,
    show::{self, ShowCommand},
    telemetry,
    traces::Traces,
    unused_flags, verify_draw,
    wiring::{self, Adapters},
};

pub(crate) fn run(command_line: CommandLine) -> anyhow::Result<Exit> {
    let (command, layers) = command_line.into_parts().context("the settings are wrong")?;
    unused_flags::refuse(&command, &layers.flags)?;
    // These need no settings.
    match &command {
        Command::Openapi => return print_openapi(),
        Command::VerifyDraw(options) => return verify_draw::run(options),
        Command::Completions { shell } => return shell_files::print_completions(*shell),
        Command::Man { dir } => return shell_files::man(dir.as_deref()),
        _ => {}
    }
    let settings = Settings::load(&layers)?;
    unused_flags::refuse_alone(&settings, &layers.flags)?;
    let traces = if matches!(command, Command::Serve) { Traces::start(&settings)? } else { None };
    telemetry::start_logging(&settings, traces.as_ref())?;
    warn_of_unknown_variables(&layers);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(dispatch(command, &settings, &layers, traces.as_ref()));
    // The server has waited for the requests that it aborted.
    runtime.shutdown_background();
    if let Some(traces) = traces {
        traces.end();
    }
    exit
}

fn warn_of_unknown_variables(layers: &Layers) {
    for variable in settings::unknown_variables(&layers.variables) {
        tracing::warn!(variable, "a variable is ignored, because there is no such setting");
    }
}

async fn dispatch(
    command: Command,
    settings: &Settings,
    layers: &Layers,
    traces: Option<&Traces>,
) -> anyhow::Result<Exit> {
    match command {
        Command::Serve => serve::serve(settings, layers, traces).await,
        Command::Migrate { down: None, create } => migrate(settings, create).await,
        Command::Migrate { down: Some(count), .. } => migrate_down(settings, count).await,
        Command::Import(command) => import_file(settings, &command).await,
        Command::Account(options) => change_account(settings, options).await,
        Command::Keys { command: KeysCommand::Rotate { prepare, keep } } => {
            rotate_keys(settings, Rotation { prepare, keep: keep.map(usize::from) })
        }
        Command::Keys { command: KeysCommand::List } => list_keys(settings),
        Command::Audit { account, reservation } => audit(settings, account.zip(reservation)).await,
        Command::Check => check::run(settings).await,
        Command::Show { command } => show_thing(settings, &command).await,
        Command::Maintenance { command } => maintain(settings, &command).await,
        Command::Reconcile(options) => reconcile_books(settings, &options).await,
        Command::Copy(options) => copy::run(settings, options).await,
        Command::VerifyDraw(options) => verify_draw::run(&options),
        Command::Openapi => print_openapi(),
        Command::Completions { shell } => shell_files::print_completions(shell),
        Command::Man { dir } => shell_files::man(dir.as_deref()),
    }
}

/// The database with its schema up to date. One that is empty or missing is only made if that is asked for: it is more likely
/// that the wrong one was named.
async fn open(settings: &Settings, create: bool) -> anyhow::Result<Adapters> {
    prepare(settings, create).await?;
    wiring::migrate(&settings.database_url()).await?;
    let adapters = Adapters::connect(settings).await?;
    // If it is wrong, writing is refused.
    adapters.clock_watch(settings, Arc::new(Alone)).compare().await?;
    Ok(adapters)
}

/// Names the database that a command works on, and refuses one that is empty or missing unless it is to be made.
async fn prepare(settings: &Settings, create: bool) -> anyhow::Result<()> {
    name_database(settings);
    let url = settings.database_url();
    if !create {
        let is_missing = url.sqlite_path().is_some_and(|path| !path.exists());
        if !is_missing && url.sqlite_path().is_some() {
            // Opening it changes what is beside it.
            wiring::check_files(settings)?;
        }
        let is_empty = is_missing || inspect(settings).await?.schema.is_none();
        let what = if is_missing { "there is no database at" } else { "there is nothing in the database" };
        ensure!(!is_empty, "{what} {url}: with --create it is made");
    }
    wiring::make_files(settings)
}

/// On the standard error, so that what a command prints stays what it is.
fn name_database(settings: &Settings) {
    output::print_error(&format!("database: {}", settings.database_url()));
}

async fn inspect(settings: &Settings) -> anyhow::Result<Inspection> {
    let url = settings.database_url();
    let inspected = boxoffice_persistence::inspect(url.expose()).await;
    inspected.with_context(|| format!("cannot use the database {url}"))
}

async fn change_account(settings: &Settings, options: AccountOptions) -> anyhow::Result<Exit> {
    let adapters = open(settings, options.create).await?;
    let tokens = wiring::tokens(settings, adapters.entropy.as_ref())?;
    let peers = wiring::peers_of_command(settings).await;
    let accounts = adapters.accounts(settings, &tokens, Arc::clone(&peers))?;
    let exit = account::make_or_change(&accounts, options).await;
    peers.leave().await;
    adapters.database.shutdown().await;
    exit
}

/// The file is checked before the database is touched.
async fn import_file(settings: &Settings, command: &ImportCommand) -> anyhow::Result<Exit> {
    let Some(catalog) = import::read_catalog(&command.file)? else {
        return Ok(Exit::Refused);
    };
    let adapters = open(settings, command.create).await?;
    let database = &adapters.database;
    let promoter_id = match &command.promoter {
        Some(login_id) => Some(import::promoter_of(database.accounts.as_ref(), login_id).await?),
        None => None,
    };
    let options = ImportOptions {
        history: command.allow_history,
        harm: command.allow_harm,
        withdraw: command.withdraw,
        dry_run: command.dry_run,
        ..ImportOptions::new(promoter_id, &settings.selling_rules())
    };
    let peers = wiring::peers_of_command(settings).await;
    let generation = Arc::new(CatalogGeneration::new(Arc::clone(&peers)));
    let import = CatalogImportService { import: Arc::clone(&database.import), generation };
    let exit = import::import_catalog(&import, &command.file, &catalog, &options).await;
    peers.leave().await;
    database.shutdown().await;
    exit
}

async fn migrate(settings: &Settings, create: bool) -> anyhow::Result<Exit> {
    prepare(settings, create).await?;
    let applied = wiring::migrate(&settings.database_url()).await?;
    for migration in &applied {
        output::print_line(&format!("applied {migration}"))?;
    }
    if applied.is_empty() {
        output::print_line("the schema is up to date")?;
    }
    Ok(Exit::Success)
}

async fn migrate_down(settings: &Settings, count: u32) -> anyhow::Result<Exit> {
    let url = settings.database_url();
    require_database(settings).await?;
    let _lock = wiring::lock(&url)?;
    let taken_back = boxoffice_persistence::migrate_down(url.expose(), count as usize).await;
    for migration in taken_back.with_context(|| format!("the database {url} cannot be migrated"))? {
        output::print_line(&format!("took back {migration}"))?;
    }
    Ok(Exit::Success)
}

fn rotate_keys(settings: &Settings, rotation: Rotation) -> anyhow::Result<Exit> {
    if settings.keys_file.is_none() {
        wiring::make_files(settings)?;
    }
    let path = wiring::keys_path(settings);
    print_keys(&rotation::rotate(&path, rotation, &SystemEntropy)?)
}

fn list_keys(settings: &Settings) -> anyhow::Result<Exit> {
    print_keys(&Keys::load_shared(&wiring::keys_path(settings))?)
}

fn print_keys(keys: &Keys) -> anyhow::Result<Exit> {
    for (name, list) in [("access_tokens", &keys.access_tokens), ("queue_tokens", &keys.queue_tokens)] {
        let signing = list.iter().position(|key| key.signs);
        for (index, key) in list.iter().enumerate() {
            let does = if signing == Some(index) {
                "signs"
            } else if key.signs {
                "is accepted"
            } else {
                "is prepared"
            };
            let made = key.made_at().map(|at| format!(", made {}", rfc3339(at))).unwrap_or_default();
            output::print_line(&format!("{name} {} {does}{made}", key.id))?;
        }
    }
    Ok(Exit::Success)
}

/// Changes nothing, and does not make a missing embedded database. Fails if a reservation is given that the database does
/// not hold.
async fn audit(settings: &Settings, reservation: Option<(AccountId, ReservationId)>) -> anyhow::Result<Exit> {
    require_database(settings).await?;
    let adapters = Adapters::connect(settings).await?;
    let found = breaches(&adapters, reservation).await;
    adapters.database.shutdown().await;
    match found? {
        Some(breaches) => report(&breaches),
        None => bail!("{} is not the server's database: it does not hold the reservation", settings.database_url()),
    }
}

/// What the audit finds; `None` if the database does not hold the reservation.
async fn breaches(
    adapters: &Adapters,
    reservation: Option<(AccountId, ReservationId)>,
) -> anyhow::Result<Option<Vec<Breach>>> {
    let database = &adapters.database;
    database.readiness.ready().await.context("the database cannot be audited")?;
    if let Some((account_id, id)) = reservation
        && database.reservations.find(account_id, id).await?.is_none()
    {
        return Ok(None);
    }
    database.audit.breaches().await.map(Some).context("the audit could not run")
}

/// Names the database that a command works on, and fails if there is none or nothing in it.
async fn require_database(settings: &Settings) -> anyhow::Result<()> {
    name_database(settings);
    let url = settings.database_url();
    if url.sqlite_path().is_some_and(|path| !path.exists()) {
        bail!("there is no database at {url}");
    }
    ensure!(inspect(settings).await?.schema.is_some(), "there is nothing in the database {url}");
    Ok(())
}

async fn show_thing(settings: &Settings, command: &ShowCommand) -> anyhow::Result<Exit> {
    require_database(settings).await?;
    let adapters = Adapters::connect(settings).await?;
    let shown = show::run(settings, &adapters, command).await;
    adapters.database.shutdown().await;
    shown
}

async fn reconcile_books(settings: &Settings, options: &ReconcileOptions) -> anyhow::Result<Exit> {
    require_database(settings).await?;
    let adapters = Adapters::connect(settings).await?;
    let compared = reconcile::run(&adapters, settings, options).await;
    adapters.database.shutdown().await;
    compared
}

/// All instances follow within a second or two.
async fn maintain(settings: &Settings, command: &MaintenanceCommand) -> anyhow::Result<Exit> {
    require_database(settings).await?;
    let adapters = Adapters::connect(settings).await?;
    let changed = async {
        let maintenance = &adapters.database.maintenance;
        match command {
            MaintenanceCommand::On { message } => {
                let notice = Notice { message: message.clone(), began_at: adapters.clock.now() };
                maintenance.set_notice(Some(notice)).await?;
            }
            MaintenanceCommand::Off => maintenance.set_notice(None).await?,
            MaintenanceCommand::Status => {}
        }
        anyhow::Ok(maintenance.notice().await?)
    };
    let notice = changed.await;
    adapters.database.shutdown().await;
    let line = match notice? {
        Some(Notice { message, began_at }) => format!("on since {}: {message}", rfc3339(began_at)),
        None => "off".to_owned(),
    };
    output::print_line(&line)?;
    if !matches!(command, MaintenanceCommand::Status) {
        let is_on = matches!(command, MaintenanceCommand::On { .. });
        tracing::info!(target: "audit", event = "maintenance", outcome = "done", is_on, "an operator acted");
    }
    Ok(Exit::Success)
}

fn report(breaches: &[Breach]) -> anyhow::Result<Exit> {
    for Breach { invariant, detail } in breaches {
        output::print_line(&format!("{invariant}: {detail}"))?;
    }
    if breaches.is_empty() {
        output::print_line("no breach found")?;
        return Ok(Exit::Success);
    }
    Ok(Exit::Refused)
}

fn print_openapi() -> anyhow::Result<Exit> {
    output::print_line(boxoffice_http::openapi_text()?.trim_end())?;
    Ok(Exit::Success)
}
