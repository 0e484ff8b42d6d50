//! All settings of `vsftpd.conf`, and how they are imported.

use wharf_config::raw::Raw;

use crate::directives::{Directive, DirectiveAction, DirectiveTable, NEVER, ValueFormat};
use crate::model::ImportResult;

/// Settings that are used in per-user files.
pub(super) const USER_SETTINGS: &[&str] = &[
    "local_root", "user_sub_token", "write_enable", "local_max_rate", "download_enable",
    "dirlist_enable",
];

const NO_RULE: &str = "wharf has no such rule";

/// Settings that depend on others are ignored here and handled elsewhere.
pub(super) const TABLE: &DirectiveTable = &[
    (&["pasv_address"], DirectiveAction::To("passive.public_address", ValueFormat::Text)),
    (&["port_enable"], DirectiveAction::To("active.enabled", ValueFormat::Boolean)),
    (&["pasv_enable"], DirectiveAction::By(no_passive)),
    (&["pasv_promiscuous", "port_promiscuous"], DirectiveAction::LostIf(true, NEVER)),
    (&["local_umask"], DirectiveAction::By(umask)),
    (&["ftpd_banner"], DirectiveAction::To("server.greeting", ValueFormat::Text)),
    (&["banner_file"], DirectiveAction::Lost("set server.greeting to its text")),
    (&["max_clients"], DirectiveAction::To("limits.connections", ValueFormat::Number)),
    (&["max_per_ip"], DirectiveAction::To("limits.connections_per_ip", ValueFormat::Number)),
    (&["max_login_fails"], DirectiveAction::To("login.max_attempts", ValueFormat::Number)),
    (&["delay_failed_login"], DirectiveAction::To("login.failure_delay", ValueFormat::Seconds)),
    (&["idle_session_timeout"], DirectiveAction::To("limits.idle_timeout", ValueFormat::Seconds)),
    (
        &["data_connection_timeout"],
        DirectiveAction::To("limits.transfer_stall_timeout", ValueFormat::Seconds),
    ),
    (&["accept_timeout"], DirectiveAction::To("passive.accept_timeout", ValueFormat::Seconds)),
    (&["connect_timeout"], DirectiveAction::To("active.connect_timeout", ValueFormat::Seconds)),
    (&["xferlog_file"], DirectiveAction::To("log.transfer_log", ValueFormat::Path)),
    (&["vsftpd_log_file"], DirectiveAction::To("log.file", ValueFormat::Path)),
    (&["log_ftp_protocol"], DirectiveAction::To("log.commands", ValueFormat::Boolean)),
    (&["cmds_denied"], DirectiveAction::By(denied)),
    (&["cmds_allowed"], DirectiveAction::Lost("list the denied commands: compat.disable_commands")),
    (
        &["anon_max_rate"],
        DirectiveAction::Lost("anonymous users have the rates of limits.user_upload_rate"),
    ),
    (&["anon_umask"], DirectiveAction::Lost("files.umask applies to all accounts")),
    (
        &["anon_mkdir_write_enable"],
        DirectiveAction::LostIf(true, "see login.anonymous_permissions"),
    ),
    (&["file_open_mode", "chown_upload_mode"], DirectiveAction::Lost("see files.umask")),
    (
        &["chown_uploads"],
        DirectiveAction::LostIf(true, "uploaded files belong to the user that runs wharf"),
    ),
    (&["deny_file", "hide_file"], DirectiveAction::Lost(NO_RULE)),
    (&["connect_from_port_20"], DirectiveAction::LostIf(true, "wharf uses any free source port")),
    (&["ftp_data_port"], DirectiveAction::Lost("wharf uses any free source port")),
    (
        &["syslog_enable"],
        DirectiveAction::LostIf(true, "wharf logs to the journal, or to log.file"),
    ),
    (&["tcp_wrappers"], DirectiveAction::LostIf(true, "use the firewall")),
    (
        &["ssl_ciphers"],
        DirectiveAction::Lost("only secure cipher suites are offered; see tls.min_version"),
    ),
    (
        &["ssl_sslv2", "ssl_sslv3", "ssl_tlsv1", "ssl_tlsv1_1"],
        DirectiveAction::LostIf(true, OLD_TLS),
    ),
    (
        &["require_cert", "validate_cert"],
        DirectiveAction::LostIf(true, "client certificates are not supported"),
    ),
    (
        &["ca_certs_file", "dsa_cert_file", "dsa_private_key_file"],
        DirectiveAction::Lost(CERTIFICATES),
    ),
    (
        &["dirmessage_enable"],
        DirectiveAction::LostIf(true, "messages per folder are not supported"),
    ),
    (&["message_file"], DirectiveAction::Silent),
    (&["mdtm_write"], DirectiveAction::Silent),
    (&["email_password_file", "banned_email_file"], DirectiveAction::Lost(NO_RULE)),
    (&["deny_email_enable", "secure_email_list_enable"], DirectiveAction::LostIf(true, NO_RULE)),
    (&["user_config_dir"], DirectiveAction::Silent),
    (
        &["userlist_log", "userlist_file", "userlist_deny", "userlist_enable"],
        DirectiveAction::Silent,
    ),
    (&["user_sub_token", "local_root", "write_enable", "download_enable"], DirectiveAction::Silent),
    (
        &["dirlist_enable", "local_enable", "local_max_rate", "guest_username"],
        DirectiveAction::Silent,
    ),
    (&["guest_enable", "virtual_use_local_privs", "pam_service_name"], DirectiveAction::Silent),
    (&["anonymous_enable", "anon_root", "anon_upload_enable"], DirectiveAction::Silent),
    (
        &["anon_other_write_enable", "anon_world_readable_only", "no_anon_password"],
        DirectiveAction::Silent,
    ),
    (&["ftp_username", "allow_anon_ssl", "force_anon_data_ssl"], DirectiveAction::Silent),
    (
        &["force_anon_logins_ssl", "force_local_data_ssl", "force_local_logins_ssl"],
        DirectiveAction::Silent,
    ),
    (&["ssl_enable", "implicit_ssl", "require_ssl_reuse", "ssl_tlsv1_2"], DirectiveAction::Silent),
    (&["ssl_tlsv1_3", "ssl_request_cert", "strict_ssl_read_eof"], DirectiveAction::Silent),
    (&["strict_ssl_write_shutdown", "debug_ssl", "rsa_cert_file"], DirectiveAction::Silent),
    (&["rsa_private_key_file", "listen", "listen_ipv6", "listen_address"], DirectiveAction::Silent),
    (
        &["listen_address6", "listen_port", "pasv_min_port", "pasv_max_port"],
        DirectiveAction::Silent,
    ),
    (&["pasv_addr_resolve", "chroot_local_user", "chroot_list_enable"], DirectiveAction::Silent),
    (
        &["chroot_list_file", "passwd_chroot_enable", "allow_writeable_chroot"],
        DirectiveAction::Silent,
    ),
    (&["secure_chroot_dir", "nopriv_user", "run_as_launching_user"], DirectiveAction::Silent),
    (&["use_localtime", "use_sendfile", "text_userdb_names", "hide_ids"], DirectiveAction::Silent),
    (&["setproctitle_enable", "session_support", "check_shell"], DirectiveAction::Silent),
    (
        &["ascii_upload_enable", "ascii_download_enable", "async_abor_enable"],
        DirectiveAction::Silent,
    ),
    (&["ls_recurse_enable", "force_dot_files", "tilde_user_enable"], DirectiveAction::Silent),
    (&["one_process_model", "background", "seccomp_sandbox"], DirectiveAction::Silent),
    (
        &["isolate", "isolate_network", "trans_chunk_size", "lock_upload_files"],
        DirectiveAction::Silent,
    ),
    (
        &["delete_failed_uploads", "utf8_filesystem", "utf8", "reverse_lookup_enable"],
        DirectiveAction::Silent,
    ),
    (&["xferlog_enable", "xferlog_std_format", "dual_log_enable"], DirectiveAction::Silent),
    (&["no_log_lock", "delay_successful_login", "allow_writable_chroot"], DirectiveAction::Silent),
];

const OLD_TLS: &str = "only TLS 1.2 and 1.3 are supported; see tls.min_version";
const CERTIFICATES: &str = "see tls.certificate and tls.private_key";

/// Without passive mode, its commands are disabled.
fn no_passive(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    if !directive.truth()? {
        disable(&["PASV", "EPSV"].map(str::to_owned), directive, found);
    }
    Some(())
}

fn denied(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let verbs = directive.value.split(',').map(|verb| verb.trim().to_ascii_uppercase());
    let verbs: Vec<_> = verbs.filter(|verb| !verb.is_empty()).collect();
    verbs.first()?;
    disable(&verbs, directive, found);
    Some(())
}

/// Adds to the disabled commands.
fn disable(verbs: &[String], directive: &Directive, found: &mut ImportResult) {
    let path = "compat.disable_commands";
    let known = found
        .imported_settings
        .get(path)
        .and_then(|imported| imported.raw.list())
        .unwrap_or_default();
    let all = known.into_iter().chain(verbs.iter().cloned().map(Raw::Text)).collect();
    found.set(path, Raw::List(all), &directive.location, &directive.name);
}

fn umask(directive: &Directive, found: &mut ImportResult) -> Option<()> {
    let digits = directive.value.trim_start_matches('0');
    let mask = u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 8).ok()?;
    directive.set("files.umask", &format!("{mask:03o}"), found);
    Some(())
}
