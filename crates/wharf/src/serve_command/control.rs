//! The socket at which commands such as `wharf who` reach this server, and the port for metrics.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use wharf_admin::door::{Door, MetricsDoor};

use crate::config::Config;
use crate::os::{SocketFolder, is_successor, open_to_group};
use crate::outcome::plain;
use crate::place;
use crate::protection::identity::{Identity, group_number};

/// The socket, open; or why there is none. A server without it serves all the same.
pub(super) struct ControlSockets {
    /// Where it is, or would be.
    pub(super) socket: PathBuf,
    pub(super) door: Result<Door, String>,
    /// The port for metrics, if one is wanted.
    pub(super) metrics: Result<Option<MetricsDoor>, String>,
    /// The socket's folder, held until the socket has its place.
    held: Option<SocketFolder>,
}

impl ControlSockets {
    /// Opens them, for `identity` if this process becomes somebody else. Needs a runtime.
    pub(super) fn open(config: &Config, identity: Option<&Identity>) -> Self {
        let whole = config;
        let Config { control: config, metrics, .. } = config;
        let usual = || place::control_sockets().into_iter().next().unwrap_or_default();
        let socket = config.socket.0.clone().unwrap_or_else(usual);
        let (door, held) = match open(&socket, &config.group, identity) {
            Ok((door, held)) => (Ok(door), Some(held)),
            Err(why) => (Err(why), None),
        };
        let metrics = metrics.listen.0.map(|at| open_metrics(at, whole)).transpose();
        Self { socket, door, metrics, held }
    }

    /// From now on who asks at the socket asks this server. It does nothing where nobody was asked
    /// there before.
    pub(super) fn take_place(&mut self) {
        if let Ok(door) = &mut self.door
            && let Err(error) = door.take_place()
        {
            let shown = self.socket.display();
            self.door = Err(format!(
                "the socket {shown} of the server before this one cannot be taken over: {}",
                plain(&error)
            ));
        }
        self.held = None;
    }

    /// The folder in which the socket's name is taken away at the end.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.door.is_ok().then(|| self.socket.parent()).flatten()
    }
}

fn open_metrics(address: SocketAddr, config: &Config) -> Result<MetricsDoor, String> {
    let hosts =
        [&config.metrics.hosts[..], &config.tls.server_names[..], &place::own_names()].concat();
    MetricsDoor::open(address, &hosts).map_err(|error| {
        format!("{address} cannot be had for metrics: {}; see metrics.listen", plain(&error))
    })
}

type Opened = Result<(Door, SocketFolder), String>;

fn open(socket: &Path, group: &str, identity: Option<&Identity>) -> Opened {
    let number =
        match group {
            "" => None,
            name => Some(group_number(name).ok_or_else(|| {
                format!("control.group is {name}, but there is no such group here")
            })?),
        };
    let shown = socket.display();
    let without = "the server cannot be asked by wharf status, who, kick and the like";
    let held = SocketFolder::of(socket).map_err(|error| {
        let why = plain(&error);
        let folder = socket.parent().unwrap_or(socket).display();
        format!(
            "{without}: the folder {folder} of {shown} cannot be used: {why}; let it belong to \
             root alone (chown root '{folder}' and chmod go-w '{folder}'), or name another place: \
             control.socket"
        )
    })?;
    if let (Some(folder), Some(number)) = (held.made(), number) {
        // Where that fails the group has no use of it, and finds out.
        let _ = open_to_group(folder, number);
    }
    let way = held.way_to(socket);
    let opened = if is_successor() {
        Door::open_beside(socket, &way, number)
    } else {
        Door::open(socket, &way, number)
    };
    let door = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "another wharf is asked at {shown}, so {without}; give one of them its own: \
             control.socket"
        ),
        _ => format!("{without}: {shown}: {}; name another place: control.socket", plain(&error)),
    })?;
    if let Some(identity) = identity {
        identity.give_socket(door.path(), held.made(), number.is_some());
    }
    Ok((door, held))
}
