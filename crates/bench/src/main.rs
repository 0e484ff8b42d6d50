//! Measures wharf and other servers, and bare programs as an upper limit.
//!
//! Run by `cargo xtask bench`, on Linux. The overview of modules is in `bench_linux.rs`.

#[cfg(target_os = "linux")]
#[path = "bench_linux.rs"]
mod bench;
#[cfg(not(target_os = "linux"))]
#[path = "bench_other.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    bench::main()
}
