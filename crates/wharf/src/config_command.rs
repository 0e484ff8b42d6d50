//! `wharf config`.

use std::io;

use wharf_config::file::read;
use wharf_config::hint::with_config;
use wharf_config::migration;
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::problem::{ConfigProblem, ConfigText, render};
use wharf_config::show::{default_file, in_force, in_force_json};
use wharf_config::standard_paths;
use wharf_import::write::replace;

use crate::cli::{ConfigCommand, GlobalArgs};
use crate::setup::{config_file, inputs, load};

/// Prints the default file, the effective values, or the path of the file; or migrates the file.
pub(crate) fn config(global: &GlobalArgs, what: &ConfigCommand) -> Result<Exit, Failure> {
    match what {
        ConfigCommand::Default => print(&default_file())?,
        ConfigCommand::Show { origin, json } => {
            let inputs = inputs(global, config_file(global), Vec::new());
            let loaded = load(&inputs, global.color.is_on())?;
            print(&if *json {
                in_force_json(&loaded.layers, *origin)
            } else {
                in_force(&loaded.layers, *origin)
            })?;
        }
        ConfigCommand::Path => return path(global),
        ConfigCommand::Migrate { write } => return migrate(global, *write),
    }
    Ok(Exit::Done)
}

/// Replaces old names of keys, values and events: shows the changes or writes the file.
fn migrate(global: &GlobalArgs, writes: bool) -> Result<Exit, Failure> {
    let Some(path) = config_file(global) else { return Err(no_file()) };
    let shown = path.display().to_string();
    let is_coloured = global.color.is_on();
    let source = read(&path).map_err(|problem| invalid(problem, None, is_coloured))?;
    let migrated = migration::migrate(&source.text)
        .map_err(|problem| invalid(problem, Some(&source), is_coloured))?;
    if migrated.renames.is_empty() {
        print(&format!("{shown} needs no migration\n"))?;
        return Ok(Exit::Done);
    }
    for (line, old, new) in &migrated.renames {
        print(&format!("{shown}:{line}: {old} -> {new}\n"))?;
    }
    if !writes {
        let next = "no changes were written; to write them:  wharf config migrate --write\n";
        print(&with_config(next))?;
        return Ok(Exit::Done);
    }
    let failed = |error: &io::Error| Failure::io(format!("cannot write {shown}"), error);
    let old = replace(&path, &migrated.text).map_err(|error| failed(&error))?;
    print(&format!("wrote {shown}; the old file is {}\n", old.display()))?;
    Ok(Exit::Done)
}

fn invalid(problem: ConfigProblem, source: Option<&ConfigText>, is_coloured: bool) -> Failure {
    if source.is_none() {
        let failure = Failure { hint: problem.hint, ..Failure::new(problem.title) };
        return Failure { exit: Exit::ConfigInvalid, ..failure };
    }
    print_error(&render(&[problem], source, is_coloured));
    Failure { exit: Exit::ConfigInvalid, ..Failure::new("") }
}

fn path(global: &GlobalArgs) -> Result<Exit, Failure> {
    if let Some(file) = config_file(global) {
        let whole = std::path::absolute(&file).unwrap_or(file);
        print(&format!("{}\n", whole.display()))?;
        return Ok(Exit::Done);
    }
    Err(no_file())
}

fn no_file() -> Failure {
    let places: Vec<_> =
        standard_paths::config_candidates().iter().map(|path| path.display().to_string()).collect();
    Failure::new(format!("configuration file not found; searched: {}", places.join(", ")))
        .hint("create one and use it with -c FILE:  wharf config default > FILE")
}
