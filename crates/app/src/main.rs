//! `boxoffice`, the ticket seller: configuration, wiring, workers and the command line.

mod account;
mod adapters;
mod catalog_file;
mod check;
mod cli;
mod commands;
mod copy;
mod demo;
mod exit;
mod import;
mod listener;
mod log_lines;
mod output;
mod paced_stream;
mod private_files;
mod reconcile;
mod reloading;
mod routes;
mod secure_connection;
mod serve;
mod settings;
mod shell_files;
mod show;
mod subscriber;
mod telemetry;
mod text_file;
mod tls;
mod traces;
mod unused_flags;
mod verify_draw;
mod wiring;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// A batch of writes binds thousands of small values, and a request makes dozens of small objects: the allocator of the
/// system took a quarter of the processor's time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let exit = commands::run(cli::CommandLine::parse()).unwrap_or_else(|error| {
        output::print_error(&format!("boxoffice: {error:#}"));
        exit::Exit::Failed
    });
    exit.into()
}
