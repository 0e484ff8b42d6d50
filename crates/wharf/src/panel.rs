//! The start panel: address, account and encryption on one screen.

mod layout;
pub(crate) mod words;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use wharf_config::choice::TlsRequire;
use wharf_config::units::{show_duration, show_rate};
use wharf_core::account::Rate;
use wharf_runtime::addresses::{ServerAddress, addresses};
use wharf_runtime::share::{Share, ShareAccess};
use wharf_server::settings::ListenTls;

use layout::Layout;
use words::Words;

/// Content of the panel.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// The language.
    pub(crate) words: &'static Words,
    /// The configuration file in use, if any.
    pub(crate) config: Option<PathBuf>,
    /// The served folder or accounts.
    pub(crate) content: ServedContent,
    /// Listen addresses.
    pub(crate) listeners: Vec<(SocketAddr, ListenTls)>,
    /// The addresses of this computer.
    pub(crate) own_addresses: Vec<IpAddr>,
    /// The certificate, if TLS is offered.
    pub(crate) encryption: Option<PanelEncryption>,
    /// The data ports.
    pub(crate) ports: RangeInclusive<u16>,
    /// Rate limit of all uploads.
    pub(crate) upload: Rate,
    /// Rate limit of all downloads.
    pub(crate) download: Rate,
    /// Time after which it stops.
    pub(crate) stop_after: Option<Duration>,
}

/// The served folder or accounts.
#[derive(Clone, Debug)]
pub(crate) enum ServedContent {
    /// One folder.
    Share(Share),
    /// Accounts.
    Accounts {
        /// The account store.
        store: String,
        /// Number of accounts, and of those that may log in.
        accounts: usize,
        /// The anonymous folder, if there is one.
        anonymous: Option<PathBuf>,
    },
}

/// TLS of the listeners.
#[derive(Clone, Debug)]
pub(crate) struct PanelEncryption {
    /// SHA-256 of the certificate.
    pub(crate) fingerprint: [u8; 32],
    /// Whether the certificate is self-signed by wharf.
    pub(crate) is_self_signed: bool,
    /// What requires TLS.
    pub(crate) require: TlsRequire,
}

/// Columns between the parts of a line.
const GAP: usize = 3;
/// The same before the text that marks the address to type, so that it fits on 80 columns.
const HINT_GAP: usize = 2;
/// Columns before the second line of the headline.
const HEADLINE_COLUMN: usize = 8;
/// Maximum number of addresses, so that the panel fits on the screen.
const ADDRESSES_MAX: usize = 6;

impl Panel {
    /// The panel's text, at most `width` columns wide.
    pub(crate) fn text(&self, width: usize) -> String {
        let words = self.words;
        let mut out = Layout::new(width);
        self.write_headline(&mut out);
        out.blank();
        self.write_addresses(&mut out);
        self.write_account(&mut out);
        out.blank();
        self.write_encryption(&mut out);
        let ports = format!("{}-{}", self.ports.start(), self.ports.end());
        out.row(words.data_ports, &[&ports], GAP);
        let limits = self.limits_in_words();
        if !limits.is_empty() {
            out.row(words.limits, &[&limits], GAP);
        }
        let stop = match self.stop_after {
            Some(time) => {
                let time = show_duration(time);
                let (stop, gap) = (words.stop, words.colon_gap);
                format!("{stop}{gap}Ctrl+C{}{time}{}", words.or_after, words.or_after_end)
            }
            None => format!("{}{}Ctrl+C", words.stop, words.colon_gap),
        };
        out.blank();
        out.line(
            "  ",
            2,
            &[&stop, &format!("{}{}wharf serve --help", words.hint, words.colon_gap)],
            GAP + 1,
        );
        out.blank();
        out.text()
    }

    fn write_headline(&self, out: &mut Layout) {
        let words = self.words;
        let from = self.config.as_ref();
        let (open, close) = words.parentheses;
        let from = from.map(|path| format!("{open}{} {}{close}", words.config, path.display()));
        let from = from.unwrap_or_default();
        match &self.content {
            ServedContent::Share(share) => {
                let first = format!("wharf   {}  ", words.sharing);
                let permissions = format!("{open}{}{close}", words.permissions(&share.access));
                let folder = share.folder.display().to_string();
                out.line(&first, HEADLINE_COLUMN, &[&folder, &permissions, &from], GAP);
            }
            ServedContent::Accounts { accounts, .. } => {
                let accounts = match accounts {
                    1 => words.one_account.to_owned(),
                    number => format!("{number} {}", words.accounts),
                };
                let first = format!("wharf   {}  ", words.serving);
                out.line(&first, HEADLINE_COLUMN, &[&accounts, &from], GAP);
            }
        }
    }

    fn write_addresses(&self, out: &mut Layout) {
        let words = self.words;
        let (here, network): (Vec<_>, Vec<_>) = addresses(&self.listeners, &self.own_addresses)
            .into_iter()
            .partition(ServerAddress::is_local);
        for (label, list) in [(words.here, here), (words.network, network)] {
            let mut label = label;
            let is_the_one = list.len() == 1 && label == words.network;
            let hint = if is_the_one { words.type_this } else { "" };
            for address in list.iter().take(ADDRESSES_MAX) {
                out.row(label, &[&address.url(), hint], HINT_GAP);
                label = "";
            }
            if list.len() > ADDRESSES_MAX {
                let more = list.len() - ADDRESSES_MAX;
                let more = format!("{}{}{more}", words.more, words.colon_gap);
                out.row("", &[&more], GAP);
            }
        }
    }

    fn write_account(&self, out: &mut Layout) {
        let words = self.words;
        match &self.content {
            ServedContent::Share(share) => match &share.access {
                ShareAccess::Anonymous(_) => {
                    out.row(&format!("{}  anonymous", words.user), &[words.no_password], GAP);
                }
                ShareAccess::Account { user, password, .. } => {
                    let (shown, note) = if password.is_fresh {
                        (password.text.as_str(), words.password_is_new)
                    } else {
                        (words.password_is_given, "")
                    };
                    let shown = format!("{}  {shown}", words.password);
                    out.row(&format!("{}  {user}", words.user), &[&shown, note], GAP);
                }
            },
            ServedContent::Accounts { store, anonymous, .. } => {
                out.row(words.accounts_file, &[store], GAP);
                if let Some(folder) = anonymous {
                    out.row(words.without_password, &[&folder.display().to_string()], GAP);
                }
            }
        }
    }

    fn write_encryption(&self, out: &mut Layout) {
        let words = self.words;
        let Some(encryption) = &self.encryption else {
            out.row(words.encryption, &[words.encryption_off], GAP);
            return;
        };
        let offered = match encryption.require {
            TlsRequire::Off | TlsRequire::Public => words.offered,
            TlsRequire::Login => words.needed_to_log_in,
            TlsRequire::All => words.needed,
        };
        let made = if encryption.is_self_signed { words.made_here } else { "" };
        let print = short_fingerprint(&encryption.fingerprint);
        let text = format!("{offered}{} {print}{made}", words.certificate);
        out.row(words.encryption, &[&text], GAP);
        if encryption.require == TlsRequire::Public {
            out.row("", &[words.needed_outside], GAP);
        }
    }

    fn limits_in_words(&self) -> String {
        let mut limits = Vec::new();
        for (rate, what) in
            [(self.upload, self.words.uploads), (self.download, self.words.downloads)]
        {
            if rate != Rate::Unlimited {
                limits.push(format!("{what} {}", show_rate(rate)));
            }
        }
        limits.join(self.words.comma)
    }
}

/// The first two and the last byte, for a visual comparison.
fn short_fingerprint(fingerprint: &[u8; 32]) -> String {
    let [first, second, .., last] = fingerprint;
    format!("{first:02X}:{second:02X}:…:{last:02X}")
}

#[cfg(test)]
mod tests {
    use wharf_config::choice::AnonymousPermissions;
    use wharf_config::table::text_width;
    use wharf_core::permission::Permissions;
    use wharf_runtime::share::Password;

    use super::*;

    fn panel(content: ServedContent) -> Panel {
        Panel {
            words: &words::ENGLISH,
            config: matches!(content, ServedContent::Accounts { .. })
                .then(|| "/etc/wharf/wharf.toml".into()),
            content,
            listeners: vec![("[::]:2121".parse().unwrap(), ListenTls::Explicit)],
            own_addresses: ["127.0.0.1", "192.168.1.20"].map(|ip| ip.parse().unwrap()).to_vec(),
            encryption: Some(PanelEncryption {
                fingerprint: std::array::from_fn(|index| u8::try_from(index).unwrap() ^ 0x9a),
                is_self_signed: true,
                require: TlsRequire::Public,
            }),
            ports: 30_000..=30_999,
            upload: Rate::Unlimited,
            download: Rate::Unlimited,
            stop_after: None,
        }
    }

    fn share(is_fresh: bool) -> Share {
        let password = Password { text: "maple-otter-26-quay-fern".into(), is_fresh };
        Share {
            folder: "/srv/photos".into(),
            access: ShareAccess::Account {
                user: "wharf".into(),
                password,
                permissions: Permissions::READ_ONLY,
            },
        }
    }

    #[test]
    fn every_panel_is_as_it_was_read_last() {
        let mut given = share(false);
        given.access = match given.access {
            ShareAccess::Account { password, .. } => ShareAccess::Account {
                user: "a-rather-long-user-name".into(),
                password,
                permissions: Permissions::ALL,
            },
            anonymous @ ShareAccess::Anonymous(_) => anonymous,
        };
        let dropbox = Share {
            folder: "/srv/in".into(),
            access: ShareAccess::Anonymous(AnonymousPermissions::Dropbox),
        };
        let accounts = ServedContent::Accounts {
            store: "/etc/wharf/users.toml".into(),
            accounts: 3,
            anonymous: Some("/srv/ftp/public".into()),
        };
        let pages = [
            panel(ServedContent::Share(share(true))),
            Panel { encryption: None, ..panel(ServedContent::Share(given)) },
            Panel {
                stop_after: Some(Duration::from_hours(2)),
                upload: Rate::from_bytes_per_second(2 << 20),
                listeners: vec![
                    ("0.0.0.0:21".parse().unwrap(), ListenTls::Explicit),
                    ("[::1]:990".parse().unwrap(), ListenTls::Implicit),
                ],
                ..panel(ServedContent::Share(dropbox))
            },
            panel(accounts),
            Panel {
                words: &words::CHINESE,
                stop_after: Some(Duration::from_hours(2)),
                ..panel(ServedContent::Share(share(true)))
            },
        ];
        let page: String = pages.iter().map(|panel| panel.text(100)).collect();
        wharf_testkit::assert_same("crates/wharf/snapshots/panel.txt", &page);
    }

    /// Panels with long names, many addresses and everything that can be shown at once.
    fn crowded_panels() -> Vec<Panel> {
        let mut panels = Vec::new();
        for words in [&words::ENGLISH, &words::CHINESE] {
            for is_fresh in [true, false] {
                let long = Share {
                    folder: format!("/srv/{}", "a very long name of a 文件夹/".repeat(6)).into(),
                    ..share(is_fresh)
                };
                let mut addresses = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
                addresses.extend((0..9).map(|last| IpAddr::from([192, 168, 100, 200 + last])));
                addresses.push("2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap());
                panels.push(Panel {
                    words,
                    config: Some(format!("/etc/{}.toml", "x".repeat(90)).into()),
                    own_addresses: addresses,
                    upload: Rate::from_bytes_per_second(2 << 20),
                    download: Rate::from_bytes_per_second(2 << 20),
                    stop_after: Some(Duration::from_hours(2)),
                    ..panel(ServedContent::Share(long))
                });
                panels.push(Panel { words, ..panel(ServedContent::Share(share(is_fresh))) });
            }
            let accounts = ServedContent::Accounts {
                store: format!("/var/lib/{}/users.toml", "y".repeat(70)),
                accounts: 300,
                anonymous: Some("/srv/ftp/public".into()),
            };
            panels.push(Panel { words, encryption: None, ..panel(accounts) });
        }
        panels
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_is_left_out() {
        for panel in crowded_panels() {
            let words_of = |text: &str| text.split_whitespace().collect::<String>();
            let whole = words_of(&panel.text(usize::MAX));
            for width in 40..=120 {
                let text = panel.text(width);
                for line in text.lines() {
                    assert!(text_width(line) <= width, "{width}: {line}\n{text}");
                }
                assert_eq!(words_of(&text), whole, "{width}");
            }
        }
    }

    #[test]
    fn narrow_panels_are_as_they_were_read_last() {
        let mut page = String::new();
        for width in [80, 60] {
            for panel in crowded_panels() {
                page.push_str(&"-".repeat(width));
                page.push('\n');
                page.push_str(&panel.text(width));
            }
        }
        wharf_testkit::assert_same("crates/wharf/snapshots/panel-narrow.txt", &page);
    }

    #[test]
    fn the_locale_chooses_the_language_if_the_terminal_can_show_it() {
        for (locale, is_chinese) in
            [("zh_CN.UTF-8", true), ("zh_CN.utf8", true), ("zh_CN.GBK", false), ("", false)]
        {
            let expected = if is_chinese { &words::CHINESE } else { &words::ENGLISH };
            assert!(std::ptr::eq(Words::of_locale(locale), expected), "{locale}");
        }
        assert_eq!(text_width("密码 a"), 6);
    }

    #[test]
    fn a_password_that_was_given_is_not_shown() {
        assert!(!panel(ServedContent::Share(share(false))).text(80).contains("maple"));
        assert!(
            panel(ServedContent::Share(share(true))).text(80).contains("maple-otter-26-quay-fern")
        );
    }
}
