//! System calls of the server fail, one by one: the first, the second and every other of each kind
//! that a client's visit leads to, by strace.
//!
//! Whatever fails, the client hears a true reply or loses its connection; the files are as before
//! the visit or as they should be after it, and as after it if success was said; and the server
//! takes the next login.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::prove::client::Fault;
use crate::prove::proofs::{Plan, Proof};
use crate::prove::report::{Report, say};
use crate::prove::run::Run;
use crate::prove::server::Server;
use crate::prove::watch::Look;
use crate::prove::{clock, folder};

mod calls;
mod strace;
mod visits;

use calls::{CALLS, Call};
use strace::Strace;
use visits::{State, VISITS, Visit};

pub(crate) static PROOF: Proof = Proof {
    name: "torture",
    about: "each system call of 36 visits fails, one by one: an honest end, no torn file",
    unit: "failed calls",
    short: Plan::count(40),
    long: Plan::count(1_000_000),
    mounts: false,
    run,
};

/// Visits of the short form.
const VISITS_SHORT: usize = 3;
/// More calls of one kind in one visit come from copying bytes; those are alike.
const CALLS_OF_ONE_KIND_MAX: u32 = 60;
/// A client that waits longer hangs: longer than any time-out of the server here.
const VISIT_MAX: Duration = Duration::from_secs(30);
/// Descriptors that may be open at the end beyond those at the beginning: those of threads.
const DESCRIPTORS_SPARE: u64 = 8;

fn run(run: &Run, report: &Report) -> Result<(), String> {
    let is_short = run.plan.count < 1000;
    let mut server = Server::new(run)?;
    server.set("passive", "accept_timeout = \"3s\"");
    server.start()?;
    // Half of them at a time are of files that are stored; one of each kind is enough to be short.
    let step = if is_short { VISITS.len() / VISITS_SHORT } else { 1 };
    for visit in VISITS.iter().step_by(step) {
        let before = Look::at(server.pid())?;
        let kinds = survey(&mut server, visit)?;
        for (call, most) in kinds {
            for number in 1..=most.min(CALLS_OF_ONE_KIND_MAX) {
                if !report.goes_on() && is_short {
                    return Ok(());
                }
                fail(&mut server, visit, call, number, report)?;
            }
        }
        if !is_short {
            say(&format!("  {}: {:?}", visit.name, report.counts()));
        }
        let after = Look::at(server.pid())?;
        if after.descriptors > before.descriptors + DESCRIPTORS_SPARE {
            report.failed(0, format!("{}: {}, then {}", visit.name, before.told(), after.told()));
        }
    }
    Ok(())
}

/// How often a visit leads one thread to each kind of call. It is also made sure that the visit is
/// as it should be when nothing fails.
fn survey(server: &mut Server, visit: &Visit) -> Result<Vec<(&'static Call, u32)>, String> {
    prepare(server, visit)?;
    let names: Vec<_> = CALLS.iter().map(|call| call.name).collect();
    let strace = Strace::attach(server.pid(), &names, None)?;
    let made = (visit.act)(server);
    let trace = strace.detach()?;
    made.map_err(|fault| format!("{} fails by itself: {fault}", visit.name))?;
    let found = State::read(&server.home())?;
    if !found.is(visit.after) {
        return Err(format!("{} leaves by itself: {found}", visit.name));
    }
    let mut most: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, count) in trace.calls_of_each_thread() {
        let highest = most.entry(name).or_default();
        *highest = count.max(*highest);
    }
    let most = CALLS.iter().filter_map(|call| Some((call, *most.get(call.name)?)));
    Ok(most.collect())
}

/// One visit in which one call fails.
fn fail(
    server: &mut Server,
    visit: &Visit,
    call: &Call,
    number: u32,
    report: &Report,
) -> Result<(), String> {
    prepare(server, visit)?;
    let strace = Strace::attach(server.pid(), &[call.name], Some((call, number)))?;
    let began = clock::now();
    let made = visited(server, visit, &strace);
    let waited = began.elapsed();
    let trace = strace.detach()?;
    if !trace.has_injected() {
        // Threads share the work in another way each time.
        report.add("not reached", 1.0);
        return Ok(());
    }
    if trace.is_impossible() {
        report.add("impossible", 1.0);
        return server.start();
    }
    let verdict = if waited > VISIT_MAX {
        Err(format!("the client waited for {} s", waited.as_secs()))
    } else {
        judge(server, visit, call, &made)
    };
    report.ended(
        0,
        verdict.map_err(|what| {
            format!("{}, {} {number} fails with {}: {what}", visit.name, call.name, call.error)
        }),
    );
    if server.is_running() { Ok(()) } else { server.start() }
}

/// Makes the visit. Where threads can wake each other no more it would wait for long; the server is
/// killed then.
fn visited(server: &Server, visit: &Visit, strace: &Strace) -> Result<(), Fault> {
    let goes_on = AtomicBool::new(true);
    thread::scope(|scope| {
        scope.spawn(|| {
            if strace.watch(&goes_on) {
                server.strike();
            }
        });
        let made = (visit.act)(server);
        goes_on.store(false, Ordering::Relaxed);
        made
    })
}

fn judge(
    server: &mut Server,
    visit: &Visit,
    call: &Call,
    made: &Result<(), Fault>,
) -> Result<(), String> {
    let found = State::read(&server.home())?;
    match made {
        Ok(()) if !found.is(visit.after) => return Err(format!("success was said, and {found}")),
        Err(Fault::Odd(what)) => return Err(format!("what was said is not true: {what}")),
        _ if !found.is(visit.after) && !found.is(visit.before) => {
            return Err(format!("torn: {found}"));
        }
        _ => {}
    }
    if !server.is_running() {
        // A program that is out of memory ends; what it left was looked at above.
        return if call.may_end { Ok(()) } else { Err(format!("it has ended: {}", server.log())) };
    }
    let client = server.client(false).map_err(|fault| format!("no login then: {fault}"))?;
    client.quit().map_err(|fault| format!("no goodbye then: {fault}"))
}

/// The home as the visit begins with it.
fn prepare(server: &mut Server, visit: &Visit) -> Result<(), String> {
    let home = server.home();
    empty(&home)?;
    for (name, content) in visit.before {
        content.make(&home.join(name))?;
    }
    (visit.prepare)(server).map_err(|fault| format!("{} cannot begin: {fault}", visit.name))
}

/// Sessions of the visit before may still be ending and put their temporaries away.
fn empty(home: &Path) -> Result<(), String> {
    folder::make(home)?;
    folder::empty(home).or_else(|_| folder::empty(home))
}
