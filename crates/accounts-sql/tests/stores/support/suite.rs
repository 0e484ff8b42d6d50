//! The same questions to every kind of database.

use wharf_accounts_sql::SqlUsers;
use wharf_core::account::{Count, Rate, Size};
use wharf_core::conformance;
use wharf_core::permission::Permissions;
use wharf_core::users::{Denied, Users};
use wharf_proto::path::VPath;
use wharf_users::admin::UserAdmin;
use wharf_users::file::{Cleared, FolderRecord, Holder, Setting, StoreChange, StoredHash};
use wharf_users::hours::{Expiry, Hours};

use super::{add, attempt};

/// The contract of stores.
pub(crate) async fn contract(store: &SqlUsers) {
    let secret = std::str::from_utf8(conformance::users::SECRET).unwrap();
    add(store, conformance::users::NAME, secret).await;
    conformance::users::users(store).await;
}

/// Every setting of an account.
fn everything() -> Vec<Setting> {
    vec![
        Setting::Home("/srv/ftp/anna 'quoted' \"twice\" \\ ☃".into()),
        Setting::Permissions(Permissions::parse("read-write").unwrap()),
        Setting::Enabled(true),
        Setting::UploadRate(Rate::from_bytes_per_second(2 << 20)),
        Setting::DownloadRate(Rate::Unlimited),
        Setting::TransferUploadRate(Rate::from_bytes_per_second(1)),
        Setting::TransferDownloadRate(Rate::from_bytes_per_second(1_000_000)),
        Setting::Sessions(Count::from_number(7)),
        Setting::Quota(Size::from_bytes(20 << 30)),
        Setting::QuotaFiles(Count::from_number(0)),
        Setting::RequireTls(false),
        Setting::Comment("'); DROP TABLE accounts; --".into()),
        Setting::AllowedAddresses(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]),
        Setting::Hours(Hours::parse(["mon,wed 08:00-18:00", "sat 09:00-12:00"]).unwrap()),
        Setting::Expires(Expiry::parse("2999-12-31").unwrap()),
        Setting::Folder(FolderRecord {
            path: path("/music"),
            target: "/srv/music".into(),
            permissions: Some(Permissions::READ_ONLY),
            quota: Some(Size::from_bytes(5 << 30)),
            quota_files: None,
        }),
        Setting::Path(path("/in"), Permissions::parse("upload").unwrap()),
        Setting::Path(path("/old \"x\""), Permissions::READ_ONLY),
    ]
}

fn path(text: &str) -> VPath {
    VPath::root().resolve(text.as_bytes()).unwrap()
}

/// Written settings are read again, and a change leaves the others as they are.
pub(crate) async fn changes(store: &SqlUsers) {
    store.add("anna", everything()).await.unwrap();
    let record = store.find("anna").await.unwrap().unwrap();
    let mut reported = record.settings(store.folder());
    let mut meant = everything();
    let order = |setting: &Setting| (setting.key(), format!("{setting:?}"));
    reported.sort_by_key(order);
    meant.sort_by_key(order);
    assert_eq!(reported, meant);
    store.set("anna", vec![Setting::Sessions(Count::from_number(8))]).await.unwrap();
    let cleared = vec![Cleared::Entry("paths", path("/in")), Cleared::Key("hours")];
    let change = StoreChange::Set { holder: "anna".into(), settings: vec![], cleared };
    store.change(&[change]).await.unwrap();
    let record = store.find("anna").await.unwrap().unwrap();
    assert_eq!(record.sessions, Some(Count::from_number(8)));
    assert_eq!(record.quota, Some(Size::from_bytes(20 << 30)));
    assert_eq!(record.paths.len(), 1);
    assert_eq!(store.own("anna").await.unwrap(), Some(record));
    store.set_password("anna", StoredHash::from("!".to_owned())).await.unwrap();
    let denied = store.login(&attempt("anna", "!")).await.unwrap_err();
    assert!(matches!(denied, Denied::NoPassword), "{denied}");
    store.remove("anna").await.unwrap();
    assert_eq!(store.find("anna").await.unwrap(), None);
    store.add("anna", everything()).await.unwrap();
}

/// One invalid change makes the whole list of changes fail.
pub(crate) async fn all_or_nothing(store: &SqlUsers) {
    add(store, "anna", "secret").await;
    let home = || vec![Setting::Home("/srv/x".into())];
    let named = |name: &str| StoreChange::add(name, home());
    for (last, part) in [
        (named("anna"), "account `anna` already exists"),
        (named("a/b"), "invalid name"),
        (StoreChange::set("carl", home()), "unknown account `carl`"),
        (StoreChange::remove("carl"), "unknown account `carl`"),
    ] {
        let remove = StoreChange::remove("anna");
        let first = if last.holder() == &Holder::from("anna") { named("dora") } else { remove };
        let error = store.change(&[named("ben"), first, last]).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        let left = store.page(None).await.unwrap();
        assert_eq!(left.iter().map(|record| &*record.name).collect::<Vec<_>>(), ["anna"]);
    }
    let error = store.add("ben", vec![]).await.unwrap_err().to_string();
    assert!(error.contains("users.ben: missing `home`"), "{error}");
    assert_eq!(store.find("ben").await.unwrap(), None);
}

/// How many accounts fill more than one page.
const MANY: usize = 1100;

/// Page by page every account is returned once.
pub(crate) async fn pages(store: &SqlUsers) {
    let names: Vec<_> = (0..MANY).map(|number| format!("user{number:04}")).collect();
    let changes = names.iter().map(|name| {
        StoreChange::add(
            name.as_str(),
            vec![
                Setting::Home(format!("/srv/{name}").into()),
                Setting::Path(path("/in"), Permissions::READ_ONLY),
            ],
        )
    });
    // Many at a time, yet not all: on a busy machine a server ends a transaction that does nothing
    // for ten seconds, and one change of all of them is a long time without a statement.
    for some in changes.collect::<Vec<_>>().chunks(MANY / 10) {
        store.change(some).await.unwrap();
    }
    let mut found: Vec<String> = Vec::new();
    let mut count = 0;
    loop {
        let page = store.page(found.last().map(String::as_str)).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.iter().all(|record| record.paths.len() == 1));
        found.extend(page.into_iter().map(|record| record.name));
        count += 1;
    }
    assert!(count > 1);
    assert_eq!(found, names);
}

/// A thousand unknown names, and a known one among them.
pub(crate) async fn storm(store: &SqlUsers) {
    add(store, "anna", "secret").await;
    let names: Vec<_> = (0..1000).map(|number| format!("guess{number}")).collect();
    let all_of_it = async {
        let guesses = names.iter().map(|name| async {
            let denied = store.login(&attempt(name, "x")).await.unwrap_err();
            assert!(matches!(denied, Denied::UnknownUser | Denied::Busy), "{denied}");
        });
        all(guesses.collect()).await;
    };
    all_of_it.await;
    // Nothing of it is left over.
    store.login(&attempt("anna", "secret")).await.unwrap();
}

/// Polls them all until each is done.
async fn all<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready()) {
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// What accounts take from their groups, and what becomes of groups.
pub(crate) async fn groups(store: &SqlUsers) {
    let staff = || Holder::Group("staff".into());
    let home = Setting::Home("/srv/ftp/%u".into());
    let folder = FolderRecord {
        path: path("/music"),
        target: "/srv/music".into(),
        permissions: None,
        quota: None,
        quota_files: None,
    };
    let permissions = Setting::Path(path("/in"), Permissions::READ_ONLY);
    let settings =
        vec![home, Setting::Quota(Size::from_bytes(7)), permissions, Setting::Folder(folder)];
    let hash = StoredHash::from(wharf_users::password::hash_new(b"secret").unwrap());
    let of_staff = vec![Setting::Password(hash), Setting::Groups(vec!["staff".into()])];
    // Both in one list: the group is created first, whatever the order of names.
    let both = [StoreChange::add(staff(), settings.clone()), StoreChange::add("anna", of_staff)];
    store.change(&both).await.unwrap();
    let account = store.login(&attempt("anna", "secret")).await.unwrap();
    assert_eq!(account.home, std::path::Path::new("/srv/ftp/anna"));
    assert_eq!(account.limits.quota, Some(Size::from_bytes(7)));
    assert_eq!(account.folders.len(), 1);
    assert_eq!(store.groups().await.unwrap()[0].settings(store.folder()).len(), settings.len());
    let own = store.page(None).await.unwrap();
    assert_eq!((own[0].groups.as_slice(), own[0].quota), (&["staff".to_owned()][..], None));
    store.change(&[StoreChange::set(staff(), vec![Setting::Enabled(false)])]).await.unwrap();
    let denied = store.login(&attempt("anna", "secret")).await.unwrap_err();
    assert!(matches!(denied, Denied::Disabled), "{denied}");
    assert_eq!(store.ended(&["anna".into()]).await.unwrap().len(), 1);
    // A group with members stays, and so does a home that is needed.
    let no_home =
        StoreChange::Set { holder: staff(), settings: vec![], cleared: vec![Cleared::Key("home")] };
    for change in [StoreChange::remove(staff()), no_home] {
        let error = store.change(&[change]).await.unwrap_err().to_string();
        assert!(error.contains("users.anna"), "{error}");
    }
    store.set("anna", vec![Setting::Enabled(true)]).await.unwrap();
    assert!(store.ended(&["anna".into()]).await.unwrap().is_empty(), "her own word counts first");
    store.change(&[StoreChange::remove(staff()), StoreChange::remove("anna")]).await.unwrap();
    assert!(store.groups().await.unwrap().is_empty());
}

/// The names of all accounts that can be used.
pub(crate) async fn names(store: &SqlUsers) -> Vec<String> {
    store.page(None).await.unwrap().into_iter().map(|record| record.name).collect()
}

/// Invalid records in the tables.
pub(crate) async fn faults(store: &SqlUsers) -> Vec<String> {
    store.faults().await.unwrap().iter().map(ToString::to_string).collect()
}

/// An invalid row of an account or group, written by `run`, does not affect the others.
pub(crate) async fn invalid_rows(store: &SqlUsers, run: impl Fn(&str)) {
    for name in ["anna", "ben", "carl", "dora"] {
        add(store, name, "secret").await;
    }
    let staff = Holder::Group("staff".to_owned());
    store.change(&[StoreChange::add(staff, vec![Setting::Home("/srv/%u".into())])]).await.unwrap();
    store.set("carl", vec![Setting::Groups(vec!["staff".to_owned()])]).await.unwrap();
    run("UPDATE groups SET quota = '20 gigs'");
    run("UPDATE accounts SET upload_rate = 'fast' WHERE name = 'anna'");
    run("UPDATE accounts SET password = 'secret' WHERE name = 'dora'");
    for (name, part) in [
        ("anna", "users.anna.upload_rate: "),
        ("carl", "users.carl.groups: the group `staff` is invalid: "),
        ("dora", "users.dora.password: unknown password hash format"),
    ] {
        let denied = store.login(&attempt(name, "secret")).await.unwrap_err();
        assert!(matches!(&denied, Denied::ByRule(why) if why.contains(part)), "{denied}");
        let denied = store.account_status(&attempt(name, "secret")).await.unwrap_err();
        assert!(denied.to_string().contains(part), "{denied}");
        assert!(store.find(name).await.unwrap_err().to_string().contains(part));
    }
    let denied = store.login(&attempt("anna", "wrong")).await.unwrap_err();
    assert!(matches!(denied, Denied::WrongPassword), "{denied}");
    store.login(&attempt("ben", "secret")).await.unwrap();
    assert_eq!(names(store).await, ["ben"]);
    let found = faults(store).await;
    let keys: Vec<_> = found.iter().map(|fault| fault.split_once(": ").unwrap().0).collect();
    let expected = [
        "groups.staff.quota", "users.anna.upload_rate", "users.carl.groups", "users.dora.password",
    ];
    assert_eq!(keys, expected);
    // Other records can be changed, and an invalid one can be fixed; a change that makes one
    // invalid is rejected.
    add(store, "emil", "secret").await;
    store.set("ben", vec![Setting::Comment("well".into())]).await.unwrap();
    let staff = vec![Setting::Groups(vec!["staff".to_owned()])];
    let error = store.set("ben", staff).await.unwrap_err().to_string();
    assert!(error.contains("the group `staff` is invalid"), "{error}");
    let rate = Setting::UploadRate(Rate::from_bytes_per_second(7));
    store.set("anna", vec![rate]).await.unwrap();
    store.login(&attempt("anna", "secret")).await.unwrap();
    let quota = vec![Setting::Quota(Size::from_bytes(20 << 30))];
    store.change(&[StoreChange::set(Holder::Group("staff".to_owned()), quota)]).await.unwrap();
    store.login(&attempt("carl", "secret")).await.unwrap();
    store.remove("dora").await.unwrap();
    assert_eq!(faults(store).await, Vec::<String>::new());
    assert_eq!(names(store).await, ["anna", "ben", "carl", "emil"]);
    // A group without members is named too.
    run("INSERT INTO groups (name, quota) VALUES ('empty', '20 gigs')");
    let found = faults(store).await;
    assert!(found.len() == 1 && found[0].starts_with("groups.empty.quota: "), "{found:?}");
}

/// Bytes that are not text, written by `run` into paths, permissions and memberships, make their
/// account invalid and no other; `bytes` is an SQL expression for such bytes.
pub(crate) async fn unreadable_rows(store: &SqlUsers, run: impl Fn(&str), bytes: &str) {
    for name in ["anna", "ben", "carl", "dora"] {
        add(store, name, "secret").await;
    }
    let staff = Holder::Group("staff".to_owned());
    store.change(&[StoreChange::add(staff, vec![Setting::Home("/srv/%u".into())])]).await.unwrap();
    store.set("carl", vec![Setting::Groups(vec!["staff".to_owned()])]).await.unwrap();
    let cases = [
        (
            "anna",
            format!("INSERT INTO paths VALUES ('anna', '/secret', {bytes})"),
            "DELETE FROM paths",
        ),
        (
            "anna",
            format!("INSERT INTO paths VALUES ('anna', {bytes}, 'none')"),
            "DELETE FROM paths",
        ),
        (
            "carl",
            format!("INSERT INTO group_paths VALUES ('staff', {bytes}, 'none')"),
            "DELETE FROM group_paths",
        ),
        (
            "anna",
            format!("INSERT INTO folders (account, path, target) VALUES ('anna', '/m', {bytes})"),
            "DELETE FROM folders",
        ),
        (
            "anna",
            format!("INSERT INTO folders (account, path, target) VALUES ('anna', {bytes}, '/m')"),
            "DELETE FROM folders",
        ),
        (
            "dora",
            format!(
                "INSERT INTO groups (name) VALUES ({bytes}); \
                 INSERT INTO memberships VALUES ('dora', {bytes}, 1)"
            ),
            "DELETE FROM memberships WHERE account = 'dora'; \
             DELETE FROM groups WHERE name <> 'staff'",
        ),
        (
            "anna",
            format!("UPDATE accounts SET allowed_addresses = {bytes} WHERE name = 'anna'"),
            "UPDATE accounts SET allowed_addresses = NULL",
        ),
    ];
    for (name, bad, fix) in cases {
        run(&bad);
        let denied = store.login(&attempt(name, "secret")).await.unwrap_err();
        assert!(matches!(&denied, Denied::ByRule(why) if why.contains(name)), "{bad}: {denied}");
        assert!(!names(store).await.iter().any(|valid| valid == name), "{bad}");
        let found = faults(store).await;
        assert!(found.iter().any(|fault| fault.contains(&format!("users.{name}."))), "{found:?}");
        store.login(&attempt("ben", "secret")).await.unwrap();
        run(fix);
        assert_eq!(faults(store).await, Vec::<String>::new(), "{fix}");
        store.login(&attempt(name, "secret")).await.unwrap();
    }
    unreadable_comments(store, &run, bytes).await;
    unreadable_names(store, &run, bytes).await;
}

/// A comment has no effect.
async fn unreadable_comments(store: &SqlUsers, run: impl Fn(&str), bytes: &str) {
    for table in ["accounts", "groups"] {
        run(&format!("UPDATE {table} SET comment = {bytes}"));
    }
    assert_eq!(faults(store).await, Vec::<String>::new());
    for name in ["anna", "carl"] {
        store.login(&attempt(name, "secret")).await.unwrap();
    }
    for table in ["accounts", "groups"] {
        run(&format!("UPDATE {table} SET comment = NULL"));
    }
}

/// A name that is not text: the row never matches a login, and it is reported.
async fn unreadable_names(store: &SqlUsers, run: impl Fn(&str), bytes: &str) {
    run(&format!("INSERT INTO accounts (name, home) VALUES ({bytes}, '/srv/x')"));
    let found = faults(store).await;
    assert!(
        found.len() == 1 && found[0].contains("accounts.name: the name is not text"),
        "{found:?}"
    );
    assert!(found[0].contains("(bytes FF"), "{found:?}");
    assert_eq!(names(store).await, ["anna", "ben", "carl", "dora"]);
    store.login(&attempt("ben", "secret")).await.unwrap();
    run("DELETE FROM accounts WHERE home = '/srv/x'");
    run("INSERT INTO accounts (name, home) VALUES ('', '/srv/x')");
    let found = faults(store).await;
    assert!(found.len() == 1 && found[0].contains("accounts.name: the name is empty"), "{found:?}");
    run("DELETE FROM accounts WHERE home = '/srv/x'");
    run(&format!("INSERT INTO groups (name) VALUES ({bytes})"));
    let found = faults(store).await;
    assert!(
        found.len() == 1 && found[0].contains("groups.name: the name is not text"),
        "{found:?}"
    );
    assert_eq!(names(store).await, ["anna", "ben", "carl", "dora"]);
}
