//! System calls that a server never needs, but an attacker in a compromised process would use.

use libc::c_long;

use super::ProgramAccess;

/// The numbers of the denied calls.
pub(super) fn rejected(programs: ProgramAccess) -> impl Iterator<Item = i64> {
    let starting: &[c_long] = match programs {
        ProgramAccess::Never => STARTING,
    };
    let lists = [starting, SPYING, REBUILDING, DEEP, BECOMING, OLD];
    lists.into_iter().flatten().map(|number| i64_of(*number))
}

/// The number of denied calls.
pub(super) fn count(programs: ProgramAccess) -> usize {
    rejected(programs).count()
}

/// Call numbers have 32 bits on some processors.
fn i64_of(number: impl Into<i64>) -> i64 {
    number.into()
}

/// Executing programs.
const STARTING: &[c_long] = &[libc::SYS_execve, libc::SYS_execveat];

/// Inspecting other processes.
const SPYING: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_perf_event_open,
    libc::SYS_lookup_dcookie,
    libc::SYS_syslog,
];

/// Changing mounts, namespaces and the root.
const REBUILDING: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_personality,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_mknodat,
];

/// Kernel interfaces with a history of vulnerabilities, and administration of the computer.
const DEEP: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_nfsservctl,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
];

/// Changing the user: not needed once the filter is installed.
const BECOMING: &[c_long] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// Calls of this processor architecture only.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
    libc::SYS_mknod,
    libc::SYS_kexec_file_load,
    // The kernel may accept calls of the x32 ABI, with this bit in their numbers: execve, ptrace,
    // execveat, and others; the calls above differ by this bit only.
    X32 + 520,
    X32 + 521,
    X32 + 545,
    X32 + libc::SYS_mount,
    X32 + libc::SYS_chroot,
    X32 + libc::SYS_unshare,
    X32 + libc::SYS_setns,
    X32 + libc::SYS_bpf,
    X32 + libc::SYS_io_uring_setup,
    X32 + libc::SYS_userfaultfd,
    X32 + libc::SYS_open_by_handle_at,
    X32 + libc::SYS_setuid,
    X32 + libc::SYS_setresuid,
];
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];
