//! The command line: parse, log, call the library.
//!
//! Exit codes: 0 all is well; 1 differences, a failed check, or a failure at work; 2 wrong usage
//! or configuration; 3 another instance took over the pipeline.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use viewtide::config::Config;
use viewtide::telemetry;

/// Keeps joined, keyed documents in Redis true to MySQL.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file
    #[arg(long, global = true, env = "VIEWTIDE_CONFIG", default_value = "viewtide.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration, the views and every connection
    Check,
}

/// Wrong usage or configuration; clap exits with the same.
const EXIT_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = telemetry::init() {
        return refuse(&error);
    }
    let config = match Config::load(Some(&arguments.config)) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    match arguments.command {
        Command::Check => match config.definitions() {
            Ok(_) => ExitCode::SUCCESS,
            Err(error) => refuse(&error),
        },
    }
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("viewtide: {error}");
    ExitCode::from(EXIT_CONFIGURATION)
}
