//! Windows: the service control handler and status reports.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState as ReportedState,
    ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};
use windows_service::{define_windows_service, service_dispatcher};

use super::{ServiceState, SignalRequest, StopReason};

/// The service name.
pub const SERVICE: &str = "wharf";
/// Maximum start time: thousands of accounts may be read, and a certificate generated.
const START_MAX: Duration = Duration::from_mins(1);
/// Maximum stop time before Windows considers the service hung. Transfers may finish in it.
const STOP_MAX: Duration = Duration::from_mins(10);

/// The service function; it returns the exit code.
type ServiceFn = Box<dyn Fn() -> u8 + Send + Sync>;

// Windows calls a function without state, so these are global.
static WORK: OnceLock<ServiceFn> = OnceLock::new();
static STATUS: OnceLock<ServiceStatusHandle> = OnceLock::new();
static STOP: Notify = Notify::const_new();
static RELOAD: Notify = Notify::const_new();

define_windows_service!(called_by_windows, service_main);

/// Runs `work` as a service, and returns after the stop has been reported to Windows.
pub fn become_service(work: ServiceFn) -> Result<(), windows_service::Error> {
    let _ = WORK.set(work);
    service_dispatcher::start(SERVICE, called_by_windows)
}

/// Waits for a request of Windows: to stop, or to reload (`sc control wharf paramchange`). Cancel
/// safe. Never completes outside of a service.
pub(super) async fn next_service_control() -> SignalRequest {
    tokio::select! {
        // Stop has priority over reload.
        biased;
        () = STOP.notified() => SignalRequest::Stop(StopReason::Terminate),
        () = RELOAD.notified() => SignalRequest::Reload,
    }
}

/// Reports the state to Windows, if this process is a service.
pub(crate) fn announce(what: ServiceState) {
    match what {
        ServiceState::Ready => report_state(
            ReportedState::Running,
            ServiceControlAccept::STOP
                | ServiceControlAccept::PRESHUTDOWN
                | ServiceControlAccept::PARAM_CHANGE,
            Duration::ZERO,
        ),
        ServiceState::Stopping => {
            report_state(ReportedState::StopPending, ServiceControlAccept::empty(), STOP_MAX);
        }
        // Windows has no equivalent of these states.
        ServiceState::Reloading | ServiceState::Successor(_) | ServiceState::Alive => {}
    }
}

fn service_main(_arguments: Vec<OsString>) {
    let control_handler = |control| match control {
        ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
        ServiceControl::Stop | ServiceControl::Shutdown | ServiceControl::Preshutdown => {
            STOP.notify_one();
            ServiceControlHandlerResult::NoError
        }
        ServiceControl::ParamChange => {
            RELOAD.notify_one();
            ServiceControlHandlerResult::NoError
        }
        _ => ServiceControlHandlerResult::NotImplemented,
    };
    // Without it, Windows considers the service hung and terminates it.
    let Ok(handle) = service_control_handler::register(SERVICE, control_handler) else { return };
    let _ = STATUS.set(handle);
    report_state(ReportedState::StartPending, ServiceControlAccept::empty(), START_MAX);
    let number = WORK.get().map_or(0, |work| work());
    let exit_code = match number {
        0 => ServiceExitCode::Win32(0),
        number => ServiceExitCode::ServiceSpecific(number.into()),
    };
    let stopped = status(ReportedState::Stopped, ServiceControlAccept::empty(), Duration::ZERO);
    let _ = handle.set_service_status(ServiceStatus { exit_code, ..stopped });
}

fn report_state(state: ReportedState, accepted: ServiceControlAccept, wait: Duration) {
    if let Some(handle) = STATUS.get() {
        // A failing report cannot be handled here.
        let _ = handle.set_service_status(status(state, accepted, wait));
    }
}

fn status(state: ReportedState, accepted: ServiceControlAccept, wait: Duration) -> ServiceStatus {
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code: ServiceExitCode::Win32(0),
        checkpoint: 0,
        wait_hint: wait,
        process_id: None,
    }
}
