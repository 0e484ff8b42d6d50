//! Windows: a service under a dedicated virtual account.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use wharf_config::outcome::{Exit, Failure, plain, print, print_error};
use wharf_runtime::os::{SERVICE, appended, become_service, private_folder};
use windows_service::Error;
use windows_service::service::{
    Service, ServiceAccess, ServiceAction, ServiceActionType, ServiceErrorControl,
    ServiceFailureActions, ServiceFailureResetPeriod, ServiceInfo, ServiceStartType, ServiceState,
    ServiceType,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};

use super::{ServiceSetup, firewall};
use crate::cli::GlobalArgs;
use crate::cli::serve::ServeArgs;
use crate::cli::service::{InstallArgs, ServiceFileKind};
use crate::serve_command;
use crate::setup::{config_file, inputs, load};

/// Default of `--user`: the virtual account of the service, which Windows creates.
const OWN_USER: &str = "wharf";
const OWN_ACCOUNT: &str = r"NT SERVICE\wharf";
const DISPLAY_NAME: &str = "wharf FTP server";
const ABOUT: &str = "Serves files over FTP and FTPS. Settings: see  wharf config path";
/// Delays of restarts after crashes; the last one repeats.
const RESTARTS: &[Duration] =
    &[Duration::from_secs(2), Duration::from_secs(10), Duration::from_mins(1)];
/// Period after which the count of crashes is reset.
const RESET: Duration = Duration::from_hours(24);
/// Time to exit, in addition to the time for transfers to finish.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// Interval and number of polls while a service starts or stops.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
const POLLS_MAX: u32 = 600;
/// Error codes of Windows.
const ACCESS_DENIED: i32 = 5;
const NOT_STARTED_AS_SERVICE: i32 = 1063;
const ALREADY_RUNNING: i32 = 1056;
const NOT_INSTALLED: i32 = 1060;
const NOT_RUNNING: i32 = 1062;
const ALREADY_INSTALLED: i32 = 1073;

/// Windows does not have service files.
pub(super) fn own_kind() -> Option<ServiceFileKind> {
    None
}

/// Creates the service, grants its account access to the served folders, and starts it.
pub(super) fn install(setup: &ServiceSetup, options: &InstallArgs) -> Result<Exit, Failure> {
    if options.root.is_some() {
        return Err(Failure::usage("--root is supported only on Linux and macOS"));
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
            return Err(Failure::new(format!("service `{SERVICE}` already exists"))
                .hint("replace it:  wharf service install --force"));
        }
        made => made.map_err(|error| failed("create the service", &error, "install"))?,
    };
    if let Err(error) = describe(&service, setup) {
        print_error(&format!(
            "warning: the service will not restart by itself: {}\n",
            message_of(&error)
        ));
    }
    print_error(&format!("created the service `{SERVICE}`, which runs as {account}\n"));
    for (path, permissions) in needed(setup) {
        grant(&path, account, permissions);
    }
    if options.firewall {
        let words = setup.openings().netsh(&setup.program);
        run_program("netsh", &words).map_err(|why| {
            Failure::new(format!("cannot add a firewall rule: {why}"))
                .hint("add it manually: Windows Defender Firewall, inbound rules")
        })?;
        print_error(&format!("added the firewall rule \"{}\"\n", firewall::RULE));
    }
    if !options.no_start {
        service.start::<&str>(&[]).map_err(|error| failed("start the service", &error, "start"))?;
        arrive(&service, ServiceState::Running)?;
        print_error("wharf is running and starts at boot; to check:  wharf service status\n");
    }
    Ok(Exit::Done)
}

fn info(setup: &ServiceSetup, account: &str) -> ServiceInfo {
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

/// Sets the description, and the actions after a crash and at shutdown.
fn describe(service: &Service, setup: &ServiceSetup) -> Result<(), Error> {
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

/// Paths that the service account must access, with permissions in the syntax of `icacls`.
fn needed(setup: &ServiceSetup) -> Vec<(PathBuf, &'static str)> {
    let tls = &setup.config.tls;
    let read = [Some(&setup.path), Some(&setup.program)].into_iter().flatten();
    let read = read.chain([&tls.certificate.0, &tls.private_key.0].into_iter().flatten());
    let change = setup.writable();
    let change = change.iter().chain(setup.config.server.state_dir.0.iter());
    let read = read.map(|path| (path.clone(), "(RX)"));
    read.chain(change.map(|path| (path.clone(), "(OI)(CI)(M)"))).collect()
}

/// Errors are only warnings; the service reports inaccessible files itself.
fn grant(path: &Path, account: &str, permissions: &str) {
    let to = format!("{account}:{permissions}");
    let words = [path.display().to_string(), "/grant".to_owned(), to, "/Q".to_owned()];
    if let Err(why) = run_program("icacls", &words) {
        let path = path.display();
        print_error(&format!("warning: cannot grant {account} access to {path}: {why}\n"));
    }
}

/// Stops and removes the service and its firewall rule.
pub(super) fn uninstall(root: Option<&Path>) -> Result<Exit, Failure> {
    if root.is_some() {
        return Err(Failure::usage("--root is supported only on Linux and macOS"));
    }
    let access = ServiceAccess::STOP | ServiceAccess::DELETE | ServiceAccess::QUERY_STATUS;
    let service = open(access, "uninstall")?;
    halt(&service)?;
    service.delete().map_err(|error| failed("remove the service", &error, "uninstall"))?;
    print_error(&format!("removed the service `{SERVICE}`\n"));
    // It also fails if the rule does not exist.
    let _ = run_program("netsh", &firewall::netsh_forget());
    print_error("configuration, accounts and files were kept\n");
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

/// Prints in one line whether it is installed and running; exit code 0 if it runs, 3 if not.
pub(super) fn status() -> Result<Exit, Failure> {
    let manager = manager(ServiceManagerAccess::CONNECT, "status")?;
    let service = match manager.open_service(SERVICE, ServiceAccess::QUERY_STATUS) {
        Err(error) if number(&error) == Some(NOT_INSTALLED) => {
            print("not installed; to install it:  wharf service install\n")?;
            return Ok(Exit::NotRunning);
        }
        opened => opened.map_err(|error| failed("query the service", &error, "status"))?,
    };
    let state =
        service.query_status().map_err(|error| failed("query the service", &error, "status"))?;
    let word = match state.current_state {
        ServiceState::Running => {
            print("installed and running\n")?;
            return Ok(Exit::Done);
        }
        ServiceState::StartPending => "starting",
        ServiceState::StopPending => "stopping",
        _ => "stopped",
    };
    print(&format!("installed, not running ({word}); start it:  wharf service start\n"))?;
    Ok(Exit::NotRunning)
}

/// Serves as the service. Without `log.file`, it logs to a file in the state folder, since the
/// output of a service is discarded.
fn serve_with_log(global: &GlobalArgs) -> u8 {
    let mut global = global.clone();
    let loaded = load(&inputs(&global, config_file(&global), Vec::new()), false);
    let log = match &loaded {
        Ok(loaded) => {
            let own = loaded.config.state_folder().join("wharf.log");
            let named = loaded.config.log.file.0.clone();
            if named.is_none() {
                let _ = private_folder(&loaded.config.state_folder());
                global.set.push(("log.file".to_owned(), own.display().to_string()));
            }
            named.unwrap_or(own)
        }
        Err(_) => wharf_config::standard_paths::state_folder().join("wharf.log"),
    };
    let served = loaded.and_then(|_| {
        serve_command::serve(&global, &ServeArgs { foreground_log: true, ..ServeArgs::default() })
    });
    match served {
        Ok(exit) => exit.number(),
        Err(failure) => {
            let hint = failure.hint.unwrap_or_default();
            if let Ok(mut file) = appended().open(log) {
                let _ = writeln!(file, "error: {} {hint}", failure.message);
            }
            failure.exit.number()
        }
    }
}

/// Entry point for the service control manager.
pub(super) fn serve(global: &GlobalArgs) -> Result<Exit, Failure> {
    let global = global.clone();
    match become_service(Box::new(move || serve_with_log(&global))) {
        Ok(()) => Ok(Exit::Done),
        Err(error) if number(&error) == Some(NOT_STARTED_AS_SERVICE) => Err(Failure::usage(
            "this command is internal, started only by the Windows service control manager",
        )
        .hint("to serve:  wharf serve   to start the service:  wharf service start")),
        Err(error) => Err(failed("run as a service", &error, "start")),
    }
}

fn manager(access: ServiceManagerAccess, verb: &str) -> Result<ServiceManager, Failure> {
    ServiceManager::local_computer(None::<&str>, access)
        .map_err(|error| failed("connect to the service control manager", &error, verb))
}

fn open(access: ServiceAccess, verb: &str) -> Result<Service, Failure> {
    let manager = manager(ServiceManagerAccess::CONNECT, verb)?;
    manager.open_service(SERVICE, access).map_err(|error| match number(&error) {
        Some(NOT_INSTALLED) => Failure {
            exit: Exit::NotRunning,
            ..Failure::new(format!("service `{SERVICE}` is not installed"))
                .hint("install it:  wharf service install")
        },
        _ => failed("open the service", &error, verb),
    })
}

/// Waits until it is running.
fn arrive(service: &Service, wanted: ServiceState) -> Result<(), Failure> {
    for _ in 0..POLLS_MAX {
        let state = service
            .query_status()
            .map_err(|error| failed("query the service", &error, "status"))?;
        if state.current_state == wanted {
            return Ok(());
        }
        if state.current_state == ServiceState::Stopped {
            return Err(Failure::new("the service stopped immediately after its start")
                .hint("see its log `wharf.log` in the state folder"));
        }
        sleep(POLL_INTERVAL);
    }
    Err(Failure::new("timeout while waiting for the service")
        .hint("check again later:  wharf service status"))
}

/// Runs a system program; its output is part of the error.
fn run_program(program: &str, words: &[String]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|error| plain(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&printed).split_whitespace().collect::<Vec<_>>().join(" "))
}

fn failed(what: &str, error: &Error, verb: &str) -> Failure {
    let failure = Failure::new(format!("cannot {what}: {}", message_of(error)));
    if number(error) != Some(ACCESS_DENIED) {
        return failure;
    }
    Failure { exit: Exit::Forbidden, ..failure }.hint(format!(
        "open a terminal with \"Run as administrator\", then  \
         wharf service {verb}"
    ))
}

fn message_of(error: &Error) -> String {
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
