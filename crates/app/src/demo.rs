//! The demo: a small catalog on sale, and accounts with public passwords.

use std::sync::Arc;

use anyhow::Context;
use boxoffice_application::{
    AccountService, CatalogImportService,
    accounts::{SignUp, SignUpError},
};
use boxoffice_domain::{
    AccountId, Clock, EntropySource,
    accounts::{
        Account, Accounts, CreateAccountError, Credentials, LoginId, Password, PasswordHash, PasswordHasher, Role,
    },
    catalog::ImportOptions,
    text::Name,
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    adapters::{Argon2Passwords, PasswordSettings},
    import,
    settings::Settings,
};

const CATALOGS: [(&str, &str); 2] = [
    ("club.json", include_str!("../../../tests/catalog/club.json")),
    ("arena.json", include_str!("../../../tests/catalog/arena.json")),
];
/// The login id and password of a buyer.
const CUSTOMER: (&str, &str) = ("demo", "demo-password");
/// The login id and password of the promoter of the concerts.
const PROMOTER: (&str, &str) = ("promoter", "promoter-password");

/// The password of every buyer of a rush, as in `boxoffice-rush`.
const BUYER_PASSWORD: &str = "buyer-password";
/// How many buyers are made at once: enough to keep the database busy, few enough to let other writes through.
const BUYERS_MADE_AT_ONCE: usize = 16;

/// The login id of a buyer, as in `boxoffice-rush`. The first has the number 1.
fn buyer_login_id(number: u32) -> String {
    format!("buyer-{number:05}")
}

/// Makes the demo except its buyers, unless an earlier start has made it.
pub(crate) async fn prepare(
    accounts: &AccountService,
    import: &CatalogImportService,
    settings: &Settings,
) -> anyhow::Result<()> {
    account(accounts, CUSTOMER, Role::Customer).await?;
    let promoter_id = account(accounts, PROMOTER, Role::Promoter).await?;
    let options = ImportOptions::new(Some(promoter_id), &settings.selling_rules());
    for (name, text) in CATALOGS {
        let report = import::import_embedded(import, text, &options).await;
        let report = report.with_context(|| format!("the catalog {name} of the demo was not imported"))?;
        tracing::info!(catalog = name, "{}", import::describe(&report));
    }
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
        if self.count == 0 || self.exists(self.count).await? {
            return Ok(0);
        }
        let hash = self.hash().await?;
        let others = stream::iter(1..self.count).map(|number| self.make_one(number, &hash));
        let made = others.buffer_unordered(BUYERS_MADE_AT_ONCE);
        let made: u32 = made.try_fold(0, |sum, made| async move { Ok(sum + u32::from(made)) }).await?;
        Ok(made + u32::from(self.make_one(self.count, &hash).await?))
    }

    /// One hash for all, as cheap as possible: it protects nothing, and thousands of buyers sign in at once.
    async fn hash(&self) -> anyhow::Result<PasswordHash> {
        let cheapest = PasswordSettings { memory_kib: 8, iterations: 1, parallel: 1, waiting_max: 0 };
        let passwords = Argon2Passwords::new(cheapest, Arc::clone(&self.entropy))?;
        Ok(passwords.hash(Password::new(BUYER_PASSWORD)?).await?)
    }

    async fn exists(&self, number: u32) -> anyhow::Result<bool> {
        Ok(self.accounts.credentials(&LoginId::new(&buyer_login_id(number))?).await?.is_some())
    }

    /// Makes one buyer. Returns whether the account was missing.
    async fn make_one(&self, number: u32, hash: &PasswordHash) -> anyhow::Result<bool> {
        if self.exists(number).await? {
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
        let credentials = Credentials { account, password_hash: hash.clone(), idempotency: None };
        match self.accounts.create(credentials).await {
            Ok(()) => Ok(true),
            // Another instance that starts now was first.
            Err(CreateAccountError::LoginIdTaken(_)) => Ok(false),
            Err(CreateAccountError::Storage(error)) => Err(error.into()),
        }
    }
}

async fn account(
    accounts: &AccountService,
    (login_id, password): (&str, &str),
    role: Role,
) -> anyhow::Result<AccountId> {
    let login_id = LoginId::new(login_id)?;
    let name = Name::new(login_id.as_str())?;
    let sign_up = SignUp { login_id: login_id.clone(), password: Password::new(password)?, name };
    match accounts.sign_up(sign_up, role, None).await {
        Ok(made) => Ok(made.value.id),
        Err(SignUpError::LoginIdTaken) => {
            let credentials = accounts.accounts.credentials(&login_id).await?;
            Ok(credentials.context("an account of the demo has vanished")?.account.id)
        }
        Err(error) => Err(error.into()),
    }
}
