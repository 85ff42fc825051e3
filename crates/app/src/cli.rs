//! The command line.

use std::path::PathBuf;

use boxoffice_domain::{AccountId, ReservationId, accounts::LoginId, text::Name};
use clap::{Arg, ArgAction, ArgMatches, Args, Command as ClapCommand, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    account::AccountOptions,
    copy::CopyOptions,
    private_files::CREDENTIALS_VARIABLE,
    reconcile::ReconcileOptions,
    settings::{self, Layers, Setting, SettingsError, VARIABLE_PREFIX},
    show::ShowCommand,
    verify_draw::VerifyDrawOptions,
};

/// The settings that the short help shows; the long one shows all.
const SHOWN_FIRST: [&str; 8] =
    ["listen", "database", "waiting_room", "data_dir", "demo", "log_format", "log", "metrics_listen"];

/// Under which the help lists the settings.
pub(crate) const SETTINGS_HEADING: &str = "Settings";

/// Sells concert tickets when far more people want them than there are seats.
///
/// Every setting has a flag, an environment variable and a key in the TOML file. A flag wins over a variable,
/// and a variable over the file.
#[derive(Debug, Parser)]
#[command(
    name = "boxoffice",
    version,
    after_help = "With no settings at all, `boxoffice` serves over SQLite in ./data on http://127.0.0.1:8080."
)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// A TOML file with settings
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "BOXOFFICE_CONFIG",
        hide_env_values = true,
        help_heading = SETTINGS_HEADING
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Default, Subcommand)]
pub(crate) enum Command {
    /// Serves the API until a signal to stop (the default)
    ///
    /// Brings the schema of the database up to date first. SIGTERM or Ctrl-C stops it: it accepts no more requests, those in
    /// flight end, and it exits with 0. A second signal aborts them.
    #[default]
    Serve,
    /// Brings the schema of the database up to date
    Migrate {
        /// Takes back this many migrations, the latest first; the data in them is lost
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        down: Option<u32>,
        /// Makes the schema of an empty database, and the file of an embedded one
        #[arg(long, conflicts_with = "down")]
        create: bool,
    },
    /// Imports a catalog of venues, concerts and performances
    ///
    /// The whole file is checked before anything is written; it is imported whole or not at all. Exits with 1 if the file is
    /// wrong, with every error at its JSON pointer, and with 2 if it could not run. What its owner imported before under the
    /// same key is updated: a field that is absent stays as it is. Prints every change. Seats that are held or sold keep their
    /// price.
    Import(ImportCommand),
    /// Makes an account, or changes the role, the name or the password of one, locks it, or ends its sessions
    ///
    /// Asks for the password of a new account on the terminal, or takes it from the variable `BOXOFFICE_PASSWORD` or the file
    /// that `BOXOFFICE_PASSWORD_FILE` names. For an account that exists, changes what is given, also the password if the
    /// variable is set: all of it, or nothing. Another password ends all sessions of the account, and so does locking it.
    Account(AccountOptions),
    /// Changes the keys that sign tokens
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Looks at everything that a server with these settings needs, and changes nothing
    ///
    /// The settings, the database (version, schema, privileges), the clock, Redis, the keys and their age, files and their
    /// permissions. Prints a line for each. Exits with 0 if a server can serve, and with 1 if not.
    Check,
    /// Shows what is stored of an account, a reservation, a payment, a queue or a concert, and changes nothing
    Show {
        #[command(subcommand)]
        command: ShowCommand,
    },
    /// Refuses all that would change something with 503 and a message, while reading goes on
    ///
    /// All instances follow within two seconds, and queues admit nobody meanwhile. Who is signed in stays so.
    Maintenance {
        #[command(subcommand)]
        command: MaintenanceCommand,
    },
    /// Compares the charges of some time with the books of the payment gateway, and changes nothing
    ///
    /// Prints each difference. Exits with 1 if there is one, and with 2 if the books could not be compared.
    Reconcile(ReconcileOptions),
    /// Copies a whole database into another one, such as from SQLite to MySQL, and audits both
    ///
    /// Servers must not run meanwhile. If it is interrupted, it goes on where it stopped when it is repeated.
    Copy(CopyOptions),
    /// Checks every invariant over the whole database
    ///
    /// Prints each breach as `invariant: detail`. Exits with 1 if there is one, with 2 if it could not run.
    Audit {
        /// Runs only if the database holds a reservation of this account, so that it is the expected database
        #[arg(long, value_name = "ID", requires = "reservation")]
        account: Option<AccountId>,
        /// The reservation
        #[arg(long, value_name = "ID", requires = "account")]
        reservation: Option<ReservationId>,
    },
    /// Checks a draw that has been held
    ///
    /// Needs no server and no database, only the hash that was published before the draw, and the order of admission. Exits
    /// with 0 if the seed has the hash and the order is that of the numbers drawn, with 1 at the first breach, and with 2 if
    /// it could not run.
    VerifyDraw(VerifyDrawOptions),
    /// Prints the OpenAPI document of the API
    Openapi,
    /// Prints the completions of a shell
    ///
    /// Bash: `boxoffice completions bash > ~/.local/share/bash-completion/completions/boxoffice`. The Debian package has
    /// those of bash, zsh and fish.
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page
    Man {
        /// Writes the manual page, and one for each command, to this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// The name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Migrate { .. } => "migrate",
            Self::Import(_) => "import",
            Self::Account(_) => "account",
            Self::Keys { .. } => "keys",
            Self::Check => "check",
            Self::Show { .. } => "show",
            Self::Maintenance { .. } => "maintenance",
            Self::Reconcile(_) => "reconcile",
            Self::Copy(_) => "copy",
            Self::Audit { .. } => "audit",
            Self::VerifyDraw(_) => "verify-draw",
            Self::Openapi => "openapi",
            Self::Completions { .. } => "completions",
            Self::Man { .. } => "man",
        }
    }
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that an operator sets by itself")]
pub(crate) struct ImportCommand {
    /// The catalog, a JSON file
    pub(crate) file: PathBuf,
    /// The account that owns the catalog, and adopts what has no owner; without it the operator owns it
    #[arg(long, value_name = "LOGIN_ID", value_parser = LoginId::new)]
    pub(crate) promoter: Option<LoginId>,
    /// Prints what would change, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Makes the database if there is none, or nothing in it
    #[arg(long)]
    pub(crate) create: bool,
    /// Takes performances of the owner from sale that the file does not name, of the concerts that it names
    ///
    /// Their seats stay with the buyers, who may cancel and get their points back. Naming one again puts it back on sale.
    #[arg(long)]
    pub(crate) withdraw: bool,
    /// Allows another start for performances of which seats are sold
    ///
    /// Buyers who held or paid earlier can cancel until the later of the old and the new start.
    #[arg(long)]
    pub(crate) allow_harm: bool,
    /// Allows performances that have been already
    #[arg(long)]
    pub(crate) allow_history: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    /// Begins it, or changes the message
    On {
        /// What those are answered who want to begin something
        #[arg(long, value_parser = Name::new, default_value = "The sale pauses for maintenance.")]
        message: Name,
    },
    /// Ends it
    Off,
    /// Prints whether it is on
    Status,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Lets a new key sign, and makes the file if it is missing
    ///
    /// Running instances take over the file within seconds. Tokens of the old keys stay valid until the keys are dropped.
    /// With several instances, run it with --prepare first and copy the file to every instance; then run it without, so that
    /// every instance has the new key before one signs with it.
    Rotate {
        /// Makes a key that is accepted and does not sign yet
        #[arg(long)]
        prepare: bool,
        /// Drops all keys but this many of the newest
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
        keep: Option<u16>,
    },
    /// Lists the keys, the newest first: what each is for, when it was made, and whether it signs
    List,
}

/// The settings that were given as flags, as text, so that a wrong one is refused in the same words as from other sources.
#[derive(Debug, Default)]
struct SettingFlags(Vec<(&'static str, String)>);

impl CommandLine {
    /// The command, and the sources of its settings.
    pub(crate) fn into_parts(self) -> Result<(Command, Layers), SettingsError> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(VARIABLE_PREFIX))?;
            let wrong = format!("the value of the variable {name} is not Unicode");
            Some(value.into_string().map(|value| (name, value)).map_err(|_| SettingsError(vec![wrong])))
        });
        let variables = variables.collect::<Result<_, _>>()?;
        let file = self.config.filter(|path| !path.as_os_str().is_empty());
        let credentials = std::env::var_os(CREDENTIALS_VARIABLE).filter(|folder| !folder.is_empty()).map(PathBuf::from);
        Ok((self.command.unwrap_or_default(), Layers { file, variables, flags: self.settings.0, credentials }))
    }
}

impl Args for SettingFlags {
    fn augment_args(command: ClapCommand) -> ClapCommand {
        command.args(settings::named().map(flag_of))
    }

    fn augment_args_for_update(command: ClapCommand) -> ClapCommand {
        Self::augment_args(command)
    }
}

fn flag_of(setting: &Setting) -> Arg {
    let default = if setting.default.is_empty() { "none" } else { setting.default };
    let help = format!("{} [env: {}] [default: {default}]", setting.help.trim(), setting.variable());
    let flag = Arg::new(setting.key)
        .long(setting.flag())
        .help(help)
        .help_heading(SETTINGS_HEADING)
        .value_name("VALUE")
        .global(true)
        .action(ArgAction::Set)
        // A value that begins with a dash is refused by the setting's name.
        .allow_hyphen_values(!setting.is_switch())
        .hide_short_help(!SHOWN_FIRST.contains(&setting.key));
    if setting.is_switch() {
        flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("true|false")
    } else {
        flag
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &Setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone()));
        Ok(Self(settings::named().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from([&["boxoffice"], arguments].concat())
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn a_setting_may_stand_before_or_after_the_command_and_a_switch_alone_means_on() {
        for (arguments, key, value) in [
            (&["--hold-seconds", "7", "serve"][..], "hold_seconds", "7"),
            (&["serve", "--hold-seconds=7"], "hold_seconds", "7"),
            (&["--hold-seconds=7"], "hold_seconds", "7"),
            (&["--demo", "serve"], "demo", "true"),
            (&["--demo=false"], "demo", "false"),
        ] {
            let given = parse(arguments).unwrap().settings.0;
            assert_eq!(given, [(key, value.to_owned())], "{arguments:?}");
        }
    }

    #[test]
    fn a_wrong_argument_is_refused() {
        assert!(parse(&["account", "haneul", "--role", "promoter"]).is_ok());
        assert!(parse(&["account", "Haneul ", "--password", "--name", "Kim"]).is_ok());
        assert!(parse(&["account", "haneul", "--lock", "--end-sessions", "--role", "customer"]).is_ok());
        assert!(parse(&["account", "haneul", "--lock", "--unlock"]).is_err());
        assert!(
            parse(&["account", "ha neul", "--role", "promoter"]).unwrap_err().to_string().contains("a login id has")
        );
        assert!(parse(&["account", "haneul", "--name", "\u{200b}"]).unwrap_err().to_string().contains("U+200B"));
        assert!(parse(&["account", "haneul", "--role", "root"]).unwrap_err().to_string().contains("a role is"));
        assert!(parse(&["migrate", "--down", "0"]).is_err());
    }
}
