//! Windows: a service of its manager of services, under an account that has nothing else.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use windows_service::Error;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::{Setup, firewall};
use crate::cli::Global;
use crate::cli::serve::Serve;
use crate::cli::service::{Install, Kind};
use crate::os::{SERVICE, appended, become_service, private_folder};
use crate::outcome::{Exit, Failure, plain, print, tell};
use crate::protection::reach::state_folder;
use crate::serve_command;
use crate::setup::{config_file, inputs, load};

/// `--user` as it is without being said: an account of the service alone, which Windows makes.
const OWN_USER: &str = "wharf";
const OWN_ACCOUNT: &str = r"NT SERVICE\wharf";
const DISPLAY_NAME: &str = "wharf FTP server";
const ABOUT: &str = "Serves files over FTP and FTPS. Settings: see  wharf config path";
/// What follows a crash, one after the other; the last one again and again.
const RESTARTS: &[Duration] =
    &[Duration::from_secs(2), Duration::from_secs(10), Duration::from_mins(1)];
/// Crashes are forgotten after this.
const RESET: Duration = Duration::from_hours(24);
/// Beyond the time that transfers get to finish: for the end of the program itself.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// How often, and how many times, a service is looked at that starts or stops.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS_MAX: u32 = 600;
/// Numbers by which Windows says what is wrong.
const ACCESS_DENIED: i32 = 5;
const NOT_STARTED_AS_SERVICE: i32 = 1063;
const ALREADY_RUNNING: i32 = 1056;
const NOT_INSTALLED: i32 = 1060;
const NOT_RUNNING: i32 = 1062;
const ALREADY_INSTALLED: i32 = 1073;

/// There are no files of services here.
pub(super) fn own_kind() -> Option<Kind> {
    None
}

/// Makes the service, lets its account reach what it serves, and starts it.
pub(super) fn install(setup: &Setup, options: &Install) -> Result<Exit, Failure> {
    if options.root.is_some() {
        return Err(Failure::usage("--root is for images of Linux and macOS"));
    }
    let account = match options.account.user.as_str() {
        OWN_USER => OWN_ACCOUNT,
        other => other,
    };
    let access = ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE;
    let manager = manager(access, "install")?;
    let info = info(setup, account);
    let access = ServiceAccess::CHANGE_CONFIG | ServiceAccess::START | ServiceAccess::QUERY_STATUS;
    let service = match manager.create_service(&info, access) {
        Err(error) if number(&error) == Some(ALREADY_INSTALLED) && options.force => {
            let changed = manager.open_service(SERVICE, access).and_then(|service| {
                service.change_config(&info)?;
                Ok(service)
            });
            changed.map_err(|error| failed("change the service", &error, "install"))?
        }
        Err(error) if number(&error) == Some(ALREADY_INSTALLED) => {
            return Err(Failure::new(format!("there is a service `{SERVICE}` already"))
                .help("make it anew:  wharf service install --force"));
        }
        made => made.map_err(|error| failed("make the service", &error, "install"))?,
    };
    if let Err(error) = describe(&service, setup) {
        tell(&format!("warning: the service will not restart by itself: {}\n", told(&error)));
    }
    tell(&format!("made the service `{SERVICE}`, which runs as {account}\n"));
    for (path, rights) in needed(setup) {
        grant(&path, account, rights);
    }
    if options.firewall {
        let words = setup.openings().netsh(&setup.program);
        run_program("netsh", &words).map_err(|why| {
            Failure::new(format!("the firewall takes no rule: {why}"))
                .help("add it by hand: Windows Defender Firewall, inbound rules")
        })?;
        tell(&format!("the firewall lets clients in by the rule \"{}\"\n", firewall::RULE));
    }
    if !options.no_start {
        service.start::<&str>(&[]).map_err(|error| failed("start it", &error, "start"))?;
        arrive(&service, ServiceState::Running)?;
        tell("wharf runs, and starts with this computer; see:  wharf service status\n");
    }
    Ok(Exit::Done)
}

fn info(setup: &Setup, account: &str) -> ServiceInfo {
    let words: [OsString; 4] =
        ["--config".into(), setup.path.clone().into(), "service".into(), "run".into()];
    ServiceInfo {
        name: SERVICE.into(),
        display_name: DISPLAY_NAME.into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: setup.program.clone(),
        launch_arguments: words.into(),
        dependencies: Vec::new(),
        account_name: Some(account.into()),
        account_password: None,
    }
}

/// Says what it is, and what is to follow a crash and a shutdown of the computer.
fn describe(service: &Service, setup: &Setup) -> Result<(), Error> {
    service.set_description(ABOUT)?;
    let restart =
        |delay: &Duration| ServiceAction { action_type: ServiceActionType::Restart, delay: *delay };
    service.update_failure_actions(ServiceFailureActions {
        reset_period: ServiceFailureResetPeriod::After(RESET),
        reboot_msg: None,
        command: None,
        actions: Some(RESTARTS.iter().map(restart).collect()),
    })?;
    service.set_preshutdown_timeout(setup.config.server.shutdown_grace.0 + STOP_MARGIN)
}

/// What the account of the service must reach, in the words of `icacls`.
fn needed(setup: &Setup) -> Vec<(PathBuf, &'static str)> {
    let tls = &setup.config.tls;
    let read = [Some(&setup.path), Some(&setup.program)].into_iter().flatten();
    let read = read.chain([&tls.certificate.0, &tls.private_key.0].into_iter().flatten());
    let change = setup.writable();
    let change = change.iter().chain(setup.config.server.state_dir.0.iter());
    let read = read.map(|path| (path.clone(), "(RX)"));
    read.chain(change.map(|path| (path.clone(), "(OI)(CI)(M)"))).collect()
}

/// Where it fails the service says so when it meets the file.
fn grant(path: &Path, account: &str, rights: &str) {
    let to = format!("{account}:{rights}");
    let words = [path.display().to_string(), "/grant".to_owned(), to, "/Q".to_owned()];
    if let Err(why) = run_program("icacls", &words) {
        let path = path.display();
        tell(&format!("warning: {account} may be unable to reach {path}: {why}\n"));
    }
}

/// Stops the service, and takes it and its rule of the firewall away.
pub(super) fn uninstall(root: Option<&Path>) -> Result<Exit, Failure> {
    if root.is_some() {
        return Err(Failure::usage("--root is for images of Linux and macOS"));
    }
    let access = ServiceAccess::STOP | ServiceAccess::DELETE | ServiceAccess::QUERY_STATUS;
    let service = open(access, "uninstall")?;
    halt(&service)?;
    service.delete().map_err(|error| failed("remove the service", &error, "uninstall"))?;
    tell(&format!("removed the service `{SERVICE}`\n"));
    // It fails where there is no such rule, too.
    let _ = run_program("netsh", &firewall::netsh_forget());
    tell("config, accounts and files stay where they are\n");
    Ok(Exit::Done)
}

pub(super) fn start() -> Result<Exit, Failure> {
    let service = open(ServiceAccess::START | ServiceAccess::QUERY_STATUS, "start")?;
    match service.start::<&str>(&[]) {
        Err(error) if number(&error) != Some(ALREADY_RUNNING) => {
            return Err(failed("start the service", &error, "start"));
        }
        _ => arrive(&service, ServiceState::Running)?,
    }
    Ok(Exit::Done)
}

pub(super) fn stop() -> Result<Exit, Failure> {
    halt(&open(ServiceAccess::STOP | ServiceAccess::QUERY_STATUS, "stop")?)?;
    Ok(Exit::Done)
}

fn halt(service: &Service) -> Result<(), Failure> {
    match service.stop() {
        Err(error) if number(&error) == Some(NOT_RUNNING) => Ok(()),
        Err(error) => Err(failed("stop the service", &error, "stop")),
        Ok(_) => arrive(service, ServiceState::Stopped),
    }
}

/// Says in one line whether it is installed and running: exit 0 if it runs, 3 if not.
pub(super) fn status() -> Result<Exit, Failure> {
    let manager = manager(ServiceManagerAccess::CONNECT, "status")?;
    let service = match manager.open_service(SERVICE, ServiceAccess::QUERY_STATUS) {
        Err(error) if number(&error) == Some(NOT_INSTALLED) => {
            print("not installed; make wharf start with the computer:  wharf service install\n")?;
            return Ok(Exit::NotRunning);
        }
        opened => opened.map_err(|error| failed("ask for the service", &error, "status"))?,
    };
    let state = service.query_status().map_err(|error| failed("ask it", &error, "status"))?;
    let word = match state.current_state {
        ServiceState::Running => {
            print("installed and running\n")?;
            return Ok(Exit::Done);
        }
        ServiceState::StartPending => "it is starting",
        ServiceState::StopPending => "it is stopping",
        _ => "it does not run",
    };
    print(&format!("installed, not running ({word}); start it:  wharf service start\n"))?;
    Ok(Exit::NotRunning)
}

/// Serves as the service. Without a file for its log it makes one beside its state, for nobody
/// reads what a service says.
fn serve_with_log(global: &Global) -> u8 {
    let mut global = global.clone();
    let loaded = load(&inputs(&global, config_file(&global), Vec::new()), false);
    let log = match &loaded {
        Ok(loaded) => {
            let own = state_folder(&loaded.config).join("wharf.log");
            let named = loaded.config.log.file.0.clone();
            if named.is_none() {
                let _ = private_folder(&state_folder(&loaded.config));
                global.set.push(("log.file".to_owned(), own.display().to_string()));
            }
            named.unwrap_or(own)
        }
        Err(_) => crate::place::state_folder().join("wharf.log"),
    };
    let served = loaded.and_then(|_| {
        serve_command::serve(&global, &Serve { foreground_log: true, ..Serve::default() })
    });
    match served {
        Ok(exit) => exit.number(),
        Err(failure) => {
            let help = failure.help.unwrap_or_default();
            if let Ok(mut file) = appended().open(log) {
                let _ = writeln!(file, "error: {} {help}", failure.message);
            }
            failure.exit.number()
        }
    }
}

/// What the manager of services starts.
pub(super) fn serve(global: &Global) -> Result<Exit, Failure> {
    let global = global.clone();
    match become_service(Box::new(move || serve_with_log(&global))) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if number(&error) == Some(NOT_STARTED_AS_SERVICE) => {
            Err(Failure::usage("only the manager of services of Windows starts wharf like this")
                .help("serve:  wharf serve   or start the service:  wharf service start"))
        }
        Err(error) => Err(failed("become a service", &error, "start")),
    }
}

fn manager(access: ServiceManagerAccess, verb: &str) -> Result<ServiceManager, Failure> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| failed("reach the manager of services", &error, verb))
}

fn open(access: ServiceAccess, verb: &str) -> Result<Service, Failure> {
    let manager = manager(ServiceManagerAccess::CONNECT, verb)?;
    manager.open_service(SERVICE, access).map_err(|error| match number(&error) {
        Some(NOT_INSTALLED) => Failure {
            exit: Exit::NotRunning,
            ..Failure::new(format!("there is no service `{SERVICE}`"))
                .help("make it:  wharf service install")
        },
        _ => failed("open the service", &error, verb),
    })
}

/// Waits until it is there.
fn arrive(service: &Service, wanted: ServiceState) -> Result<(), Failure> {
    for _ in 0..LOOKS_MAX {
        let state = service.query_status().map_err(|error| failed("ask it", &error, "status"))?;
        if state.current_state == wanted {
            return Ok(());
        }
        if state.current_state == ServiceState::Stopped {
            return Err(Failure::new("the service started and ended at once")
                .help("its log says why; it is `wharf.log` in the folder of its state"));
        }
        sleep(LOOK_EVERY);
    }
    Err(Failure::new("the service takes longer than it should")
        .help("look again later:  wharf service status"))
}

/// Runs a program of the system to its end; its own words are told where it fails.
fn run_program(program: &str, words: &[String]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| plain(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" "))
}

fn failed(what: &str, error: &Error, verb: &str) -> Failure {
    let failure = Failure::new(format!("cannot {what}: {}", told(error)));
    if number(error) != Some(ACCESS_DENIED) {
        return failure;
    }
    Failure { exit: Exit::Forbidden, ..failure }.help(format!(
        "services belong to administrators: open a terminal with \"Run as administrator\", then  \
         wharf service {verb}"
    ))
}

fn told(error: &Error) -> String {
    match error {
        Error::Winapi(error) => plain(error),
        other => other.to_string(),
    }
}

fn number(error: &Error) -> Option<i32> {
    match error {
        Error::Winapi(error) => error.raw_os_error(),
        _ => None,
    }
}
