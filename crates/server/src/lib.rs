//! The FTP and FTPS engine of wharf, for embedding: create a [`Server`] with settings, accounts and
//! storage, and run it.
//!
//! To follow a session, read [`server`] (listening, connection limits, shutdown), then
//! `conversation` (the command loop), `gate` (permission checks), a family in `command`, and
//! `files` (the only access to a store). To follow a transfer, read `transfer` (from 150 to 226),
//! `data` (a data connection) and `pump` (copying bytes). Modules import only downward: server,
//! conversation, transfer and gate, command, session, control and data and shared, files and pump
//! and tls, settings and net.
//!
//! # Custom accounts and storage
//!
//! Both are traits of `wharf-core`. In this example, every client that sends the right password
//! reads generated files.
//!
//! ```
//! use std::sync::Arc;
//! use wharf_core::account::Account;
//! use wharf_core::error::{ErrorKind::{NotFound, Unsupported}, Result};
//! use wharf_core::permission::{Permissions, Rules};
//! use wharf_core::storage::*;
//! use wharf_core::users::{Attempt, Denied, Users};
//! use wharf_core::{async_trait, Bytes, Stream};
//! use wharf_proto::{entry::{Entry, Kind}, path::VPath};
//! use wharf_server::{Server, settings::{Listen, Settings}};
//!
//! struct WordOfTheDay(&'static [u8]);
//!
//! #[async_trait]
//! impl Users for WordOfTheDay {
//!     async fn login(&self, attempt: &Attempt<'_>) -> Result<Account, Denied> {
//!         if attempt.secret != self.0 {
//!             return Err(Denied::WrongPassword);
//!         }
//!         Ok(Account::new(attempt.user, "/", Rules::everywhere(Permissions::READ_ONLY)))
//!     }
//! }
//!
//! /// One directory with one file in it.
//! struct Greetings;
//!
//! const HELLO: &[u8] = b"hello\n";
//!
//! /// The one item of a stream.
//! struct SingleItem<T>(Option<T>);
//!
//! impl<T: Unpin> Stream for SingleItem<T> {
//!     type Item = T;
//!     fn poll_next(
//!         mut self: std::pin::Pin<&mut Self>,
//!         _: &mut std::task::Context<'_>,
//!     ) -> std::task::Poll<Option<T>> {
//!         std::task::Poll::Ready(self.0.take())
//!     }
//! }
//!
//! #[async_trait]
//! impl Storage for Greetings {
//!     fn caps(&self) -> Capabilities {
//!         Capabilities {
//!             resumes: false,
//!             appends: false,
//!             sets_times: false,
//!             sets_mode: false,
//!             ignores_case: false,
//!         }
//!     }
//!     async fn stat(&self, at: &VPath) -> Result<Entry> {
//!         match at.as_bytes() {
//!             b"/" => Ok(Entry::new("/", Kind::Dir, 0)),
//!             b"/hello.txt" => Ok(Entry::new("hello.txt", Kind::File, 6)),
//!             _ => Err(NotFound.into()),
//!         }
//!     }
//!     async fn list(&self, _: &VPath, _: ListDetail) -> Result<Entries> {
//!         let entries = [Ok(Entry::new("hello.txt", Kind::File, 6))];
//!         Ok(Entries::Blocking(Box::new(entries.into_iter())))
//!     }
//!     async fn read(&self, at: &VPath, from: u64) -> Result<Source> {
//!         self.stat(at).await?;
//!         let rest = HELLO.get(from as usize..).unwrap_or_default();
//!         Ok(Source::Stream(Box::pin(SingleItem(Some(Ok(Bytes::from_static(rest)))))))
//!     }
//!     async fn write(&self, _: &VPath, _: Write) -> Result<Box<dyn Sink>> {
//!         Err(Unsupported.into())
//!     }
//!     async fn remove_file(&self, _: &VPath) -> Result<()> { Err(Unsupported.into()) }
//!     async fn remove_dir(&self, _: &VPath) -> Result<()> { Err(Unsupported.into()) }
//!     async fn make_dir(&self, _: &VPath) -> Result<()> { Err(Unsupported.into()) }
//!     async fn rename(&self, _: &VPath, _: &VPath, _: Replace) -> Result<()> {
//!         Err(Unsupported.into())
//!     }
//!     async fn set(&self, _: &VPath, _: Change) -> Result<()> { Err(Unsupported.into()) }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let files = Arc::new(SharedStore(Arc::new(Greetings)));
//! let users = Arc::new(WordOfTheDay(b"sesame"));
//! let listen = Listen { address: "127.0.0.1".parse()?, ports: vec![0], ..Listen::default() };
//! let settings = Settings { listen: vec![listen], ..Settings::default() };
//! let bound = Server::new(settings, users, files).bind().await?;
//! # let address = bound.listeners()[0].address;
//! # let handle = bound.handle();
//! # let client = async {
//! #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! #     let mut control = tokio::net::TcpStream::connect(address).await?;
//! #     control.write_all(b"USER me\r\nPASS sesame\r\nMLST hello.txt\r\nQUIT\r\n").await?;
//! #     let mut said = String::new();
//! #     control.read_to_string(&mut said).await?;
//! #     for word in ["230 ", "size=6;", "221 "] {
//! #         assert!(said.contains(word), "{said}");
//! #     }
//! #     handle.shut_down(std::time::Duration::ZERO);
//! #     Ok::<_, std::io::Error>(())
//! # };
//! # let (_, done) = tokio::join!(bound.serve(), client);
//! # done?;
//! # Ok(())
//! # }
//! ```

mod admission;
pub mod auth_throttle;
mod blocking_pool;
pub mod certificate;
mod command;
mod control;
mod conversation;
mod data;
mod data_conn_outcome;
pub mod diagnostics;
mod digest;
mod drive;
mod files;
mod gate;
mod lines;
pub mod metrics;
mod names;
pub mod net;
mod next;
mod ports;
mod pump;
mod rate_limit;
mod refusal;
mod registry;
#[doc(hidden)]
pub mod regression;
pub mod server;
mod server_side_job;
mod session;
mod session_end;
pub mod session_status;
pub mod settings;
mod shared;
#[cfg(test)]
mod testing;
mod tls;
mod transfer;

pub use server::{BindError, Bound, BoundListener, EndWhen, Handle, Server};
pub use tls::server_config;

/// Compiles the examples of the guide to embedding.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/embedding.md")]
struct EmbeddingGuide;
