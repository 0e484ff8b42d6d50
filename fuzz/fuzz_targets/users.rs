//! The accounts file: any text is either accounts, or errors that show no password.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_users::file::UserFile;

fuzz_target!(|text: &str| match UserFile::parse("/nowhere/users.toml", text) {
    Ok(file) => {
        for record in file.records() {
            assert!(file.record(&record.name).is_some());
            let _ = record.account(file.folder(), jiff::Timestamp::UNIX_EPOCH);
        }
    }
    // Nearly all inputs are invalid TOML, and displaying the error takes most of the time: one in
    // 16 is enough.
    Err(error) if text.len() % 16 == 0 => assert!(!error.to_string().is_empty()),
    Err(_) => {}
});
