//! How unlikely bytes are as a name in one character set.
//!
//! A simple model of each language: the cost of each character in its context, in tenths of the
//! natural logarithm of its probability. The cheapest reading is the most likely one. Readings of
//! the same bytes are compared, so a letter of two bytes stands against the two letters that those
//! bytes are elsewhere.

use std::collections::HashMap;
use std::sync::OnceLock;

use encoding_rs::{
    BIG5, EUC_KR, Encoding as Charset, GB18030, GBK, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252,
};

use super::letters::{JAPANESE, KOREAN, Ranks, SIMPLIFIED, TRADITIONAL};

/// Costs more than any character of a real name.
const ABSURD: u32 = 180;

/// What a name costs in one set.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameCost {
    /// All of it.
    pub(super) cost: u32,
    /// What is not ASCII.
    above: u32,
    /// The bytes of that.
    bytes: u32,
}

impl NameCost {
    /// Whether a byte that is not ASCII costs more than `most`, on average.
    pub(super) fn is_above(&self, most: u32) -> bool {
        self.above > self.bytes.saturating_mul(most)
    }
}

/// Weighs `bytes` as a name in `set`; none if they are not of that set.
pub(super) fn weigh(set: &'static Charset, bytes: &[u8]) -> Option<NameCost> {
    let letters = letters(set, bytes)?;
    let model: fn(&Context) -> u32 = match () {
        () if set == GBK || set == GB18030 => chinese_simplified,
        () if set == BIG5 => chinese_traditional,
        () if set == SHIFT_JIS => japanese,
        () if set == EUC_KR => korean,
        () if set == WINDOWS_1251 => cyrillic,
        () if set == WINDOWS_1252 => western,
        () => any,
    };
    let mut weight = NameCost::default();
    for (at, letter) in letters.iter().enumerate() {
        let around = Context::of(&letters, at, letter);
        if letter.shown.is_ascii() {
            weight.cost += ascii(letter.shown);
        } else {
            let cost = model(&around);
            weight.cost += cost;
            weight.above += cost;
            weight.bytes += if letter.code > 0xff { 2 } else { 1 };
        }
    }
    Some(weight)
}

/// One letter, with the bytes that it is.
#[derive(Clone, Copy)]
struct Letter {
    shown: char,
    /// 0 and the byte where it is one byte.
    code: u16,
}

struct Context<'a> {
    two_before: Option<char>,
    before: Option<char>,
    letter: &'a Letter,
    after: Option<char>,
}

impl<'a> Context<'a> {
    fn of(letters: &[Letter], at: usize, letter: &'a Letter) -> Self {
        let near = |step: Option<usize>| step.and_then(|at| letters.get(at)).map(|near| near.shown);
        Self {
            two_before: near(at.checked_sub(2)),
            before: near(at.checked_sub(1)),
            letter,
            after: near(at.checked_add(1)),
        }
    }
}

/// None where something is not of the set, or of its private letters, that no keyboard has.
fn letters(set: &'static Charset, bytes: &[u8]) -> Option<Vec<Letter>> {
    let mut letters = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, ..] = rest {
        let most = if first.is_ascii() { 1 } else { 4.min(rest.len()) };
        let (taken, text) = (1..=most).find_map(|length| {
            let unit = rest.get(..length)?;
            let text = set.decode_without_bom_handling_and_without_replacement(unit)?;
            Some((length, text))
        })?;
        let code = match *rest {
            [lead, trail, ..] if taken == 2 => u16::from_be_bytes([lead, trail]),
            [byte, ..] => u16::from(byte),
            [] => 0,
        };
        for shown in text.chars() {
            let is_private = matches!(shown, '\u{e000}'..='\u{f8ff}');
            if is_private || (!shown.is_ascii() && shown.is_control()) {
                return None;
            }
            letters.push(Letter { shown, code });
        }
        rest = rest.get(taken..)?;
    }
    Some(letters)
}

fn ascii(letter: char) -> u32 {
    match letter {
        'a'..='z' => 31,
        'A'..='Z' | '0'..='9' | '.' | ' ' | '-' | '_' => 37,
        _ => 55,
    }
}

/// Which text of [`Ranks`] has each letter.
type LetterRanks = HashMap<char, usize>;

fn places(ranks: &Ranks, once: &'static OnceLock<LetterRanks>) -> &'static LetterRanks {
    once.get_or_init(|| {
        let mut places = LetterRanks::new();
        for (rank, text) in ranks.iter().enumerate() {
            for letter in text.chars() {
                places.entry(letter).or_insert(rank);
            }
        }
        places
    })
}

/// What a letter of its rank costs; none if it has none.
fn legacy_readings(places: &LetterRanks, letter: char) -> Option<u32> {
    places.get(&letter).map(|rank| match rank {
        0 => 62,
        1 => 69,
        _ => 81,
    })
}

fn simplified() -> &'static LetterRanks {
    static PLACES: OnceLock<LetterRanks> = OnceLock::new();
    places(&SIMPLIFIED, &PLACES)
}

fn traditional() -> &'static LetterRanks {
    static PLACES: OnceLock<LetterRanks> = OnceLock::new();
    places(&TRADITIONAL, &PLACES)
}

/// A letter of two bytes within a word of ASCII is seldom meant.
fn within_ascii(around: &Context) -> u32 {
    let is_letter = |near: Option<char>| near.is_some_and(|near| near.is_ascii_alphabetic());
    match (is_letter(around.before), is_letter(around.after)) {
        (true, true) => 45,
        (true, false) | (false, true) => 10,
        (false, false) => 0,
    }
}

fn chinese_simplified(around: &Context) -> u32 {
    let letter = around.letter.shown;
    let [lead, trail] = around.letter.code.to_be_bytes();
    let is_plain = trail >= 0xa1;
    let cost = match lead {
        0xb0..=0xd7 if is_plain => legacy_readings(simplified(), letter).unwrap_or(101),
        0xd8..=0xf7 if is_plain => legacy_readings(simplified(), letter).unwrap_or(124),
        0xa1 | 0xa3 if is_plain => punctuation(letter).unwrap_or(95),
        0xa2 if is_plain => 110,
        0xa4 | 0xa5 if is_plain => 112,
        0xa6..=0xa9 => 130,
        _ if traditional().contains_key(&letter) => 118,
        _ => 155,
    };
    cost + within_ascii(around)
}

fn chinese_traditional(around: &Context) -> u32 {
    let letter = around.letter.shown;
    let cost = match around.letter.code {
        0xa440..=0xc67e => legacy_readings(traditional(), letter).unwrap_or(104),
        0xc940..=0xf9d5 => legacy_readings(traditional(), letter).unwrap_or(128),
        0xa140..=0xa3bf => punctuation(letter).unwrap_or(100),
        _ => 155,
    };
    cost + within_ascii(around)
}

fn korean(around: &Context) -> u32 {
    static PLACES: OnceLock<LetterRanks> = OnceLock::new();
    let letter = around.letter.shown;
    let [lead, trail] = around.letter.code.to_be_bytes();
    let is_plain = trail >= 0xa1;
    let cost = match lead {
        0xb0..=0xc8 if is_plain => match places(&KOREAN, &PLACES).get(&letter) {
            Some(0) => 52,
            Some(1) => 66,
            Some(_) => 80,
            None => 104,
        },
        0xca..=0xfd if is_plain => 128,
        0xa1..=0xa3 if is_plain => punctuation(letter).unwrap_or(100),
        0xa4 if is_plain => 95,
        _ => 135,
    };
    cost + within_ascii(around)
}

fn japanese(around: &Context) -> u32 {
    static PLACES: OnceLock<LetterRanks> = OnceLock::new();
    let letter = around.letter.shown;
    let is_kana = |near: char| matches!(near, 'ぁ'..='ん' | 'ァ'..='ヴ' | 'ー');
    let cost = match around.letter.code {
        0xa1..=0xdf => return half_width(around),
        _ if is_kana(letter) => match around.before {
            Some(before) if is_kana(before) => 42,
            _ => 48,
        },
        0x8140..=0x81fc => match letter {
            '々' | '・' | '　' => 60,
            _ => punctuation(letter).unwrap_or(105),
        },
        0x824f..=0x829a => 72,
        0x8740..=0x879f => 105,
        0x889f..=0x9872 => legacy_readings(places(&JAPANESE, &PLACES), letter).unwrap_or(102),
        0x989f..=0xeaa4 => legacy_readings(places(&JAPANESE, &PLACES), letter).unwrap_or(126),
        0xfa40..=0xfc4b => 115,
        _ => 145,
    };
    cost + within_ascii(around)
}

/// Kana of one byte. They come in words, and dots stand only on some of them.
fn half_width(around: &Context) -> u32 {
    let is_half = |near: Option<char>| near.is_some_and(|near| matches!(near, '｡'..='ﾟ'));
    let base = match around.letter.shown {
        'ﾞ' => match around.before {
            Some('ｳ' | 'ｶ'..='ﾄ' | 'ﾊ'..='ﾎ') => 22,
            _ => 110,
        },
        'ﾟ' => match around.before {
            Some('ﾊ'..='ﾎ') => 22,
            _ => 110,
        },
        'ｰ' if !is_half(around.before) => 100,
        '｡'..='･' => 75,
        'ｧ'..='ｯ' if !is_half(around.before) => 85,
        'ｧ'..='ｫ' => 58,
        _ => 43,
    };
    let alone = if is_half(around.before) {
        0
    } else if is_half(around.after) {
        30
    } else {
        60
    };
    base + alone + within_ascii(around)
}

/// Marks that stand in names of Chinese, Japanese and Korean files.
fn punctuation(letter: char) -> Option<u32> {
    Some(match letter {
        '（' | '）' => 58,
        '、' | '。' | '【' | '】' | '—' | '－' | '　' | '～' | '·' => 66,
        '《' | '》' | '「' | '」' | '『' | '』' | '“' | '”' | '…' | '：' | '，' | '！' | '？'
        | '＆' | '＋' | '＿' | '．' | '［' | '］' | '〔' | '〕' | '※' | '★' | '☆' | '●' | '■'
        | '◆' | '→' | '№' | '±' | '×' => 78,
        '０'..='９' | 'Ａ'..='Ｚ' | 'ａ'..='ｚ' => 76,
        _ => return None,
    })
}

fn is_cyrillic(letter: char) -> bool {
    matches!(letter, '\u{400}'..='\u{45f}' | '\u{490}' | '\u{491}')
}

fn cyrillic(around: &Context) -> u32 {
    let letter = around.letter.shown;
    if !is_cyrillic(letter) {
        return match letter {
            '№' => 45,
            '«' | '»' | '–' | '—' => 62,
            '“' | '”' | '„' | '’' | '…' | '\u{a0}' => 75,
            '§' | '°' | '®' | '©' | '™' | '€' => 95,
            _ => 120,
        };
    }
    let lower = letter.to_lowercase().next().unwrap_or(letter);
    let base = match lower {
        'о' | 'е' | 'а' | 'и' | 'н' | 'т' => 26,
        'с' | 'р' | 'в' | 'л' | 'к' | 'м' | 'д' | 'п' => 32,
        'у' | 'я' | 'ы' | 'ь' | 'г' | 'з' | 'б' | 'ч' | 'й' => 41,
        'х' | 'ж' | 'ш' | 'ю' | 'ц' | 'щ' => 49,
        'і' => 42,
        'э' | 'ф' | 'ї' | 'є' | 'ё' => 58,
        'ъ' => 56,
        'ґ' | 'ў' | 'ј' => 78,
        _ => 100,
    };
    let before = around.before.filter(|before| before.is_alphabetic());
    let after = around.after.filter(|after| after.is_alphabetic());
    let is_mixed = [before, after].into_iter().flatten().any(|near| near.is_ascii_alphabetic());
    let mixed = if is_mixed { 45 } else { 0 };
    let shape = match (before, letter.is_uppercase()) {
        (Some(before), true) if before.is_lowercase() => 75,
        (Some(before), true) if before.is_uppercase() => match around.two_before {
            Some(two) if two.is_uppercase() => 3,
            _ => 14,
        },
        (Some(before), false) if before.is_uppercase() => {
            // A word that was in capitals so far continues in them.
            let was_shouted = around.two_before.is_some_and(char::is_uppercase);
            if was_shouted { 55 } else { 2 }
        }
        (Some(_), _) => 0,
        (None, _) => 6,
    };
    let start = match lower {
        'ь' | 'ъ' | 'ы' if before.is_none() => 60,
        _ => 0,
    };
    let lone = match lower {
        _ if before.is_some() || after.is_some() => 0,
        'и' | 'в' | 'с' | 'к' | 'о' | 'у' | 'а' | 'я' | 'і' | 'з' | 'й' => 30,
        _ => 45,
    };
    base + mixed + shape + start + lone
}

/// What the letters of western Europe cost, wherever they stand.
fn western_base(lower: char) -> u32 {
    match lower {
        'é' | 'ü' | 'ä' | 'ö' | 'á' | 'ó' | 'í' | 'ñ' | 'ã' | 'ç' | 'å' | 'ø' => 36,
        'è' | 'à' | 'ê' | 'ß' | 'æ' | 'ú' | 'õ' | 'â' | 'ô' => 44,
        'î' | 'ï' | 'ë' | 'û' | 'ù' | 'ò' | 'ì' | 'œ' => 54,
        'ð' | 'þ' | 'ý' => 78,
        'ÿ' | 'š' | 'ž' => 95,
        _ => 120,
    }
}

fn western(around: &Context) -> u32 {
    let letter = around.letter.shown;
    let is_letter = letter.is_alphabetic() && !matches!(letter, 'ª' | 'º' | 'µ' | 'ƒ' | 'ˆ');
    if !is_letter {
        return western_sign(around);
    }
    let lower = letter.to_lowercase().next().unwrap_or(letter);
    let before = around.before.filter(|before| before.is_alphabetic());
    let after = around.after.filter(|after| after.is_alphabetic());
    let is_high = |near: char| !near.is_ascii();
    let beside = match before.filter(|before| is_high(*before)) {
        None => 0,
        Some('ç' | 'Ç') if matches!(lower, 'ã' | 'õ') => 0,
        Some('ü' | 'ö' | 'ä' | 'Ü' | 'Ö' | 'Ä') if lower == 'ß' => 4,
        Some('ß') if lower == 'ß' => 0,
        // The last letters of the alphabets: ÄÖÜ, ÅÄÖ, ÆØÅ.
        Some('å' | 'Å') if lower == 'ä' => 0,
        Some('ä' | 'Ä') if lower == 'ö' => 0,
        Some('ö' | 'Ö') if lower == 'ü' => 0,
        // Doubled in Finnish and Estonian.
        Some('ü' | 'ö' | 'ä' | 'Ü' | 'Ö' | 'Ä') if matches!(lower, 'ä' | 'ö' | 'ü') => 6,
        Some('æ' | 'Æ') if lower == 'ø' => 0,
        Some('ø' | 'Ø') if lower == 'å' => 0,
        Some('é' | 'á' | 'í' | 'ú' | 'à') if matches!(lower, 'é' | 'ç' | 'ñ' | 'è') => 12,
        Some('å' | 'ø') if matches!(lower, 'ø' | 'å' | 'æ') => 20,
        Some(_) => 42,
    };
    let third = around.two_before.is_some_and(|two| two.is_alphabetic() && is_high(two));
    let beside = if third && beside > 0 { beside + 25 } else { beside };
    let shape = if letter.is_uppercase() {
        match before {
            Some(before) if before.is_lowercase() => 75,
            Some(_) if after.is_some_and(char::is_lowercase) => 55,
            Some(_) => 12,
            None if after.is_some_and(char::is_lowercase) => 8,
            None => 20,
        }
    } else {
        match before {
            Some(before) if before.is_uppercase() && after.is_some_and(char::is_uppercase) => 50,
            Some(_) => 0,
            None => 8,
        }
    };
    western_base(lower) + beside + shape
}

fn western_sign(around: &Context) -> u32 {
    let is_digit = around.before.is_some_and(|before| before.is_ascii_digit());
    let is_word = |near: Option<char>| near.is_some_and(|near| near.is_ascii_alphanumeric());
    let is_free = |near: Option<char>| near.is_none_or(|near| near == ' ' || near == '_');
    match around.letter.shown {
        '’' if is_word(around.before) && is_word(around.after) => 48,
        '–' | '—' if is_free(around.before) || is_digit => 50,
        '–' | '—' if is_word(around.before) && is_word(around.after) => 62,
        'º' | 'ª' | '°' if is_digit => 45,
        '€' | '£' | '§' | '©' | '®' | '™' | '½' | '²' | '³' => 62,
        '«' | '»' | '“' | '”' | '„' | '‘' | '’' | '…' | '–' | '—' | '·' | '°' | '\u{a0}' => {
            70
        }
        '¡' | '¿' if is_free(around.before) => {
            if around.after.is_some_and(|after| after.is_ascii_uppercase()) { 25 } else { 48 }
        }
        '´' if is_word(around.before) => 60,
        'º' | 'ª' | 'µ' | '•' | '±' => 78,
        _ => 118,
    }
}

/// A set that no model is made for: whether there are letters where letters stand.
fn any(around: &Context) -> u32 {
    let letter = around.letter.shown;
    if is_cyrillic(letter) {
        return cyrillic(around);
    }
    match letter {
        '\u{a0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' if letter.is_alphabetic() => {
            let lower = letter.to_lowercase().next().unwrap_or(letter);
            let base = western_base(lower).min(52);
            let is_within = around.before.is_some_and(char::is_lowercase);
            if letter.is_uppercase() && is_within { base + 75 } else { base }
        }
        '\u{2000}'..='\u{206f}' | '\u{a0}'..='\u{bf}' => western_sign(around),
        'ぁ'..='ヿ' => 46,
        '一'..='鿿' => {
            let known = legacy_readings(simplified(), letter)
                .or_else(|| legacy_readings(traditional(), letter));
            known.unwrap_or(105)
        }
        '가'..='힣' => 75,
        _ if letter.is_alphabetic() => {
            let is_ascii = |near: Option<char>| near.is_some_and(|near| near.is_ascii_alphabetic());
            if is_ascii(around.before) || is_ascii(around.after) { 85 } else { 38 }
        }
        _ => ABSURD,
    }
}

/// What `text` costs as UTF-8. Only characters of at most two bytes are distinguished.
pub(super) fn utf8_cost(text: &str) -> u32 {
    let letters: Vec<Letter> = text.chars().map(|shown| Letter { shown, code: 0 }).collect();
    let mut cost = 0;
    for (at, letter) in letters.iter().enumerate() {
        let around = Context::of(&letters, at, letter);
        cost += if letter.shown.is_ascii() { ascii(letter.shown) } else { universal(&around) };
    }
    cost
}

/// Any character of two bytes in UTF-8: blocks that no script in use has are unlikely, and so are
/// characters of several scripts in one word.
fn universal(around: &Context) -> u32 {
    let letter = around.letter.shown;
    let is_mixed = around.before.is_some_and(|before| {
        let (one, other) = (script(before), script(letter));
        one != other && one != Script::None && other != Script::None
    });
    let mixed = if is_mixed { MIXED_SCRIPTS } else { 0 };
    let base = match letter {
        '\u{80}'..='\u{9f}' => ABSURD,
        '\u{a0}'..='\u{ff}' => return western(around) + mixed,
        _ if RARE_LATIN.contains(letter) => {
            let was_small = around.before.is_some_and(char::is_lowercase);
            if letter.is_uppercase() && was_small { 140 } else { 85 }
        }
        '\u{100}'..='\u{17f}' | 'Ơ' | 'ơ' | 'Ư' | 'ư' | 'Ș'..='ț' => {
            let was_small = around.before.is_some_and(char::is_lowercase);
            if letter.is_uppercase() && was_small { 125 } else { 50 }
        }
        '\u{300}'..='\u{304}' | '\u{306}'..='\u{30c}' | '\u{323}' | '\u{327}' | '\u{328}' => {
            // Names from macOS are decomposed.
            if around.before.is_some_and(char::is_alphabetic) { 25 } else { ABSURD }
        }
        'Ά' | 'Έ'..='Ί' | 'Ό' | 'Ύ'..='ώ' if letter.is_alphabetic() => 36,
        '\u{401}'..='\u{45f}' | '\u{490}' | '\u{491}' => return cyrillic(around) + mixed,
        'Ғ'
        | 'ғ'
        | 'Қ'
        | 'қ'
        | 'Ң'
        | 'ң'
        | 'Ү'..='ұ'
        | 'Ҳ'
        | 'ҳ'
        | 'Ҷ'
        | 'ҷ'
        | 'Һ'
        | 'һ'
        | 'Ә'
        | 'ә'
        | 'Ӣ'
        | 'ӣ'
        | 'Ө'
        | 'ө'
        | 'Ӯ'
        | 'ӯ' => 50,
        'Ա'..='Ֆ' | 'ա'..='և' => 45,
        'א'..='ת' | 'ء'..='غ' | 'ف'..='ي' => 36,
        'پ' | 'چ' | 'ژ' | 'ک' | 'گ' | 'ی' | 'ٹ' | 'ڈ' | 'ڑ' | 'ں' | 'ھ' | 'ہ' | 'ے' => {
            42
        }
        '\u{64b}'..='\u{652}' | '٠'..='٩' | '۰'..='۹' | '،' | '؟' => 60,
        'ހ'..='ޱ' => 100,
        _ if letter.is_alphabetic() => 140,
        _ => ABSURD,
    };
    base + mixed
}

/// Letters of Latin Extended-A that only small languages use, or none today.
const RARE_LATIN: &str = "ĈĉĊċĔĕĜĝĠġĤĥĦħĬĭĲĳĴĵĸĿŀŉŊŋŎŏŜŝŦŧŬŭŴŵŶŷſ";

/// What a change of the script within a word costs.
const MIXED_SCRIPTS: u32 = 60;

/// The alphabet of a character, as far as words do not mix them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    None,
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Hebrew,
    Arabic,
    Other,
}

fn script(letter: char) -> Script {
    match letter {
        '\u{300}'..='\u{36f}' => Script::None,
        'ء'..='\u{6ff}' => Script::Arabic,
        _ if !letter.is_alphabetic() => Script::None,
        '\0'..='\u{24f}' => Script::Latin,
        '\u{370}'..='\u{3ff}' => Script::Greek,
        '\u{400}'..='\u{52f}' => Script::Cyrillic,
        '\u{530}'..='\u{58f}' => Script::Armenian,
        '\u{590}'..='\u{5ff}' => Script::Hebrew,
        _ => Script::Other,
    }
}
