//! Formatting of paths, times and rates.

use unicode_width::UnicodeWidthChar as _;
use wharf_config::table::text_width;

use wharf_config::units::show_size;

/// The path, shortened at the start if necessary, since the file name matters most.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text_width(text) <= most {
        return text.to_owned();
    }
    let mut end = Vec::new();
    let mut columns = most.saturating_sub(1);
    for one in text.chars().rev() {
        let Some(left) = columns.checked_sub(one.width().unwrap_or_default()) else { break };
        columns = left;
        end.push(one);
    }
    std::iter::once('…').chain(end.into_iter().rev()).collect()
}

/// As in `41.0 MiB/s`.
pub(crate) fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", show_size(bytes_per_second))
}

/// As in `0:07`, `12:31`, `3:02:55` and `4d 03:12`.
pub(crate) fn clock(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (days, of_day) = (hours / 24, hours % 24);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {of_day:02}:{minutes:02}"),
    }
}

/// Progress of a transfer: a percentage if its size is known, else the bytes transferred.
pub(crate) fn progress(bytes: u64, size: Option<u64>) -> String {
    match size {
        Some(size) if size > 0 => format!("{}%", u128::from(bytes) * 100 / u128::from(size)),
        _ => show_size(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_progress_are_short() {
        assert_eq!([7, 751, 10_975, 357_120].map(clock), ["0:07", "12:31", "3:02:55", "4d 03:12"]);
        assert_eq!(progress(1, Some(3)), "33%");
        assert_eq!(progress(u64::MAX, Some(u64::MAX)), "100%");
        assert_eq!(progress(2048, None), "2 KiB");
    }

    #[test]
    fn of_a_long_path_its_end_is_kept() {
        assert_eq!(shortened("/a/b/photo.jpg", 10), "…photo.jpg");
        assert_eq!(shortened("/文件/照片.jpg", 9), "…照片.jpg");
        assert_eq!(shortened("/a", 10), "/a");
        for most in 0..12 {
            assert!(text_width(&shortened("/文件/照片.jpg", most)) <= most.max(1));
        }
    }
}
