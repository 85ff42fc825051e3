//! Making an account from the command line, or changing its role.

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

/// Where a script puts the password of a new account: arguments are seen by every user of a machine.
const PASSWORD_VARIABLE: &str = "BOXOFFICE_PASSWORD";

/// Makes the account, or gives it this role where it is there already.
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
        None => Name::new(login_id.as_str()).context("the login id cannot be the name too")?,
    };
    let sign_up = SignUp { login_id: login_id.clone(), password, name };
    match accounts.sign_up(sign_up, role, None).await {
        Ok(_) => output::print_line(&format!("made the account `{login_id}` with the role {}", role.as_str()))?,
        // Somebody signed up with it while the password was typed.
        Err(SignUpError::LoginIdTaken) => {
            change_role(accounts, &login_id, role).await?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Success)
}

/// Whether there is such an account, which has the role then.
async fn change_role(accounts: &AccountService, login_id: &LoginId, role: Role) -> anyhow::Result<bool> {
    let changed = accounts.accounts.set_role(login_id, role).await?;
    if let Some(account) = &changed {
        let role = account.role.as_str();
        output::print_line(&format!(
            "the account `{login_id}` has the role {role}; who is signed in has it from the next refresh on"
        ))?;
    }
    Ok(changed.is_some())
}

/// The password, or why it cannot be one.
fn ask_password(login_id: &LoginId) -> anyhow::Result<Result<Password, String>> {
    let typed = match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) => password,
        Err(_) if std::io::stdin().is_terminal() => {
            let typed = rpassword::prompt_password(format!("Password for {login_id}: "))?;
            if typed != rpassword::prompt_password("The same again: ")? {
                return Ok(Err("the two passwords differ".to_owned()));
            }
            typed
        }
        Err(_) => bail!("there is no terminal to ask for a password: set {PASSWORD_VARIABLE}"),
    };
    Ok(Password::new(&typed).map_err(|error| error.to_string()))
}
