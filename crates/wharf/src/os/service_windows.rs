//! Windows: what its manager of services asks of us, and what it hears from us.

use std::ffi::OsString;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self, ServiceControlHandlerResult, ServiceStatusHandle,
};
use windows_service::{define_windows_service, service_dispatcher};

use super::{ServiceState, SignalRequest, Stop};

/// The name by which Windows knows us.
pub(crate) const SERVICE: &str = "wharf";
/// How long a start may take: reading accounts of thousands, making a certificate.
const START_MAX: Duration = Duration::from_mins(1);
/// How long a stop may take beyond which Windows thinks that we hang. Transfers may finish in it.
const STOP_MAX: Duration = Duration::from_mins(10);

/// What is done as a service; it returns the number of its end.
type Work = Box<dyn Fn() -> u8 + Send + Sync>;

// Windows calls a function without any state of ours, so there is one place for each of these.
static WORK: OnceLock<Work> = OnceLock::new();
static STATUS: OnceLock<ServiceStatusHandle> = OnceLock::new();
static STOP: Notify = Notify::const_new();
static RELOAD: Notify = Notify::const_new();

define_windows_service!(called_by_windows, service_main);

/// Does `work` as a service, and returns when it is done and Windows knows.
///
/// # Errors
/// We were not started by the manager of services.
pub(crate) fn become_service(work: Work) -> Result<(), windows_service::Error> {
    let _ = WORK.set(work);
    service_dispatcher::start(SERVICE, called_by_windows)
}

/// Waits until Windows wants something of the service: that it stops, or reads its settings anew
/// (`sc control wharf paramchange`). Cancel safe. Without a service: for ever.
pub(super) async fn asked_by_windows() -> SignalRequest {
    tokio::select! {
        // Who wants an end does not care for settings.
        biased;
        () = STOP.notified() => SignalRequest::Stop(Stop::Terminate),
        () = RELOAD.notified() => SignalRequest::Reload,
    }
}

/// Tells Windows how we are, if we are its service.
pub(crate) fn announce(what: ServiceState) {
    match what {
        ServiceState::Ready => tell(
            ServiceState::Running,
            ServiceControlAccept::STOP
                | ServiceControlAccept::PRESHUTDOWN
                | ServiceControlAccept::PARAM_CHANGE,
            Duration::ZERO,
        ),
        ServiceState::Stopping => {
            tell(ServiceState::StopPending, ServiceControlAccept::empty(), STOP_MAX);
        }
        // Windows knows of none of these.
        ServiceState::Reloading | ServiceState::Successor(_) | ServiceState::Alive => {}
    }
}

fn service_main(_arguments: Vec<OsString>) {
    let asked = |control| match control {
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
    // Without it Windows takes us for a program that hangs, and ends us.
    let Ok(handle) = service_control_handler::register(SERVICE, asked) else { return };
    let _ = STATUS.set(handle);
    tell(ServiceState::StartPending, ServiceControlAccept::empty(), START_MAX);
    let number = WORK.get().map_or(0, |work| work());
    let exit_code = match number {
        0 => ServiceExitCode::Win32(0),
        number => ServiceExitCode::ServiceSpecific(number.into()),
    };
    let stopped = status(ServiceState::Stopped, ServiceControlAccept::empty(), Duration::ZERO);
    let _ = handle.set_service_status(ServiceStatus { exit_code, ..stopped });
}

fn tell(state: ServiceState, accepted: ServiceControlAccept, wait: Duration) {
    if let Some(handle) = STATUS.get() {
        // A manager that does not listen is nothing that we could mend.
        let _ = handle.set_service_status(status(state, accepted, wait));
    }
}

fn status(state: ServiceState, accepted: ServiceControlAccept, wait: Duration) -> ServiceStatus {
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
