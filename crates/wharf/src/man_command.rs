//! `wharf man` and `wharf completions`, generated from the command line definition.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use wharf_config::outcome::{Exit, Failure, print, print_error};

use crate::cli::Cli;

/// Prints a shell completion script.
pub(crate) fn completions(shell: Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wharf", &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

/// Writes a man page for each command to a folder, which is created if it is missing.
pub(crate) fn man(folder: &Path) -> Result<Exit, Failure> {
    let failed = |error| {
        Failure::io(format!("cannot write man pages to {}", folder.display()), &error)
            .hint("name a folder; it is created if it is missing")
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    // The help template is for terminals; a man page has its own sections.
    let command = Cli::command().help_template("{all-args}");
    clap_mangen::generate_to(command, folder).map_err(failed)?;
    print_error(&format!(
        "wrote man pages to {}; to read one:  man -l {0}/wharf.1\n",
        folder.display()
    ));
    Ok(Exit::Done)
}
