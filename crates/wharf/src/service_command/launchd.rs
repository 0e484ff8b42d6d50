//! A property list of launchd (macOS), as text.

use std::path::Path;

/// Where services of the whole computer live.
pub(super) const PLIST: &str = "Library/LaunchDaemons/io.github.wharf-ftp.wharf.plist";

/// The property list. launchd starts it with the computer, and again after a crash.
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::assert_same;

    #[test]
    fn the_property_list_is_up_to_date() {
        let text =
            plist(Path::new("/usr/local/bin/wharf"), Path::new("/etc/wharf/a&b.toml"), "ftp");
        assert_same("packaging/launchd/io.github.wharf-ftp.wharf.plist", &text);
    }
}
