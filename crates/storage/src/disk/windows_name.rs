//! Which names mean on Windows what they say.

/// Names of devices, in every directory and with every ending.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices that a digit follows; the raised digits count as such.
const NUMBERED: &[&str] = &["COM", "LPT"];

/// Whether Windows takes the name as it stands: no separator, drive, stream, pattern or device,
/// and no dot or space at its end, which Windows would drop.
pub(super) fn is_plain(name: &str) -> bool {
    let is_odd = |letter: char| {
        matches!(letter, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || letter < ' '
    };
    !name.is_empty() && !name.contains(is_odd) && !name.ends_with(['.', ' ']) && !is_device(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ').to_ascii_uppercase();
    let is_numbered = |device: &str| {
        let digit = stem.strip_prefix(device).unwrap_or_default();
        let mut letters = digit.chars();
        matches!(letters.next(), Some('0'..='9' | '¹' | '²' | '³')) && letters.next().is_none()
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED.iter().any(|device| is_numbered(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_mean_something_else_on_windows_are_refused() {
        for bad in [
            "a\\b", "a:b", "C:", "a::$DATA", "*", "a?", "\"", "<", ">", "|", "a.", "a ", "...",
            "CON", "con", "NUL.txt", "nul .txt", "Com1", "LPT9.a.b", "COM¹", "CONIN$", "a\u{1}",
            "",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
        for good in ["a", "a.txt", ".hidden", "CONSOLE", "COM", "COM10", "nul1", "ä", " a", "a b"]
        {
            assert!(is_plain(good), "{good:?}");
        }
    }
}
