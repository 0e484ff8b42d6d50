//! Programs that end in every way, run by a worker in this process.

use std::io::PipeWriter;
use std::thread::JoinHandle;

use super::*;

/// A worker with some programs.
struct WorkerFixture {
    orders: PipeWriter,
    answers: io::PipeReader,
    worker: JoinHandle<io::Result<()>>,
}

fn bench(programs: &[(&[&str], u64)]) -> WorkerFixture {
    let (input, mut orders) = io::pipe().unwrap();
    let (answers, output) = io::pipe().unwrap();
    let worker = std::thread::spawn(move || serve(input, output));
    for (arguments, millis) in programs {
        let millis = millis.to_string();
        let mut parts = vec![&b"program"[..], millis.as_bytes()];
        parts.extend(arguments.iter().map(|argument| argument.as_bytes()));
        frame::write(&mut orders, &parts).unwrap();
    }
    frame::write(&mut orders, &[b"begin"]).unwrap();
    WorkerFixture { orders, answers, worker }
}

impl WorkerFixture {
    fn run(&mut self, id: &str, program: &str, body: &[u8], variables: &[(&str, &[u8])]) {
        let mut parts = vec![&b"run"[..], id.as_bytes(), program.as_bytes(), body];
        for (name, value) in variables {
            parts.extend([name.as_bytes(), value]);
        }
        frame::write(&mut self.orders, &parts).unwrap();
    }

    fn next_result(&mut self) -> (u64, ProgramOutcome) {
        answered(frame::read(&mut self.answers).unwrap().unwrap()).unwrap()
    }

    fn ends(self) {
        drop(self.orders);
        self.worker.join().unwrap().unwrap();
    }
}

const LONG: u64 = 60_000;

fn shell(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

#[test]
fn row_21_arguments_and_environment_are_the_event_byte_for_byte_and_nothing_else() {
    let script = "printf '%s|' \"$@\"; env | sort | tr '\\n' '|'; cat >&2";
    let program = [&shell(script)[..], &["name", "{path}", "{missing}", "a{path}"]].concat();
    let mut bench = bench(&[(&program, LONG)]);
    let path = b"/a b\"$(touch /tmp/x)`id`;\xff\n*'";
    bench.run("7", "0", b"{\"a\":1}", &[("path", path), ("event", b"upload")]);
    let (id, outcome) = bench.next_result();
    assert_eq!((id, &outcome.end), (7, &ProgramEnd::Exited(0)));
    let out = String::from_utf8_lossy(&outcome.out).into_owned();
    let reported = String::from_utf8_lossy(path).into_owned();
    assert!(out.starts_with(&format!("{reported}||a{{path}}|")), "{out}");
    let rest = out.split_once("a{path}|").unwrap().1.replace('|', "\n");
    let names: Vec<_> =
        rest.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"WHARF_PATH") && names.contains(&"WHARF_EVENT"), "{names:?}");
    let of_the_shell = ["PATH", "PWD", "OLDPWD", "SHLVL", "_"];
    for name in names {
        assert!(name.starts_with("WHARF_") || of_the_shell.contains(&name), "{name}");
    }
    assert_eq!(outcome.err, b"{\"a\":1}");
    bench.ends();
}

#[test]
fn every_kind_of_exit_is_reported() {
    let mut bench = bench(&[
        (&shell("exit 3"), LONG),
        (&shell("kill -9 $$"), LONG),
        (&["/no/such/program"], LONG),
        (&shell("echo begun; sleep 1000"), 100),
    ]);
    for (program, end) in
        [("0", ProgramEnd::Exited(3)), ("1", ProgramEnd::Killed), ("3", ProgramEnd::TimedOut)]
    {
        bench.run("1", program, b"", &[]);
        assert_eq!(bench.next_result().1.end, end);
    }
    bench.run("2", "2", b"", &[]);
    let end = bench.next_result().1.end;
    assert!(matches!(end, ProgramEnd::NotStarted(why) if why.contains("No such file")));
    bench.run("3", "9", b"", &[]);
    assert!(matches!(bench.next_result().1.end, ProgramEnd::NotStarted(_)));
    bench.ends();
}

#[test]
fn output_is_bounded_and_unread_input_does_not_block() {
    let mut bench = bench(&[(&shell("head -c 1000000 /dev/zero; exit 0"), LONG)]);
    bench.run("1", "0", &vec![b'x'; 300_000], &[]);
    let (_, outcome) = bench.next_result();
    assert_eq!((outcome.end, outcome.out.len()), (ProgramEnd::Exited(0), OUTPUT_BYTES_MAX));
    bench.ends();
}

/// A reader at the end of a pipe that only the program and its children have open.
#[test]
fn children_of_a_program_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = format!("exec 9>'{}'; sleep 1000 & exit 0", pipe.display());
    let mut bench = bench(&[(&shell(&script), LONG)]);
    bench.run("1", "0", b"", &[]);
    // It ends only with the last of them.
    let mut text = String::new();
    std::fs::File::open(&pipe).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(bench.next_result().1.end, ProgramEnd::Exited(0));
    bench.ends();
}

#[test]
fn the_end_of_the_server_and_a_stop_end_programs_that_run() {
    let mut bench = bench(&[(&shell("sleep 1000"), LONG)]);
    bench.run("1", "0", b"", &[]);
    // The program may not have started yet: then a later stop ends it.
    for _ in 0..60_000 {
        frame::write(&mut bench.orders, &[b"stop", b"1"]).unwrap();
        let mut answers =
            [rustix::event::PollFd::new(&bench.answers, rustix::event::PollFlags::IN)];
        let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        if rustix::event::poll(&mut answers, Some(&moment)).unwrap() > 0 {
            break;
        }
    }
    assert_eq!(bench.next_result().1.end, ProgramEnd::Killed);
    bench.run("2", "0", b"", &[]);
    bench.ends();
}

#[test]
fn a_manual_start_gets_an_error() {
    let error = serve(&b""[..], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "this command is internal to wharf");
}
