//! The launchd property list (macOS).

use std::collections::BTreeSet;
use std::path::Path;

/// Folder of system services.
pub(super) const PLIST: &str = "Library/LaunchDaemons/io.github.wharf-ftp.wharf.plist";

/// The property list. launchd starts the service at boot, and again after a crash.
pub(super) fn plist(program: &Path, config: &Path, user: &str) -> String {
    let program = escaped(&program.to_string_lossy());
    let config = escaped(&config.to_string_lossy());
    let user = escaped(user);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN"
  "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>io.github.wharf-ftp.wharf</string>
  <key>ProgramArguments</key>
  <array>
    <string>{program}</string>
    <string>--config</string>
    <string>{config}</string>
    <string>serve</string>
  </array>
  <key>UserName</key>
  <string>{user}</string>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>45</integer>
  <key>SoftResourceLimits</key>
  <dict>
    <key>NumberOfFiles</key>
    <integer>65536</integer>
  </dict>
  <key>StandardErrorPath</key>
  <string>/var/log/wharf.log</string>
</dict>
</plist>
"#
    )
}

/// Home of the account, with its state below.
pub(super) const HOME: &str = "/var/lib/wharf";
/// Path of users in the directory of the system.
const USERS: &str = "Users";
/// User ids that macOS leaves to third-party services.
const NUMBERS: std::ops::RangeInclusive<u32> = 400..=499;

/// A free user and group id, from the output of `dscl . -list`: a name and an id in each line.
pub(super) fn free_number(lists: &[&str]) -> Option<u32> {
    let taken: BTreeSet<u32> = lists
        .iter()
        .flat_map(|list| list.lines())
        .filter_map(|line| line.split_whitespace().last()?.parse().ok())
        .collect();
    NUMBERS.rev().find(|number| !taken.contains(number))
}

/// Arguments of `dscl` that create a system account with its own group, one call each. Logins are
/// disabled.
pub(super) fn account(user: &str, number: u32) -> Vec<Vec<String>> {
    let number = number.to_string();
    let (of_user, of_group) = (format!("/{USERS}/{user}"), format!("/Groups/{user}"));
    [
        (&of_group, "PrimaryGroupID", number.as_str()),
        (&of_group, "RealName", "wharf FTP server"),
        (&of_group, "Password", "*"),
        (&of_user, "UniqueID", &number),
        (&of_user, "PrimaryGroupID", &number),
        (&of_user, "RealName", "wharf FTP server"),
        (&of_user, "UserShell", "/usr/bin/false"),
        (&of_user, "NFSHomeDirectory", HOME),
        (&of_user, "Password", "*"),
        (&of_user, "IsHidden", "1"),
    ]
    .into_iter()
    .map(|(record, key, value)| [".", "-create", record, key, value].map(str::to_owned).into())
    .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_testkit::assert_same;

    #[test]
    fn the_account_gets_a_number_that_no_user_and_no_group_has() {
        let users = "_amavisd   83\nanna  501\n_one   499\n";
        let groups = "_analyticsusers 250\n_two 498\nnobody -2\n";
        assert_eq!(free_number(&[users, groups]), Some(497));
        let all: Vec<_> = (400..=499).map(|number| format!("u {number}")).collect();
        let all = all.join("\n");
        assert_eq!(free_number(&[&all, groups]), None);
        let calls = account("wharf", 497);
        let call = |key: &str| {
            calls.iter().find(|call| call[2].ends_with("Users/wharf") && call[3] == key)
        };
        assert_eq!(call("UniqueID").unwrap()[4], "497");
        assert_eq!(call("UserShell").unwrap()[4], "/usr/bin/false");
        assert!(calls.iter().any(|call| call[2] == "/Groups/wharf" && call[4] == "497"));
    }

    #[test]
    fn the_property_list_is_up_to_date() {
        let text =
            plist(Path::new("/usr/local/bin/wharf"), Path::new("/etc/wharf/a&b.toml"), "ftp");
        assert_same("packaging/launchd/io.github.wharf-ftp.wharf.plist", &text);
    }
}
