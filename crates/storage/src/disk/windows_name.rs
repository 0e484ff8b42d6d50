//! Names that Windows takes literally.

/// Names of devices, in every directory and with every extension.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Devices followed by a digit; superscript digits count as well.
const NUMBERED: &[&str] = &["COM", "LPT"];

/// Whether Windows takes the name literally: no separator, drive, stream, pattern or device, no
/// trailing dot or space, which Windows would drop, and not in the format of the short names
/// (`PROGRA~1`) that Windows creates, by which files could be accessed past their rules.
pub(super) fn is_plain(name: &str) -> bool {
    let is_odd = |letter: char| {
        matches!(letter, '\\' | '/' | ':' | '*' | '?' | '"' | '<' | '>' | '|') || letter < ' '
    };
    !name.is_empty()
        && !name.contains(is_odd)
        && !name.ends_with(['.', ' '])
        && !is_device(name)
        && !is_short(name)
}

/// Whether it has the format of MS-DOS names: eight characters, the last of which are `~` and a
/// number, a dot, and three characters.
fn is_short(name: &str) -> bool {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let Some((start, number)) = stem.rsplit_once('~') else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let fits = stem.chars().count() <= 8 && ending.chars().count() <= 3;
    !start.is_empty() && is_number && fits
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
    fn row_28_names_that_windows_interprets_differently_are_rejected() {
        for bad in [
            "a\\b", "a:b", "C:", "a::$DATA", "*", "a?", "\"", "<", ">", "|", "a.", "a ", "...",
            "CON", "con", "NUL.txt", "nul .txt", "Com1", "LPT9.a.b", "COM¹", "CONIN$", "a\u{1}",
            "", "PROGRA~1", "a~1", "WHARF-~1.PAR", "ab12~12.x",
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
        for good in [
            "a", "a.txt", ".hidden", "CONSOLE", "COM", "COM10", "nul1", "ä", " a", "a b", "~1",
            "a~", "a~b", "longer~12", "a~1.jpeg", "a.txt~1",
        ] {
            assert!(is_plain(good), "{good:?}");
        }
    }
}
