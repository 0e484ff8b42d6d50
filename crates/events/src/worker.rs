//! The process that starts programs.
//!
//! A server that is confined may start none, so this process begins before that, with the list of
//! all that may ever be started. Whoever takes over the server can give those other events, and
//! nothing else. It reads frames from its standard input and answers on its standard output; when
//! its input ends it ends everything that it started, and itself.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::frame;

#[cfg_attr(unix, path = "worker/run_unix.rs")]
#[cfg_attr(not(unix), path = "worker/run_other.rs")]
mod run;

use run::Group;

/// Programs that run at a time, whatever the other end asks for.
const RUNS_MAX: usize = 128;
/// Where programs find others; nothing else of the server's environment is theirs.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What is kept of each of a program's two outputs.
const OUTPUT_BYTES_MAX: usize = 4096;

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this number.
    Exited(i32),
    /// By a signal.
    Killed,
    /// It took too long and was ended.
    TimedOut,
    /// It could not be started; why.
    NotStarted(String),
}

/// What a program left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The beginning of its standard output.
    pub out: Vec<u8>,
    /// The beginning of its standard error.
    pub err: Vec<u8>,
}

/// What is asked of a program.
struct Order<'a> {
    id: u64,
    body: &'a [u8],
    time_max: Duration,
}

/// A program that may be started.
struct Known {
    arguments: Vec<Vec<u8>>,
    time_max: Duration,
}

/// The programs that run, by the number of their order.
#[derive(Default)]
struct Running(Mutex<Live>);

#[derive(Default)]
struct Live {
    groups: HashMap<u64, Group>,
    /// The server is gone: whatever begins now ends at once.
    is_over: bool,
}

impl Running {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self, id: u64, group: Group) {
        let mut live = self.live();
        if live.is_over {
            group.kill();
        }
        live.groups.insert(id, group);
    }

    fn kill(&self, id: u64) {
        if let Some(group) = self.live().groups.get(&id) {
            group.kill();
        }
    }

    /// Ends what it left, too. From here on nothing signals its number, which the system may give
    /// to somebody else.
    fn ends(&self, id: u64) {
        if let Some(group) = self.live().groups.remove(&id) {
            group.kill();
        }
    }

    fn kill_all(&self) {
        let mut live = self.live();
        live.is_over = true;
        live.groups.values().for_each(Group::kill);
    }
}

/// Starts programs until `input` ends.
///
/// # Errors
/// What came is no message of a wharf server, or the other end is gone.
pub fn serve(mut input: impl Read, output: impl Write + Send) -> io::Result<()> {
    let known = programs(&mut input)?;
    let running = Running::default();
    let output = Mutex::new(output);
    std::thread::scope(|scope| {
        let ended = loop {
            let parts = match frame::read(&mut input) {
                Ok(Some(parts)) => parts,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            match take(parts) {
                Some(Taken::Stop(id)) => {
                    running.kill(id);
                }
                Some(Taken::Run(run)) => {
                    let (known, running, output) = (&known, &running, &output);
                    let id = run.id;
                    let act = move || answer(output, run.id, &perform(known, running, &run));
                    let begun = std::thread::Builder::new().spawn_scoped(scope, act);
                    if let Err(error) = begun {
                        let end = End::NotStarted(error.to_string());
                        answer(output, id, &Outcome { end, out: Vec::new(), err: Vec::new() });
                    }
                }
                None => break Err(io::ErrorKind::InvalidData.into()),
            }
        };
        running.kill_all();
        ended
    })
}

/// The list of programs, up to the frame that ends it.
fn programs(input: &mut impl Read) -> io::Result<Vec<Known>> {
    let mut known = Vec::new();
    while let Some(parts) = frame::read(input)? {
        let mut parts = parts.into_iter();
        match parts.next().as_deref() {
            Some(b"begin") => return Ok(known),
            Some(b"program") if known.len() < PROGRAMS_MAX => {
                let time_max = parts.next().as_deref().and_then(millis);
                let time_max = time_max.ok_or(io::ErrorKind::InvalidData)?;
                known.push(Known { arguments: parts.collect(), time_max });
            }
            _ => break,
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "this command is for wharf itself"))
}

/// More than any configuration has.
const PROGRAMS_MAX: usize = 1000;

enum Taken {
    Run(Run),
    Stop(u64),
}

struct Run {
    id: u64,
    program: usize,
    body: Vec<u8>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
}

fn take(parts: Vec<Vec<u8>>) -> Option<Taken> {
    let mut parts = parts.into_iter();
    match parts.next()?.as_slice() {
        b"stop" => Some(Taken::Stop(number(&parts.next()?)?)),
        b"run" => {
            let id = number(&parts.next()?)?;
            let program = usize::try_from(number(&parts.next()?)?).ok()?;
            let body = parts.next()?;
            let mut variables = Vec::new();
            while let Some(name) = parts.next() {
                variables.push((name, parts.next()?));
            }
            Some(Taken::Run(Run { id, program, body, variables }))
        }
        _ => None,
    }
}

fn perform(known: &[Known], running: &Running, run: &Run) -> Outcome {
    let not = |why: String| Outcome { end: End::NotStarted(why), out: Vec::new(), err: Vec::new() };
    let Some(program) = known.get(run.program) else { return not("no such program".to_owned()) };
    if running.live().groups.len() >= RUNS_MAX {
        return not("too many programs run already".to_owned());
    }
    let mut command = match command(program, run) {
        Ok(command) => command,
        Err(why) => return not(why),
    };
    let order = Order { id: run.id, body: &run.body, time_max: program.time_max };
    run::run(&mut command, &order, running).unwrap_or_else(|error| not(error.to_string()))
}

/// The program with its arguments: one that is `{name}` alone is what the event says, byte by
/// byte; nothing looks at it again.
fn command(program: &Known, run: &Run) -> Result<Command, String> {
    let mut arguments = program.arguments.iter().map(|argument| {
        let name = argument.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
        let Some(name) = name else { return argument.as_slice() };
        let found = run.variables.iter().find(|(known, _)| known == name);
        found.map_or(&b""[..], |(_, value)| value)
    });
    let first = arguments.next().ok_or_else(|| "it has no name".to_owned())?;
    let mut command = Command::new(run::text(first)?);
    for argument in arguments {
        command.arg(run::text(argument)?);
    }
    command.env_clear();
    run::keep_environment(&mut command);
    command.env("PATH", PATH);
    for (name, value) in &run.variables {
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        command.env(format!("WHARF_{name}"), run::text(value)?);
    }
    command.current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn answer(output: &Mutex<impl Write>, id: u64, outcome: &Outcome) {
    let (kind, detail) = match &outcome.end {
        End::Exited(code) => ("exited", code.to_string()),
        End::Killed => ("killed", String::new()),
        End::TimedOut => ("timed-out", String::new()),
        End::NotStarted(why) => ("not-started", why.clone()),
    };
    let id = id.to_string();
    let parts = [id.as_bytes(), kind.as_bytes(), detail.as_bytes(), &outcome.out, &outcome.err];
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    // Where nobody hears it, the input ends next.
    let _ = frame::write(&mut *output, &parts);
}

/// An answer of [`serve`]: the number of the order, and what came of it.
pub(crate) fn answered(parts: Vec<Vec<u8>>) -> Option<(u64, Outcome)> {
    let [id, kind, detail, out, err] = <[Vec<u8>; 5]>::try_from(parts).ok()?;
    let detail = String::from_utf8_lossy(&detail).into_owned();
    let end = match kind.as_slice() {
        b"exited" => End::Exited(detail.parse().ok()?),
        b"killed" => End::Killed,
        b"timed-out" => End::TimedOut,
        _ => End::NotStarted(detail),
    };
    Some((number(&id)?, Outcome { end, out, err }))
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
