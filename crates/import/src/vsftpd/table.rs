//! All settings of `vsftpd.conf`, and how they are imported.

use wharf_config::raw::Raw;

use crate::directives::DirectiveAction::{By, Lost, LostIf, Silent, To};
use crate::directives::ValueFormat::{Boolean, Number, Path, Seconds, Text};
use crate::directives::{Directive, DirectiveTable, NEVER};
use crate::model::ImportResult;

/// Settings that are used in per-user files.
pub(super) const USER_SETTINGS: &[&str] = &[
    "local_root", "user_sub_token", "write_enable", "local_max_rate", "download_enable",
    "dirlist_enable",
];

const NO_RULE: &str = "wharf has no such rule";

/// Settings that depend on others are ignored here and handled elsewhere.
pub(super) const TABLE: &DirectiveTable = &[
    (&["pasv_address"], To("passive.public_address", Text)),
    (&["port_enable"], To("active.enabled", Boolean)),
    (&["pasv_enable"], By(no_passive)),
    (&["pasv_promiscuous", "port_promiscuous"], LostIf(true, NEVER)),
    (&["local_umask"], By(umask)),
    (&["ftpd_banner"], To("server.greeting", Text)),
    (&["banner_file"], Lost("set server.greeting to its text")),
    (&["max_clients"], To("limits.connections", Number)),
    (&["max_per_ip"], To("limits.connections_per_ip", Number)),
    (&["max_login_fails"], To("login.max_attempts", Number)),
    (&["delay_failed_login"], To("login.failure_delay", Seconds)),
    (&["idle_session_timeout"], To("limits.idle_timeout", Seconds)),
    (&["data_connection_timeout"], To("limits.transfer_stall_timeout", Seconds)),
    (&["accept_timeout"], To("passive.accept_timeout", Seconds)),
    (&["connect_timeout"], To("active.connect_timeout", Seconds)),
    (&["xferlog_file"], To("log.transfer_log", Path)),
    (&["vsftpd_log_file"], To("log.file", Path)),
    (&["log_ftp_protocol"], To("log.commands", Boolean)),
    (&["cmds_denied"], By(denied)),
    (&["cmds_allowed"], Lost("list the denied commands: compat.disable_commands")),
    (&["anon_max_rate"], Lost("anonymous users have the rates of limits.user_upload_rate")),
    (&["anon_umask"], Lost("files.umask applies to all accounts")),
    (&["anon_mkdir_write_enable"], LostIf(true, "see login.anonymous_permissions")),
    (&["file_open_mode", "chown_upload_mode"], Lost("see files.umask")),
    (&["chown_uploads"], LostIf(true, "uploaded files belong to the user that runs wharf")),
    (&["deny_file", "hide_file"], Lost(NO_RULE)),
    (&["connect_from_port_20"], LostIf(true, "wharf uses any free source port")),
    (&["ftp_data_port"], Lost("wharf uses any free source port")),
    (&["syslog_enable"], LostIf(true, "wharf logs to the journal, or to log.file")),
    (&["tcp_wrappers"], LostIf(true, "use the firewall")),
    (&["ssl_ciphers"], Lost("only secure cipher suites are offered; see tls.min_version")),
    (&["ssl_sslv2", "ssl_sslv3", "ssl_tlsv1", "ssl_tlsv1_1"], LostIf(true, OLD_TLS)),
    (&["require_cert", "validate_cert"], LostIf(true, "client certificates are not supported")),
    (&["ca_certs_file", "dsa_cert_file", "dsa_private_key_file"], Lost(CERTIFICATES)),
    (&["dirmessage_enable"], LostIf(true, "messages per folder are not supported")),
    (&["email_password_file", "banned_email_file"], Lost(NO_RULE)),
    (&["deny_email_enable", "secure_email_list_enable"], LostIf(true, NO_RULE)),
    // Not needed, or handled elsewhere.
    (
        &[
            "message_file", "mdtm_write", "user_config_dir", "userlist_log", "userlist_file",
            "userlist_deny", "userlist_enable", "user_sub_token", "local_root", "write_enable",
            "download_enable", "dirlist_enable", "local_enable", "local_max_rate",
            "guest_username", "guest_enable", "virtual_use_local_privs", "pam_service_name",
            "anonymous_enable", "anon_root", "anon_upload_enable", "anon_other_write_enable",
            "anon_world_readable_only", "no_anon_password", "ftp_username", "allow_anon_ssl",
            "force_anon_data_ssl", "force_anon_logins_ssl", "force_local_data_ssl",
            "force_local_logins_ssl", "ssl_enable", "implicit_ssl", "require_ssl_reuse",
            "ssl_tlsv1_2", "ssl_tlsv1_3", "ssl_request_cert", "strict_ssl_read_eof",
            "strict_ssl_write_shutdown", "debug_ssl", "rsa_cert_file", "rsa_private_key_file",
            "listen", "listen_ipv6", "listen_address", "listen_address6", "listen_port",
            "pasv_min_port", "pasv_max_port", "pasv_addr_resolve", "chroot_local_user",
            "chroot_list_enable", "chroot_list_file", "passwd_chroot_enable",
            "allow_writeable_chroot", "secure_chroot_dir", "nopriv_user", "run_as_launching_user",
            "use_localtime", "use_sendfile", "text_userdb_names", "hide_ids",
            "setproctitle_enable", "session_support", "check_shell", "ascii_upload_enable",
            "ascii_download_enable", "async_abor_enable", "ls_recurse_enable", "force_dot_files",
            "tilde_user_enable", "one_process_model", "background", "seccomp_sandbox", "isolate",
            "isolate_network", "trans_chunk_size", "lock_upload_files", "delete_failed_uploads",
            "utf8_filesystem", "utf8", "reverse_lookup_enable", "xferlog_enable",
            "xferlog_std_format", "dual_log_enable", "no_log_lock", "delay_successful_login",
            "allow_writable_chroot",
        ],
        Silent,
    ),
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
