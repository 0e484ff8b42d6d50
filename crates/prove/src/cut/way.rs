//! The ways in which an upload ends before its time.

use std::io;

use crate::prove::client::Client;
use crate::prove::random::Random;
use crate::prove::stream::Stream;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// RST on the data connection; the client is still there.
    Reset,
    /// TLS: FIN on the data connection without `close_notify`; the client is still there.
    NoNotify,
    /// The client asks for it (ABOR), its data connection stays open.
    Abort,
    /// The client's process dies: the system closes what it has open, in the order of opening.
    Died,
    /// The client dies with bytes that it has not read: RST on both.
    DiedReset,
    /// The control connection ends, then the data connection as if the file were whole.
    ControlThenEnd,
    /// The control connection is reset, then the data connection ends as if the file were whole.
    ControlResetThenEnd,
    /// TLS: the process dies, and its data connection goes first.
    DiedDataFirst,
}

const PLAIN: &[Way] = &[
    Way::Reset,
    Way::Abort,
    Way::Died,
    Way::DiedReset,
    Way::ControlThenEnd,
    Way::ControlResetThenEnd,
];
const WITH_TLS: &[Way] = &[
    Way::Reset,
    Way::NoNotify,
    Way::NoNotify,
    Way::Abort,
    Way::Died,
    Way::DiedReset,
    Way::ControlThenEnd,
    Way::ControlResetThenEnd,
    Way::DiedDataFirst,
];

impl Way {
    pub(super) fn any(random: &mut Random, is_secure: bool) -> Self {
        let ways = if is_secure { WITH_TLS } else { PLAIN };
        random.pick(ways).copied().unwrap_or(Self::Reset)
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

    /// Ends the upload.
    ///
    /// # Errors
    /// When the server takes it for success, or says what it should not.
    pub(super) fn end(self, mut client: Client, data: Stream) -> Result<(), String> {
        match self {
            Self::Reset => {
                data.reset();
                refused(&mut client)
            }
            Self::NoNotify => {
                data.drop_off();
                refused(&mut client)
            }
            Self::Abort => {
                client.say("ABOR")?;
                refused(&mut client)?;
                drop(data);
                let reply = client.reply()?;
                if reply.code.is_success() { Ok(()) } else { Err(format!("ABOR: {reply:?}")) }
            }
            Self::Died => {
                drop_control(client);
                data.drop_off();
                Ok(())
            }
            Self::DiedReset => {
                if let Some(control) = client.into_control() {
                    control.reset();
                }
                data.reset();
                Ok(())
            }
            Self::ControlThenEnd => {
                drop_control(client);
                ended(data.finish())
            }
            Self::ControlResetThenEnd => {
                if let Some(control) = client.into_control() {
                    control.reset();
                }
                ended(data.finish())
            }
            Self::DiedDataFirst => {
                data.drop_off();
                drop_control(client);
                Ok(())
            }
        }
    }
}

fn drop_control(client: Client) {
    if let Some(control) = client.into_control() {
        control.drop_off();
    }
}

/// A server that has noticed already may have closed its end before.
#[expect(clippy::unnecessary_wraps, reason = "all ways end in one kind of result")]
fn ended(_: io::Result<()>) -> Result<(), String> {
    Ok(())
}

/// Hears the reply to a cut upload, which must not be a success.
fn refused(client: &mut Client) -> Result<(), String> {
    let reply = client.reply()?;
    if reply.code.is_failure() {
        return Ok(());
    }
    Err(format!("the server says {} to a cut upload", reply.code.number()))
}
