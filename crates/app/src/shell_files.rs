//! What a shell knows of the program: completions and manual pages, made from the command line.

use std::{fs, path::Path};

use anyhow::Context;
use clap::{Arg, Command as ClapCommand, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{
    cli::{CommandLine, SETTINGS_HEADING},
    exit::Exit,
    output, unused_flags,
};

const NAME: &str = env!("CARGO_PKG_NAME");
const NAME_AND_VERSION: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

pub(crate) fn print_completions(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut with_used_settings(CommandLine::command()), NAME, &mut script);
    output::print_line(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Success)
}

/// Prints the page of the program, or writes it and those of its commands to a folder.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<Exit> {
    let Some(folder) = folder else {
        output::print_line(String::from_utf8(page(program())?)?.trim_end())?;
        return Ok(Exit::Success);
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    write_page(folder, program())?;
    for command in commands().get_subcommands() {
        write_pages(folder, command)?;
    }
    Ok(Exit::Success)
}

fn is_setting(argument: &Arg) -> bool {
    argument.get_help_heading() == Some(SETTINGS_HEADING)
}

/// Every command takes the flag of every setting and then refuses those that it has no use for. Here each has only the
/// others.
fn with_used_settings(program: ClapCommand) -> ClapCommand {
    let program = program.mut_args(|argument| {
        let everywhere = argument.is_global_set() && !is_setting(&argument);
        argument.global(everywhere)
    });
    let settings: Vec<_> = program.get_arguments().filter(|argument| is_setting(argument)).cloned().collect();
    program.mut_subcommands(|command| {
        let used = unused_flags::used_by(command.get_name());
        let is_used = |setting: &&Arg| match &used {
            None => true,
            Some(used) if setting.get_id() == "config" => !used.is_empty(),
            Some(used) => used.iter().any(|keys| keys.contains(&setting.get_id().as_str())),
        };
        let settings: Vec<_> = settings.iter().filter(is_used).cloned().collect();
        command.mut_subcommands(|inner| inner.args(settings.clone())).args(settings)
    })
}

/// The program with its settings. The short help hides most of them, and a manual leaves out what the short help hides.
fn program() -> ClapCommand {
    CommandLine::command()
        .disable_help_subcommand(true)
        .mut_args(|argument| argument.hide_short_help(false))
        .override_usage("boxoffice [COMMAND] [OPTIONS]")
}

/// The program with its commands alone. Otherwise each page of a command would repeat all settings.
fn commands() -> ClapCommand {
    let mut commands = CommandLine::command().disable_help_subcommand(true).mut_args(|argument| {
        let hidden = is_setting(&argument);
        argument.hide(hidden)
    });
    commands.build();
    commands
}

/// Writes the page of a command and the pages of its subcommands.
fn write_pages(folder: &Path, command: &ClapCommand) -> anyhow::Result<()> {
    let settings = "The settings that it uses are among those in boxoffice(1).";
    write_page(folder, command.clone().after_help(settings))?;
    command.get_subcommands().try_for_each(|inner| write_pages(folder, inner))
}

fn write_page(folder: &Path, command: ClapCommand) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command)?).with_context(|| format!("cannot write {}", path.display()))
}

fn page(command: ClapCommand) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.subcommand_help_heading("COMMANDS")).source(NAME_AND_VERSION).render(&mut page)?;
    Ok(page)
}
