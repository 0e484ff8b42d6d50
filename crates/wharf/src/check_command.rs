//! `wharf check`: whether a server can start, how it is protected, and what to fix.
//!
//! Each subject is a function that fills a [`CheckPage`]; a new one needs a word in `cli::check`
//! and a row in [`SUBJECTS`].

mod ask;
mod fs;
mod net;
mod page;
mod ports;
#[cfg(test)]
mod reference;
mod sandbox;
mod tls;
mod users;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use wharf_accounts_sql::Creation;
use wharf_admin::model::Status;
use wharf_config::chinese;
use wharf_config::outcome::{Exit, Failure};
use wharf_config::problem::Severity;
use wharf_config::{Config, Loaded};
use wharf_runtime::accounts::{FolderUse, file};
use wharf_runtime::logins;
use wharf_runtime::sandbox::identity::SystemUser;
use wharf_runtime::sandbox::permissions;
use wharf_runtime::sandbox::reach::StoreAccess;
use wharf_runtime::wire::{accounts, check_certificate};

use self::page::CheckPage;
use crate::cli::GlobalArgs;
use crate::cli::check::{CheckArgs, CheckSubject};
use crate::cli::running_server::SocketArgs;
use crate::running_server::{client, run_request};
use crate::setup::{config_file, inputs, load};

/// The context of a check.
struct Subjects<'a> {
    global: &'a GlobalArgs,
    config: &'a Config,
    file: Option<PathBuf>,
    is_coloured: bool,
    /// Whether the certificate is checked as a separate subject.
    checks_tls: bool,
    server: OnceCell<Option<Status>>,
}

impl Subjects<'_> {
    /// The running server of this configuration, if it can be reached.
    fn server(&self) -> Option<&Status> {
        let ask = || {
            let client = client(self.global, &SocketArgs { socket: None });
            let status: Option<Status> = run_request(async { client.get("/v1/status").await }).ok();
            // The server at the standard socket may be another one.
            status.filter(|status| status.config == self.absolute_file())
        };
        self.server.get_or_init(ask).as_ref()
    }

    fn absolute_file(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
        Some(file.display().to_string())
    }

    /// The system user to switch to, if any.
    fn identity(&self) -> Result<Option<SystemUser>, Failure> {
        SystemUser::wanted(&self.config.server)
    }
}

/// Runs the checks, prints the findings, and returns the exit code.
pub(crate) fn check(global: &GlobalArgs, options: &CheckArgs) -> Result<Exit, Failure> {
    let is_chinese = !options.json && chinese::is_session_chinese();
    if is_chinese {
        chinese::activate();
    }
    inspect(global, options, is_chinese).map_err(|failure| {
        if is_chinese { chinese::report(&failure, global.color.is_on()) } else { failure }
    })
}

fn inspect(global: &GlobalArgs, options: &CheckArgs, is_chinese: bool) -> Result<Exit, Failure> {
    let mut page = CheckPage::new(options.json, is_chinese);
    if let Some(server) = &options.ask {
        page.begin("ask", "");
        if let Err(failure) = ask::inspect(server, options, &mut page) {
            page.failed(failure);
        }
        page.print_section()?;
    }
    if options.ask.is_none() || !options.what.is_empty() {
        check_here(global, options, &mut page)?;
    }
    page.end(options.strict)
}

/// Checks this computer and its configuration.
fn check_here(
    global: &GlobalArgs,
    options: &CheckArgs,
    page: &mut CheckPage,
) -> Result<(), Failure> {
    let inputs = inputs(global, config_file(global), Vec::new());
    let is_coloured = global.color.is_on();
    let loaded = if options.json { Loaded::load(&inputs) } else { load(&inputs, is_coloured)? };
    page.begin("config", "");
    for problem in &loaded.problems {
        match problem.severity {
            Severity::Error => page.problem(problem.title.clone(), problem.hint.clone()),
            // Otherwise `load` has printed it.
            Severity::Warning => page.printed_warning(problem.title.clone(), problem.hint.clone()),
        }
    }
    if !loaded.is_valid() {
        return Ok(());
    }
    let is_chosen = |subject: &CheckSubject| {
        options.what.is_empty()
            || options.what.contains(&CheckSubject::All)
            || options.what.contains(subject)
    };
    let subjects = Subjects {
        global,
        config: &loaded.config,
        file: inputs.file,
        is_coloured,
        checks_tls: is_chosen(&CheckSubject::Tls),
        server: OnceCell::new(),
    };
    for (subject, name, title, inspect) in SUBJECTS {
        if is_chosen(subject) {
            page.begin(name, title);
            if let Err(failure) = inspect(&subjects, page) {
                page.failed(failure);
            }
            page.print_section()?;
        }
    }
    Ok(())
}

type CheckFn = fn(&Subjects<'_>, &mut CheckPage) -> Result<(), Failure>;

/// The subjects with name, title and function, in the order of the output.
const SUBJECTS: &[(CheckSubject, &str, &str, CheckFn)] = &[
    (CheckSubject::Config, "config", "", inspect_config),
    (CheckSubject::Sandbox, "sandbox", "Sandbox", sandbox::inspect),
    (CheckSubject::Ports, "ports", "Ports", ports::inspect),
    (CheckSubject::Tls, "tls", "TLS", tls::inspect),
    (CheckSubject::Net, "net", "Network", net::inspect),
    (CheckSubject::Users, "users", "Accounts", users::inspect),
    (CheckSubject::Fs, "fs", "Disks", fs::inspect),
];

fn inspect_config(subjects: &Subjects<'_>, page: &mut CheckPage) -> Result<(), Failure> {
    let warnings = match check_certificate(subjects.config) {
        Ok(warnings) => warnings,
        // It is reported once, with the rest of the certificate.
        Err(_) if subjects.checks_tls => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if !subjects.checks_tls {
        for warning in warnings {
            page.warn(warning, "get a new one from its issuer");
        }
    }
    permissions::reject_insecure(subjects.config, subjects.file.as_deref())?;
    logins::check(subjects.config)?;
    page.line(match &subjects.file {
        Some(file) => format!("{}: the configuration is valid", file.display()),
        None => "Configuration file not found; the defaults are valid.".to_owned(),
    });
    Ok(())
}

/// The homes of all accounts with their account, and the paths of their store; empty if the store
/// does not exist yet.
fn homes(subjects: &Subjects<'_>) -> Result<(Vec<(FolderUse, PathBuf)>, StoreAccess), Failure> {
    let config = subjects.config;
    let is_there = file(config).is_none_or(Path::exists);
    if !is_there && !config.login.anonymous {
        return Ok((Vec::new(), StoreAccess::default()));
    }
    let accounts = accounts(config, subjects.is_coloured, Creation::No)?;
    Ok((accounts.homes, accounts.reached))
}
