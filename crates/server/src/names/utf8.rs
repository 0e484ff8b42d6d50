//! Names that are valid UTF-8 by chance.
//!
//! Letters of two bytes in GBK, Big5 and EUC-KR can also be two bytes of UTF-8: 图片 in GBK is
//! U+037C U+01AC in UTF-8. Such a name is compared in both readings; three-byte sequences of
//! UTF-8 practically never come about by chance.

use encoding_rs::Encoding as Charset;

use super::guess::{CLEAR, Hint, Ranking, rank};
use super::weigh::{utf8_cost, weigh};

/// How much more likely UTF-8 is before the name is seen, in the unit of `weigh`: most clients
/// send it.
const PRIOR: u32 = 20;
/// The same where earlier sessions of the account, or the settings, name another character set.
const PRIOR_AGAINST_HINT: u32 = 10;
/// A reading that costs at most this per byte above ASCII consists of common characters.
const COMMON: u32 = 52;
/// UTF-8 is clear in any case if it is this much more likely: in long names.
const CLEAR_ANYWAY: u32 = 150;

/// How a name that is valid UTF-8 is read.
#[derive(Debug)]
pub(super) enum Utf8Verdict {
    /// UTF-8. `is_clear`: no other reading is plausible.
    Utf8 { is_clear: bool, others: Ranking },
    /// One of these sets.
    Legacy(Ranking),
}

/// Whether text can be valid UTF-8 by chance: it has no characters of three bytes or more, but
/// for those that no script in use has.
pub(super) fn is_doubtful(text: &str) -> bool {
    !text.is_ascii() && text.chars().all(|letter| letter < '\u{800}' || is_unused(letter))
}

/// Whether a character of three or four bytes is practically never part of a name.
fn is_unused(letter: char) -> bool {
    matches!(letter,
        '\u{1b00}'..='\u{1cff}' | '\u{3400}'..='\u{4dbf}' | '\u{a000}'..='\u{abff}'
        | '\u{e000}'..='\u{f8ff}' | '\u{10000}'..='\u{1efff}' | '\u{30000}'..='\u{dffff}'
        | '\u{f0000}'..)
}

/// Decides between UTF-8 and the sets for `text`. `hint`: what is known of the account.
pub(super) fn judge(
    text: &str,
    hint: Option<Hint>,
    configured: Option<&'static Charset>,
) -> Utf8Verdict {
    if is_western_word(text) {
        return Utf8Verdict::Utf8 { is_clear: true, others: Ranking::default() };
    }
    let preferred = hint.or_else(|| configured.map(Hint::assumed));
    let mut others = rank(text.as_bytes(), preferred, configured);
    let best = others.sets.first().and_then(|set| weigh(set, text.as_bytes()));
    let Some(best) = best else { return Utf8Verdict::Utf8 { is_clear: true, others } };
    let prior = match others.sets.first() {
        _ if hint.is_some() => PRIOR_AGAINST_HINT,
        Some(set) if configured == Some(*set) => PRIOR_AGAINST_HINT,
        _ => PRIOR,
    };
    let as_utf8 = utf8_cost(text);
    let as_other = best.cost + prior;
    if as_utf8 <= as_other {
        let margin = as_other - as_utf8;
        let is_clear = margin >= CLEAR_ANYWAY || (margin >= CLEAR && best.is_above(COMMON));
        return Utf8Verdict::Utf8 { is_clear, others };
    }
    others.is_clear = others.is_clear && as_utf8 - as_other >= CLEAR;
    Utf8Verdict::Legacy(others)
}

/// Whether every character above ASCII is a small letter of western Europe beside a small ASCII
/// letter, as in `Menü`. In other sets this would be an ideograph or syllable within a word.
fn is_western_word(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let is_small =
        |at: Option<usize>| at.and_then(|at| letters.get(at)).is_some_and(char::is_ascii_lowercase);
    letters.iter().enumerate().all(|(at, letter)| {
        letter.is_ascii()
            || (matches!(letter, '\u{df}'..='\u{f6}' | '\u{f8}'..='\u{ff}')
                && (is_small(at.checked_sub(1)) || is_small(at.checked_add(1))))
    })
}

#[cfg(test)]
mod tests {
    use encoding_rs::{BIG5, EUC_KR, GBK};

    use super::super::guess::HintOrigin;
    use super::*;

    fn doubtful_readings(
        bytes: &[u8],
        remembered_charset: Option<&'static Charset>,
    ) -> (&'static str, bool) {
        let origin = HintOrigin::Remembered;
        let hint = remembered_charset.map(|set| Hint { set, origin });
        match judge(std::str::from_utf8(bytes).unwrap(), hint, None) {
            Utf8Verdict::Utf8 { is_clear, .. } => ("UTF-8", is_clear),
            Utf8Verdict::Legacy(ranking) => (ranking.sets[0].name(), ranking.is_clear),
        }
    }

    #[test]
    fn legacy_words_that_are_valid_utf8_are_decoded_in_their_charset() {
        for (set, words) in [
            (GBK, ["图片", "图纸.dwg", "图片2023", "什么.txt", "推土机图纸"].as_slice()),
            (EUC_KR, ["1화.avi", "치킨.jpg", "12화", "시즌2 3화"].as_slice()),
        ] {
            for word in words {
                let (bytes, _, _) = set.encode(word);
                if std::str::from_utf8(&bytes).is_ok() {
                    assert_eq!(doubtful_readings(&bytes, None).0, set.name(), "{word}");
                }
            }
        }
    }

    #[test]
    fn utf8_in_every_script_of_two_bytes_stays_utf8() {
        for name in [
            "Müller.txt",
            "é.txt",
            "Menü.pdf",
            "ÄÖÜ.txt",
            "NOËL",
            "żółć.txt",
            "Łódź.jpg",
            "kůň.txt",
            "İstanbul.jpg",
            "ağaç",
            "Fényképek",
            "Űrlap.doc",
            "Țară",
            "Đà N",
            "Документ.doc",
            "Да.txt",
            "Київ.jpg",
            "Отчёт",
            "ПРИКАЗ №".trim_end_matches(" №"),
            "Αρχείο.txt",
            "Έγγραφο",
            "ΑΘΗΝΑ",
            "מסמך.doc",
            "תמונה",
            "مستند.doc",
            "صور",
            "عکس",
            "cafe\u{301}.txt",
            "Mu\u{308}ller",
            "Қазақстан",
            "Հայ.txt",
            "¿Qué?",
        ] {
            for remembered_charset in [None, Some(GBK), Some(BIG5), Some(EUC_KR)] {
                if is_doubtful(name) {
                    assert_eq!(
                        doubtful_readings(name.as_bytes(), remembered_charset).0,
                        "UTF-8",
                        "{name} {remembered_charset:?}"
                    );
                }
            }
            assert!(
                name.chars().filter(|letter| !letter.is_ascii()).count() < 3
                    || doubtful_readings(name.as_bytes(), None).1,
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_that_is_plausible_in_both_readings_is_not_clear() {
        // 小小 in GBK, two capital letters in UTF-8.
        assert!(!doubtful_readings(b"\xd0\xa1\xd0\xa1.jpg", None).1);
    }
}
