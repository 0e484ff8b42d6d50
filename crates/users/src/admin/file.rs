//! Administration of `users.toml`. Its requests run on a blocking thread.

use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use wharf_core::async_trait;

use super::{AdminError, PAGE_MAX, UserAdmin};
use crate::file::{EditError, Editor, StoreChange, UserFile, UserRecord, folder};

/// `users.toml` as a store for administrators. Each request reads the file again.
#[derive(Clone, Debug)]
pub struct FileAdmin {
    path: PathBuf,
}

impl FileAdmin {
    /// For the file at `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    async fn read<T: Send + 'static>(
        &self,
        pick: impl FnOnce(UserFile) -> T + Send + 'static,
    ) -> Result<T, AdminError> {
        let path = self.path.clone();
        let read = spawn_blocking(move || UserFile::read(path).map(pick));
        Ok(read.await.map_err(|_| self.ended())??)
    }

    /// The program ends while the file is worked on.
    fn ended(&self) -> EditError {
        let source = std::io::ErrorKind::Interrupted.into();
        EditError::Write { path: self.path.clone(), source }
    }
}

#[async_trait]
impl UserAdmin for FileAdmin {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn folder(&self) -> &Path {
        folder(&self.path)
    }

    async fn groups(&self) -> Result<Vec<UserRecord>, AdminError> {
        self.read(|file| file.groups().to_vec()).await
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<UserRecord>, AdminError> {
        let after = after.map(str::to_owned);
        let page = move |file: UserFile| {
            let records = file.own_records();
            let first = after.map_or(0, |after| {
                let last = records.iter().position(|record| record.name == after);
                last.map_or(records.len(), |last| last + 1)
            });
            records.iter().skip(first).take(PAGE_MAX).cloned().collect()
        };
        self.read(page).await
    }

    async fn find(&self, name: &str) -> Result<Option<UserRecord>, AdminError> {
        let name = name.to_owned();
        self.read(move |file| file.record(&name).cloned()).await
    }

    async fn own(&self, name: &str) -> Result<Option<UserRecord>, AdminError> {
        let name = name.to_owned();
        self.read(move |file| file.own(&name).cloned()).await
    }

    async fn change(&self, changes: &[StoreChange]) -> Result<(), AdminError> {
        let (path, changes) = (self.path.clone(), changes.to_vec());
        let change =
            move |editor: &mut Editor| changes.iter().try_for_each(|change| editor.apply(change));
        let edited = spawn_blocking(move || UserFile::edit(path, change));
        Ok(edited.await.map_err(|_| self.ended())??)
    }
}
