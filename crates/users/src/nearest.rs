//! Suggestions for misspelt words.

/// Longer words are not compared: the work grows with the square of the length.
const WORD_LETTERS_MAX: usize = 64;

/// The word of `known` that is closest to `word`, or none if all differ too much.
///
/// An inserted, missing, changed or transposed letter counts as one edit. A third of the letters,
/// and at least one, may differ; case is ignored.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().replace('-', "_").chars().collect();
    if word.len() > WORD_LETTERS_MAX {
        return None;
    }
    let distance_max = (word.len() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= WORD_LETTERS_MAX)
        .map(|candidate| {
            let letters: Vec<char> = candidate.to_lowercase().replace('-', "_").chars().collect();
            (edit_distance(&word, &letters), candidate)
        })
        .filter(|(edit_distance, _)| *edit_distance <= distance_max)
        .min_by_key(|(edit_distance, _)| *edit_distance)
        .map(|(_, candidate)| candidate)
}

/// The optimal string alignment distance, row by row.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    for (line, letter) in from.iter().enumerate() {
        let mut row = vec![line + 1];
        for (column, other) in to.iter().enumerate() {
            let changed = at(&above, column) + usize::from(letter != other);
            let mut least = changed.min(at(&above, column + 1) + 1).min(at(&row, column) + 1);
            let swapped = line
                .checked_sub(1)
                .zip(column.checked_sub(1))
                .filter(|(up, left)| from.get(*up) == Some(other) && to.get(*left) == Some(letter));
            if let Some((_, left)) = swapped {
                least = least.min(at(&before, left) + 1);
            }
            row.push(least);
        }
        before = above;
        above = row;
    }
    at(&above, to.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_gets_a_suggestion() {
        let known = ["password", "permissions", "home", "upload_rate", "download_rate"];
        for (word, meant) in [
            ("pasword", Some("password")),
            ("permision", Some("permissions")),
            ("hoem", Some("home")),
            ("Home", Some("home")),
            ("upload-rate", Some("upload_rate")),
            ("uplaod_rate", Some("upload_rate")),
            ("shell", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"home".repeat(1000), known), None);
    }

    #[test]
    fn edits_are_counted() {
        let count = |from: &str, to: &str| {
            edit_distance(&from.chars().collect::<Vec<_>>(), &to.chars().collect::<Vec<_>>())
        };
        assert_eq!(count("home", "home"), 0);
        assert_eq!(count("hoem", "home"), 1);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("kitten", "sitting"), 3);
    }
}
