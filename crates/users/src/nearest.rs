//! Suggestions for misspelt words.

/// Longer words are not compared: the work grows with the square of the length.
const WORD_LETTERS_MAX: usize = 64;

/// The word of `known` that is closest to `word`, or none if all differ too much.
///
/// An inserted, missing, changed or transposed letter counts as one edit. A third of the letters,
/// and at least one, may differ; case is ignored.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = normalized(word);
    let letters = word.chars().count();
    if letters > WORD_LETTERS_MAX {
        return None;
    }
    let distance_max = (letters / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= WORD_LETTERS_MAX)
        .map(|candidate| (strsim::osa_distance(&word, &normalized(candidate)), candidate))
        .filter(|(edits, _)| *edits <= distance_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

fn normalized(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
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
}
