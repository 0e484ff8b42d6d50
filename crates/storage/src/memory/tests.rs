//! Properties of [`Memory`] beyond the storage contract.

use super::*;
use wharf_core::permission::{Permissions, Rules};

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

fn fixed() -> Timestamp {
    Timestamp { seconds: 1_700_000_000, nanos: 0 }
}

const FRESH: Write = Write { start: Start::Fresh, replace: Replace::Allowed };

#[test]
fn put_creates_a_file_with_its_parent_directories() {
    let memory = Memory::new();
    memory.put("/a/b/c", b"x");
    memory.put("/a/b/c", "yz");
    assert_eq!(memory.paths(), ["/a", "/a/b", "/a/b/c"]);
    assert_eq!(memory.content("/a/b/c"), Some(b"yz".to_vec()));
    assert_eq!(memory.content("/a/b"), None);
    assert_eq!(memory.content("/a/b/d"), None);
}

#[tokio::test]
async fn times_come_from_the_given_clock() {
    let memory = Memory::with_clock(fixed);
    memory.put("/a", b"x");
    assert_eq!(memory.stat(&path("/a")).await.unwrap().modified, fixed());
    assert_eq!(memory.stat(&path("/")).await.unwrap().modified, fixed());
}

#[tokio::test]
async fn accounts_share_files_but_not_unfinished_uploads() {
    let memory = Memory::new();
    let account = |name| Account::new(name, "/", Rules::everywhere(Permissions::ALL));
    let anna = Stores::open(&memory, &account("anna")).await.unwrap();
    let bert = Stores::open(&memory, &account("bert")).await.unwrap();
    let mut sink = anna.write(&path("/a"), FRESH).await.unwrap();
    sink.write(Bytes::from_static(b"half")).await.unwrap();
    sink.abort().await;
    assert_eq!(anna.partial(&path("/a")).await.unwrap(), Some(4));
    assert_eq!(bert.partial(&path("/a")).await.unwrap(), None);
    let sink = bert.write(&path("/a"), FRESH).await.unwrap();
    sink.commit().await.unwrap();
    assert!(anna.stat(&path("/a")).await.is_ok());
}

#[tokio::test]
async fn existing_names_that_cannot_be_created_stay_accessible() {
    let memory = Memory::new();
    memory.put("/a\nb", b"x");
    let odd = path("/a\nb");
    assert_eq!(memory.stat(&odd).await.unwrap().size, 1);
    memory.write(&odd, FRESH).await.unwrap().commit().await.unwrap();
    memory.rename(&odd, &path("/c"), Replace::Forbidden).await.unwrap();
    let back = memory.rename(&path("/c"), &odd, Replace::Forbidden).await;
    assert_eq!(back.unwrap_err().kind, ErrorKind::BadName);
}

#[tokio::test]
async fn a_rename_moves_everything_below() {
    let memory = Memory::new();
    memory.put("/a/b/c", b"1");
    memory.put("/ab/c", b"2");
    memory.rename(&path("/a"), &path("/z"), Replace::Forbidden).await.unwrap();
    assert_eq!(memory.paths(), ["/ab", "/z", "/ab/c", "/z/b", "/z/b/c"]);
    assert_eq!(memory.content("/z/b/c"), Some(b"1".to_vec()));
}
#[tokio::test]
async fn memory_meets_the_storage_contract() {
    wharf_core::conformance::storage(|| Arc::new(Memory::new())).await;
}

#[tokio::test]
async fn an_unfinished_upload_to_an_unused_name_is_void_once_a_file_existed_there() {
    let memory = Memory::new();
    let (anna, bert, f) = (memory.for_account("anna"), memory.for_account("bert"), path("/f"));
    for is_running in [false, true] {
        let mut sink = anna.write(&f, FRESH).await.unwrap();
        sink.write(Bytes::from_static(b"half")).await.unwrap();
        let mut running = Some(sink);
        if !is_running && let Some(sink) = running.take() {
            sink.abort().await;
            assert_eq!(anna.partial(&f).await.unwrap(), Some(4));
        }
        bert.write(&f, FRESH).await.unwrap().commit().await.unwrap();
        bert.remove_file(&f).await.unwrap();
        drop(running);
        assert_eq!(anna.partial(&f).await.unwrap(), None, "{is_running}");
        let how = Write { start: Start::End, replace: Replace::Allowed };
        let mut sink = anna.write(&f, how).await.unwrap();
        sink.write(Bytes::from_static(b"line")).await.unwrap();
        sink.commit().await.unwrap();
        assert_eq!(memory.content("/f"), Some(b"line".to_vec()), "{is_running}");
        memory.remove_file(&f).await.unwrap();
    }
}

#[tokio::test]
async fn an_unfinished_upload_is_removed_when_its_account_deletes_it() {
    let memory = Memory::new();
    let (anna, bert, f) = (memory.for_account("anna"), memory.for_account("bert"), path("/f"));
    let mut sink = anna.write(&f, FRESH).await.unwrap();
    sink.write(Bytes::from_static(b"half")).await.unwrap();
    sink.abort().await;
    assert_eq!(bert.remove_file(&f).await.unwrap_err().kind, ErrorKind::NotFound);
    anna.remove_file(&f).await.unwrap();
    assert_eq!(anna.partial(&f).await.unwrap(), None);
    assert_eq!(anna.remove_file(&f).await.unwrap_err().kind, ErrorKind::NotFound);
}
