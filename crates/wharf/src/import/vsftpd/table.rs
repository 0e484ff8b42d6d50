//! Every setting of `vsftpd.conf`, and what becomes of it.

use crate::config::raw::Raw;
use crate::import::directives::{As, Directive, Fate, NEVER, Table};
use crate::import::model::Found;

/// What counts in the file of a single user.
pub(super) const USER_SETTINGS: &[&str] = &[
    "local_root",
    "user_sub_token",
    "write_enable",
    "local_max_rate",
    "download_enable",
    "dirlist_enable",
];

const NO_RULE: &str = "there is no such rule";

/// Those that depend on others are silent here and read elsewhere.
pub(super) const TABLE: &Table = &[
    (&["pasv_address"], Fate::To("passive.public_address", As::Text)),
    (&["port_enable"], Fate::To("active.enabled", As::Truth)),
    (&["pasv_enable"], Fate::By(no_passive)),
    (&["pasv_promiscuous", "port_promiscuous"], Fate::LostIf(true, NEVER)),
    (&["local_umask"], Fate::By(umask)),
    (&["ftpd_banner"], Fate::To("server.greeting", As::Text)),
    (&["banner_file"], Fate::Lost("put its text into server.greeting")),
    (&["max_clients"], Fate::To("limits.connections", As::Number)),
    (&["max_per_ip"], Fate::To("limits.connections_per_ip", As::Number)),
    (&["max_login_fails"], Fate::To("login.max_attempts", As::Number)),
    (&["delay_failed_login"], Fate::To("login.failure_delay", As::Seconds)),
    (&["idle_session_timeout"], Fate::To("limits.idle_timeout", As::Seconds)),
    (&["data_connection_timeout"], Fate::To("limits.transfer_stall_timeout", As::Seconds)),
    (&["accept_timeout"], Fate::To("passive.accept_timeout", As::Seconds)),
    (&["connect_timeout"], Fate::To("active.connect_timeout", As::Seconds)),
    (&["xferlog_file"], Fate::To("log.transfer_log", As::Path)),
    (&["vsftpd_log_file"], Fate::To("log.file", As::Path)),
    (&["log_ftp_protocol"], Fate::To("log.commands", As::Truth)),
    (&["cmds_denied"], Fate::By(denied)),
    (&["cmds_allowed"], Fate::Lost("name those that are not allowed: compat.disable_commands")),
    (&["anon_max_rate"], Fate::Lost("visitors have the rates of limits.user_upload_rate")),
    (&["anon_umask"], Fate::Lost("files.umask holds for everybody")),
    (&["anon_mkdir_write_enable"], Fate::LostIf(true, "see login.anonymous_permissions")),
    (&["file_open_mode", "chown_upload_mode"], Fate::Lost("see files.umask")),
    (&["chown_uploads"], Fate::LostIf(true, "files belong to the user that runs wharf")),
    (&["deny_file", "hide_file"], Fate::Lost(NO_RULE)),
    (&["connect_from_port_20"], Fate::LostIf(true, "data connections leave from any free port")),
    (&["ftp_data_port"], Fate::Lost("data connections leave from any free port")),
    (&["syslog_enable"], Fate::LostIf(true, "a service's lines go to the journal, or log.file")),
    (&["tcp_wrappers"], Fate::LostIf(true, "use the firewall")),
    (&["ssl_ciphers"], Fate::Lost("only safe ciphers are offered; see tls.min_version")),
    (&["ssl_sslv2", "ssl_sslv3", "ssl_tlsv1", "ssl_tlsv1_1"], Fate::LostIf(true, OLD_TLS)),
    (&["require_cert", "validate_cert"], Fate::LostIf(true, "clients show no certificates")),
    (&["ca_certs_file", "dsa_cert_file", "dsa_private_key_file"], Fate::Lost(CERTIFICATES)),
    (&["dirmessage_enable"], Fate::LostIf(true, "there are no texts for folders")),
    (&["message_file"], Fate::Silent),
    (&["mdtm_write"], Fate::Silent),
    (&["email_password_file", "banned_email_file"], Fate::Lost(NO_RULE)),
    (&["deny_email_enable", "secure_email_list_enable"], Fate::LostIf(true, NO_RULE)),
    (&["user_config_dir"], Fate::Silent),
    (&["userlist_log", "userlist_file", "userlist_deny", "userlist_enable"], Fate::Silent),
    (&["user_sub_token", "local_root", "write_enable", "download_enable"], Fate::Silent),
    (&["dirlist_enable", "local_enable", "local_max_rate", "guest_username"], Fate::Silent),
    (&["guest_enable", "virtual_use_local_privs", "pam_service_name"], Fate::Silent),
    (&["anonymous_enable", "anon_root", "anon_upload_enable"], Fate::Silent),
    (&["anon_other_write_enable", "anon_world_readable_only", "no_anon_password"], Fate::Silent),
    (&["ftp_username", "allow_anon_ssl", "force_anon_data_ssl"], Fate::Silent),
    (&["force_anon_logins_ssl", "force_local_data_ssl", "force_local_logins_ssl"], Fate::Silent),
    (&["ssl_enable", "implicit_ssl", "require_ssl_reuse", "ssl_tlsv1_2"], Fate::Silent),
    (&["ssl_tlsv1_3", "ssl_request_cert", "strict_ssl_read_eof"], Fate::Silent),
    (&["strict_ssl_write_shutdown", "debug_ssl", "rsa_cert_file"], Fate::Silent),
    (&["rsa_private_key_file", "listen", "listen_ipv6", "listen_address"], Fate::Silent),
    (&["listen_address6", "listen_port", "pasv_min_port", "pasv_max_port"], Fate::Silent),
    (&["pasv_addr_resolve", "chroot_local_user", "chroot_list_enable"], Fate::Silent),
    (&["chroot_list_file", "passwd_chroot_enable", "allow_writeable_chroot"], Fate::Silent),
    (&["secure_chroot_dir", "nopriv_user", "run_as_launching_user"], Fate::Silent),
    (&["use_localtime", "use_sendfile", "text_userdb_names", "hide_ids"], Fate::Silent),
    (&["setproctitle_enable", "session_support", "check_shell"], Fate::Silent),
    (&["ascii_upload_enable", "ascii_download_enable", "async_abor_enable"], Fate::Silent),
    (&["ls_recurse_enable", "force_dot_files", "tilde_user_enable"], Fate::Silent),
    (&["one_process_model", "background", "seccomp_sandbox"], Fate::Silent),
    (&["isolate", "isolate_network", "trans_chunk_size", "lock_upload_files"], Fate::Silent),
    (&["delete_failed_uploads", "utf8_filesystem", "utf8", "reverse_lookup_enable"], Fate::Silent),
    (&["xferlog_enable", "xferlog_std_format", "dual_log_enable"], Fate::Silent),
    (&["no_log_lock", "delay_successful_login", "allow_writable_chroot"], Fate::Silent),
];

const OLD_TLS: &str = "TLS 1.2 and 1.3 are spoken, nothing older; see tls.min_version";
const CERTIFICATES: &str = "see tls.certificate and tls.private_key";

/// Without passive mode, its commands are unknown.
fn no_passive(directive: &Directive, found: &mut Found) -> Option<()> {
    if !directive.truth()? {
        disable(&["PASV", "EPSV"].map(str::to_owned), directive, found);
    }
    Some(())
}

fn denied(directive: &Directive, found: &mut Found) -> Option<()> {
    let verbs = directive.value.split(',').map(|verb| verb.trim().to_ascii_uppercase());
    let verbs: Vec<_> = verbs.filter(|verb| !verb.is_empty()).collect();
    verbs.first()?;
    disable(&verbs, directive, found);
    Some(())
}

/// Adds to the commands that are answered as unknown.
fn disable(verbs: &[String], directive: &Directive, found: &mut Found) {
    let path = "compat.disable_commands";
    let known = found.wishes.get(path).and_then(|wish| wish.raw.list()).unwrap_or_default();
    let all = known.into_iter().chain(verbs.iter().cloned().map(Raw::Text)).collect();
    found.set(path, Raw::List(all), &directive.spot, &directive.name);
}

fn umask(directive: &Directive, found: &mut Found) -> Option<()> {
    let digits = directive.value.trim_start_matches('0');
    let mask = u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 8).ok()?;
    directive.set("files.umask", &format!("{mask:03o}"), found);
    Some(())
}
