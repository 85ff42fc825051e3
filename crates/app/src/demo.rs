//! Something to try out: a small catalog whose sale is open, and accounts whose passwords everybody knows.

use std::{net::SocketAddr, sync::Arc};

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
/// The login id and password of somebody who buys.
const CUSTOMER: (&str, &str) = ("demo", "demo-password");
/// The login id and password of whom the concerts belong to.
const PROMOTER: (&str, &str) = ("promoter", "promoter-password");

/// The password of every buyer of a rush, which the program `boxoffice-rush` knows too.
const BUYER_PASSWORD: &str = "buyer-password";
/// How many buyers are made at once: enough to keep the database busy, few enough to let others write too.
const BUYERS_MADE_AT_ONCE: usize = 16;

/// What the buyer of this number signs in with, as `boxoffice-rush` does. The first has the number 1.
fn buyer_login_id(number: u32) -> String {
    format!("buyer-{number:05}")
}

/// Puts the demonstration in place, but for its buyers; at a second start it is there already.
pub(crate) async fn prepare(
    accounts: &AccountService,
    import: &CatalogImportService,
    settings: &Settings,
) -> anyhow::Result<()> {
    let listen: SocketAddr = settings.listen;
    account(accounts, CUSTOMER, Role::Customer).await?;
    let promoter_id = account(accounts, PROMOTER, Role::Promoter).await?;
    for (name, text) in CATALOGS {
        let report = import::import_embedded(import, text, promoter_id, &settings.selling_rules()).await;
        let report = report.with_context(|| format!("the catalog {name} of the demonstration was not imported"))?;
        tracing::info!(catalog = name, "{}", import::describe(&report));
    }
    tracing::warn!(
        customer = CUSTOMER.0,
        promoter = PROMOTER.0,
        "this is a demonstration: the passwords of its accounts are public"
    );
    if settings.account_requests_per_minute == 0 {
        tracing::warn!("sign-ups and sign-ins of one address are not limited, so that the buyers of a rush get in");
    }
    if !listen.ip().is_loopback() {
        tracing::warn!(%listen, "the demonstration is open to the network: anybody who reaches it can sign in as its promoter");
    }
    Ok(())
}

/// The accounts of those who take part in a stampede. Thousands of them take a while on a slow disk, so they are
/// made while the server is serving already.
pub(crate) struct Buyers {
    pub(crate) accounts: Arc<dyn Accounts>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn EntropySource>,
    /// How many there shall be.
    pub(crate) count: u32,
}

impl Buyers {
    /// Makes those who are missing. What fails is made at the next start.
    pub(crate) async fn make(self) {
        match self.make_missing().await {
            Ok(0) => tracing::info!(count = self.count, "the buyers of the demonstration are there"),
            Ok(made) => tracing::info!(made, count = self.count, "the buyers of the demonstration were made"),
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = error.as_ref();
                tracing::warn!(error, "the buyers of the demonstration were not all made; the next start goes on");
            }
        }
    }

    /// The last one is made when all others are there, so that whether it is there tells of all.
    async fn make_missing(&self) -> anyhow::Result<u32> {
        if self.count == 0 || self.is_there(self.count).await? {
            return Ok(0);
        }
        let hash = self.hash().await?;
        let others = stream::iter(1..self.count).map(|number| self.make_one(number, &hash));
        let made = others.buffer_unordered(BUYERS_MADE_AT_ONCE);
        let made: u32 = made.try_fold(0, |sum, made| async move { Ok(sum + u32::from(made)) }).await?;
        Ok(made + u32::from(self.make_one(self.count, &hash).await?))
    }

    /// One hash for all, as cheap as there is: it has nothing to protect, and thousands are signed in at once.
    async fn hash(&self) -> anyhow::Result<PasswordHash> {
        let cheapest = PasswordSettings { memory_kib: 8, iterations: 1, parallel: 1, waiting_max: 0 };
        let passwords = Argon2Passwords::new(cheapest, Arc::clone(&self.entropy))?;
        Ok(passwords.hash(Password::new(BUYER_PASSWORD)?).await?)
    }

    async fn is_there(&self, number: u32) -> anyhow::Result<bool> {
        Ok(self.accounts.credentials(&LoginId::new(&buyer_login_id(number))?).await?.is_some())
    }

    /// Whether it was missing.
    async fn make_one(&self, number: u32, hash: &PasswordHash) -> anyhow::Result<bool> {
        if self.is_there(number).await? {
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
            // Another instance that starts at the same moment was quicker.
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
    if let Some(credentials) = accounts.accounts.credentials(&login_id).await? {
        return Ok(credentials.account.id);
    }
    let name = Name::new(login_id.as_str())?;
    let sign_up = SignUp { login_id: login_id.clone(), password: Password::new(password)?, name };
    match accounts.sign_up(sign_up, role, None).await {
        Ok(made) => Ok(made.value.id),
        // Another instance that starts at the same moment was quicker.
        Err(SignUpError::LoginIdTaken) => {
            let credentials = accounts.accounts.credentials(&login_id).await?;
            Ok(credentials.context("an account of the demonstration has vanished")?.account.id)
        }
        Err(error) => Err(error.into()),
    }
}
