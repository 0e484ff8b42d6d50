//! Linux: Landlock for files and ports, seccomp for system calls.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::thread::set_no_new_privs;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use super::reach::{AccessPolicy, ConnectionPolicy, Files, PathAccess, PathRule, Programs};
use super::{ProtectionStatus, Report};
use crate::outcome::plain;

#[path = "calls_linux.rs"]
mod calls;
#[cfg(test)]
#[path = "system_linux_tests.rs"]
mod tests;

/// Confines this thread and all that it starts, as far as the kernel can.
pub(super) fn confine(reach: &AccessPolicy) -> Report {
    // Without it a program that is started could win back what is given up here.
    if let Err(error) = set_no_new_privs(true) {
        return Report::off(&format!("no_new_privs cannot be set: {}", plain(&error.into())));
    }
    // The rules for files first: seccomp refuses none of the calls that make them, but what is
    // confined by both must not depend on that.
    let mut report = fence(reach);
    report.calls = match filter(reach.programs).and_then(|filter| {
        apply_filter(&filter).map_err(|error| format!("the kernel refuses the filter: {error}"))
    }) {
        Ok(()) => {
            ProtectionStatus::On(format!("{} refused (seccomp)", calls::count(reach.programs)))
        }
        Err(why) => ProtectionStatus::Off(why),
    };
    report
}

/// Whether the kernel can keep paths below a folder.
pub(crate) fn has_openat2() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS).is_ok()
}

/// What the kernel knows of Landlock.
#[derive(Clone, Copy, Debug)]
struct LandlockSupport {
    /// Files, and moving them between folders, without which a server is no server. Linux 5.19.
    files: bool,
    /// Ports of TCP. Linux 6.7.
    ports: bool,
    /// Signals and abstract sockets. Linux 6.12.
    scopes: bool,
}

impl LandlockSupport {
    fn ask() -> Self {
        let knows = |asked: Result<Ruleset, RulesetError>| asked.and_then(Ruleset::create).is_ok();
        let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        Self {
            files: knows(hard().handle_access(AccessFs::Refer)),
            ports: knows(hard().handle_access(AccessNet::BindTcp)),
            scopes: knows(hard().scope(Scope::Signal)),
        }
    }
}

/// Confines to the files, ports and programs of `reach`.
fn fence(reach: &AccessPolicy) -> Report {
    let kernel = LandlockSupport::ask();
    if !kernel.files && !kernel.ports && !kernel.scopes {
        return Report::off("the kernel has no Landlock of Linux 5.19 or newer, or it is off");
    }
    match restrict(reach, kernel) {
        Ok(told) => told,
        Err(error) => Report::off(&format!("the kernel refuses the rules: {error}")),
    }
}

fn restrict(reach: &AccessPolicy, kernel: LandlockSupport) -> Result<Report, RulesetError> {
    let mut ruleset = Ruleset::default();
    let places = match &reach.files {
        Files::Only(places) if kernel.files => Some(places),
        Files::Only(_) | Files::Anywhere(_) => None,
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
        return Ok(told(reach, kernel, "nothing"));
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
            // Active mode goes out from any free port of ours.
            rules = rules.add_rule(NetPort::new(0, AccessNet::BindTcp))?;
        }
    }
    let status = rules.restrict_self()?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Ok(Report::off("the kernel does not enforce the rules"));
    }
    Ok(told(reach, kernel, &version(status.landlock)))
}

/// Whether a service manager wants to hear from us at an abstract socket.
fn has_abstract_manager() -> bool {
    let socket = std::env::var_os("NOTIFY_SOCKET");
    socket.is_some_and(|name| name.as_encoded_bytes().starts_with(b"@"))
}

/// A place that is missing gets no rule: what is made there later stays closed until a restart.
fn with_place(rules: RulesetCreated, place: &PathRule) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(&place.path) else { return Ok(rules) };
    let mut access = rights(place.usage);
    if !place.path.is_dir() {
        access &= AccessFs::from_file(ABI::V5);
    }
    rules.add_rule(PathBeneath::new(opened, access))
}

fn rights(usage: PathAccess) -> BitFlags<AccessFs> {
    match usage {
        PathAccess::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        PathAccess::Remove => AccessFs::RemoveFile.into(),
        PathAccess::Append => AccessFs::WriteFile | AccessFs::MakeReg,
        PathAccess::Rotate => {
            AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::ReadFile | AccessFs::RemoveFile
        }
        // Links, pipes and sockets are never made, but those that lie there may be renamed.
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

fn told(reach: &AccessPolicy, kernel: LandlockSupport, version: &str) -> Report {
    let too_old =
        |linux: &str| ProtectionStatus::Off(format!("the kernel is older than Linux {linux}"));
    Report {
        files: match &reach.files {
            Files::Anywhere(why) => ProtectionStatus::Off((*why).to_owned()),
            Files::Only(_) if !kernel.files => too_old("5.19"),
            Files::Only(places) => {
                ProtectionStatus::On(format!("only {} places ({version})", places.len()))
            }
        },
        ports: if kernel.ports {
            let (first, last) = (reach.ports.start(), reach.ports.end());
            let out = match &reach.connections {
                ConnectionPolicy::Made => "any port out".to_owned(),
                ConnectionPolicy::Only(ports) => {
                    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                    format!("{} out", ports.join(" "))
                }
                ConnectionPolicy::Never => "none out".to_owned(),
            };
            ProtectionStatus::On(format!("only {first}-{last} in, {out} ({version})"))
        } else {
            too_old("6.7")
        },
        programs: if kernel.scopes {
            ProtectionStatus::On(format!("no signals to others ({version})"))
        } else {
            too_old("6.12")
        },
        calls: ProtectionStatus::Off("not asked for".to_owned()),
    }
}

/// The filter of system calls. It looks at numbers only, never at arguments, so the kernel keeps
/// the verdict for each number and calls that are allowed cost nothing.
fn filter(programs: Programs) -> Result<BpfProgram, String> {
    let system = std::env::consts::ARCH;
    let unknown = |error| format!("no filter for processors of kind {system}: {error}");
    let architecture = system.try_into().map_err(unknown)?;
    let refused = calls::refused(programs).map(|number| (number, Vec::new())).collect();
    let errno = u32::try_from(libc::EPERM).unwrap_or(1);
    let (others, these) = (SeccompAction::Allow, SeccompAction::Errno(errno));
    SeccompFilter::new(refused, others, these, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| format!("the filter cannot be made: {error}"))
}
