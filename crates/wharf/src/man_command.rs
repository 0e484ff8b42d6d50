//! `wharf man` and `wharf completions`, both made from the command line itself.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::outcome::{Exit, Failure, print, tell};

/// Prints what a shell needs to complete our commands.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Writes a man page for each command into a folder, which is made if it is missing.
pub(crate) fn man(folder: &Path) -> Result<Exit, Failure> {
    let failed =
        |error| Failure::io(format!("cannot write man pages to {}", folder.display()), &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    // The template of the help is for terminals; a man page has sections of its own.
    let command = Cli::command().help_template("{all-args}");
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    tell(&format!("wrote the man pages to {}; see:  man -l {0}/wharf.1\n", folder.display()));
    Ok(Exit::Done)
}
