//! Importing catalog files.
//!
//! A file is a JSON object of `venues` and `concerts` with their performances, each with a `key` that its promoter chose.
//! The whole file is checked before anything is written, and each mistake has its place as a JSON pointer (RFC 6901).

use std::{
    fs::File,
    io::{ErrorKind, IsTerminal},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, bail};
use boxoffice_application::CatalogImportService;
use boxoffice_domain::{
    AccountId, SellingRules,
    accounts::{Accounts, LoginId},
    catalog::{DrawError, ImportError, ImportReport, ImportedCatalog},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    catalog_file::{self, Mistake},
    exit::Exit,
    output, text_file,
};

/// The most bytes of a catalog file.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The most mistakes that are printed.
const MISTAKES_SHOWN_MAX: usize = 100;

/// The catalog in a file; `None` if it is wrong, and then every mistake has been printed.
pub(crate) fn read_catalog(file: &Path, rules: &SellingRules) -> anyhow::Result<Option<ImportedCatalog>> {
    let text = File::open(file).and_then(|opened| text_file::read(opened, FILE_BYTES_MAX));
    let text = match text {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            refuse(file, &[Mistake { pointer: String::new(), what: error.to_string() }]);
            return Ok(None);
        }
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    match catalog_file::parse(text.as_bytes(), rules) {
        Ok(catalog) => Ok(Some(catalog)),
        Err(mistakes) => {
            refuse(file, &mistakes);
            Ok(None)
        }
    }
}

/// Imports the catalog of a file, and prints what changed.
pub(crate) async fn import_catalog(
    import: &CatalogImportService,
    accounts: &dyn Accounts,
    file: &Path,
    catalog: &ImportedCatalog,
    promoter: Option<&LoginId>,
) -> anyhow::Result<Exit> {
    let promoter_id = match promoter {
        Some(login_id) => Some(promoter_of(accounts, login_id).await?),
        None => None,
    };
    let bar = progress_bar(catalog.seats_count());
    let progress = bar.clone();
    let imported = import.import(catalog, promoter_id, Arc::new(move |seats| progress.inc(seats))).await;
    bar.finish_and_clear();
    match imported {
        Ok(report) => {
            output::print_line(&describe(&report))?;
            Ok(Exit::Success)
        }
        Err(ImportError::Storage(error)) => Err(error).context("the catalog was not imported"),
        Err(error) => {
            refuse(file, &[conflict(&error)]);
            Ok(Exit::Refused)
        }
    }
}

async fn promoter_of(accounts: &dyn Accounts, login_id: &LoginId) -> anyhow::Result<AccountId> {
    let credentials = accounts.credentials(login_id).await?;
    let Some(credentials) = credentials else { bail!("there is no account `{login_id}`") };
    if !credentials.account.role.may_publish() {
        bail!("the account `{login_id}` may not publish; `boxoffice account {login_id} --role promoter` allows it");
    }
    Ok(credentials.account.id)
}

fn refuse(file: &Path, mistakes: &[Mistake]) {
    for mistake in mistakes.iter().take(MISTAKES_SHOWN_MAX) {
        output::print_error(&mistake.to_string());
    }
    if let Some(more) = mistakes.len().checked_sub(MISTAKES_SHOWN_MAX).filter(|more| *more > 0) {
        output::print_error(&format!("and {more} more"));
    }
    output::print_error(&format!("{}: {} mistakes; nothing was imported", file.display(), mistakes.len()));
}

/// A conflict with the stored catalog, at its place in the file.
fn conflict(error: &ImportError) -> Mistake {
    let pointer = match error {
        ImportError::PlanChanged { venue_index } => format!("/venues/{venue_index}/sections"),
        ImportError::PerformanceMoved { concert_index, performance_index } => {
            format!("/concerts/{concert_index}/performances/{performance_index}")
        }
        ImportError::Draw { concert_index, error: DrawError::Changed } => format!("/concerts/{concert_index}/draw"),
        ImportError::Draw { concert_index, .. } => format!("/concerts/{concert_index}/sales_open_at"),
        ImportError::Storage(_) => String::new(),
    };
    Mistake { pointer, what: error.to_string() }
}

/// Hidden, which costs nothing, unless there is a terminal.
fn progress_bar(seats: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} seats, {eta} left");
    ProgressBar::new(seats).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// What an import changed, in one line.
pub(crate) fn describe(report: &ImportReport) -> String {
    format!(
        "imported: venues {} new and {} known, concerts {} new and {} known, performances {} new and {} known, {} new seats",
        report.venues_created,
        report.venues_updated,
        report.concerts_created,
        report.concerts_updated,
        report.performances_created,
        report.performances_updated,
        report.seats_created,
    )
}

/// Imports a catalog that is compiled into this program.
pub(crate) async fn import_embedded(
    import: &CatalogImportService,
    text: &str,
    promoter_id: AccountId,
    rules: &SellingRules,
) -> anyhow::Result<ImportReport> {
    let catalog: ImportedCatalog = catalog_file::parse(text.as_bytes(), rules)
        .map_err(|mistakes| anyhow::anyhow!("a catalog of the demo is wrong: {}", mistakes[0]))?;
    Ok(import.import(&catalog, Some(promoter_id), Arc::new(|_| ())).await?)
}
