//! The commands that monitor or control the running server through its API.

pub(crate) mod sessions;
mod summary;
pub(crate) mod text;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wharf_admin::client::{AdminClient, RequestError};
use wharf_admin::model::{EmptyResponse, Kick, Kicked, Reloaded, Session, Status, Stop, Upgraded};
use wharf_config::outcome::{Exit, Failure, print, print_error};
use wharf_config::standard_paths;

use crate::cli::{GlobalArgs, running_server};
use crate::json::json_line;
use crate::setup::{config_file, inputs, note};

/// `wharf status`.
pub(crate) fn status(
    global: &GlobalArgs,
    options: &running_server::StatusArgs,
) -> Result<Exit, Failure> {
    let status: Status =
        run_request(async { client(global, &options.reach).get("/v1/status").await })?;
    print(&if options.json { json_line(&status) } else { summary::screen(&status) })?;
    Ok(Exit::Done)
}

/// `wharf who`.
pub(crate) fn who(global: &GlobalArgs, options: &running_server::WhoArgs) -> Result<Exit, Failure> {
    let filter_by = sessions::SessionFilter::of(&options.filter)?;
    let all: Vec<Session> =
        run_request(async { client(global, &options.reach).get("/v1/sessions").await })?;
    let fitting = all.iter().filter(|session| filter_by.fits(session));
    if options.json {
        print(&fitting.map(json_line).collect::<String>())?;
    } else {
        print(&sessions::table(&fitting.collect::<Vec<_>>(), options.wide))?;
    }
    Ok(Exit::Done)
}

/// `wharf kick`.
pub(crate) fn kick(
    global: &GlobalArgs,
    options: &running_server::KickArgs,
) -> Result<Exit, Failure> {
    let is_empty = options.sessions.is_empty() && options.user.is_empty() && options.ip.is_empty();
    if is_empty && !options.all {
        return Err(Failure::usage("missing argument: [SESSION]..., --user, --ip or --all")
            .hint("list sessions:  wharf who"));
    }
    let kick = Kick {
        sessions: options.sessions.clone(),
        users: options.user.clone(),
        addresses: options.ip.clone(),
        all: options.all,
        after_transfer: options.after_transfer,
        reason: options.reason.clone(),
        ban_seconds: options.ban.map(|time| time.as_secs()),
    };
    let kicked: Kicked =
        run_request(async { client(global, &options.reach).post("/v1/kick", &kick).await })?;
    if options.json {
        print(&json_line(&kicked))?;
    } else {
        print(&sessions::kicked(&kicked, options.after_transfer))?;
        if kicked.sessions.is_empty() {
            let failure = Failure::new(no_match(options)).hint("list sessions:  wharf who");
            return Err(Failure { exit: Exit::NotFound, ..failure });
        }
    }
    Ok(if kicked.sessions.is_empty() { Exit::NotFound } else { Exit::Done })
}

/// The error of `wharf kick` if no session matches.
fn no_match(options: &running_server::KickArgs) -> String {
    if options.all {
        return "there are no sessions".to_owned();
    }
    let sessions = options.sessions.iter().map(u64::to_string);
    let users = options.user.iter().map(|user| format!("--user {}", user.escape_debug()));
    let addresses = options.ip.iter().map(|ip| format!("--ip {ip}"));
    let given: Vec<_> = sessions.chain(users).chain(addresses).collect();
    format!("no session matches {}", given.join(", "))
}

/// `wharf log`.
pub(crate) fn log(global: &GlobalArgs, options: &running_server::LogArgs) -> Result<Exit, Failure> {
    let mut path = format!("/v1/log?lines={}&follow={}", options.lines, options.follow);
    if let Some(session) = options.session {
        let _ = write!(path, "&{}", log_of_session(session));
    }
    let mut ended = Ok(());
    run_request(async {
        let take = |piece: &[u8]| {
            if ended.is_ok() {
                ended = print(&String::from_utf8_lossy(piece));
            }
        };
        client(global, &options.reach).follow(&path, take).await
    })?;
    ended.map(|()| Exit::Done)
}

/// The query for the log lines of one session. A running server of an earlier version has only
/// the second name.
pub(crate) fn log_of_session(number: u64) -> String {
    format!("session_id={number}&session={number}")
}

/// `wharf reload`.
pub(crate) fn reload(
    global: &GlobalArgs,
    options: &running_server::ReloadArgs,
) -> Result<Exit, Failure> {
    if options.binary {
        return upgrade(global, options);
    }
    let result = run_request(async {
        client(global, &options.reach).post("/v1/reload", &EmptyResponse {}).await
    });
    let reloaded: Reloaded = result.map_err(|failure| match failure.exit {
        Exit::Failed => Failure { exit: Exit::ConfigInvalid, ..failure },
        _ => failure,
    })?;
    if options.json {
        print(&json_line(&reloaded))?;
        return Ok(Exit::Done);
    }
    for warning in &reloaded.warnings {
        print_error(&format!("warning: {warning}\n"));
    }
    print(&summary::reloaded(&reloaded))?;
    Ok(Exit::Done)
}

/// `wharf reload --binary`.
fn upgrade(global: &GlobalArgs, options: &running_server::ReloadArgs) -> Result<Exit, Failure> {
    let upgraded = run_request(async { client(global, &options.reach).upgrade().await })?;
    if options.json {
        print(&json_line(&upgraded))?;
        return Ok(Exit::Done);
    }
    let Upgraded { pid, old_pid, sessions } = upgraded;
    print(&format!(
        "process {pid} accepts new connections; {} in process {old_pid}, which exits \
         after them\n",
        match sessions {
            1 => "1 session continues".to_owned(),
            _ => format!("{sessions} sessions continue"),
        }
    ))?;
    Ok(Exit::Done)
}

/// `wharf stop`.
pub(crate) fn stop(
    global: &GlobalArgs,
    options: &running_server::StopArgs,
) -> Result<Exit, Failure> {
    let stop = Stop { grace_seconds: options.grace.map(|time| time.as_secs()) };
    let _: EmptyResponse =
        run_request(async { client(global, &options.reach).post("/v1/stop", &stop).await })?;
    print("the server accepts no more clients and stops after running transfers\n")?;
    Ok(Exit::Done)
}

/// The server at the given socket, else at that of the configuration, else at the first standard
/// path that exists.
pub(crate) fn client(global: &GlobalArgs, reach: &running_server::SocketArgs) -> AdminClient {
    let named = reach.socket.clone().or_else(|| configured(global));
    let socket = named.unwrap_or_else(|| {
        let places = standard_paths::control_sockets();
        let first = places.first().cloned().unwrap_or_default();
        places.into_iter().find(|path| path.exists()).unwrap_or(first)
    });
    AdminClient::new(&socket)
}

/// The running server of a configuration file, if it can be reached; the server at the standard
/// socket may be another one.
pub(crate) async fn server_of(
    client: &AdminClient,
    file: Option<&str>,
    is_named: bool,
) -> Option<Status> {
    let status = client.get::<Status>("/v1/status").await.ok()?;
    (is_named || status.config.as_deref() == file).then_some(status)
}

/// The reason why a running server cannot open a folder; none if it can.
pub(crate) fn beyond_sandbox(server: &Status, folder: &Path) -> Option<String> {
    let folders = server.sandbox_folders.as_ref()?;
    // A missing folder is created below an existing one.
    let there = folder.ancestors().find_map(|above| std::fs::canonicalize(above).ok());
    let covers = |root: &String| {
        folder.starts_with(root) || there.as_ref().is_some_and(|there| there.starts_with(root))
    };
    (!folders.iter().any(covers)).then(|| {
        let folder = folder.display();
        format!("the sandbox of the running server does not include {folder}")
    })
}

/// The hint for that.
pub(crate) const RESTART: &str =
    "restart wharf; add a parent folder to server.homes to avoid restarts for new accounts";

/// The socket of the configuration; none if it is invalid, so that these commands still work.
fn configured(global: &GlobalArgs) -> Option<PathBuf> {
    let file = config_file(global);
    if let Some(missing) = file.as_ref().filter(|file| matches!(file.try_exists(), Ok(false))) {
        note(&format!("configuration file not found: {}", missing.display()));
    }
    let loaded = wharf_config::Loaded::load(&inputs(global, file, Vec::new()));
    loaded.config.control.socket.0
}

/// Runs a request to completion.
pub(crate) fn run_request<T>(
    question: impl Future<Output = Result<T, RequestError>>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot create an event loop", &error))?;
    runtime.block_on(question).map_err(|error| failure(&error))
}

fn failure(error: &RequestError) -> Failure {
    let reported = Failure::new(error.to_string());
    match error {
        RequestError::NotRunning { .. } => Failure {
            exit: Exit::NotRunning,
            ..reported.hint("start it:  wharf serve   or give its socket: --socket PATH")
        },
        RequestError::NotASocket(_) => Failure {
            exit: Exit::NotRunning,
            ..reported
                .hint("give the socket of the server: --socket PATH, as control.socket sets it")
        },
        RequestError::Forbidden(_) => Failure {
            exit: Exit::Forbidden,
            ..reported.hint("use sudo, or become a member of the group control.group")
        },
        RequestError::Failed(_) => Failure { exit: Exit::NotRunning, ..reported },
        RequestError::Rejected { status, problem } => {
            let exit = match status {
                404 => Exit::NotFound,
                400 => Exit::Usage,
                _ => Exit::Failed,
            };
            Failure { exit, hint: problem.hint.clone(), ..reported }
        }
    }
}
