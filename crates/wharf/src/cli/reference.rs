//! The reference page of all commands, generated from the command line definition.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};

use super::Cli;
use wharf_testkit::assert_same;

const HEAD: &str = "\
# Command line

All commands with their arguments and options. This page is generated from the program
(`cargo xtask docs`); do not edit it. `wharf COMMAND --help` prints the same, `wharf man DIR` writes
man pages.

A first argument that is not a command is a folder to share: `wharf DIR` is `wharf serve DIR`.

## Exit codes

| Code | Means |
|---|---|
| 0 | success; for `wharf why`: allowed |
| 1 | failed; for `wharf why`: denied |
| 2 | usage error: invalid command line |
| 3 | no server is running, or it cannot be reached |
| 4 | unknown account, session or ban |
| 77 | permission denied by the operating system |
| 78 | invalid configuration |
| 130 | interrupted by Ctrl+C |

Errors go to standard error, with hints; results go to standard output. With `--json`, the result is
one JSON object, or one per line if there are several; field names are stable, new fields may be
added.
";

fn page() -> String {
    let mut root = Cli::command();
    root.build();
    let mut out = HEAD.to_owned();
    let is_global = |arg: &&Arg| arg.is_global_set();
    let of_all: Vec<_> = root.get_arguments().filter(is_global).cloned().collect();
    out.push_str("\n## Global options\n");
    table(&mut out, of_all.iter());
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut out, command, "wharf", 2);
    }
    out
}

fn section(out: &mut String, command: &Command, above: &str, depth: usize) {
    let name = format!("{above} {}", command.get_name());
    let _ = writeln!(out, "\n{} `{name}`", "#".repeat(depth));
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        let _ = writeln!(out, "\n{}", about.to_string().trim());
    }
    let own = |arg: &&Arg| !arg.is_global_set() && !arg.is_hide_set() && arg.get_id() != "help";
    let args: Vec<_> = command.get_arguments().filter(own).collect();
    if command.get_subcommands().next().is_none() {
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim();
        let usage: Vec<_> = usage.split_whitespace().collect();
        let _ = writeln!(out, "\n    {}", usage.join(" "));
    }
    if !args.is_empty() {
        table(out, args.into_iter());
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        section(out, inner, &name, depth + 1);
    }
}

fn table<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    out.push_str("\n| Argument | Description |\n|---|---|\n");
    for arg in args {
        let help = arg.get_long_help().or_else(|| arg.get_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        let help: Vec<_> = help.split_whitespace().collect();
        let help = help.join(" ").replace('|', "\\|");
        let _ = writeln!(out, "| `{}` | {help} |", spelt(arg));
    }
}

fn spelt(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(|name| format!("<{name}>")).collect();
    let values = values.join(" ");
    if arg.is_positional() {
        return values;
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let takes = arg.get_action().takes_values();
    let names = names.join(", ");
    match takes && !values.is_empty() {
        // A table ends its cells with `|`.
        true if arg.is_require_equals_set() => {
            format!("{names}[={}]", values.trim_matches(['<', '>']).replace('|', "\\|"))
        }
        true => format!("{names} {values}"),
        false => names,
    }
}

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    assert_same("docs/reference/cli.md", &page());
}
