//! The built program, as a person or a script meets it.

#[cfg(test)]
#[cfg(unix)]
mod accounts;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod activation;
#[cfg(test)]
mod ban_command;
#[cfg(test)]
mod bench_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod check_command;
#[cfg(test)]
#[cfg(all(target_os = "linux", feature = "sqlite", feature = "postgres", feature = "webhooks"))]
mod chinese;
#[cfg(test)]
mod config_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod data_conn_diagnostics;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod events;
#[cfg(test)]
#[cfg(unix)]
mod few_files;
#[cfg(test)]
mod group_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod hand_over;
#[cfg(test)]
mod import_command;
#[cfg(test)]
#[cfg(feature = "http-login")]
mod logins_http;
#[cfg(test)]
#[cfg(feature = "ldap")]
#[cfg(target_os = "linux")]
mod logins_ldap;
#[cfg(test)]
#[cfg(feature = "pam")]
#[cfg(target_os = "linux")]
mod logins_pam;
#[cfg(test)]
mod logins_without;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod logs;
#[cfg(test)]
#[cfg(all(target_os = "linux", feature = "sqlite", feature = "postgres", feature = "webhooks"))]
mod mistakes;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod nat;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod own_files;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod quiet_clients;
#[cfg(test)]
#[cfg(unix)]
mod running_server;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(test)]
mod serve_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod service_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod snippets;
#[cfg(test)]
#[cfg(unix)]
mod steering;
#[cfg(test)]
mod support;
#[cfg(test)]
mod user_command;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod user_stores;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod webhooks;
#[cfg(test)]
#[cfg(unix)]
mod why_command;
