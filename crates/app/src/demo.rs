//! Something to try out: a small catalogue whose sale is open, and accounts whose passwords everybody knows.

use std::net::SocketAddr;

use anyhow::Context;
use boxoffice_application::{
    AccountService,
    accounts::{SignUp, SignUpError},
};
use boxoffice_domain::{
    AccountId,
    accounts::{LoginId, Password, Role},
    catalog::CatalogImport,
    text::Name,
};

use crate::{catalogue_file::Defaults, import};

const CATALOGUES: [(&str, &str); 2] = [
    ("club.json", include_str!("../../../tests/catalogue/club.json")),
    ("arena.json", include_str!("../../../tests/catalogue/arena.json")),
];
/// The login id and password of somebody who buys.
const CUSTOMER: (&str, &str) = ("demo", "demo-password");
/// The login id and password of whom the concerts belong to.
const PROMOTER: (&str, &str) = ("promoter", "promoter-password");

/// Puts the demonstration in place; at a second start it is there already.
pub(crate) async fn prepare(
    accounts: &AccountService,
    import: &dyn CatalogImport,
    defaults: Defaults,
    listen: SocketAddr,
) -> anyhow::Result<()> {
    account(accounts, CUSTOMER, Role::Customer).await?;
    let promoter_id = account(accounts, PROMOTER, Role::Promoter).await?;
    for (name, text) in CATALOGUES {
        let report = import::import_embedded(import, text, promoter_id, defaults).await;
        let report = report.with_context(|| format!("the catalogue {name} of the demonstration was not imported"))?;
        tracing::info!(catalogue = name, "{}", import::describe(&report));
    }
    tracing::warn!(
        customer = CUSTOMER.0,
        promoter = PROMOTER.0,
        "this is a demonstration: the passwords of its accounts are public"
    );
    if !listen.ip().is_loopback() {
        tracing::warn!(%listen, "the demonstration is open to the network: anybody who reaches it can sign in as its promoter");
    }
    Ok(())
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
