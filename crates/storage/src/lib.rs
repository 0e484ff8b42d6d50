//! File storage.
//!
//! [`Disk`] serves a directory of the operating system and never leaves it; [`Disks`] opens one for
//! every account. [`Memory`] keeps a tree in memory, for tests, simulation and demonstrations.
//! Every storage here passes `wharf_core::conformance::storage`.
//!
//! To follow an upload, read `disk.rs`, then `disk/upload.rs` (the async side) and
//! `disk/partial_upload.rs` (what happens to files); to see why no path leaves its root, read
//! `disk/unix.rs`.

mod disk;
mod memory;
mod mounts;
mod name;
mod quota;
mod time;

pub use disk::{
    Disk, DiskOptions, Disks, Durability, Extent, FollowSymlinks, Quotas, Reserve, ServerFiles,
    SweepReport, TEMP_PREFIX, sweep,
};
pub use memory::Memory;
pub use mounts::Mounts;
pub use quota::Quota;
