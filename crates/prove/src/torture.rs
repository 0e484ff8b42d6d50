//! System calls of the server fail, one by one: the first, the second and every other of each kind
//! that a client's session leads to, injected by strace.
//!
//! Whatever fails, the client gets a true reply or loses its connection; the files are as before
//! the session or as they should be after it, and the latter if success was reported; and the next
//! login works.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use wharf_load::{Error, ErrorKind, clock};

use crate::prove::folder;
use crate::prove::proofs::{Proof, ProofExtent};
use crate::prove::report::{ProofReport, print_line};
use crate::prove::run::ProofRun;
use crate::prove::server::ProofServer;
use crate::prove::watch::ProcessSample;

mod calls;
mod sessions;
mod strace;

use calls::{CALLS, SystemCall};
use sessions::{HomeState, SESSION_CASES, SessionCase};
use strace::Strace;

pub(crate) static PROOF: Proof = Proof {
    name: "torture",
    about: "each system call of 36 sessions fails, one by one: correct reply, no torn file",
    unit: "failed calls",
    short: ProofExtent::count(40),
    long: ProofExtent::count(1_000_000),
    mounts: false,
    run,
};

/// Sessions of the short form.
const SESSIONS_SHORT: usize = 3;
/// More calls of one kind in one session come from copying bytes, and are alike.
const CALLS_OF_ONE_KIND_MAX: u32 = 60;
/// A client that waits longer hangs: longer than any timeout of the server here.
const SESSION_MAX: Duration = Duration::from_secs(30);
/// Allowed increase of open descriptors: those of threads.
const DESCRIPTORS_SPARE: u64 = 8;

fn run(run: &ProofRun, report: &ProofReport) -> Result<(), String> {
    let is_short = run.plan.count < 1000;
    let mut server = ProofServer::new(run)?;
    server.set("passive", "accept_timeout = \"3s\"");
    server.start()?;
    // Half of the sessions store files; one of each kind is enough for the short form.
    let step = if is_short { SESSION_CASES.len() / SESSIONS_SHORT } else { 1 };
    for case in SESSION_CASES.iter().step_by(step) {
        let before = ProcessSample::at(server.pid())?;
        let kinds = survey(&mut server, case)?;
        for (call, most) in kinds {
            for number in 1..=most.min(CALLS_OF_ONE_KIND_MAX) {
                if !report.has_next_round() && is_short {
                    return Ok(());
                }
                fail(&mut server, case, call, number, report)?;
            }
        }
        if !is_short {
            print_line(&format!("  {}: {:?}", case.name, report.counts()));
        }
        let after = ProcessSample::at(server.pid())?;
        if after.descriptors > before.descriptors + DESCRIPTORS_SPARE {
            report.failed(
                0,
                format!("{}: {}, then {}", case.name, before.describe(), after.describe()),
            );
        }
    }
    Ok(())
}

/// Counts the calls of each kind in each thread of a session. Also checks that the session succeeds
/// if no call fails.
fn survey(
    server: &mut ProofServer,
    case: &SessionCase,
) -> Result<Vec<(&'static SystemCall, u32)>, String> {
    prepare(server, case)?;
    let names: Vec<_> = CALLS.iter().map(|call| call.name).collect();
    let strace = Strace::attach(server.pid(), &names, None)?;
    let made = (case.act)(server);
    let trace = strace.detach()?;
    made.map_err(|fault| format!("{} fails without a failed call: {fault}", case.name))?;
    let found = HomeState::read(&server.home())?;
    if !found.is(case.after) {
        return Err(format!("{} leaves without a failed call: {found}", case.name));
    }
    let mut most: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, count) in trace.calls_of_each_thread() {
        let highest = most.entry(name).or_default();
        *highest = count.max(*highest);
    }
    let most = CALLS.iter().filter_map(|call| Some((call, *most.get(call.name)?)));
    Ok(most.collect())
}

/// One session in which one call fails.
fn fail(
    server: &mut ProofServer,
    case: &SessionCase,
    call: &SystemCall,
    number: u32,
    report: &ProofReport,
) -> Result<(), String> {
    prepare(server, case)?;
    let strace = Strace::attach(server.pid(), &[call.name], Some((call, number)))?;
    let began = clock::now();
    let made = run_case(server, case, &strace);
    let waited = began.elapsed();
    let trace = strace.detach()?;
    if !trace.has_injected() {
        // Threads share the work differently each time.
        report.add("not reached", 1.0);
        return Ok(());
    }
    if trace.is_impossible() {
        report.add("impossible", 1.0);
        return server.start();
    }
    let verdict = if waited > SESSION_MAX {
        Err(format!("the client waited for {} s", waited.as_secs()))
    } else {
        judge(server, case, call, &made)
    };
    report.ended(
        0,
        verdict.map_err(|what| {
            format!("{}, {} {number} fails with {}: {what}", case.name, call.name, call.error)
        }),
    );
    if server.is_running() { Ok(()) } else { server.start() }
}

/// Runs the session. If threads cannot wake each other any more it would wait for long, so the
/// server is killed then.
fn run_case(server: &ProofServer, case: &SessionCase, strace: &Strace) -> Result<(), Error> {
    let has_next_round = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            if strace.watch(&has_next_round) {
                server.kill_without_waiting();
            }
        });
        let made = (case.act)(server);
        has_next_round.store(false, Ordering::Relaxed);
        made
    })
}

fn judge(
    server: &mut ProofServer,
    case: &SessionCase,
    call: &SystemCall,
    made: &Result<(), Error>,
) -> Result<(), String> {
    let found = HomeState::read(&server.home())?;
    match made {
        Ok(()) if !found.is(case.after) => {
            return Err(format!("success was reported, but {found}"));
        }
        Err(Error { kind: ErrorKind::InvalidReply(what), .. }) => {
            return Err(format!("wrong reply: {what}"));
        }
        _ if !found.is(case.after) && !found.is(case.before) => {
            return Err(format!("torn: {found}"));
        }
        _ => {}
    }
    if !server.is_running() {
        // The program may exit without memory; its files were checked above.
        return if call.may_end {
            Ok(())
        } else {
            Err(format!("the server has exited: {}", server.log()))
        };
    }
    let mut client =
        server.client(false).map_err(|fault| format!("the next login fails: {fault}"))?;
    client.quit().map_err(|fault| format!("the next QUIT fails: {fault}"))
}

/// Creates the initial files of the session.
fn prepare(server: &mut ProofServer, case: &SessionCase) -> Result<(), String> {
    let home = server.home();
    empty(&home)?;
    for (name, content) in case.before {
        content.make(&home.join(name))?;
    }
    (case.prepare)(server).map_err(|fault| format!("{} cannot start: {fault}", case.name))
}

/// Previous sessions may still be removing their temporary files.
fn empty(home: &Path) -> Result<(), String> {
    folder::make(home)?;
    folder::empty(home).or_else(|_| folder::empty(home))
}
