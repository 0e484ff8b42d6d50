//! The program `wharf`: shares a folder with one command, or serves accounts permanently.
//!
//! To follow the start of the program, read [`cli`] (what was typed), [`setup`] (which layers of
//! configuration), [`wharf_config`] (what they mean), then [`serve_command`]
//! and [`wharf_runtime::serve`].

mod ban_command;
mod bench_command;
mod check_command;
mod cli;
mod config_command;
mod hash_command;
mod import_command;
mod json;
mod man_command;
mod panel;
mod prompt;
mod remote_server;
mod running_server;
mod serve_command;
mod service_command;
mod setup;
mod top_command;
mod user_command;
mod why_command;
mod words;

use std::process::ExitCode;

use wharf_config::hint;
use wharf_config::outcome::{self, Exit, Failure};
use wharf_runtime::{deliver, logins, os};

use cli::{Cli, CliCommand};

use cli::colour::Colour;

fn main() -> ExitCode {
    let held = os::hold_signals();
    wharf_core::trusted_file::set_opener(os::open_trusted);
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    // A helper belongs to a server, which ends it.
    if let Some(number) = logins::helper(&words) {
        return number.into();
    }
    let cli = match cli::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            let words: Vec<_> = std::env::args_os().collect();
            if let Some(failure) = cli::mistake::failure(&error, &words) {
                if let Some(file) = cli::mistake::config_file(&words) {
                    hint::set_config(&file);
                }
                cli::mistake::report(&failure, &words, Colour::default().is_on());
                return failure.exit.into();
            }
            // Help and version. Write errors are ignored.
            let _ = error.print();
            return if error.exit_code() == 0 { Exit::Done.into() } else { Exit::Usage.into() };
        }
    };
    if cli.command.is_server_process() {
        held.leave_to_server();
    } else {
        held.restore_defaults();
    }
    if let Some(file) = &cli.global.config {
        hint::set_config(file);
    }
    let is_coloured = cli.global.color.is_on();
    match run(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report(is_coloured);
            os::report_to_predecessor(Err(&failure.message));
            os::hold_window();
            failure.exit.into()
        }
    }
}

fn run(cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    match &cli.command {
        CliCommand::Serve(options) => serve_command::serve(global, options),
        CliCommand::Check(options) => check_command::check(global, options),
        CliCommand::Config(what) => config_command::config(global, what),
        CliCommand::Status(options) => running_server::status(global, options),
        CliCommand::Who(options) => running_server::who(global, options),
        CliCommand::Top(options) => top_command::top(global, options),
        CliCommand::Kick(options) => running_server::kick(global, options),
        CliCommand::Log(options) => running_server::log(global, options),
        CliCommand::Reload(options) => running_server::reload(global, options),
        CliCommand::Stop(options) => running_server::stop(global, options),
        CliCommand::User(what) => user_command::user(global, what),
        CliCommand::Group(what) => user_command::group(global, what),
        CliCommand::Ban(what) => ban_command::ban(global, what),
        CliCommand::Why(options) => why_command::why(global, options),
        CliCommand::Import(what) => import_command::import(global, what),
        CliCommand::Bench(options) => bench_command::bench(options),
        CliCommand::Hash(options) => hash_command::hash(options),
        CliCommand::Service(what) => service_command::service(global, what),
        CliCommand::Completions { shell } => man_command::completions(*shell),
        CliCommand::Man { folder } => man_command::man(folder),
        CliCommand::StartPrograms => deliver::work(),
        CliCommand::Version => outcome::print(&version()).map(|()| Exit::Done),
    }
}

fn version() -> String {
    use std::env::consts::{ARCH, OS};
    format!("wharf {} ({ARCH} {OS}; TLS 1.2 and 1.3 by rustls)\n", env!("CARGO_PKG_VERSION"))
}
