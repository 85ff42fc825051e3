//! `boxoffice account`.

use std::io::IsTerminal;

use anyhow::{Context, bail};
use boxoffice_application::{
    AccountService,
    accounts::{SignUp, SignUpError},
};
use boxoffice_domain::{
    accounts::{LoginId, Password, Role},
    text::Name,
};

use crate::{exit::Exit, output};

/// The password of a new account, for scripts. It is not an argument, since every user of the machine can see those.
const PASSWORD_VARIABLE: &str = "BOXOFFICE_PASSWORD";

/// Makes the account, or changes its role if it exists.
pub(crate) async fn make_or_change(
    accounts: &AccountService,
    login_id: LoginId,
    role: Role,
    name: Option<Name>,
) -> anyhow::Result<Exit> {
    if change_role(accounts, &login_id, role).await? {
        return Ok(Exit::Success);
    }
    let password = match ask_password(&login_id)? {
        Ok(password) => password,
        Err(refusal) => {
            output::print_error(&refusal);
            return Ok(Exit::Refused);
        }
    };
    let name = match name {
        Some(name) => name,
        None => Name::new(login_id.as_str()).context("the login id is not a name: use --name")?,
    };
    let sign_up = SignUp { login_id: login_id.clone(), password, name };
    match accounts.sign_up(sign_up, role, None).await {
        Ok(_) => output::print_line(&format!("made the account `{login_id}` with the role {}", role.as_str()))?,
        // The account was made while the operator typed the password.
        Err(SignUpError::LoginIdTaken) => {
            change_role(accounts, &login_id, role).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Success)
}

/// Changes the role of an account. Returns whether the account exists.
async fn change_role(accounts: &AccountService, login_id: &LoginId, role: Role) -> anyhow::Result<bool> {
    let changed = accounts.accounts.set_role(login_id, role).await?;
    if let Some(account) = &changed {
        let role = account.role.as_str();
        output::print_line(&format!(
            "the account `{login_id}` has the role {role}; sessions get it with their next refresh"
        ))?;
    }
    Ok(changed.is_some())
}

/// The password, or why it is refused.
fn ask_password(login_id: &LoginId) -> anyhow::Result<Result<Password, String>> {
    let typed = match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) => password,
        Err(_) if std::io::stdin().is_terminal() => {
            let typed = rpassword::prompt_password(format!("Password for {login_id}: "))?;
            if typed != rpassword::prompt_password("Repeat the password: ")? {
                return Ok(Err("the two passwords differ".to_owned()));
            }
            typed
        }
        Err(_) => bail!("there is no terminal to ask for a password; set {PASSWORD_VARIABLE}"),
    };
    Ok(Password::new(&typed).map_err(|error| error.to_string()))
}
