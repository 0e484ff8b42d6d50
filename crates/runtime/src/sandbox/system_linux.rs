//! Linux: Landlock for files and ports, seccomp for system calls.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::thread::set_no_new_privs;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use wharf_config::outcome::plain;

use super::reach::{
    AccessPolicy, ConnectionPolicy, FileAccess, PathAccess, PathRule, ProgramAccess,
};
use super::{SandboxReport, SandboxStatus};

#[path = "calls_linux.rs"]
mod calls;
#[cfg(test)]
#[path = "system_linux_tests.rs"]
mod tests;

/// Sandboxes this thread and all threads that it starts, as far as the kernel supports it.
pub(super) fn confine(reach: &AccessPolicy) -> SandboxReport {
    // Without it, an executed setuid program could regain what is dropped here.
    if let Err(error) = set_no_new_privs(true) {
        return SandboxReport::off(&format!("cannot set no_new_privs: {}", plain(&error.into())));
    }
    // Landlock first: seccomp allows the calls of Landlock, but the order must not depend on that.
    let mut report = fence(reach);
    report.calls = match filter(reach.programs).and_then(|filter| {
        apply_filter(&filter).map_err(|error| format!("the kernel rejected the filter: {error}"))
    }) {
        Ok(()) => SandboxStatus::On(format!("{} denied (seccomp)", calls::count(reach.programs))),
        Err(why) => SandboxStatus::Off(why),
    };
    report
}

/// Whether the kernel can resolve paths below a folder.
pub fn has_openat2() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).is_ok()
}

/// The Landlock features of the kernel.
#[derive(Clone, Copy, Debug)]
struct LandlockSupport {
    /// Files, including moves between folders, which the server needs. Linux 5.19.
    files: bool,
    /// TCP ports. Linux 6.7.
    ports: bool,
    /// Signals and abstract sockets. Linux 6.12.
    scopes: bool,
}

impl LandlockSupport {
    fn detect() -> Self {
        let supports =
            |ruleset: Result<Ruleset, RulesetError>| ruleset.and_then(Ruleset::create).is_ok();
        let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        Self {
            files: supports(hard().handle_access(AccessFs::Refer)),
            ports: supports(hard().handle_access(AccessNet::BindTcp)),
            scopes: supports(hard().scope(Scope::Signal)),
        }
    }
}

/// Restricts files, ports and programs to `reach`.
fn fence(reach: &AccessPolicy) -> SandboxReport {
    let kernel = LandlockSupport::detect();
    if !kernel.files && !kernel.ports && !kernel.scopes {
        return SandboxReport::off(
            "the kernel does not support Landlock (Linux 5.19 or newer), or it is disabled",
        );
    }
    match restrict(reach, kernel) {
        Ok(described) => described,
        Err(error) => SandboxReport::off(&format!("the kernel rejected the rules: {error}")),
    }
}

fn restrict(reach: &AccessPolicy, kernel: LandlockSupport) -> Result<SandboxReport, RulesetError> {
    let mut ruleset = Ruleset::default();
    let places = match &reach.files {
        FileAccess::Only(places) if kernel.files => Some(places),
        FileAccess::Only(_) | FileAccess::Anywhere(_) => None,
    };
    if places.is_some() {
        ruleset = ruleset.handle_access(AccessFs::from_all(ABI::V5))?;
    }
    if kernel.ports {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
        if reach.connections != ConnectionPolicy::Made {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
    }
    if kernel.scopes {
        ruleset = ruleset.scope(Scope::Signal)?;
        if !has_abstract_manager() {
            ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
        }
    }
    if places.is_none() && !kernel.ports && !kernel.scopes {
        return Ok(described(reach, kernel, "nothing"));
    }
    let mut rules = ruleset.create()?;
    for place in places.into_iter().flatten() {
        rules = with_place(rules, place)?;
    }
    if kernel.ports {
        for port in reach.ports.clone().chain(reach.sources.iter().copied()) {
            rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
        }
        if let ConnectionPolicy::Only(ports) = &reach.connections {
            for port in ports {
                rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
            }
        }
        if reach.connections == ConnectionPolicy::Made {
            // Active mode connects from any free local port.
            rules = rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
        }
    }
    let status = rules.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Ok(SandboxReport::off("the kernel does not enforce the rules"));
    }
    Ok(described(reach, kernel, &version(status.landlock)))
}

/// Whether the service manager uses an abstract socket for notifications.
fn has_abstract_manager() -> bool {
    let socket = std::env::var_os("NOTIFY_SOCKET");
    socket.is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"))
}

/// A missing path gets no rule: if it is created later, it stays denied until a restart.
fn with_place(rules: RulesetCreated, place: &PathRule) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(&place.path) else { return Ok(rules) };
    let mut access = landlock_access(place.usage);
    if !place.path.is_dir() {
        access &= AccessFs::from_file(ABI::V5);
    }
    rules.add_rule(PathBeneath::new(opened, access))
}

fn landlock_access(usage: PathAccess) -> BitFlags<AccessFs> {
    match usage {
        PathAccess::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        PathAccess::Remove => AccessFs::RemoveFile.into(),
        PathAccess::Append => AccessFs::WriteFile | AccessFs::MakeReg,
        PathAccess::Rotate => {
            AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::ReadFile | AccessFs::RemoveFile
        }
        // Links, pipes and sockets are never created, but existing ones may be renamed.
        PathAccess::Change => make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | Refer | RemoveFile | RemoveDir
            | MakeReg | MakeDir | MakeSym | MakeFifo | MakeSock
        }),
    }
}

fn version(status: landlock::LandlockStatus) -> String {
    match status {
        landlock::LandlockStatus::Available { effective_abi, kernel_abi: None } => {
            format!("Landlock ABI {effective_abi}")
        }
        landlock::LandlockStatus::Available { kernel_abi: Some(abi), .. } => {
            format!("Landlock ABI {abi}")
        }
        _ => "Landlock".to_owned(),
    }
}

fn described(reach: &AccessPolicy, kernel: LandlockSupport, version: &str) -> SandboxReport {
    let too_old =
        |linux: &str| SandboxStatus::Off(format!("the kernel is older than Linux {linux}"));
    SandboxReport {
        files: match &reach.files {
            FileAccess::Anywhere(why) => SandboxStatus::Off((*why).to_owned()),
            FileAccess::Only(_) if !kernel.files => too_old("5.19"),
            FileAccess::Only(places) => {
                SandboxStatus::On(format!("only {} paths ({version})", places.len()))
            }
        },
        ports: if kernel.ports {
            let (first, last) = (reach.ports.start(), reach.ports.end());
            let out = match &reach.connections {
                ConnectionPolicy::Made => "any outgoing port".to_owned(),
                ConnectionPolicy::Only(ports) => {
                    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                    format!("outgoing {}", ports.join(" "))
                }
                ConnectionPolicy::Never => "no outgoing ports".to_owned(),
            };
            let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
            SandboxStatus::On(format!("only {ports} incoming, {out} ({version})"))
        } else {
            too_old("6.7")
        },
        signals: if kernel.scopes {
            SandboxStatus::On(format!("no signals to other processes ({version})"))
        } else {
            too_old("6.12")
        },
        calls: SandboxStatus::Off("not requested".to_owned()),
    }
}

/// The system call filter. It checks numbers only, not arguments, so the kernel caches the result
/// for each number and allowed calls have no overhead.
fn filter(programs: ProgramAccess) -> Result<BpfProgram, String> {
    let system = std::env::consts::ARCH;
    let unknown = |error| format!("unsupported processor architecture {system}: {error}");
    let architecture = system.try_into().map_err(unknown)?;
    let rejected = calls::rejected(programs).map(|number| (number, Vec::new())).collect();
    let errno = u32::try_from(libc::EPERM).unwrap_or(1);
    let (others, these) = (SeccompAction::Allow, SeccompAction::Errno(errno));
    SeccompFilter::new(rejected, others, these, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("cannot build the filter: {error}"))
}
