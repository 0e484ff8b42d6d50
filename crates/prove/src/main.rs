//! Destructive tests of wharf: it is killed, disconnected, filled up, raced and soaked, and its
//! promises are checked every time.
//!
//! Run by `cargo xtask prove`, on Linux. The overview of modules is in `prove_linux.rs`.

#[cfg(target_os = "linux")]
#[path = "prove_linux.rs"]
mod prove;
#[cfg(not(target_os = "linux"))]
#[path = "prove_other.rs"]
mod prove;

fn main() -> std::process::ExitCode {
    prove::main()
}
