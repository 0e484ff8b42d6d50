//! `wharf config`.

use crate::cli::{Config, Global};
use crate::config::show::{default_file, in_force, in_force_json};
use crate::outcome::{Exit, Failure, print};
use crate::place;
use crate::setup::{config_file, inputs, load};

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
        .help("make one, and name it with -c:  wharf config default > FILE"))
}
