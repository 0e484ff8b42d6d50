//! The system calls that are made to fail, and their errors.

/// A system call.
pub(super) struct SystemCall {
    pub(super) name: &'static str,
    pub(super) error: &'static str,
    /// Whether the program may exit because of it: it cannot continue without memory.
    pub(super) may_end: bool,
}

const fn call(name: &'static str, error: &'static str) -> SystemCall {
    SystemCall { name, error, may_end: false }
}

/// Each with an error that the system can return for it. `close` is missing: strace would prevent
/// it, while the system closes the descriptor even if it returns an error.
pub(super) static CALLS: &[SystemCall] = &[
    call("openat2", "EIO"),
    call("openat", "EMFILE"),
    call("statx", "EIO"),
    call("newfstatat", "EIO"),
    call("fstat", "EIO"),
    call("getdents64", "EIO"),
    call("read", "EIO"),
    call("pread64", "EIO"),
    call("preadv2", "EIO"),
    call("write", "ENOSPC"),
    call("pwrite64", "EIO"),
    call("sendfile", "EIO"),
    call("splice", "EIO"),
    call("copy_file_range", "EIO"),
    call("ioctl", "EIO"),
    call("lseek", "EIO"),
    call("ftruncate", "EIO"),
    call("fallocate", "ENOSPC"),
    call("fsync", "EIO"),
    call("fdatasync", "EIO"),
    call("syncfs", "EIO"),
    call("renameat", "EIO"),
    call("renameat2", "EIO"),
    call("linkat", "EIO"),
    call("unlinkat", "EIO"),
    call("mkdirat", "ENOSPC"),
    call("fchmod", "EIO"),
    call("fchmodat2", "EIO"),
    call("utimensat", "EIO"),
    call("flock", "EIO"),
    call("statfs", "EIO"),
    call("fstatfs", "EIO"),
    call("readlinkat", "EIO"),
    call("accept4", "EMFILE"),
    call("socket", "EMFILE"),
    call("bind", "EADDRINUSE"),
    call("listen", "EADDRINUSE"),
    call("connect", "ECONNREFUSED"),
    call("getsockname", "ENOBUFS"),
    call("getpeername", "ENOTCONN"),
    call("setsockopt", "ENOMEM"),
    call("getsockopt", "ENOMEM"),
    call("recvfrom", "ECONNRESET"),
    call("recvmsg", "ECONNRESET"),
    call("sendto", "ECONNRESET"),
    call("sendmsg", "ECONNRESET"),
    call("writev", "ECONNRESET"),
    call("shutdown", "ENOTCONN"),
    call("epoll_ctl", "ENOMEM"),
    call("pipe2", "EMFILE"),
    call("poll", "ENOMEM"),
    SystemCall { name: "clone3", error: "EAGAIN", may_end: true },
    SystemCall { name: "mmap", error: "ENOMEM", may_end: true },
];
