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
    AccountId,
    accounts::{Accounts, LoginId},
    catalog::{ImportError, ImportOptions, ImportReport, ImportRule, ImportedCatalog, Named, StartError},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    catalog_file::{self, Mistake},
    exit::Exit,
    output, text_file,
};

/// The most bytes of a catalog file: room for several of the largest venues, in the longest spelling of their names.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// The most mistakes that are printed.
const MISTAKES_SHOWN_MAX: usize = 100;

/// The catalog in a file; `None` if it is wrong, and then every mistake has been printed.
pub(crate) fn read_catalog(file: &Path) -> anyhow::Result<Option<ImportedCatalog>> {
    let text = File::open(file).and_then(|opened| text_file::read(opened, FILE_BYTES_MAX));
    let text = match text {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            refuse(file, &[Mistake { pointer: String::new(), what: error.to_string() }]);
            return Ok(None);
        }
        text => text.with_context(|| format!("cannot read {}", file.display()))?,
    };
    match catalog_file::parse(text.as_bytes()) {
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
    file: &Path,
    catalog: &ImportedCatalog,
    options: &ImportOptions,
) -> anyhow::Result<Exit> {
    let bar = progress_bar(catalog.seats_count());
    let progress = bar.clone();
    let imported = import.import(catalog, options, Arc::new(move |seats| progress.inc(seats))).await;
    bar.finish_and_clear();
    match imported {
        Ok(report) => {
            if !options.dry_run && !report.is_unchanged() {
                log(&report, options);
            }
            print_report(&report, options)?;
            Ok(Exit::Success)
        }
        Err(ImportError::Storage(error)) => Err(error).context("the catalog was not imported"),
        Err(ImportError::Refused(refusal)) => {
            refuse(file, &[Mistake { pointer: refusal.pointer(), what: advice(&refusal.rule) }]);
            Ok(Exit::Refused)
        }
    }
}

/// Writes the line of an import into the audit log. What changed of each concert is in its history.
fn log(report: &ImportReport, options: &ImportOptions) {
    tracing::info!(
        target: "audit",
        event = "catalog_imported",
        promoter = options.promoter_id.map(tracing::field::display),
        venues = report.venues_created,
        concerts = report.concerts_created,
        performances = report.performances_created,
        changes = report.changes.len(),
        by = "operator",
    );
}

/// The broken rule, and what allows to break it.
fn advice(rule: &ImportRule) -> String {
    let flag = match rule {
        ImportRule::Harm => "--allow-harm",
        ImportRule::Start(StartError::Past) => "--allow-history",
        _ => return rule.to_string(),
    };
    format!("{rule}; {flag} allows it")
}

fn print_report(report: &ImportReport, options: &ImportOptions) -> anyhow::Result<()> {
    for change in &report.changes {
        output::print_line(&change.to_string())?;
    }
    for named in &report.no_longer_named {
        let line = match named {
            Named::Concert(_) => {
                "has performances to come, and the file does not name it; with an entry that has no performances, \
                 --withdraw takes them from sale"
            }
            _ => "is to come, and the file does not name it; --withdraw takes it from sale",
        };
        output::print_line(&format!("{named} {line}"))?;
    }
    let prefix = if options.dry_run { "dry run, nothing was written: " } else { "" };
    output::print_line(&format!("{prefix}{}", describe(report)))?;
    Ok(())
}

/// The account that is to own what is imported.
pub(crate) async fn promoter_of(accounts: &dyn Accounts, login_id: &LoginId) -> anyhow::Result<AccountId> {
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
        report.venues_known,
        report.concerts_created,
        report.concerts_known,
        report.performances_created,
        report.performances_known,
        report.seats_created,
    )
}

#[cfg(test)]
mod tests {
    use boxoffice_domain::{
        catalog::{VENUE_NAMES_CHARACTERS_MAX, VENUE_SEATS_MAX},
        text::CHARACTER_UNITS_MAX,
    };

    use super::*;

    #[test]
    fn a_file_has_room_for_the_largest_venues() {
        // Each UTF-16 code unit an escape of six characters, and each row on lines of its own.
        let names = VENUE_NAMES_CHARACTERS_MAX * CHARACTER_UNITS_MAX * 6;
        let venue = (names + VENUE_SEATS_MAX as usize * 120) as u64;
        assert!(4 * venue < FILE_BYTES_MAX, "four in UTF-8, or two in UTF-16");
    }
}
