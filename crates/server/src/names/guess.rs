//! Detects the legacy character set of names.
//!
//! `chardetng` was made for web pages and supports many sets; on a name of three characters it is
//! wrong in one case of ten. Its guess therefore counts little, and the models in `weigh`, made
//! for short names in the six sets that FTP clients still send, count more.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{
    BIG5, EUC_KR, Encoding as Charset, GB18030, GBK, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252,
};

use super::weigh::{NameCost, weigh};

/// The sets that are recognised.
pub(super) const CANDIDATES: [&Charset; 6] =
    [GBK, BIG5, SHIFT_JIS, EUC_KR, WINDOWS_1251, WINDOWS_1252];
/// The set if names do not decide: most remaining legacy clients use it.
pub(super) const OTHERWISE: &Charset = GBK;

/// The weight of a hint, in tenths of the natural logarithm of a probability, as all of these.
const HINT: u32 = 20;
/// The same if earlier sessions of the account settled on the set.
const HINT_REMEMBERED: u32 = 35;
/// That counts only for names of common characters, of at most this cost per byte above ASCII:
/// rare ones are rather of another set.
const HINT_REMEMBERED_COST_MAX: u32 = 42;
/// The same if, in addition, names of this session were read in it.
const HINT_CONFIRMED: u32 = 60;
/// The weight of the detector's guess.
const DETECTED: u32 = 10;
/// The additional weight of a hint if the detector's guess is not a candidate.
const UNDETECTED: u32 = 30;
/// The most likely set is clear if the next one is this much less likely: one in 400.
pub(super) const CLEAR: u32 = 60;
/// A name of which every byte above ASCII costs more than this makes no sense in a set.
const SENSELESS: u32 = 65;
/// The same for sets of single bytes, where a byte is a whole letter.
const SENSELESS_SINGLE: u32 = 85;

/// A set that is preferred where several are about as likely.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hint {
    pub(super) set: &'static Charset,
    pub(super) origin: HintOrigin,
}

/// Where a hint comes from: the more it is based on, the more it weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HintOrigin {
    /// The settings or a password.
    Assumed,
    /// Earlier sessions of the account.
    Remembered,
    /// These, and names of this session.
    Confirmed,
}

impl Hint {
    pub(super) fn assumed(set: &'static Charset) -> Self {
        Self { set, origin: HintOrigin::Assumed }
    }

    /// The bonus for a reading in the set.
    fn weight(self, reading: &NameCost) -> u32 {
        match self.origin {
            HintOrigin::Remembered if reading.is_above(HINT_REMEMBERED_COST_MAX) => HINT,
            HintOrigin::Remembered => HINT_REMEMBERED,
            HintOrigin::Assumed => HINT,
            HintOrigin::Confirmed => HINT_CONFIRMED,
        }
    }
}

/// The sets that bytes can be in.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// The most likely first.
    pub(super) sets: Vec<&'static Charset>,
    /// Whether the first is far more likely than the others.
    pub(super) is_clear: bool,
}

/// Ranks the sets for `bytes`. `configured` is a candidate too; `hint` is preferred where several
/// are about as likely.
pub(super) fn rank(
    bytes: &[u8],
    hint: Option<Hint>,
    configured: Option<&'static Charset>,
) -> Ranking {
    let sets = candidates(configured);
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let detected = detector.guess(None, Utf8Detection::Deny);
    let is_candidate = sets.contains(&detected);
    let fallback = hint.map_or(OTHERWISE, |hint| hint.set);
    let mut weighed: Vec<(u32, &'static Charset, NameCost)> = Vec::with_capacity(sets.len());
    for set in sets {
        let Some(weight) = weigh(set, bytes) else { continue };
        let is_detected = if is_candidate { set == detected } else { set == fallback };
        let mut bonus = if is_detected { DETECTED } else { 0 };
        if let Some(hint) = hint.filter(|hint| hint.set == set) {
            bonus += hint.weight(&weight) + if is_candidate { 0 } else { UNDETECTED };
        }
        // The largest possible bonus is added to all, so that no difference is negative.
        let bonus_max = HINT_CONFIRMED + UNDETECTED + DETECTED;
        weighed.push((weight.cost + bonus_max - bonus, set, weight));
    }
    weighed.sort_by_key(|(cost, ..)| *cost);
    let is_senseless = weighed.first().is_none_or(|(_, set, best)| {
        best.is_above(if set.is_single_byte() { SENSELESS_SINGLE } else { SENSELESS })
    });
    let is_clear = match &weighed[..] {
        [] => false,
        [_] => !is_senseless,
        [(first, set, weight), (second, ..), ..] => {
            // A strong hint decides for its set, but does not make that clear.
            let hint = hint.filter(|hint| hint.set == *set);
            let needed = CLEAR + hint.map_or(0, |hint| hint.weight(weight) - HINT);
            !is_senseless && second - first >= needed
        }
    };
    let mut sets: Vec<_> = weighed.into_iter().map(|(_, set, _)| set).collect();
    if is_senseless && let Some(at) = sets.iter().position(|set| *set == fallback) {
        let set = sets.remove(at);
        sets.insert(0, set);
    }
    Ranking { sets, is_clear }
}

fn candidates(configured: Option<&'static Charset>) -> Vec<&'static Charset> {
    let mut sets = CANDIDATES.to_vec();
    match configured {
        // The same bytes mean the same in both.
        Some(set) if set == GB18030 => {
            sets.retain(|known| *known != GBK);
            sets.push(set);
        }
        Some(set) if !sets.contains(&set) => sets.push(set),
        _ => {}
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(bytes: &[u8], hint: Option<&'static Charset>) -> &'static str {
        let assumed = hint.map(Hint::assumed);
        rank(bytes, assumed, hint).sets.first().unwrap().name()
    }

    #[test]
    fn a_clear_name_is_clear_and_a_short_one_is_not() {
        let (name, _, _) = GBK.encode("中文文件名-装机单.txt");
        assert!(rank(&name, None, None).is_clear);
        let (name, _, _) = GBK.encode("卡.txt");
        assert!(!rank(&name, None, None).is_clear);
    }

    #[test]
    fn a_configured_set_is_always_a_candidate() {
        for (set, name) in [
            ("windows-1250", "Žluťoučký kůň.txt"),
            ("windows-1250", "źródło.txt"),
            ("windows-1253", "Αρχείο.txt"),
            ("windows-874", "ภาพถ่าย.jpg"),
            ("koi8-r", "Документ.doc"),
            ("euc-jp", "日本語のファイル.txt"),
        ] {
            let set = Charset::for_label(set.as_bytes()).unwrap();
            let (bytes, _, _) = set.encode(name);
            assert_eq!(best(&bytes, Some(set)), set.name(), "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_falls_to_the_hint_and_else_to_gbk() {
        // Rare letters in some sets, signs within a word in others.
        let senseless = b"\xa0\xac\xa0\xac";
        assert_eq!(best(senseless, Some(EUC_KR)), "EUC-KR");
        assert_eq!(best(senseless, None), "GBK");
    }

    #[test]
    fn a_hint_decides_where_names_are_alike_and_not_where_they_are_clear() {
        let alike = b"\xb0\xa1.txt";
        assert_eq!(best(alike, Some(EUC_KR)), "EUC-KR");
        assert_eq!(best(alike, Some(GBK)), "GBK");
        for hint in CANDIDATES {
            assert_eq!(best(b"M\xfcller.txt", Some(hint)), "windows-1252", "{}", hint.name());
        }
    }

    #[test]
    fn what_is_in_no_set_has_no_set() {
        assert!(rank(b"\xff\xfe\xff\x81\x98\x81", None, None).sets.len() < 6);
    }
}
