//! Sets are recognised, names come back.

use encoding_rs::{BIG5, EUC_KR, GBK, SHIFT_JIS, WINDOWS_1251};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[path = "corpus.rs"]
mod corpus;
#[path = "real_names.rs"]
mod real_names;

use self::corpus::CORPUS;
use self::real_names::REAL_NAMES;

pub(super) fn names(encoding: Encoding) -> NameCodec {
    let legacy = Some(GBK).filter(|_| encoding == Encoding::Legacy);
    NameCodec::new(&NamesSettings {
        encoding,
        legacy_encoding: legacy,
        backslash_as_slash: Backslash::Auto,
        ..NamesSettings::default()
    })
}

/// What a name comes to for which nothing is on disk.
fn stores(names: &mut NameCodec, typed: &[u8]) -> Vec<u8> {
    let Readings { otherwise, .. } = names.readings(typed);
    names.chose(typed, &otherwise, false);
    otherwise.path
}

/// What a name comes to that is on disk.
fn finds(names: &mut NameCodec, typed: &[u8], on_disk: &str) -> bool {
    let found = names.readings(typed).tried.into_iter().find(|one| one.path == on_disk.as_bytes());
    if let Some(reading) = &found {
        names.chose(typed, reading, true);
    }
    found.is_some()
}

fn paths(readings: &Readings) -> Vec<&[u8]> {
    readings.tried.iter().map(|reading| reading.path.as_slice()).collect()
}

pub(super) fn bytes(set: &'static Charset, text: &str) -> Vec<u8> {
    let (bytes, _, is_bad) = set.encode(text);
    assert!(!is_bad, "{text} is not {}", set.name());
    bytes.into_owned()
}

const GBK_ZHONG: &[u8] = &[0xd6, 0xd0];

/// How many names are right as the first of a session with `remembered_charset`, of how many.
fn right(label: &str, lines: &str, remembered_charset: Option<&'static Charset>) -> (usize, usize) {
    let set = Charset::for_label(label.as_bytes()).unwrap();
    let mut right = 0;
    for line in lines.lines() {
        let mut names = names(Encoding::Auto);
        names.expect(remembered_charset);
        let typed = bytes(set, line);
        let stored = stores(&mut names, &typed);
        assert_eq!(names.wire(&stored), typed, "{line}: the session gets its bytes back");
        assert!(std::str::from_utf8(&stored).is_ok(), "{line}");
        right += usize::from(stored == line.as_bytes());
    }
    (right, lines.lines().count())
}

#[test]
fn of_the_names_in_each_set_nearly_all_are_right_at_once() {
    let mut all = (0, 0);
    for (label, lines) in CORPUS {
        let (right, count) = right(label, lines, None);
        println!("{label:14} {right:3} of {count}");
        assert!(right * 100 >= count * 95, "{label}: {right} of {count}");
        all = (all.0 + right, all.1 + count);
    }
    assert!(all.1 >= 240 && all.0 * 100 >= all.1 * 98, "{all:?}");
}

#[test]
fn a_habit_of_another_set_changes_hardly_any_name() {
    for remembered_charset in [GBK, BIG5, SHIFT_JIS, EUC_KR, WINDOWS_1251, WINDOWS_1252] {
        for (label, lines) in CORPUS {
            let (right, count) = right(label, lines, Some(remembered_charset));
            assert!(
                right * 100 >= count * 92,
                "{} before {label}: {right}",
                remembered_charset.name()
            );
        }
    }
}

#[test]
fn western_european_names_are_unchanged_on_a_chinese_server() {
    for (name, typed) in [
        ("Müller.txt", b"M\xfcller.txt".as_slice()),
        ("Größe", b"Gr\xf6\xdfe"),
        ("résumé.pdf", b"r\xe9sum\xe9.pdf"),
        ("ação.doc", b"a\xe7\xe3o.doc"),
        ("smörgås", b"sm\xf6rg\xe5s"),
    ] {
        for remembered_charset in [None, Some(GBK), Some(SHIFT_JIS)] {
            let mut names = names(Encoding::Auto);
            names.expect(remembered_charset);
            assert_eq!(stores(&mut names, typed), name.as_bytes());
        }
    }
}

#[test]
fn utf8_is_read_as_it_is_and_once() {
    let readings = names(Encoding::Auto).readings("中".as_bytes());
    assert_eq!(paths(&readings), ["中".as_bytes()]);
    let mut names = names(Encoding::Auto);
    stores(&mut names, "中文".as_bytes());
    assert_eq!(names.charset(), "UTF-8");
}

#[test]
fn bytes_that_are_not_utf8_show_a_legacy_client() {
    let mut names = names(Encoding::Auto);
    let typed = bytes(GBK, "中文文件.txt");
    let readings = names.readings(&typed);
    assert_eq!(paths(&readings)[..2], [&typed[..], "中文文件.txt".as_bytes()]);
    let recognised = names.chose(&typed, &readings.otherwise, false).unwrap();
    assert_eq!((recognised.set, recognised.is_settled), (GBK, true));
    assert_eq!(names.wire("中".as_bytes()), GBK_ZHONG);
    assert_eq!(names.charset(), "GBK");
    assert_eq!(names.chose(&typed, &readings.otherwise, true), None, "that is reported once");
}

#[test]
fn a_name_that_exists_in_one_set_decides() {
    // As bytes of EUC-KR and of GBK it is about as likely.
    let typed = bytes(GBK, "阿拉伯.doc");
    let alike = bytes(GBK, "锅国家.doc");
    let mut one = names(Encoding::Auto);
    assert!(finds(&mut one, &typed, "阿拉伯.doc"));
    assert_eq!((one.charset(), one.settled()), ("GBK", Some(GBK)));
    assert_eq!(stores(&mut one, &alike), "锅国家.doc".as_bytes());
    let mut other = names(Encoding::Auto);
    let korean = EUC_KR.decode(&typed).0.into_owned();
    assert!(finds(&mut other, &typed, &korean));
    assert_eq!(other.charset(), "EUC-KR");
}

#[test]
fn a_session_gets_its_own_bytes_back_whatever_is_found_out_later() {
    let mut names = names(Encoding::Auto);
    // One letter may be anything.
    let first = bytes(GBK, "卡");
    let stored = stores(&mut names, &first);
    let second = bytes(GBK, "中文文件名-装机单.txt");
    assert_eq!(stores(&mut names, &second), "中文文件名-装机单.txt".as_bytes());
    assert_eq!(names.charset(), "GBK");
    assert_eq!(names.wire(&stored), first);
    assert_eq!(names.readings(&first).otherwise.path, stored, "and it names the same file");
    let text = [b"257 \"/".as_slice(), &stored, b"/x\" is the current directory."].concat();
    let shown = [b"257 \"/".as_slice(), &first, b"/x\" is the current directory."].concat();
    assert_eq!(names.wire(&text), shown);
    assert_eq!(names.wire("中/文".as_bytes()), bytes(GBK, "中/文"));
}

#[test]
fn a_name_of_another_set_than_the_settled_one_is_recognised_again() {
    let mut names = names(Encoding::Auto);
    let german = b"M\xfcller und S\xf6hne GmbH.txt";
    assert_eq!(stores(&mut names, german), "Müller und Söhne GmbH.txt".as_bytes());
    // 0x81 is nothing in windows-1252.
    let japanese = bytes(SHIFT_JIS, "議事録（第１回）.doc");
    assert_eq!(stores(&mut names, &japanese), "議事録（第１回）.doc".as_bytes());
    assert_eq!(names.charset(), "Shift_JIS");
    assert_eq!(names.wire("Müller und Söhne GmbH.txt".as_bytes()), german.as_slice());
}

#[test]
fn a_full_name_memory_keeps_the_charset_and_bytes_round_trip() {
    let mut names = names(Encoding::Auto);
    for number in 0..3000 {
        let name = format!("资料{number}.txt");
        assert_eq!(stores(&mut names, &bytes(GBK, &name)), name.as_bytes());
    }
    assert!(names.sent_names.is_full());
    // No letter of GBK: what cannot be given back under its set is stored as it came.
    let odd = b"M\xfc.txt";
    assert_eq!(stores(&mut names, odd), odd);
    assert_eq!(names.wire("资料2999.txt".as_bytes()), bytes(GBK, "资料2999.txt"));
}

#[test]
fn a_legacy_session_may_send_a_utf8_name_that_it_was_shown() {
    let mut names = names(Encoding::Auto);
    stores(&mut names, &bytes(GBK, "中文文件.txt"));
    let name = "日本語😀.txt".as_bytes();
    assert_eq!(names.wire(name), name, "GBK does not have it");
    assert_eq!(names.readings(name).otherwise.path, name);
    assert_eq!(stores(&mut names, name), name);
    assert_eq!(names.wire(name), name);
}

#[test]
fn a_pin_holds() {
    let mut utf8 = names(Encoding::Utf8);
    assert_eq!(utf8.readings(GBK_ZHONG).otherwise.path, GBK_ZHONG);
    assert!(!utf8.choose_utf8(false));
    let mut legacy = names(Encoding::Legacy);
    assert_eq!(legacy.readings(GBK_ZHONG).otherwise.path, "中".as_bytes());
    assert!(!legacy.offers_utf8());
    assert!(!legacy.choose_utf8(true));
    stores(&mut legacy, b"M\xfcller.txt");
    assert_eq!(legacy.charset(), "GBK");
}

#[test]
fn without_any_name_the_hint_counts_and_else_gbk() {
    for (legacy, remembered_charset, used) in [
        (None, None, "GBK"),
        (Some(BIG5), None, "Big5"),
        (Some(BIG5), Some(SHIFT_JIS), "Shift_JIS"),
    ] {
        let mut names =
            NameCodec::new(&NamesSettings { legacy_encoding: legacy, ..NamesSettings::default() });
        names.expect(remembered_charset);
        assert!(names.choose_utf8(false));
        assert_eq!(names.charset(), used);
    }
}

#[test]
fn characters_outside_the_legacy_charset_round_trip() {
    let legacy = names(Encoding::Legacy);
    let name = "naïve😀".as_bytes();
    assert_eq!(legacy.wire(name), name);
    assert!(paths(&legacy.readings(name)).contains(&name));
}

#[test]
fn a_character_without_round_trip_is_sent_unchanged() {
    let mut names = names(Encoding::Auto);
    stores(&mut names, &bytes(SHIFT_JIS, "議事録.doc"));
    // Shift_JIS has the yen sign at the place of the backslash.
    assert_eq!(names.wire("¥100.txt".as_bytes()), "¥100.txt".as_bytes());
    assert_eq!(names.wire("円.txt".as_bytes()), bytes(SHIFT_JIS, "円.txt"));
}

#[test]
fn control_bytes_are_shown_as_symbols_and_round_trip() {
    let names = names(Encoding::Auto);
    let shown = names.wire(b"a\nb\x7f").into_owned();
    assert_eq!(shown, "a␊b␡".as_bytes());
    assert!(paths(&names.readings(&shown)).contains(&b"a\nb\x7f".as_slice()));
}

#[test]
fn a_backslash_is_a_slash_unless_the_name_exists() {
    let readings = names(Encoding::Auto).readings(b"dir\\file");
    assert_eq!(paths(&readings), [b"dir\\file", b"dir/file"]);
    assert_eq!(readings.otherwise.path, b"dir/file");
}

#[test]
fn a_backslash_byte_within_a_gbk_character_is_not_a_slash() {
    // U+8A95 is 0xD5 0x5C in GBK: its second byte is that of a backslash.
    let readings = names(Encoding::Legacy).readings(&[0xd5, 0x5c]);
    assert!(!readings.otherwise.path.contains(&b'/'));
    assert!(std::str::from_utf8(&readings.otherwise.path).is_ok());
}

#[test]
fn a_name_and_a_password_go_by_one_set_and_have_two_spellings_at_most() {
    let names = names(Encoding::Auto);
    let all = |user: &[u8], secret: &[u8]| -> Vec<(String, Vec<u8>)> {
        let all = names.credentials(user, secret);
        assert!((1..=login::SPELLINGS_MAX).contains(&all.len()));
        all.into_iter().map(|one| (one.user, one.secret)).collect()
    };
    let one = |user: &str, secret: &[u8]| (user.to_owned(), secret.to_vec());
    assert_eq!(all(b"anna", b"secret"), [one("anna", b"secret")]);
    assert_eq!(all(b"anna", "süß".as_bytes()), [one("anna", "süß".as_bytes())]);
    let latin = b"kjvU\xa7hhK785f4DiM";
    assert_eq!(
        all(b"kunde", latin),
        [one("kunde", "kjvU§hhK785f4DiM".as_bytes()), one("kunde", latin)]
    );
    assert_eq!(all(b"Administrat\xf6r", b"secret")[0], one("Administratör", b"secret"));
    assert_eq!(
        all(&bytes(GBK, "张三"), &bytes(GBK, "密码123"))[0],
        one("张三", "密码123".as_bytes())
    );
    assert_eq!(names.user(&bytes(GBK, "张三")), "张三");
}

#[test]
fn a_configured_charset_decodes_names_and_passwords_and_raw_passwords() {
    let all = names(Encoding::Legacy).credentials(&bytes(GBK, "张三"), &bytes(GBK, "密码"));
    let secrets: Vec<_> = all.iter().map(|one| one.secret.clone()).collect();
    assert_eq!(secrets, ["密码".as_bytes().to_vec(), bytes(GBK, "密码")]);
    assert!(all.iter().all(|one| one.user == "张三"));
    let raw = names(Encoding::Utf8).credentials(b"anna", &bytes(GBK, "密码"));
    assert_eq!(raw.len(), 1);
}

#[test]
fn of_real_names_nearly_all_are_right_at_once_and_none_is_wrong_without_a_warning() {
    // Locales C and en_US give no hint, de_DE and zh_CN one each.
    for hint in [None, Some(WINDOWS_1252), Some(GBK)] {
        for (label, lines) in REAL_NAMES {
            let set = Charset::for_label(label.as_bytes()).unwrap();
            let (mut right, mut count) = (0, 0);
            for line in lines.lines() {
                let settings = NamesSettings { legacy_encoding: hint, ..NamesSettings::default() };
                let mut names = NameCodec::new(&settings);
                let typed = bytes(set, line);
                let Readings { otherwise, .. } = names.readings(&typed);
                let reported = names.chose(&typed, &otherwise, false);
                let is_right = otherwise.path == line.as_bytes();
                let is_silent = reported.is_none_or(|recognised| recognised.is_settled);
                let shown = String::from_utf8_lossy(&otherwise.path).into_owned();
                if !is_right {
                    println!("  {line} {shown} silent={is_silent}");
                }
                assert!(is_right || !is_silent, "{label} {hint:?}: {line} as {shown}");
                assert_eq!(names.wire(&otherwise.path), typed, "{line}");
                count += 1;
                right += usize::from(is_right);
            }
            println!("{label:13} {:13} {right} of {count}", hint.map_or("-", Charset::name));
            assert!(right * 100 >= count * 95, "{label}: {right} of {count}, hint {hint:?}");
        }
    }
}

#[test]
fn names_that_are_valid_utf8_by_chance_are_read_in_their_set_and_reported() {
    for (set, name) in [(GBK, "图片"), (GBK, "图纸.dwg"), (EUC_KR, "1화"), (EUC_KR, "치킨.jpg")]
    {
        let mut names = names(Encoding::Auto);
        let typed = bytes(set, name);
        assert!(std::str::from_utf8(&typed).is_ok());
        let readings = names.readings(&typed);
        assert_eq!(readings.otherwise.path, name.as_bytes());
        let reported = names.chose(&typed, &readings.otherwise, false).unwrap();
        assert_eq!(reported.set, set);
        assert_eq!(names.wire(name.as_bytes()), typed);
    }
}

#[test]
fn a_utf8_client_keeps_utf8_for_ambiguous_names() {
    let typed = bytes(GBK, "图片");
    let mut requested = names(Encoding::Auto);
    assert!(requested.choose_utf8(true));
    assert_eq!(stores(&mut requested, &typed), typed);
    for clear in ["文件.txt", "Müller.txt", "Документ.doc"] {
        let mut shown = names(Encoding::Auto);
        assert_eq!(stores(&mut shown, clear.as_bytes()), clear.as_bytes());
        assert_eq!(stores(&mut shown, &typed), typed, "after {clear}");
        assert_eq!(shown.charset(), "UTF-8");
    }
    let mut fresh = names(Encoding::Auto);
    assert_eq!(stores(&mut fresh, &typed), "图片".as_bytes());
}

#[test]
fn a_name_with_two_plausible_readings_is_reported_once() {
    // 小小 in GBK, two capital letters in UTF-8.
    let typed = b"\xd0\xa1\xd0\xa1.jpg";
    let mut names = names(Encoding::Auto);
    let readings = names.readings(typed);
    assert!(paths(&readings).contains(&"小小.jpg".as_bytes()), "it is found if it exists");
    let reported = names.chose(typed, &readings.otherwise, false).unwrap();
    assert_eq!((reported.set, reported.is_settled), (UTF_8, false));
    let other = b"\xd0\xa1\xd0\xa2.jpg";
    let readings = names.readings(other);
    assert_eq!(names.chose(other, &readings.otherwise, false), None, "reported once");
}

#[test]
fn western_names_in_capitals_or_with_signs_are_right_in_a_western_locale() {
    for name in [
        "ÄÖÜ.txt", "ÅÄÖ", "NOËL", "Datei–neu", "ßß", "¡Hola!", "¿Qué?", "ÉTÉ.jpg", "FÜR MICH",
        "ÖL.pdf", "ÅRSMÖTE.doc", "ÇA VA.mp3", "FRANÇAIS", "GRÖSSE.xls", "MÜLLER.txt",
        "«Liste».txt", "Test–1.txt", "Größe – Maß.doc", "„Zitat“.txt", "10€.txt", "50£.txt",
        "20°C.txt", "½.txt", "ESPAÑA", "SÃO PAULO", "CÔTÉ.doc", "ÆØÅ.txt", "äöü", "äöüß.txt",
        "É.jpg", "CAFÉ", "CAFÉ–BAR.txt", "MAÎTRE", "NAÏVE.txt", "Ça.txt", "Ünal.jpg",
    ] {
        let legacy = Some(WINDOWS_1252);
        let mut names =
            NameCodec::new(&NamesSettings { legacy_encoding: legacy, ..NamesSettings::default() });
        let stored = stores(&mut names, &bytes(WINDOWS_1252, name));
        println!("{name} {}", String::from_utf8_lossy(&stored));
        assert_eq!(stored, name.as_bytes(), "{name} as {}", String::from_utf8_lossy(&stored));
    }
}

fn byte_of_a_name() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("a name", |byte| *byte >= 0x20 && !b"/\\\"\x7f".contains(byte))
}

proptest! {
    #[test]
    fn whatever_a_session_sends_it_gets_back(
        sent in vec((vec(byte_of_a_name(), 1..12), any::<bool>()), 1..6),
        hint in prop_oneof![Just(None), Just(Some(GBK)), Just(Some(WINDOWS_1252))],
        remembered_charset in prop_oneof![Just(None), Just(Some(EUC_KR))],
    ) {
        let settings = NamesSettings { legacy_encoding: hint, ..NamesSettings::default() };
        let mut names = NameCodec::new(&settings);
        names.expect(remembered_charset);
        let mut stored = Vec::new();
        for (typed, exists) in &sent {
            let Readings { tried, otherwise } = names.readings(typed);
            let reading = tried.first().filter(|_| *exists).unwrap_or(&otherwise);
            names.chose(typed, reading, *exists);
            stored.push((typed, reading.path.clone()));
        }
        for (typed, path) in stored {
            // Pictures of control characters stand for the characters themselves.
            let is_own = names.sent_names.typed(&path) == Some(typed.as_slice());
            if without_pictures(typed).is_none() && is_own {
                let shown = names.wire(&path).into_owned();
                prop_assert_eq!(&shown, typed);
                prop_assert!(names.readings(typed).tried.iter().any(|one| one.path == path));
            }
        }
    }
}
