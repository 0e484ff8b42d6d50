//! `wharf check`: whether a server could start, how it would be protected, and what to mend.
//!
//! Each subject is a function that fills a [`Page`]; a new one needs a word in `cli::Subject`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wharf_accounts_sql::Creation;

use crate::accounts::file;
use crate::cli::{Check, Global, Subject};
use crate::config::choice::{Durability, Sandbox, Symlinks};
use crate::config::{Config, Loaded};
use crate::logins;
use crate::outcome::{Exit, Failure, print, tell};
use crate::protection::identity::{Identity, current_name, is_root};
use crate::protection::reach::{Reach, Reached};
use crate::protection::rights::{self, Finding};
use crate::protection::{Standing, rehearse, system};
use crate::setup::{config_file, inputs, load};
use crate::wire::{accounts, check_certificate};

/// What was found out.
#[derive(Debug, Default)]
struct Page {
    /// For standard output.
    text: String,
    /// For standard error: what, and what mends it.
    warnings: Vec<(String, String)>,
    /// The same, but good to know only.
    notes: Vec<(String, String)>,
}

/// What is looked at.
struct Subjects<'a> {
    config: &'a Config,
    file: Option<PathBuf>,
    is_coloured: bool,
}

/// Tests what it is asked to, says what it found, and ends with a number for scripts: 0, or 78 for
/// mistakes and, with `--strict`, for warnings too.
pub(crate) fn check(global: &Global, options: &Check) -> Result<Exit, Failure> {
    let inputs = inputs(global, config_file(global), Vec::new());
    let is_coloured = global.color.is_on();
    let Loaded { config, problems, .. } = load(&inputs, is_coloured)?;
    let subjects = Subjects { config: &config, file: inputs.file, is_coloured };
    let mut page = Page::default();
    for (subject, look) in SUBJECTS {
        if options.what.is_empty() || options.what.contains(subject) {
            look(&subjects, &mut page)?;
        }
    }
    print(&page.text)?;
    for (kind, list) in [("note", &page.notes), ("warning", &page.warnings)] {
        for (what, remedy) in list {
            tell(&format!("{kind}: {what}\nhelp: {remedy}\n"));
        }
    }
    // Problems that are errors ended it in `load`.
    let count = page.warnings.len() + problems.len();
    if options.strict && count > 0 {
        let warnings = if count == 1 { "warning" } else { "warnings" };
        return Err(Failure {
            exit: Exit::ConfigInvalid,
            ..Failure::new(format!("{count} {warnings}, and --strict takes none"))
        });
    }
    Ok(Exit::Done)
}

type Look = fn(&Subjects<'_>, &mut Page) -> Result<(), Failure>;

/// Each subject and how it is looked at, in the order of the page.
const SUBJECTS: &[(Subject, Look)] =
    &[(Subject::Config, look_at_config), (Subject::Protection, look_at_protection)];

impl Page {
    fn row(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.text, "  {name:<12}{text}");
    }

    fn warn(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.warnings.push((what.into(), remedy.into()));
    }

    fn found(&mut self, findings: Vec<Finding>) {
        for finding in findings {
            let list = if finding.is_grave() { &mut self.warnings } else { &mut self.notes };
            let one = (finding.what().to_owned(), finding.remedy().to_owned());
            if !list.contains(&one) {
                list.push(one);
            }
        }
    }
}

fn look_at_config(subjects: &Subjects<'_>, page: &mut Page) -> Result<(), Failure> {
    for warning in check_certificate(subjects.config)? {
        page.warn(warning, "get a new one from where this one came");
    }
    rights::refuse_open(subjects.config, subjects.file.as_deref())?;
    logins::check(subjects.config)?;
    let _ = match &subjects.file {
        Some(file) => writeln!(page.text, "{}: the configuration is sound", file.display()),
        None => writeln!(page.text, "There is no config file; the defaults are sound."),
    };
    Ok(())
}

fn look_at_protection(subjects: &Subjects<'_>, page: &mut Page) -> Result<(), Failure> {
    let config = subjects.config;
    page.text.push_str("Protection\n");
    look_at_user(config, page)?;
    let (homes, reached) = homes(subjects)?;
    let reach = Reach::of(config, &homes, &reached);
    let reach = logins::extend(reach, config);
    let report = rehearse(config.server.sandbox, &reach)?;
    for (name, part) in report.parts() {
        page.row(name, &part.told());
    }
    let open = [("files", &report.files), ("system calls", &report.calls)];
    for (what, part) in open {
        if let Standing::Off(why) = part {
            let remedy = match config.server.sandbox {
                Sandbox::Off => "write sandbox = \"auto\" in [server]",
                _ if config.files.follow_symlinks == Symlinks::Always => {
                    "write follow_symlinks = \"inside\" in [files]"
                }
                _ => "a kernel of Linux 5.19 or newer with Landlock and seccomp can confine it",
            };
            page.warn(format!("{what} are not confined: {why}"), remedy);
        }
    }
    page.row(
        "paths",
        if system::has_openat2() {
            "kept below each home by the kernel (openat2)"
        } else {
            "kept below each home by a walk that follows no links; there is no openat2"
        },
    );
    page.row(
        "uploads",
        match config.files.durability {
            Durability::Full => "synced to the disk before they are confirmed",
            Durability::Fast => {
                "whole, but not synced before they are confirmed (files.durability)"
            }
        },
    );
    let umask = config.files.umask.0;
    page.row("new files", &format!("{:04o}, folders {:04o}", 0o666 & !umask, 0o777 & !umask));
    if umask & 0o002 == 0 {
        let what = "anybody on this computer may write what accounts upload (files.umask)";
        page.warn(what, "write umask = \"022\" in [files]");
    }
    page.found(rights::of_config(config, subjects.file.as_deref()));
    for home in &homes {
        page.found(rights::of_home(home));
    }
    Ok(())
}

fn look_at_user(config: &Config, page: &mut Page) -> Result<(), Failure> {
    match Identity::wanted(&config.server)? {
        Some(identity) => page.row("user", &format!("becomes {} for good", identity.name())),
        None => page.row("user", &format!("serves as {}", current_name())),
    }
    if is_root() && config.server.user.is_empty() {
        let remedy = "make an account of the system for it and name that in server.user";
        page.warn("it would serve as root", remedy);
    }
    Ok(())
}

/// The homes of all accounts, and what their store needs; nothing where there is no file of
/// accounts yet.
fn homes(subjects: &Subjects<'_>) -> Result<(Vec<PathBuf>, Reached), Failure> {
    let config = subjects.config;
    let is_there = file(config).is_none_or(Path::exists);
    if !is_there && !config.login.anonymous {
        return Ok((Vec::new(), Reached::default()));
    }
    let accounts = accounts(config, subjects.is_coloured, Creation::No)?;
    let homes = accounts.homes.into_iter().map(|(_, home)| home).collect();
    Ok((homes, accounts.reached))
}
