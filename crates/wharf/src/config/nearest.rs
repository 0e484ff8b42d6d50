//! What somebody may have meant: the nearest of some words by edit distance.

/// The word nearest to `typed`, if it is near enough that a slip of the finger explains it.
pub(crate) fn nearest<'a>(
    typed: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // One slip in three letters; more would suggest words that have nothing to do with it.
    let cutoff = (typed.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, _)| *distance <= cutoff)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour to make
/// one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous_letter = None;
    for (row, letter) in one.to_lowercase().chars().enumerate() {
        let mut current = vec![row + 1];
        let mut previous_other = None;
        for (column, &facing) in other.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let change = at(&last, column) + usize::from(letter != facing);
            let mut cost = change.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            let is_swap = previous_letter == Some(facing) && previous_other == Some(letter);
            if is_swap && column > 0 {
                cost = cost.min(at(&before_last, column - 1) + 1);
            }
            current.push(cost);
            previous_other = Some(facing);
        }
        previous_letter = Some(letter);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips() {
        for (one, other, slips) in [
            ("", "", 0),
            ("ports", "ports", 0),
            ("prots", "ports", 1),
            ("port", "ports", 1),
            ("potrs", "ports", 1),
            ("kitten", "sitting", 3),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
            assert_eq!(distance(other, one), slips, "{other} {one}");
        }
    }

    #[test]
    fn only_near_words_are_suggested() {
        let words = ["ports", "address", "accept_timeout"];
        assert_eq!(nearest("prots", words), Some("ports"));
        assert_eq!(nearest("accept_timout", words), Some("accept_timeout"));
        assert_eq!(nearest("banana", words), None);
    }
}
