//! Questions on the terminal.

use std::io::{BufRead, Read, Write};

use wharf_config::chinese;
use wharf_config::outcome::{Failure, print_error};

/// Asks for confirmation; any answer other than yes means no.
pub(crate) fn confirm(question: &str) -> Result<bool, Failure> {
    let question =
        if chinese::is_active() { chinese::message(question) } else { question.to_owned() };
    print_error(&format!("{question} [y/N] "));
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let failed = |error| Failure::io("cannot read the answer", &error);
    std::io::BufReader::new(std::io::stdin().take(100)).read_line(&mut line).map_err(failed)?;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}
