//! What each command does.

use std::sync::Arc;

use anyhow::{Context, bail};
use boxoffice_application::{CatalogGeneration, CatalogImportService};
use boxoffice_domain::{AccountId, ReservationId, audit::Breach, catalog::ImportOptions, rfc3339};

use crate::{
    account::{self, AccountOptions},
    adapters::{
        Keys, SystemEntropy,
        rotation::{self, Rotation},
    },
    cli::{Command, CommandLine, ImportCommand, KeysCommand},
    exit::Exit,
    import, output, serve,
    settings::{self, Layers, Settings},
    shell_files, telemetry, unused_flags, verify_draw,
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
    telemetry::start_logging(&settings)?;
    warn_of_unknown_variables(&layers);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let exit = runtime.block_on(dispatch(command, &settings));
    // The server has waited for the requests that it aborted.
    runtime.shutdown_background();
    exit
}

fn warn_of_unknown_variables(layers: &Layers) {
    for variable in settings::unknown_variables(&layers.variables) {
        tracing::warn!(variable, "a variable is ignored, because there is no such setting");
    }
}

async fn dispatch(command: Command, settings: &Settings) -> anyhow::Result<Exit> {
    match command {
        Command::Serve => serve::serve(settings).await,
        Command::Migrate { down: None } => migrate(settings).await,
        Command::Migrate { down: Some(count) } => migrate_down(settings, count).await,
        Command::Import(command) => import_file(settings, &command).await,
        Command::Account(options) => change_account(settings, options).await,
        Command::Keys { command: KeysCommand::Rotate { prepare, keep } } => {
            rotate_keys(settings, Rotation { prepare, keep: keep.map(usize::from) })
        }
        Command::Keys { command: KeysCommand::List } => list_keys(settings),
        Command::Audit { account, reservation } => audit(settings, account.zip(reservation)).await,
        Command::VerifyDraw(options) => verify_draw::run(&options),
        Command::Openapi => print_openapi(),
        Command::Completions { shell } => shell_files::print_completions(shell),
        Command::Man { dir } => shell_files::man(dir.as_deref()),
    }
}

/// The database with its schema up to date, so that commands work before the first start.
async fn open(settings: &Settings) -> anyhow::Result<Adapters> {
    wiring::make_files(settings)?;
    wiring::migrate(&settings.database_url()).await?;
    Adapters::connect(settings).await
}

async fn change_account(settings: &Settings, options: AccountOptions) -> anyhow::Result<Exit> {
    let adapters = open(settings).await?;
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
    let adapters = open(settings).await?;
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

async fn migrate(settings: &Settings) -> anyhow::Result<Exit> {
    wiring::make_files(settings)?;
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
    require_database(settings)?;
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
    require_database(settings)?;
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

/// Fails if an embedded database is missing.
fn require_database(settings: &Settings) -> anyhow::Result<()> {
    let url = settings.database_url();
    match url.sqlite_path() {
        Some(path) if !path.exists() => bail!("there is no database at {url}"),
        _ => Ok(()),
    }
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
