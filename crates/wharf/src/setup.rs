//! Loads the configuration for a command: selects the file, merges the layers, reports problems.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;

use wharf_config::chinese;
use wharf_config::gather::{Flag, Inputs};
use wharf_config::keys::{ConfigKey, key_at};
use wharf_config::outcome::{Exit, Failure, print_error};
use wharf_config::problem::{count, render};
use wharf_config::raw::{Raw, quoted};
use wharf_config::show::value_text;
use wharf_config::standard_paths;
use wharf_config::value::{AutoPath, ConfigValue, FilePath, OptionalPath};
use wharf_config::{Loaded, layers::Layers};

use crate::cli::GlobalArgs;

/// The configuration file in use, if any: that of the option or variable, else the first found.
pub(crate) fn config_file(global: &GlobalArgs) -> Option<PathBuf> {
    let named = std::env::var_os("WHARF_CONFIG").filter(|name| !name.is_empty());
    let named = global.config.clone().or_else(|| named.map(PathBuf::from));
    named.or_else(|| {
        let found = standard_paths::config_candidates().into_iter().find(|path| path.is_file());
        note_unused(found.as_deref());
        found
    })
}

/// Prints a note in the language of the session.
pub(crate) fn note(text: &str) {
    print_error(&if chinese::is_active() {
        format!("{}：{}\n", chinese::label("note"), chinese::message(text))
    } else {
        format!("note: {text}\n")
    });
}

/// Prints once that `wharf.toml` in the current folder is not used: earlier versions used it, and
/// any user with write access to that folder could have created it.
fn note_unused(used: Option<&Path>) {
    static NOTED: Once = Once::new();
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let unused = Path::new(standard_paths::CONFIG_NAME);
    let is_used = used.is_some_and(|used| real(used) == real(unused));
    if unused.symlink_metadata().is_ok() && !is_used {
        NOTED.call_once(|| {
            note("./wharf.toml is not used; to use it:  wharf -c ./wharf.toml");
        });
    }
}

/// All layers, with the `flags` of the command; `--set` takes precedence over them.
pub(crate) fn inputs(global: &GlobalArgs, file: Option<PathBuf>, flags: Vec<Flag>) -> Inputs {
    let folder = |path: &PathBuf| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        absolute.parent().map(Path::to_path_buf)
    };
    let base = file.as_ref().and_then(folder).unwrap_or_else(standard_paths::config_folder);
    let settings = global.set.iter().map(|(path, value)| Flag {
        shown: format!("--set {path}={value}"),
        path: path.clone(),
        raw: Raw::from_plain(value),
    });
    Inputs {
        file,
        base,
        current_folder: std::env::current_dir().unwrap_or_default(),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect(),
        forgets_listeners: flags.iter().any(|flag| flag.path.ends_with(".address")),
        flags: flags.into_iter().chain(settings).collect(),
    }
}

/// Loads the configuration and prints all problems.
///
/// # Errors
/// `ConfigInvalid` if there is an error; it was printed then.
pub(crate) fn load(inputs: &Inputs, is_coloured: bool) -> Result<Loaded, Failure> {
    if let Some(file) = &inputs.file
        && let Err(error) = std::fs::File::open(file)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        let shown = file.display();
        return Err(Failure::io(format!("cannot read the configuration file {shown}"), &error)
            .hint("run as its owner, or without it:  wharf --no-config"));
    }
    let loaded = Loaded::load(inputs);
    if inputs.file.is_some()
        && loaded.layers.source.is_none()
        && let [problem] = &*loaded.problems
    {
        // The file could not be read, so there is no line to show.
        let hint = problem.hint.clone();
        let failure = Failure { hint, ..Failure::new(problem.title.clone()) };
        return Err(Failure { exit: Exit::ConfigInvalid, ..failure });
    }
    print_error(&render(&loaded.problems, loaded.layers.source.as_ref(), is_coloured));
    if loaded.is_valid() {
        return Ok(loaded);
    }
    let place = match &inputs.file {
        Some(file) => format!(" in {}", file.display()),
        None => String::new(),
    };
    Err(Failure {
        exit: Exit::ConfigInvalid,
        ..Failure::new(format!("invalid configuration{place}: {}", count(&loaded.problems)))
    })
}

/// The keys that flags set, as a configuration file.
pub(crate) fn flags_as_file(layers: &Layers) -> String {
    let mut out = String::from("config_version = 1\n");
    let mut section = String::new();
    for (path, raw) in layers.set_by_flags() {
        let Some((table, name)) = path.rsplit_once('.') else { continue };
        let Some(key) = key_at(path) else { continue };
        if table != section {
            table.clone_into(&mut section);
            let list = (table != key.section).then(|| format!("[[{}]]", key.section));
            let _ = writeln!(out, "\n{}", list.unwrap_or_else(|| format!("[{table}]")));
        }
        let _ = writeln!(out, "{name} = {}", portable(key, raw));
    }
    out
}

/// A value as TOML with relative paths made absolute, since a file has another base folder.
fn portable(key: &ConfigKey, raw: &Raw) -> String {
    let is_path = [AutoPath::KIND, FilePath::KIND, OptionalPath::KIND].contains(&key.kind);
    match raw.text() {
        Some(text) if is_path && text != "auto" && !text.is_empty() => {
            let absolute = std::path::absolute(text).unwrap_or_else(|_| text.into());
            quoted(&absolute.to_string_lossy())
        }
        _ => value_text(key, raw),
    }
}
