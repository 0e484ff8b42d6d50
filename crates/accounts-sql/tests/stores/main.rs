//! Accounts in databases: the same promises of each kind, and what is its own.

#[cfg(test)]
#[cfg(target_os = "linux")]
mod postgres;
#[cfg(test)]
#[cfg(unix)]
mod sqlite;
#[cfg(test)]
#[cfg(unix)]
mod support;
