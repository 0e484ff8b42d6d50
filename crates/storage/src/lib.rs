//! Places to keep files.
//!
//! [`Memory`] keeps a tree in memory, for tests, simulation and demonstrations. Every store here
//! passes `wharf_core::conformance::storage`.

mod memory;
mod name;
mod time;

pub use memory::Memory;
