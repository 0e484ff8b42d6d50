//! Places to keep files.
//!
//! [`Memory`] keeps a tree in memory, for tests, simulation and demonstrations.


mod memory;
mod name;
mod time;

pub use memory::Memory;
