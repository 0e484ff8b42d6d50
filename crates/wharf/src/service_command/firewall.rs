//! Firewall rules, in the syntax of each firewall.

use std::ops::RangeInclusive;
use std::path::Path;

/// Ports that clients must reach.
#[derive(Debug)]
pub(super) struct FirewallPorts {
    /// Control ports.
    pub(super) control: Vec<u16>,
    /// Data ports of passive mode.
    pub(super) data: RangeInclusive<u16>,
}

/// Name of the rule in the Windows firewall.
pub(super) const RULE: &str = "wharf FTP server";

impl FirewallPorts {
    /// Arguments of `netsh` to allow these ports for this program.
    pub(super) fn netsh(&self, program: &Path) -> Vec<String> {
        let ports: Vec<_> = self.ports('-');
        let mut words = netsh("add");
        words.extend([
            "dir=in".to_owned(),
            "action=allow".to_owned(),
            "protocol=TCP".to_owned(),
            format!("localport={}", ports.join(",")),
            format!("program={}", program.display()),
        ]);
        words
    }

    /// Commands for the usual firewalls of Linux.
    pub(super) fn of_linux(&self) -> String {
        let all = self.ports(':').join(",");
        let each: Vec<_> =
            self.ports('-').iter().map(|port| format!("--add-port={port}/tcp")).collect();
        format!(
            "  ufw allow {all}/tcp\n  firewall-cmd --permanent {} && firewall-cmd --reload\n",
            each.join(" ")
        )
    }

    fn ports(&self, between: char) -> Vec<String> {
        let (first, last) = (self.data.start(), self.data.end());
        let control = self.control.iter().map(ToString::to_string);
        control.chain([format!("{first}{between}{last}")]).collect()
    }
}

/// Arguments of `netsh` to delete the rule.
pub(super) fn netsh_forget() -> Vec<String> {
    netsh("delete")
}

fn netsh(verb: &str) -> Vec<String> {
    let words = ["advfirewall", "firewall", verb, "rule"].map(str::to_owned);
    words.into_iter().chain([format!("name={RULE}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_the_syntax_of_each_firewall() {
        let openings = FirewallPorts { control: vec![21, 990], data: 30000..=30999 };
        let words = openings.netsh(Path::new(r"C:\Program Files\wharf.exe"));
        let line = "advfirewall firewall add rule name=wharf FTP server dir=in action=allow \
                    protocol=TCP localport=21,990,30000-30999 program=C:\\Program Files\\wharf.exe";
        assert_eq!(words.join(" "), line);
        assert_eq!(
            netsh_forget().join(" "),
            "advfirewall firewall delete rule name=wharf FTP server"
        );
        let reported = openings.of_linux();
        assert!(reported.contains("ufw allow 21,990,30000:30999/tcp\n"), "{reported}");
        assert!(
            reported.contains("--add-port=990/tcp --add-port=30000-30999/tcp &&"),
            "{reported}"
        );
    }
}
