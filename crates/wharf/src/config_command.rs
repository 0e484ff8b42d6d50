//! `wharf check` and `wharf config`.

use crate::cli::{Config, Global};
use crate::config::show::{default_file, in_force, in_force_json};
use crate::outcome::{Exit, Failure, print, tell};
use crate::place;
use crate::setup::{config_file, inputs, load};
use crate::wire::check_certificate;

/// Tests the configuration and says that it is sound, or everything that is not.
pub(crate) fn check(global: &Global) -> Result<Exit, Failure> {
    let inputs = inputs(global, config_file(global), Vec::new());
    let loaded = load(&inputs, global.color.is_on())?;
    for warning in check_certificate(&loaded.config)? {
        tell(&format!("warning: {warning}\n"));
    }
    print(&match &inputs.file {
        Some(file) => format!("{}: the configuration is sound\n", file.display()),
        None => "There is no config file; the defaults are sound.\n".into(),
    })?;
    Ok(Exit::Done)
}

/// Prints the default file, what is in force, or which file is used.
pub(crate) fn config(global: &Global, what: &Config) -> Result<Exit, Failure> {
    match what {
        Config::Default => print(&default_file())?,
        Config::Show { origin, json } => {
            let inputs = inputs(global, config_file(global), Vec::new());
            let loaded = load(&inputs, global.color.is_on())?;
            print(&if *json {
                in_force_json(&loaded.layers, *origin)
            } else {
                in_force(&loaded.layers, *origin)
            })?;
        }
        Config::Path => return path(global),
    }
    Ok(Exit::Done)
}

fn path(global: &Global) -> Result<Exit, Failure> {
    if let Some(file) = config_file(global) {
        let whole = std::path::absolute(&file).unwrap_or(file);
        print(&format!("{}\n", whole.display()))?;
        return Ok(Exit::Done);
    }
    let places: Vec<_> =
        place::config_candidates().iter().map(|path| path.display().to_string()).collect();
    Err(Failure::new(format!("there is no config file; looked for {}", places.join(", ")))
        .help("make one:  wharf config default > wharf.toml"))
}
