//! Quotas and announced sizes, as clients meet them.

use wharf_core::account::{Account, Count, Size};
use wharf_core::permission::{Permissions, Rules};
use wharf_sim::World;

const LOGIN: &str = "C: USER anna\nS: 331 *\nC: PASS secret\nS: 230 *\nC: TYPE I\nS: 200 *\n";
const EPSV: &str = "C: EPSV\nS: 229 *\n";

/// An account with a quota of ten bytes and three files, and one file of five bytes.
fn world() -> World {
    let mut account = Account::new("anna", "/", Rules::everywhere(Permissions::ALL));
    account.limits.quota = Some(Size::from_bytes(10));
    account.limits.quota_files = Some(Count::from_number(3));
    World::new().account_with(account, "secret").file("/a", b"hello")
}

fn inside(world: &World, script: &str) {
    world.run(&format!("{LOGIN}{}", script.replace("EPSV;", EPSV)));
}

#[test]
fn row_36_37_an_upload_over_the_quota_is_552_and_the_session_continues() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU: sixsix\nS: 552 *\nHASNOT /b\nHAS /a hello\n\
         EPSV;C: STOR b\nS: 150 *\nU: five.\nS: 226 *\nHAS /b five.\n\
         EPSV;C: STOR c\nS: 552 *\nC: DELE a\nS: 250 *\n\
         C: STOR c\nS: 150 *\nU: again\nS: 226 *\nHAS /c again",
    );
}

#[test]
fn row_37_an_upload_that_ends_at_the_quota_is_reported_with_the_reason_and_the_setting() {
    let upload = |bytes: &str, code: &str| {
        let script = format!("{LOGIN}{EPSV}C: STOR b\nS: 150 *\nU: {bytes}\nS: {code} *");
        let events = world().run(&script).events;
        events.into_iter().filter(|line| line.contains("UploadDenied")).collect::<Vec<_>>()
    };
    let denied = upload("sixsix", "552");
    assert_eq!(denied.len(), 1, "{denied:?}");
    for part in ["/b", "Quota exceeded", "limits.user_quota"] {
        assert!(denied.iter().all(|line| line.contains(part)), "{denied:?}");
    }
    assert!(upload("five.", "226").is_empty());
}

#[test]
fn row_37_a_file_may_be_replaced_by_one_as_large_as_what_is_left_and_itself() {
    inside(
        &world(),
        "EPSV;C: STOR a\nS: 150 *\nU: 0123456789\nS: 226 *\nHAS /a 0123456789\n\
         EPSV;C: STOR a\nS: 150 *\nU: 0123456789.\nS: 552 *\nHAS /a 0123456789",
    );
}

#[test]
fn row_37_appending_and_resuming_are_counted_with_what_they_add() {
    inside(
        &world(),
        "EPSV;C: APPE a\nS: 150 *\nU:  you\nS: 226 *\nHAS /a hello you\n\
         EPSV;C: APPE a\nS: 150 *\nU: too\nS: 552 *\nHAS /a hello you\n\
         C: REST 6\nS: 350 *\nEPSV;C: STOR a\nS: 150 *\nU: us\nS: 226 *\nHAS /a hello us\n\
         C: STAT\nS: 211-*\nS: 211 *\n\
         C: SITE QUOTA\nS: 200-*\nS: 200 *",
    );
}

#[test]
fn row_24_37_a_copy_on_the_server_is_counted_like_an_upload() {
    let mut account = Account::new("anna", "/", Rules::everywhere(with_copy()));
    account.limits.quota = Some(Size::from_bytes(12));
    let world = World::new().account_with(account, "secret").file("/a", b"hello");
    inside(
        &world,
        "C: SITE CPFR a\nS: 350 *\nC: SITE CPTO b\nS: 250 *\nHAS /b hello\n\
         C: SITE CPFR a\nS: 350 *\nC: SITE CPTO c\nS: 552 *\nHASNOT /c\nC: NOOP\nS: 200 *",
    );
}

fn with_copy() -> Permissions {
    Permissions::ALL.union(Permissions::COPY)
}

#[test]
fn row_37_files_and_folders_are_counted_too() {
    inside(
        &world(),
        "C: MKD d\nS: 257 *\nC: MKD e\nS: 257 *\nC: MKD f\nS: 552 *\nEPSV;C: STOR b\nS: 552 *\n\
         C: STOR a\nS: 150 *\nU: new\nS: 226 *\nC: RMD e\nS: 250 *\n\
         EPSV;C: STOR b\nS: 150 *\nU: new\nS: 226 *",
    );
}

#[test]
fn row_37_an_interrupted_upload_is_counted_until_completed_or_removed() {
    inside(
        &world(),
        "EPSV;C: STOR b\nS: 150 *\nU... 1234\nWAIT 50ms\nC: ABOR\nS: 426 *\nS: 226 *\n\
         EPSV;C: STOR c\nS: 150 *\nU: 12\nS: 552 *\n\
         C: SIZE b\nS: 213 4\nC: REST 4\nS: 350 *\n\
         EPSV;C: STOR b\nS: 150 *\nU: 5\nS: 226 *\nHAS /b 12345\n\
         EPSV;C: STOR c\nS: 552 *",
    );
}

#[test]
fn row_37_the_quota_is_shown_with_the_used_space() {
    inside(
        &world(),
        "C: SITE QUOTA\nS: 200-Quota:\nS:  Bytes used: 5 of 10\n\
         S:  Files and directories used: 1 of 3\nS: 200 End of quota.",
    );
    let free = World::new().account("anna", "secret", Permissions::ALL);
    inside(&free, "C: SITE QUOTA\nS: 200 No quota for this account.");
}

#[test]
fn row_36_an_announced_size_is_rejected_before_any_data() {
    inside(
        &world(),
        "C: ALLO 11\nS: 552 *\nC: ALLO 6\nS: 200 *\nEPSV;C: STOR b\nS: 552 *\n\
         C: ALLO 10\nS: 200 *\nC: STOR a\nS: 150 *\nU: 0123456789\nS: 226 *\n\
         C: ALLO 0\nS: 200 *\nC: ALLO x\nS: 501 *",
    );
}

#[test]
fn row_33_fewer_bytes_than_announced_are_cut_and_can_be_resumed() {
    let world = World::new().account("anna", "secret", Permissions::ALL);
    inside(
        &world,
        "C: ALLO 8\nS: 200 *\nEPSV;C: STOR b\nS: 150 *\nU: half\nS: 426 *\nHASNOT /b\n\
         C: SIZE b\nS: 213 4\nC: REST 4\nS: 350 *\nC: ALLO 8\nS: 200 *\n\
         EPSV;C: STOR b\nS: 150 *\nU: half\nS: 226 *\nHAS /b halfhalf",
    );
}

/// What is announced of a resumed upload is its whole size to some, what is left of it to others.
#[test]
fn row_33_either_reading_of_an_announced_size_is_believed() {
    let world = World::new().account("anna", "secret", Permissions::ALL).file("/a", b"hello");
    inside(
        &world,
        "C: ALLO 3\nS: 200 *\nC: REST 5\nS: 350 *\nEPSV;C: STOR a\nS: 150 *\nU: abc\nS: 226 *\n\
         C: ALLO 10\nS: 200 *\nEPSV;C: APPE a\nS: 150 *\nU: de\nS: 226 *\nHAS /a helloabcde\n\
         C: ALLO 10\nS: 200 *\nEPSV;C: STOR b\nS: 150 *\nU: more than ten\nS: 226 *\n\
         C: ALLO 20\nS: 200 *\nC: NOOP\nS: 200 *\nEPSV;C: APPE b\nS: 150 *\nU: !\nS: 426 *",
    );
}

#[test]
fn row_33_sizes_of_text_and_unchecked_sizes_truncate_nothing() {
    let open = || World::new().account("anna", "secret", Permissions::ALL);
    let text =
        "C: TYPE A\nS: 200 *\nC: ALLO 100\nS: 200 *\nEPSV;C: STOR b\nS: 150 *\nU: x\nS: 226 *";
    inside(&open(), text);
    let lax = open().settings(|settings| settings.files.enforce_allo_size = false);
    inside(&lax, "C: ALLO 100\nS: 200 *\nEPSV;C: STOR b\nS: 150 *\nU: x\nS: 226 *");
}
