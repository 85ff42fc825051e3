//! `boxoffice`, the ticket seller: configuration, wiring, workers and the command line.

mod account;
mod adapters;
mod catalogue_file;
mod cli;
mod commands;
mod demo;
mod exit;
mod import;
mod listener;
mod output;
mod routes;
mod rush;
mod serve;
mod settings;
mod telemetry;
mod wiring;
mod workers;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let exit = commands::run(cli::CommandLine::parse()).unwrap_or_else(|error| {
        output::print_error(&format!("boxoffice: {error:#}"));
        exit::Exit::Failed
    });
    exit.into()
}
