//! `boxoffice account`.

use std::{ffi::OsString, fmt::Display, io::IsTerminal};

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountService,
    accounts::{ChangeAccount, ChangeAccountError, SignUp, SignUpError},
};
use boxoffice_domain::{
    accounts::{Account, LoginId, Password, Role},
    text::Name,
};

use crate::{exit::Exit, output, settings};

/// The password, for scripts. It is not an argument, since every user of the machine can see those.
const PASSWORD_VARIABLE: &str = "BOXOFFICE_PASSWORD";
/// Names a file that has the password.
const PASSWORD_FILE_VARIABLE: &str = "BOXOFFICE_PASSWORD_FILE";

#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that an operator sets by itself")]
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
    /// Lets nobody sign in, and ends all sessions
    #[arg(long, conflicts_with = "unlock")]
    lock: bool,
    /// Lets its holder sign in again
    #[arg(long)]
    unlock: bool,
    /// Ends all sessions
    #[arg(long)]
    end_sessions: bool,
    /// Removes the second factor, such as one whose device is lost, and ends all sessions
    #[arg(long)]
    remove_second_factor: bool,
    /// Makes the database if there is none, or nothing in it
    #[arg(long)]
    pub(crate) create: bool,
}

impl AccountOptions {
    fn locked(&self) -> Option<bool> {
        (self.lock || self.unlock).then_some(self.lock)
    }
}

/// Makes the account, or changes what the options name if it exists. Does all of it, or nothing.
pub(crate) async fn make_or_change(accounts: &AccountService, options: AccountOptions) -> anyhow::Result<Exit> {
    let login_id = &options.login_id;
    let exists = accounts.accounts.credentials(login_id).await?.is_some();
    if !exists && (options.locked().is_some() || options.end_sessions || options.remove_second_factor) {
        bail!(
            "there is no account `{login_id}`, and only one that exists can be locked or have sessions and a second factor"
        );
    }
    let password = if options.password || !exists { Some(ask_password(login_id)?) } else { password_of_variable()? };
    let password = match password.map(|typed| Password::new(&typed)).transpose() {
        Ok(password) => password,
        Err(refusal) => return Ok(refuse(refusal)),
    };
    match password {
        Some(password) if !exists => make(accounts, options, password).await,
        password => change(accounts, options, password).await,
    }
}

/// Says why a password is refused.
fn refuse(refusal: impl Display) -> Exit {
    output::print_error(&refusal.to_string());
    Exit::Refused
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
        Ok(made) => {
            tracing::info!(
                target: "audit",
                event = "account_made",
                account = %made.value.id,
                role = role.as_str(),
                by = "operator",
            );
            output::print_line(&format!("made the account `{login_id}` with the role {}", role.as_str()))?;
        }
        Err(SignUpError::Guessable(refusal)) => return Ok(refuse(refusal)),
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
    let locked = options.locked();
    let AccountOptions { login_id, role, name, end_sessions, remove_second_factor, .. } = options;
    let change = ChangeAccount { role, name, password, locked, end_sessions, remove_second_factor };
    let told = Told::of(&change);
    if told == Told::default() {
        bail!(
            "nothing to change of the account `{login_id}`: give --role, --name, --password, --lock, --unlock, \
             --end-sessions or --remove-second-factor"
        );
    }
    let changed = match accounts.change(&login_id, change).await {
        Err(ChangeAccountError::Guessable(refusal)) => return Ok(refuse(refusal)),
        changed => changed?,
    };
    let Some((account, ended_sessions)) = changed else { bail!("there is no account `{login_id}`") };
    told.log(&account, ended_sessions);
    for line in told.lines(&account, ended_sessions) {
        output::print_line(&line)?;
    }
    Ok(Exit::Success)
}

/// What was to change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a part of an account")]
struct Told {
    role: bool,
    name: bool,
    password: bool,
    locked: Option<bool>,
    end_sessions: bool,
    remove_second_factor: bool,
}

impl Told {
    fn of(change: &ChangeAccount) -> Self {
        let ChangeAccount { role, name, password, locked, end_sessions, remove_second_factor } = change;
        Self {
            role: role.is_some(),
            name: name.is_some(),
            password: password.is_some(),
            locked: *locked,
            end_sessions: *end_sessions,
            remove_second_factor: *remove_second_factor,
        }
    }

    /// Writes the line of a change into the audit log.
    fn log(self, account: &Account, ended_sessions: usize) {
        tracing::info!(
            target: "audit",
            event = "account_changed",
            account = %account.id,
            role = self.role.then_some(account.role.as_str()),
            name = self.name.then_some("changed"),
            password = self.password.then_some("changed"),
            locked = self.locked,
            second_factor = self.remove_second_factor.then_some("removed"),
            ended_sessions,
            by = "operator",
        );
    }

    /// What a change did.
    fn lines(self, account: &Account, ended_sessions: usize) -> Vec<String> {
        let Account { login_id, role, name, .. } = account;
        let role = self.role.then(|| format!("has the role {}", role.as_str()));
        let name = self.name.then(|| format!("has the name {name}"));
        let password = self.password.then(|| "has another password".to_owned());
        let locked = self.locked.map(|locked| if locked { "is locked" } else { "is no longer locked" }.to_owned());
        let factor = self.remove_second_factor.then(|| "has no second factor any more".to_owned());
        let ends = self.password || self.end_sessions || self.remove_second_factor || self.locked == Some(true);
        let sessions = ends.then(|| format!("has no sessions any more: {ended_sessions} have ended"));
        let lines = [role, name, password, locked, factor, sessions].into_iter().flatten();
        lines.map(|line| format!("the account `{login_id}` {line}")).collect()
    }
}

/// The password in the variable, or in the file that the other variable names, if one of them is set.
fn password_of_variable() -> anyhow::Result<Option<String>> {
    match (variable(PASSWORD_VARIABLE), variable(PASSWORD_FILE_VARIABLE)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => bail!("the variables {PASSWORD_VARIABLE} and {PASSWORD_FILE_VARIABLE} are both set"),
        (None, Some(path)) => match settings::read_secret(path.as_ref()) {
            Ok(password) => Ok(Some(password)),
            Err(what) => bail!("the password {what}"),
        },
        (Some(value), None) => match value.into_string() {
            Ok(password) => Ok(Some(password)),
            Err(_) => bail!("the value of the variable {PASSWORD_VARIABLE} is not Unicode"),
        },
    }
}

/// A variable that is set. A script leaves a variable empty that it does not fill in.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
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
