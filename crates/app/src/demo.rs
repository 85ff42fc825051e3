//! The demo: a small catalog on sale, and accounts with public passwords.

use std::sync::Arc;

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountService, CatalogImportService, CatalogService,
    accounts::{SignUp, SignUpError},
};
use boxoffice_domain::{
    AccountId, Clock, EntropySource, Timestamp,
    accounts::{
        Account, Accounts, CreateAccountError, Credentials, LoginId, Password, PasswordHash, PasswordHasher, Role,
        Standing,
    },
    catalog::{
        CatalogKey, ConcertSummary, ImportError, ImportOptions, ImportedCatalog, ImportedConcert, ImportedPerformance,
    },
    page::{PAGE_ITEMS_MAX, PageRequest},
    rfc3339,
    text::Name,
};
use chrono::TimeDelta;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    adapters::{Argon2Passwords, PasswordSettings},
    catalog_file, import,
    settings::Settings,
};

const CATALOGS: [&str; 2] =
    [include_str!("../../../tests/catalog/club.json"), include_str!("../../../tests/catalog/arena.json")];
/// In how many years the concerts are tried: earlier ones may still take the venues.
const YEARS_TRIED: i32 = 3;
/// The login id and password of a buyer.
const CUSTOMER: (&str, &str) = ("demo", "demo-password");
/// The login id and password of the promoter of the concerts.
const PROMOTER: (&str, &str) = ("promoter", "promoter-password");

/// The password of every buyer of a rush, as in `boxoffice-rush`.
const BUYER_PASSWORD: &str = "buyer-password";
/// How many buyers are made at once: enough to keep the database busy, few enough to let other writes through.
const BUYERS_MADE_AT_ONCE: usize = 16;

/// Refuses to open accounts with public passwords to a network, or to let their acts into a database that others may use.
pub(crate) fn refuse_elsewhere(settings: &Settings) -> anyhow::Result<()> {
    if !settings.demo || settings.demo_anywhere {
        return Ok(());
    }
    if !settings.listen.is_loopback() {
        bail!(
            "the passwords of the demo are public, and other machines reach {}: serve it on 127.0.0.1, or allow it with \
             --demo-anywhere",
            settings.listen
        );
    }
    if settings.database_url().sqlite_path().is_none() {
        bail!(
            "the passwords of the demo are public, and {} is a database server: leave `database` out, or allow it with \
             --demo-anywhere",
            settings.database_url()
        );
    }
    Ok(())
}

/// Says how many accounts an earlier start made with `--demo`.
pub(crate) async fn say_what_is_left(accounts: &dyn Accounts) {
    match accounts.count_demo().await {
        Ok(0) => {}
        Ok(count) => tracing::warn!(
            count,
            "there are accounts of the demo, whose passwords are public: they cannot sign in without --demo"
        ),
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::warn!(error, "the accounts of the demo cannot be counted; they cannot sign in");
        }
    }
}

/// The login id of a buyer, as in `boxoffice-rush`. The first has the number 1.
fn buyer_login_id(number: u32) -> String {
    format!("buyer-{number:05}")
}

/// Makes the demo, except its buyers. What an earlier start has made stays as users have left it; if nothing of it can be
/// sold any more, its concerts are made again, beside the earlier ones.
pub(crate) async fn prepare(
    accounts: &AccountService,
    catalog: &CatalogService,
    import: &CatalogImportService,
    settings: &Settings,
) -> anyhow::Result<()> {
    let promoter_id = account(accounts, PROMOTER, Role::Promoter).await?;
    // This account is made last, so if it exists, all does.
    let was_made = find(accounts, CUSTOMER.0).await?.is_some();
    if was_made && can_be_sold(catalog, promoter_id).await? {
        tracing::info!("the concerts of the demo exist");
    } else {
        let options = ImportOptions::new(Some(promoter_id), &settings.selling_rules());
        make_concerts(import, &options, catalog.clock.now(), was_made).await?;
    }
    account(accounts, CUSTOMER, Role::Customer).await?;
    tracing::warn!(
        customer = CUSTOMER.0,
        promoter = PROMOTER.0,
        "this is a demo: the passwords of its accounts are public"
    );
    if settings.account_requests_per_minute == 0 {
        tracing::warn!(
            "sign-ups and sign-ins of a client address are not limited, so that the buyers of a rush can sign in"
        );
    }
    if !settings.listen.is_loopback() {
        tracing::warn!(listen = %settings.listen, "the demo is open to the network: anyone who reaches it can sign in as its promoter");
    }
    Ok(())
}

/// Whether a concert of the promoter has a performance to come that is sold now or later.
async fn can_be_sold(catalog: &CatalogService, promoter_id: AccountId) -> anyhow::Result<bool> {
    let (now, mut request) = (catalog.clock.now(), PageRequest::first(PAGE_ITEMS_MAX));
    let can_be_sold = |summary: &ConcertSummary| {
        let is_to_come = summary.last_performance_at.is_some_and(|starts_at| now < starts_at);
        summary.concert.promoter_id == Some(promoter_id) && is_to_come && now < summary.concert.sales.close_at()
    };
    loop {
        // The concerts of the demo are among the oldest, so the first page is likely to have them.
        let page = catalog.catalog.concerts(None, request).await?;
        if page.items.iter().any(can_be_sold) {
            return Ok(true);
        }
        let Some(after) = page.next else { return Ok(false) };
        request = PageRequest { limit: PAGE_ITEMS_MAX, after: Some(after) };
    }
}

/// Makes the concerts in the first year in which all their performances are to come, and their venues are free.
async fn make_concerts(
    import: &CatalogImportService,
    options: &ImportOptions,
    now: Timestamp,
    again: bool,
) -> anyhow::Result<()> {
    let catalog = whole_catalog()?;
    let first_start = catalog.concerts.iter().flat_map(ImportedConcert::performances).filter_map(|new| new.starts_at);
    let first_start = first_start.min().context("the demo has no performances")?;
    let first_year = (0..1_000).find(|years| now < first_start + year() * *years).unwrap_or_default();
    let mut refusal = None;
    for years in first_year..first_year + YEARS_TRIED {
        let by = year() * years;
        let edition = if again { later_edition(&catalog, by, now)? } else { moved(&catalog, by, now) };
        match import.import(&edition, options, Arc::new(|_| ())).await {
            Ok(report) => {
                tracing::info!("the concerts of the demo are {}", import::describe(&report));
                return Ok(());
            }
            Err(ImportError::Refused(refused)) => refusal = Some(refused),
            Err(ImportError::Storage(error)) => return Err(error.into()),
        }
    }
    refusal.map_or(Ok(()), |refusal| Err(refusal).context("the concerts of the demo cannot be imported"))
}

/// A year of whole weeks: concerts stay on their days of the week.
fn year() -> TimeDelta {
    TimeDelta::weeks(52)
}

/// All catalogs of the demo in one, which is imported whole or not at all.
fn whole_catalog() -> anyhow::Result<ImportedCatalog> {
    let mut whole = ImportedCatalog::default();
    for text in CATALOGS {
        let mut catalog = catalog_file::parse(text.as_bytes())
            .map_err(|mistakes| anyhow::anyhow!("a catalog of the demo is wrong: {}", mistakes[0]))?;
        for performance in performances_of(&mut catalog) {
            performance.venue_index = performance.venue_index.map(|index| index + whole.venues.len());
        }
        whole.venues.extend(catalog.venues);
        whole.concerts.extend(catalog.concerts);
    }
    Ok(whole)
}

fn performances_of(catalog: &mut ImportedCatalog) -> impl Iterator<Item = &mut ImportedPerformance> {
    catalog.concerts.iter_mut().filter_map(|concert| concert.performances.as_mut()).flatten()
}

/// The catalog with all its times so much later, except for openings that have been.
fn moved(catalog: &ImportedCatalog, by: TimeDelta, now: Timestamp) -> ImportedCatalog {
    let mut moved = catalog.clone();
    for concert in &mut moved.concerts {
        concert.sales_open_at = concert.sales_open_at.map(|at| if at <= now { at } else { at + by });
        concert.sales_close_at = concert.sales_close_at.map(|at| at + by);
    }
    for performance in performances_of(&mut moved) {
        performance.starts_at = performance.starts_at.map(|at| at + by);
    }
    moved
}

/// As [`moved`], under keys that no earlier start has given, in venues that stay as they are.
fn later_edition(catalog: &ImportedCatalog, by: TimeDelta, now: Timestamp) -> anyhow::Result<ImportedCatalog> {
    let key = |key: &CatalogKey| CatalogKey::new(&format!("{key} {}", rfc3339(now)));
    let mut later = moved(catalog, by, now);
    for venue in &mut later.venues {
        (venue.name, venue.location, venue.overlaps_allowed) = (None, None, None);
    }
    for concert in &mut later.concerts {
        concert.key = key(&concert.key)?;
    }
    for performance in performances_of(&mut later) {
        performance.key = key(&performance.key)?;
    }
    Ok(later)
}

/// The accounts of the buyers of a rush. Thousands of them take a while on a slow disk, so they are made while the server
/// serves.
pub(crate) struct Buyers {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn EntropySource>,
    pub(crate) count: u32,
}

impl Buyers {
    /// Makes the missing accounts. After a failure the next start makes the rest.
    pub(crate) async fn make(self) {
        match self.make_missing().await {
            Ok(0) => tracing::info!(count = self.count, "the buyers of the demo exist"),
            Ok(made) => tracing::info!(made, count = self.count, "the buyers of the demo were made"),
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = error.as_ref();
                tracing::warn!(error, "not all buyers of the demo were made; the next start makes the rest");
            }
        }
    }

    /// The last buyer is made after all others, so if it exists, all do.
    async fn make_missing(&self) -> anyhow::Result<u32> {
        let last = if self.count == 0 { return Ok(0) } else { self.find(self.count).await? };
        if last.as_ref().is_some_and(|buyer| buyer.standing.is_demo) {
            return Ok(0);
        }
        let (passwords, password) = (self.passwords()?, Password::new(BUYER_PASSWORD)?);
        // Buyers that were made before accounts were marked have this hash.
        let hash = match last.map(|buyer| buyer.password_hash) {
            Some(hash) if passwords.verify(password.clone(), Some(hash.clone())).await? => hash,
            _ => passwords.hash(password).await?,
        };
        let others = stream::iter(1..self.count).map(|number| self.make_one(number, &hash));
        let made = others.buffer_unordered(BUYERS_MADE_AT_ONCE);
        let made: u32 = made.try_fold(0, |sum, made| async move { Ok(sum + u32::from(made)) }).await?;
        Ok(made + u32::from(self.make_one(self.count, &hash).await?))
    }

    /// Hashes as cheaply as possible, once for all: it protects nothing, and thousands of buyers sign in at once.
    fn passwords(&self) -> anyhow::Result<Argon2Passwords> {
        let cheapest = PasswordSettings { memory_kib: 8, iterations: 1, parallel: 1, waiting_max: 0 };
        Ok(Argon2Passwords::new(cheapest, Arc::clone(&self.entropy))?)
    }

    async fn find(&self, number: u32) -> anyhow::Result<Option<Credentials>> {
        Ok(self.accounts.credentials(&LoginId::new(&buyer_login_id(number))?).await?)
    }

    /// Makes one buyer. Returns whether the account was missing.
    async fn make_one(&self, number: u32, hash: &PasswordHash) -> anyhow::Result<bool> {
        if let Some(known) = self.find(number).await? {
            if !known.standing.is_demo && known.password_hash == *hash {
                self.accounts.mark_demo(&known.account.login_id).await?;
            }
            return Ok(false);
        }
        let text = buyer_login_id(number);
        let account = Account {
            id: AccountId::new(self.entropy.uuid()),
            login_id: LoginId::new(&text)?,
            name: Name::new(&text)?,
            role: Role::Customer,
            created_at: self.clock.now(),
        };
        let standing = Standing { is_demo: true, ..Standing::default() };
        let credentials = Credentials { account, standing, password_hash: hash.clone(), idempotency: None };
        match self.accounts.create(credentials).await {
            Ok(()) => Ok(true),
            // Another instance that starts now was first.
            Err(CreateAccountError::LoginIdTaken(_)) => Ok(false),
            Err(CreateAccountError::Storage(error)) => Err(error.into()),
        }
    }
}

async fn find(accounts: &AccountService, login_id: &str) -> anyhow::Result<Option<AccountId>> {
    let found = accounts.accounts.credentials(&LoginId::new(login_id)?).await?;
    Ok(found.map(|credentials| credentials.account.id))
}

/// The account, made if it is missing.
async fn account(
    accounts: &AccountService,
    (login_id, password): (&str, &str),
    role: Role,
) -> anyhow::Result<AccountId> {
    let (login_id, password) = (LoginId::new(login_id)?, Password::new(password)?);
    let known = if let Some(known) = accounts.accounts.credentials(&login_id).await? {
        known
    } else {
        let name = Name::new(login_id.as_str())?;
        let sign_up = SignUp { login_id: login_id.clone(), password: password.clone(), name };
        match accounts.sign_up(sign_up, role, None).await {
            // In the second case another instance that starts now was first.
            Ok(_) | Err(SignUpError::LoginIdTaken) => {}
            Err(error) => return Err(error.into()),
        }
        accounts.accounts.credentials(&login_id).await?.context("an account of the demo has vanished")?
    };
    // With another password it is an account like any other.
    if !known.standing.is_demo && accounts.passwords.verify(password, Some(known.password_hash)).await? {
        accounts.accounts.mark_demo(&login_id).await?;
    }
    Ok(known.account.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_edition_has_other_keys_and_times_and_the_same_venues() {
        let catalog = whole_catalog().unwrap();
        assert_eq!((catalog.venues.len(), catalog.concerts.len(), catalog.seats_count()), (3, 4, 54_914));
        let now = catalog.concerts[0].sales_open_at.unwrap();
        let mut later = later_edition(&catalog, year() * 3, now).unwrap();
        for (venue, before) in later.venues.iter().zip(&catalog.venues) {
            assert_eq!((&venue.key, &venue.name, &venue.plan), (&before.key, &None, &before.plan));
        }
        for (concert, before) in later.concerts.iter_mut().zip(&catalog.concerts) {
            assert_ne!(concert.key, before.key);
            let is_open = before.sales_open_at == Some(now);
            let opens_later = if is_open { TimeDelta::zero() } else { year() * 3 };
            assert_eq!(concert.sales_open_at, before.sales_open_at.map(|at| at + opens_later));
            for (performance, before) in concert.performances().iter().zip(before.performances()) {
                assert_ne!(performance.key, before.key);
                assert_eq!(performance.venue_index, before.venue_index);
                assert_eq!(performance.starts_at, before.starts_at.map(|at| at + year() * 3));
            }
        }
        assert_eq!(moved(&catalog, TimeDelta::zero(), now), catalog);
    }
}
