//! The process that starts programs.
//!
//! A sandboxed server cannot start any, so this process starts before the sandbox is applied, with
//! the list of all programs that may ever run. An attacker that controls the server can give these
//! programs other events, and nothing else. The process reads frames from its standard input and
//! answers on its standard output; when its input ends, it kills all programs that run, and exits.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use wharf_core::lock;

use crate::frame;

#[cfg_attr(unix, path = "worker/run_unix.rs")]
#[cfg_attr(not(unix), path = "worker/run_other.rs")]
mod run;

use run::ProcessGroup;

/// Most programs that run at a time, whatever the server requests.
const RUNS_MAX: usize = 128;
/// The search path of programs; they get no other variable of the server's environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The part of each of a program's outputs that is kept.
const OUTPUT_BYTES_MAX: usize = 4096;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by a signal.
    Killed,
    /// It timed out and was killed.
    TimedOut,
    /// It could not be started; the reason.
    NotStarted(String),
}

/// The result of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramOutcome {
    /// How it ended.
    pub end: ProgramEnd,
    /// The beginning of its standard output.
    pub out: Vec<u8>,
    /// The beginning of its standard error.
    pub err: Vec<u8>,
}

/// A program to run, and its input.
struct Execution<'a> {
    id: u64,
    body: &'a [u8],
    time_max: Duration,
}

/// A program that may be started.
struct AllowedProgram {
    arguments: Vec<Vec<u8>>,
    time_max: Duration,
}

/// The programs that run, by the id of their order.
#[derive(Default)]
struct RunningPrograms(Mutex<RunningGroups>);

#[derive(Default)]
struct RunningGroups {
    groups: HashMap<u64, ProcessGroup>,
    /// The server has ended: programs that start now are killed at once.
    is_over: bool,
}

impl RunningPrograms {
    fn groups(&self) -> MutexGuard<'_, RunningGroups> {
        lock(&self.0)
    }

    fn begins(&self, id: u64, group: ProcessGroup) {
        let mut groups = self.groups();
        if groups.is_over {
            group.kill();
        }
        groups.groups.insert(id, group);
    }

    fn kill(&self, id: u64) {
        if let Some(group) = self.groups().groups.get(&id) {
            group.kill();
        }
    }

    /// Kills the remaining processes of the group. After that its id is never signalled, since the
    /// system may reuse it.
    fn ends(&self, id: u64) {
        if let Some(group) = self.groups().groups.remove(&id) {
            group.kill();
        }
    }

    fn kill_all(&self) {
        let mut groups = self.groups();
        groups.is_over = true;
        groups.groups.values().for_each(ProcessGroup::kill);
    }
}

/// Starts programs until `input` ends.
///
/// # Errors
/// The input is invalid, or the server has ended.
pub fn serve(mut input: impl Read, output: impl Write + Send) -> io::Result<()> {
    let known = programs(&mut input)?;
    let running = RunningPrograms::default();
    let output = Mutex::new(output);
    std::thread::scope(|scope| {
        let ended = loop {
            let parts = match frame::read(&mut input) {
                Ok(Some(parts)) => parts,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            match parse_request(parts) {
                Some(Request::Stop(id)) => {
                    running.kill(id);
                }
                Some(Request::Run(run)) => {
                    let (known, running, output) = (&known, &running, &output);
                    let id = run.id;
                    let act = move || answer(output, run.id, &execute(known, running, &run));
                    let begun = std::thread::Builder::new().spawn_scoped(scope, act);
                    if let Err(error) = begun {
                        let end = ProgramEnd::NotStarted(error.to_string());
                        answer(
                            output,
                            id,
                            &ProgramOutcome { end, out: Vec::new(), err: Vec::new() },
                        );
                    }
                }
                None => break Err(io::ErrorKind::InvalidData.into()),
            }
        };
        running.kill_all();
        ended
    })
}

/// Reads the list of programs, up to the frame that ends it.
fn programs(input: &mut impl Read) -> io::Result<Vec<AllowedProgram>> {
    let mut known = Vec::new();
    while let Some(parts) = frame::read(input)? {
        let mut parts = parts.into_iter();
        match parts.next().as_deref() {
            Some(b"begin") => return Ok(known),
            Some(b"program") if known.len() < PROGRAMS_MAX => {
                let time_max = parts.next().as_deref().and_then(millis);
                let time_max = time_max.ok_or(io::ErrorKind::InvalidData)?;
                known.push(AllowedProgram { arguments: parts.collect(), time_max });
            }
            _ => break,
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "this command is internal to wharf"))
}

/// More than any configuration has.
const PROGRAMS_MAX: usize = 1000;

enum Request {
    Run(RunRequest),
    Stop(u64),
}

struct RunRequest {
    id: u64,
    program: usize,
    body: Vec<u8>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
}

fn parse_request(parts: Vec<Vec<u8>>) -> Option<Request> {
    let mut parts = parts.into_iter();
    match parts.next()?.as_slice() {
        b"stop" => Some(Request::Stop(number(&parts.next()?)?)),
        b"run" => {
            let id = number(&parts.next()?)?;
            let program = usize::try_from(number(&parts.next()?)?).ok()?;
            let body = parts.next()?;
            let mut variables = Vec::new();
            while let Some(name) = parts.next() {
                variables.push((name, parts.next()?));
            }
            Some(Request::Run(RunRequest { id, program, body, variables }))
        }
        _ => None,
    }
}

fn execute(
    known: &[AllowedProgram],
    running: &RunningPrograms,
    run: &RunRequest,
) -> ProgramOutcome {
    let not = |why: String| ProgramOutcome {
        end: ProgramEnd::NotStarted(why),
        out: Vec::new(),
        err: Vec::new(),
    };
    let Some(program) = known.get(run.program) else { return not("no such program".to_owned()) };
    if running.groups().groups.len() >= RUNS_MAX {
        return not("too many programs are running".to_owned());
    }
    let mut command = match command(program, run) {
        Ok(command) => command,
        Err(why) => return not(why),
    };
    let order = Execution { id: run.id, body: &run.body, time_max: program.time_max };
    run::run(&mut command, &order, running).unwrap_or_else(|error| not(error.to_string()))
}

/// The command line: an argument that is exactly `{name}` is replaced by that variable of the
/// event, byte for byte, without further interpretation.
fn command(program: &AllowedProgram, run: &RunRequest) -> Result<Command, String> {
    let mut arguments = program.arguments.iter().map(|argument| {
        let name = argument.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        let Some(name) = name else { return argument.as_slice() };
        let found = run.variables.iter().find(|(known, _)| known == name);
        found.map_or(&b""[..], |(_, value)| value)
    });
    let first = arguments.next().ok_or_else(|| "the command is empty".to_owned())?;
    let mut command = Command::new(run::text(first)?);
    for argument in arguments {
        command.arg(run::text(argument)?);
    }
    command.env_clear();
    run::pass_environment(&mut command);
    command.env("PATH", PATH);
    for (name, value) in &run.variables {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        command.env(format!("WHARF_{name}"), run::text(value)?);
    }
    command.current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn answer(output: &Mutex<impl Write>, id: u64, outcome: &ProgramOutcome) {
    let (kind, detail) = match &outcome.end {
        ProgramEnd::Exited(code) => ("exited", code.to_string()),
        ProgramEnd::Killed => ("killed", String::new()),
        ProgramEnd::TimedOut => ("timed-out", String::new()),
        ProgramEnd::NotStarted(why) => ("not-started", why.clone()),
    };
    let id = id.to_string();
    let parts = [id.as_bytes(), kind.as_bytes(), detail.as_bytes(), &outcome.out, &outcome.err];
    let mut output = lock(output);
    // If the server has ended, so does the input next.
    let _ = frame::write(&mut *output, &parts);
}

/// Parses a result sent by [`serve`]: the id of the order, and the outcome.
pub(crate) fn answered(parts: Vec<Vec<u8>>) -> Option<(u64, ProgramOutcome)> {
    let [id, kind, detail, out, err] = <[Vec<u8>; 5]>::try_from(parts).ok()?;
    let detail = String::from_utf8_lossy(&detail).into_owned();
    let end = match kind.as_slice() {
        b"exited" => ProgramEnd::Exited(detail.parse().ok()?),
        b"killed" => ProgramEnd::Killed,
        b"timed-out" => ProgramEnd::TimedOut,
        _ => ProgramEnd::NotStarted(detail),
    };
    Some((number(&id)?, ProgramOutcome { end, out, err }))
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn millis(text: &[u8]) -> Option<Duration> {
    number(text).map(Duration::from_millis)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
