//! The ways in which an upload is interrupted.

use wharf_load::{ClientSession, Random, Transport};

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// RST on the data connection; the client is still connected.
    Reset,
    /// TLS: FIN on the data connection without `close_notify`; the client is still connected.
    NoNotify,
    /// ABOR; the data connection stays open.
    Abort,
    /// The client's process dies: the system closes its sockets in the order of opening.
    Died,
    /// The client dies with unread bytes: RST on both connections.
    DiedReset,
    /// The control connection ends, then the data connection as if the file were complete.
    ControlThenEnd,
    /// The control connection is reset, then the data connection ends as if the file were complete.
    ControlResetThenEnd,
    /// TLS: the process dies, and its data connection is closed first.
    DiedDataFirst,
}

const PLAIN: &[Interruption] = &[
    Interruption::Reset,
    Interruption::Abort,
    Interruption::Died,
    Interruption::DiedReset,
    Interruption::ControlThenEnd,
    Interruption::ControlResetThenEnd,
];
const WITH_TLS: &[Interruption] = &[
    Interruption::Reset,
    Interruption::NoNotify,
    Interruption::NoNotify,
    Interruption::Abort,
    Interruption::Died,
    Interruption::DiedReset,
    Interruption::ControlThenEnd,
    Interruption::ControlResetThenEnd,
    Interruption::DiedDataFirst,
];

impl Interruption {
    pub(super) fn any(random: &mut Random, is_secure: bool) -> Self {
        let endings = if is_secure { WITH_TLS } else { PLAIN };
        *random.pick(endings)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reset => "data reset",
            Self::NoNotify => "no close_notify",
            Self::Abort => "ABOR",
            Self::Died => "client died",
            Self::DiedReset => "client died with RST",
            Self::ControlThenEnd => "control closed first",
            Self::ControlResetThenEnd => "control reset first",
            Self::DiedDataFirst => "client died, data first",
        }
    }

    /// Interrupts the upload.
    pub(super) fn end(self, mut client: ClientSession, mut data: Transport) -> Result<(), String> {
        match self {
            Self::Reset => {
                data.reset();
                rejected(&mut client)
            }
            Self::NoNotify => {
                data.drop_off();
                rejected(&mut client)
            }
            Self::Abort => {
                client.send("ABOR")?;
                rejected(&mut client)?;
                drop(data);
                let reply = client.reply()?;
                if reply.code.is_success() { Ok(()) } else { Err(format!("ABOR: {reply:?}")) }
            }
            Self::Died => {
                client.drop_off();
                data.drop_off();
                Ok(())
            }
            Self::DiedReset => {
                client.reset();
                data.reset();
                Ok(())
            }
            Self::ControlThenEnd => {
                client.drop_off();
                // A server that has noticed the interruption may have closed its end before.
                let _ = data.finish();
                Ok(())
            }
            Self::ControlResetThenEnd => {
                client.reset();
                // A server that has noticed the interruption may have closed its end before.
                let _ = data.finish();
                Ok(())
            }
            Self::DiedDataFirst => {
                data.drop_off();
                client.drop_off();
                Ok(())
            }
        }
    }
}

/// Reads the reply to an interrupted upload, which must not be a success.
fn rejected(client: &mut ClientSession) -> Result<(), String> {
    let reply = client.reply()?;
    if reply.code.is_failure() {
        return Ok(());
    }
    Err(format!("an interrupted upload was answered with {}", reply.code.number()))
}
