//! wharf proven by force: it is killed, cut off, filled up, raced and soaked, and what must hold is
//! checked every time.
//!
//! It is run by `cargo xtask prove`, on Linux. The floor plan is in `prove_linux.rs`.

#[cfg(target_os = "linux")]
#[path = "prove_linux.rs"]
mod prove;
#[cfg(not(target_os = "linux"))]
#[path = "prove_other.rs"]
mod prove;

fn main() -> std::process::ExitCode {
    prove::main()
}
