//! What the panel says, in the languages that it speaks. Logs and errors are English always.

use wharf_core::permission::Permissions;

use crate::config::choice::AnonymousPermissions;
use crate::share::Access;

/// All that the panel says in one language.
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
    pub(super) help: &'static str,
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
    here: "On this computer",
    network: "On your network",
    type_this: "<- type this in the other computer",
    more: "more:",
    user: "User",
    password: "Password",
    password_is_new: "(new at every start; keep one with -u/-P)",
    password_is_given: "the one you gave",
    no_password: "no password (any e-mail address will do)",
    accounts_file: "Accounts",
    without_password: "Without password",
    encryption: "Encryption",
    encryption_off: "off: names, passwords and files cross the network in the clear",
    offered: "offered",
    needed_to_log_in: "needed to log in",
    needed: "needed for everything",
    needed_outside: "passwords from outside the local network need it",
    certificate: "; certificate sha256",
    made_here: " (made here)",
    data_ports: "Data ports",
    limits: "Limits",
    uploads: "uploads",
    downloads: "downloads",
    stop: "Stop:",
    or_after: ", or by itself after ",
    or_after_end: "",
    help: "Help:",
    read_only: "read-only",
    read_write: "read, write and delete",
    all_read: "everybody, read-only",
    all_drop: "everybody may leave files, nobody may see them",
    all_write: "everybody may read, write and delete",
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
    type_this: "<- 在另一台电脑上输入这个地址",
    more: "其余地址数：",
    user: "用户",
    password: "密码",
    password_is_new: "（每次启动都会更换；用 -u/-P 可固定）",
    password_is_given: "您设定的密码",
    no_password: "无需密码（任意邮箱地址均可）",
    accounts_file: "账户文件",
    without_password: "匿名目录",
    encryption: "加密",
    encryption_off: "关闭：用户名、密码和文件都以明文传输",
    offered: "可用",
    needed_to_log_in: "登录时必须使用",
    needed: "必须全程使用",
    needed_outside: "来自局域网以外的密码登录必须加密",
    certificate: "；证书 sha256",
    made_here: "（本机生成）",
    data_ports: "数据端口",
    limits: "限速",
    uploads: "上传",
    downloads: "下载",
    stop: "停止：",
    or_after: "，或在 ",
    or_after_end: " 后自动停止",
    help: "帮助：",
    read_only: "只读",
    read_write: "可读、可写、可删除",
    all_read: "所有人可访问，只读",
    all_drop: "所有人可上传，任何人都看不到内容",
    all_write: "所有人可读、可写、可删除",
};

impl Words {
    /// The words of a locale such as `zh_CN.UTF-8`. A terminal that is not known to show UTF-8
    /// gets English.
    pub(crate) fn of_locale(locale: &str) -> &'static Self {
        let locale = locale.to_lowercase();
        let is_utf8 = locale.contains("utf-8") || locale.contains("utf8");
        if locale.starts_with("zh") && is_utf8 { &CHINESE } else { &ENGLISH }
    }

    /// What may be done with a shared folder.
    pub(super) fn rights(&self, access: &Access) -> &'static str {
        match access {
            Access::Anonymous(AnonymousPermissions::Read) => self.all_read,
            Access::Anonymous(AnonymousPermissions::Dropbox) => self.all_drop,
            Access::Anonymous(AnonymousPermissions::ReadWrite) => self.all_write,
            Access::Account { rights, .. } if *rights == Permissions::READ_ONLY => self.read_only,
            Access::Account { .. } => self.read_write,
        }
    }
}

/// How many columns a text takes: Chinese characters and their punctuation take two.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|letter| if is_wide(letter) { 2 } else { 1 }).sum()
}

fn is_wide(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}')
        || matches!(letter, '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}')
        || matches!(letter, '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}')
}
