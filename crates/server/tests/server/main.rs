//! Dialogues and real sockets with a running server, in one program: each test program more costs a
//! link of the whole server and its size on the disk.

mod abuse;
mod close_notify;
mod compression;
mod conversation;
mod data_conn_diagnostics;
mod diagnostics;
mod failing;
mod oracles;
mod ports;
mod proxies;
mod quota;
mod rates;
mod rows;
mod shared_ports;
mod tls_client;
mod transfers;
