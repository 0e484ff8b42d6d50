//! wharf measured beside other servers, and beside bare programs that show what is possible.
//!
//! It is run by `cargo xtask bench`, on Linux. The floor plan is in `bench_linux.rs`.

#[cfg(target_os = "linux")]
#[path = "bench_linux.rs"]
mod bench;
#[cfg(not(target_os = "linux"))]
#[path = "bench_other.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main()
}
