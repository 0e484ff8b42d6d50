//! Places to keep files.
//!
//! [`Disk`] serves a folder of the operating system and never leaves it; [`Disks`] opens one for
//! every account. [`Memory`] keeps a tree in memory, for tests, simulation and demonstrations.
//! Every store here passes `wharf_core::conformance::storage`.
//!
//! To follow an upload, read `disk.rs`, then `disk/upload.rs` (the async side) and `disk/draft.rs`
//! (what happens to files); to see why no path leaves its root, read `disk/unix.rs`.

mod disk;
mod memory;
mod meter;
mod mounts;
mod name;
mod time;

pub use disk::{
    Disk, DiskOptions, Disks, Durability, Extent, FollowSymlinks, Quotas, Reserve, ServerFiles,
    Swept, TEMP_PREFIX, sweep,
};
pub use memory::Memory;
pub use meter::Quota;
pub use mounts::Mounts;
