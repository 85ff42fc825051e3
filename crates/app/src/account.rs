//! `boxoffice account`.

use std::io::IsTerminal;

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountService,
    accounts::{ChangeAccount, SignUp, SignUpError},
};
use boxoffice_domain::{
    accounts::{Account, LoginId, Password, Role},
    text::Name,
};

use crate::{exit::Exit, output};

/// The password, for scripts. It is not an argument, since every user of the machine can see those.
const PASSWORD_VARIABLE: &str = "BOXOFFICE_PASSWORD";

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AccountOptions {
    /// The login id of the account
    #[arg(value_parser = LoginId::new)]
    login_id: LoginId,
    /// customer, promoter or admin; a new account needs it
    #[arg(long)]
    role: Option<Role>,
    /// The name; without it a new account is called by its login id
    #[arg(long, value_parser = Name::new)]
    name: Option<Name>,
    /// Asks for another password of an account that exists; a new account is asked for one anyway
    #[arg(long)]
    password: bool,
}

/// Makes the account, or changes what the options name if it exists.
pub(crate) async fn make_or_change(accounts: &AccountService, options: AccountOptions) -> anyhow::Result<Exit> {
    let exists = accounts.accounts.credentials(&options.login_id).await?.is_some();
    let password =
        if options.password || !exists { Some(ask_password(&options.login_id)?) } else { password_of_variable()? };
    let password = match password.map(|typed| Password::new(&typed)).transpose() {
        Ok(password) => password,
        Err(refusal) => {
            output::print_error(&refusal.to_string());
            return Ok(Exit::Refused);
        }
    };
    match password {
        Some(password) if !exists => make(accounts, options, password).await,
        password => change(accounts, options, password).await,
    }
}

async fn make(accounts: &AccountService, options: AccountOptions, password: Password) -> anyhow::Result<Exit> {
    let AccountOptions { login_id, role, name, .. } = &options;
    let Some(role) = *role else { bail!("there is no account `{login_id}`; to make it, give its --role") };
    let name = match name {
        Some(name) => name.clone(),
        None => Name::new(login_id.as_str()).context("the login id is not a name: use --name")?,
    };
    let sign_up = SignUp { login_id: login_id.clone(), password: password.clone(), name };
    match accounts.sign_up(sign_up, role, None).await {
        Ok(_) => output::print_line(&format!("made the account `{login_id}` with the role {}", role.as_str()))?,
        // The account was made while the operator typed the password.
        Err(SignUpError::LoginIdTaken) => return change(accounts, options, Some(password)).await,
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Success)
}

async fn change(
    accounts: &AccountService,
    options: AccountOptions,
    password: Option<Password>,
) -> anyhow::Result<Exit> {
    let AccountOptions { login_id, role, name, .. } = options;
    let told = (role.is_some(), name.is_some(), password.is_some());
    if told == (false, false, false) {
        bail!("nothing to change of the account `{login_id}`: give --role, --name or --password");
    }
    let changed = accounts.change(&login_id, ChangeAccount { role, name, password }).await?;
    let Some((account, ended_sessions)) = changed else { bail!("there is no account `{login_id}`") };
    for line in lines(&account, told, ended_sessions) {
        output::print_line(&line)?;
    }
    Ok(Exit::Success)
}

/// What a change did, for the role, the name and the password as far as they were told.
fn lines(account: &Account, told: (bool, bool, bool), ended_sessions: usize) -> Vec<String> {
    let Account { login_id, role, name, .. } = account;
    let (role_told, name_told, password_told) = told;
    let role =
        format!("the account `{login_id}` has the role {}; sessions get it with their next refresh", role.as_str());
    let name = format!("the account `{login_id}` has the name {name}");
    let password =
        format!("the account `{login_id}` has another password, and {ended_sessions} sessions of it have ended");
    let lines = [(role_told, role), (name_told, name), (password_told, password)];
    lines.into_iter().filter_map(|(was_told, line)| was_told.then_some(line)).collect()
}

/// The password in the variable, if it is set. A script leaves a variable empty that it does not fill in.
fn password_of_variable() -> anyhow::Result<Option<String>> {
    let Some(value) = std::env::var_os(PASSWORD_VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.into_string() {
        Ok(password) => Ok(Some(password)),
        Err(_) => bail!("the value of the variable {PASSWORD_VARIABLE} is not Unicode"),
    }
}

fn ask_password(login_id: &LoginId) -> anyhow::Result<String> {
    if let Some(password) = password_of_variable()? {
        return Ok(password);
    }
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask for a password; set {PASSWORD_VARIABLE}");
    }
    let typed = rpassword::prompt_password(format!("Password for {login_id}: "))?;
    if typed != rpassword::prompt_password("Repeat the password: ")? {
        bail!("the two passwords differ");
    }
    Ok(typed)
}
