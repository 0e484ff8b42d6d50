//! The texts of the start panel, by language. Logs are always English.

use wharf_config::chinese::is_chinese;
use wharf_config::choice::AnonymousPermissions;
use wharf_core::permission::Permissions;
use wharf_runtime::share::ShareAccess;

/// The texts of one language.
#[derive(Debug)]
pub(crate) struct Words {
    pub(super) sharing: &'static str,
    pub(super) serving: &'static str,
    pub(super) one_account: &'static str,
    pub(super) accounts: &'static str,
    pub(super) config: &'static str,
    pub(super) here: &'static str,
    pub(super) network: &'static str,
    pub(super) type_this: &'static str,
    pub(super) more: &'static str,
    pub(super) user: &'static str,
    pub(super) password: &'static str,
    pub(super) password_is_new: &'static str,
    pub(super) password_is_given: &'static str,
    pub(super) no_password: &'static str,
    pub(super) accounts_file: &'static str,
    pub(super) without_password: &'static str,
    pub(super) encryption: &'static str,
    pub(super) encryption_off: &'static str,
    pub(super) offered: &'static str,
    pub(super) needed_to_log_in: &'static str,
    pub(super) needed: &'static str,
    pub(super) needed_outside: &'static str,
    pub(super) certificate: &'static str,
    pub(super) made_here: &'static str,
    pub(super) data_ports: &'static str,
    pub(super) limits: &'static str,
    pub(super) uploads: &'static str,
    pub(super) downloads: &'static str,
    pub(super) stop: &'static str,
    pub(super) or_after: &'static str,
    pub(super) or_after_end: &'static str,
    pub(super) hint: &'static str,
    /// After a colon before a value.
    pub(super) colon_gap: &'static str,
    pub(super) comma: &'static str,
    pub(super) parentheses: (&'static str, &'static str),
    read_only: &'static str,
    read_write: &'static str,
    all_read: &'static str,
    all_drop: &'static str,
    all_write: &'static str,
}

/// English.
pub(crate) static ENGLISH: Words = Words {
    sharing: "sharing",
    serving: "serving",
    one_account: "1 account",
    accounts: "accounts",
    config: "config",
    here: "This computer",
    network: "Network",
    type_this: "<- enter this in the FTP client",
    more: "more:",
    user: "User",
    password: "Password",
    password_is_new: "(generated at each start; set one with -u/-P)",
    password_is_given: "as given",
    no_password: "no password (or any e-mail address)",
    accounts_file: "Accounts",
    without_password: "Anonymous",
    encryption: "Encryption",
    encryption_off: "off: user names, passwords and files are sent unencrypted",
    offered: "offered",
    needed_to_log_in: "required to log in",
    needed: "required for logins and data",
    needed_outside: "required for passwords from outside the local network",
    certificate: "; certificate sha256",
    made_here: " (self-signed)",
    data_ports: "Passive ports",
    limits: "Limits",
    uploads: "uploads",
    downloads: "downloads",
    stop: "Stop:",
    or_after: ", or automatically after ",
    or_after_end: "",
    hint: "Help:",
    colon_gap: " ",
    comma: ", ",
    parentheses: ("(", ")"),
    read_only: "read-only",
    read_write: "read-write",
    all_read: "anonymous, read-only",
    all_drop: "anonymous, upload only",
    all_write: "anonymous, read-write",
};

/// Chinese in simplified characters.
pub(crate) static CHINESE: Words = Words {
    sharing: "正在共享",
    serving: "正在服务",
    one_account: "1 个账户",
    accounts: "个账户",
    config: "配置",
    here: "本机地址",
    network: "局域网地址",
    type_this: "<- 在 FTP 客户端中输入此地址",
    more: "其余地址数：",
    user: "用户",
    password: "密码",
    password_is_new: "（每次启动自动生成；用 -u/-P 指定）",
    password_is_given: "已指定",
    no_password: "无需密码（任意邮箱地址均可）",
    accounts_file: "账户文件",
    without_password: "匿名文件夹",
    encryption: "加密",
    encryption_off: "关闭：用户名、密码和文件都以明文传输",
    offered: "可选",
    needed_to_log_in: "登录时必须使用",
    needed: "登录和数据连接都必须使用",
    needed_outside: "从局域网以外用密码登录时必须加密",
    certificate: "；证书 sha256",
    made_here: "（自签名）",
    data_ports: "被动端口",
    limits: "限速",
    uploads: "上传",
    downloads: "下载",
    stop: "停止：",
    or_after: "，或在 ",
    or_after_end: " 后自动停止",
    hint: "帮助：",
    colon_gap: "",
    comma: "，",
    parentheses: ("（", "）"),
    read_only: "只读",
    read_write: "可读写",
    all_read: "匿名用户，只读",
    all_drop: "匿名用户，仅上传",
    all_write: "匿名用户，可读写",
};

impl Words {
    /// The texts for a locale such as `zh_CN.UTF-8`; English unless its character set is UTF-8.
    pub(crate) fn of_locale(locale: &str) -> &'static Self {
        if is_chinese(locale) { &CHINESE } else { &ENGLISH }
    }

    /// The permissions of a shared folder.
    pub(super) fn permissions(&self, access: &ShareAccess) -> &'static str {
        match access {
            ShareAccess::Anonymous(AnonymousPermissions::Read) => self.all_read,
            ShareAccess::Anonymous(AnonymousPermissions::Dropbox) => self.all_drop,
            ShareAccess::Anonymous(AnonymousPermissions::ReadWrite) => self.all_write,
            ShareAccess::Account { permissions, .. } if *permissions == Permissions::READ_ONLY => {
                self.read_only
            }
            ShareAccess::Account { .. } => self.read_write,
        }
    }
}
