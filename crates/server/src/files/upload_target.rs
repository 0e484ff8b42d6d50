//! Files at the path where an upload will be published.

use wharf_core::error::ErrorKind;
use wharf_core::storage::LastLink;
use wharf_proto::entry::Kind;
use wharf_proto::path::VPath;

use super::{IntoRefusal, SessionFiles};
use crate::refusal::Refusal;

impl SessionFiles {
    /// The size of the file at a path, if any. For internal decisions about an upload; it must not
    /// be sent to the client.
    pub(crate) async fn size_of_target(&self, at: &VPath) -> Result<Option<u64>, Refusal> {
        let real = self.resolve(at, LastLink::Keep).await?;
        match self.store.stat(&real).await {
            Ok(entry) if entry.kind == Kind::File => Ok(Some(entry.size)),
            Ok(_) => Err(ErrorKind::IsADirectory.into_refusal()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Refusal::from(error)),
        }
    }

    /// Whether a file stands at a path that an unfinished upload of this account is to replace.
    pub(crate) async fn awaits_replacement(&self, at: &VPath) -> Result<bool, Refusal> {
        let named = self.resolve(at, LastLink::Keep).await?;
        Ok(self.store.stat(&named).await.is_ok() && self.store.has_unfinished(&named).await?)
    }
}
