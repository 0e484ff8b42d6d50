//! Sessions of one account, one after another, with the same files.

use std::collections::BTreeSet;

use encoding_rs::{EUC_KR, GBK};

use super::tests::{bytes, names};
use super::*;

/// One account: its files, and the set that its sessions settled on.
#[derive(Default)]
struct ScriptedAccount {
    files: BTreeSet<Vec<u8>>,
    settled: Option<&'static Charset>,
}

impl ScriptedAccount {
    fn with_files(files: &[&str]) -> Self {
        let files = files.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { files, settled: None }
    }

    fn session(&self) -> NameCodec {
        let mut session = names(Encoding::Auto);
        session.expect(self.settled);
        session
    }

    /// Stores a file, replacing an existing one. Returns its name on disk.
    fn store(&mut self, session: &mut NameCodec, typed: &[u8]) -> String {
        let Readings { tried, otherwise } = session.readings(typed);
        let existing = tried.iter().find(|one| self.files.contains(&one.path));
        let reading = existing.unwrap_or(&otherwise);
        session.chose(typed, reading, existing.is_some());
        self.files.insert(reading.path.clone());
        self.settled = session.charset_to_remember().or(self.settled);
        assert_eq!(session.wire(&reading.path), typed, "a session gets its bytes back");
        String::from_utf8(reading.path.clone()).unwrap()
    }
}

/// GBK, a little more likely as EUC-KR.
const DOUBTFUL: [&str; 2] = ["车辆登记.xls", "快递单.csv"];
const CLEAR_GBK: [&str; 3] = ["财务报表2023年.xlsx", "产品报价单.xls", "会议纪要.txt"];

fn korean(name: &str) -> String {
    EUC_KR.decode(&bytes(GBK, name)).0.into_owned()
}

#[test]
fn a_file_with_a_doubtful_name_does_not_overrule_the_settled_set_of_the_account() {
    let mut account = ScriptedAccount::default();
    let mut first = account.session();
    let typed = bytes(GBK, DOUBTFUL[0]);
    assert_eq!(account.store(&mut first, &typed), korean(DOUBTFUL[0]));
    assert_eq!(first.settled(), None);
    for name in CLEAR_GBK {
        assert_eq!(account.store(&mut first, &bytes(GBK, name)), name);
    }
    assert_eq!(account.settled, Some(GBK));
    let count = account.files.len();
    for _ in 0..2 {
        let mut next = account.session();
        assert_eq!(account.store(&mut next, &typed), korean(DOUBTFUL[0]), "it gets its file");
        assert_eq!(next.charset(), "GBK");
        for name in CLEAR_GBK {
            assert_eq!(account.store(&mut next, &bytes(GBK, name)), name);
        }
        assert_eq!(next.settled(), Some(GBK));
        assert_eq!(account.files.len(), count, "nothing is stored twice");
    }
}

#[test]
fn a_doubtful_guess_is_not_settled_by_a_file_that_it_named() {
    for doubtful in DOUBTFUL {
        let mut account = ScriptedAccount::default();
        let typed = bytes(GBK, doubtful);
        for _ in 0..3 {
            let mut session = account.session();
            for _ in 0..3 {
                assert_eq!(account.store(&mut session, &typed), korean(doubtful));
                assert_eq!((session.settled(), session.charset()), (None, "EUC-KR"));
            }
        }
        assert_eq!(account.settled, None);
        let mut session = account.session();
        account.store(&mut session, &typed);
        for name in CLEAR_GBK {
            assert_eq!(account.store(&mut session, &bytes(GBK, name)), name);
        }
        assert_eq!(account.settled, Some(GBK));
    }
}

#[test]
fn in_an_account_with_a_settled_set_doubtful_names_are_read_in_it() {
    for order in [[0, 1], [1, 0]] {
        let mut account = ScriptedAccount { settled: Some(GBK), ..ScriptedAccount::default() };
        let mut session = account.session();
        for name in order.map(|at| DOUBTFUL[at]) {
            assert_eq!(account.store(&mut session, &bytes(GBK, name)), name);
        }
    }
    // Clear names of another set overrule it.
    let mut account = ScriptedAccount { settled: Some(GBK), ..ScriptedAccount::default() };
    let mut session = account.session();
    let name = "건강검진결과.pdf";
    assert_eq!(account.store(&mut session, &bytes(EUC_KR, name)), name);
    assert_eq!(account.settled, Some(EUC_KR));
    // And so they do after a doubtful name was read in it.
    let mut account = ScriptedAccount { settled: Some(GBK), ..ScriptedAccount::default() };
    let mut session = account.session();
    account.store(&mut session, &bytes(GBK, DOUBTFUL[0]));
    assert_eq!(account.store(&mut session, &bytes(EUC_KR, name)), name);
    assert_eq!(account.settled, Some(EUC_KR));
}

#[test]
fn an_account_with_korean_names_is_recognised_by_them() {
    let files = ["비밀번호.txt", "생일파티.mp4", "근로계약서.doc"];
    for settled in [None, Some(EUC_KR), Some(GBK)] {
        let mut account = ScriptedAccount::with_files(&files);
        account.settled = settled;
        let mut session = account.session();
        for name in files {
            assert_eq!(account.store(&mut session, &bytes(EUC_KR, name)), name);
        }
        assert_eq!(session.settled(), Some(EUC_KR), "{settled:?}");
        assert_eq!(account.files.len(), files.len());
        let mut next = account.session();
        for name in ["사직서.doc", "1월급여.xls", "메모장.txt"] {
            assert_eq!(account.store(&mut next, &bytes(EUC_KR, name)), name);
        }
        assert_eq!(next.settled(), Some(EUC_KR));
    }
}

#[test]
fn a_doubtful_name_that_exists_decides_for_doubtful_names_and_not_for_clear_ones() {
    let mut account = ScriptedAccount::with_files(&[DOUBTFUL[0]]);
    let mut session = account.session();
    for name in DOUBTFUL {
        assert_eq!(account.store(&mut session, &bytes(GBK, name)), name);
    }
    assert_eq!((session.settled(), account.settled), (Some(GBK), None));
    let name = "건강검진결과.pdf";
    assert_eq!(account.store(&mut session, &bytes(EUC_KR, name)), name);
    assert_eq!(account.settled, Some(EUC_KR));
}

#[test]
fn a_clear_name_that_exists_in_another_set_is_found_and_changes_nothing_else() {
    let mut account = ScriptedAccount::with_files(&[&korean(CLEAR_GBK[0])]);
    let mut session = account.session();
    assert_eq!(account.store(&mut session, &bytes(GBK, CLEAR_GBK[0])), korean(CLEAR_GBK[0]));
    for name in [DOUBTFUL[0], CLEAR_GBK[1], CLEAR_GBK[2], DOUBTFUL[1]] {
        assert_eq!(account.store(&mut session, &bytes(GBK, name)), name);
    }
    assert_eq!(session.charset_to_remember(), Some(GBK));
}
