//! The control socket for commands such as `wharf who`, and the port for metrics.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use wharf_admin::listener::{AdminSocket, MetricsListener};
use wharf_config::Config;
use wharf_config::outcome::plain;
use wharf_config::standard_paths;

use crate::os::{SocketFolder, is_successor, open_to_group};
use crate::sandbox::identity::{SystemUser, group_number};

/// The open sockets, or why they are missing; the server works without them.
pub(super) struct ControlSockets {
    /// The path of the control socket.
    pub(super) socket: PathBuf,
    pub(super) admin_socket: Result<AdminSocket, String>,
    /// The port for metrics, if configured.
    pub(super) metrics: Result<Option<MetricsListener>, String>,
    /// The socket's folder, kept open until the socket is at its path.
    held: Option<SocketFolder>,
}

impl ControlSockets {
    /// Opens them, owned by `identity` if this process changes its user. Needs a runtime.
    pub(super) fn open(config: &Config, identity: Option<&SystemUser>) -> Self {
        let whole = config;
        let Config { control: config, metrics, .. } = config;
        let usual = || standard_paths::control_sockets().into_iter().next().unwrap_or_default();
        let socket = config.socket.0.clone().unwrap_or_else(usual);
        let (admin_socket, held) = match open(&socket, &config.group, identity) {
            Ok((admin_socket, held)) => (Ok(admin_socket), Some(held)),
            Err(why) => (Err(why), None),
        };
        let metrics = metrics.listen.0.map(|at| open_metrics(at, whole)).transpose();
        Self { socket, admin_socket, metrics, held }
    }

    /// Takes over the path of the control socket from the previous server, if there was one.
    pub(super) fn take_place(&mut self) {
        if let Ok(admin_socket) = &mut self.admin_socket
            && let Err(error) = admin_socket.take_over()
        {
            let shown = self.socket.display();
            self.admin_socket = Err(format!(
                "cannot take over the control socket {shown} of the previous server: {}",
                plain(&error)
            ));
        }
        self.held = None;
    }

    /// The folder from which the socket is removed at the end.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.admin_socket.is_ok().then(|| self.socket.parent()).flatten()
    }
}

fn open_metrics(address: SocketAddr, config: &Config) -> Result<MetricsListener, String> {
    let hosts =
        [&config.metrics.hosts[..], &config.tls.server_names[..], &standard_paths::own_names()]
            .concat();
    MetricsListener::open(address, &hosts).map_err(|error| {
        format!("cannot listen on {address} for metrics: {}; see metrics.listen", plain(&error))
    })
}

type OpenedControl = Result<(AdminSocket, SocketFolder), String>;

fn open(socket: &Path, group: &str, identity: Option<&SystemUser>) -> OpenedControl {
    let number = match group {
        "" => None,
        name => Some(
            group_number(name).ok_or_else(|| format!("unknown group {name}; see control.group"))?,
        ),
    };
    let shown = socket.display();
    let without = "wharf status, who, kick and similar commands do not work";
    let held = SocketFolder::of(socket).map_err(|error| {
        let why = plain(&error);
        let folder = socket.parent().unwrap_or(socket).display();
        format!(
            "{without}: cannot use the folder {folder} of {shown}: {why}; make it writable by root \
             only (chown root '{folder}' and chmod go-w '{folder}'), or choose another path: \
             control.socket"
        )
    })?;
    if let (Some(folder), Some(number)) = (held.made(), number) {
        // If that fails, members of the group get an error when they use it.
        let _ = open_to_group(folder, number);
    }
    let bind_path = held.socket_path(socket);
    let opened = if is_successor() {
        AdminSocket::open_for_takeover(socket, &bind_path, number)
    } else {
        AdminSocket::open(socket, &bind_path, number)
    };
    let admin_socket = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another wharf uses {shown}, so {without}; choose another path for one of them: \
             control.socket"
        ),
        _ => format!("{without}: {shown}: {}; choose another path: control.socket", plain(&error)),
    })?;
    if let Some(identity) = identity {
        identity.change_socket_owner(admin_socket.path(), held.made(), number.is_some());
    }
    Ok((admin_socket, held))
}
