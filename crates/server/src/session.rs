//! All we know of one client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use encoding_rs::Encoding as Charset;
use ipnet::IpNet;
use tokio::time::Instant;
use wharf_core::account::Account;
use wharf_core::event::{ClientInfo, Direction, Event};
use wharf_proto::args::{Mode, TransferType};
use wharf_proto::facts::FactSet;
use wharf_proto::path::{VPath, escaped};
use wharf_proto::reply::{Code, Reply};

use crate::admission::ConnectionGuard;
use crate::data::DataPort;
use crate::digest::Algorithm;
use crate::files::Files;
use crate::names::{Names, Reading, Readings, Recognised};
use crate::ports::DataConnIdentity;
use crate::rate_limit::{LimitSource, RateLimiter};
use crate::refusal::Refusal;
use crate::registry::SessionHandle;
use crate::settings::{ListenTls, Settings};
use crate::shared::Shared;
use crate::tls::{Acceptor, BindingId, Protection};

/// The level of zlib that everybody uses: a good deal smaller, and still fast.
const DEFLATE_LEVEL: u8 = 6;

/// One client, from its greeting to its end. Only its own task touches it.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    /// Whom TLS was, and is, begun with.
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) listen_tls: ListenTls,
    pub(crate) login: Login,
    pub(crate) failed_logins: u32,
    /// Taken up until the login.
    pub(crate) unauthenticated: Option<ConnectionGuard>,
    /// Until when somebody must have logged in.
    pub(crate) login_deadline: Instant,
    pub(crate) cwd: VPath,
    pub(crate) parameters: Parameters,
    pub(crate) pending: Pending,
    pub(crate) data: Option<DataPort>,
    pub(crate) names: Names,
    /// The character set that was noted of the account's clients.
    pub(crate) habit: Option<&'static Charset>,
    pub(crate) client: Option<String>,
    /// Whether a data connection was once let in by its address alone.
    pub(crate) has_unproven_data: bool,
    /// Whether its data connections have resumed its TLS session, as far as any came.
    pub(crate) data_resumes: Option<bool>,
    /// How many downloads in a row it has not ended before it had the last reply.
    pub(crate) data_kept_open: u8,
    /// The proxies through which clients of its listener come; none if they come themselves.
    pub(crate) proxies: Arc<[IpNet]>,
    /// Since when, and why it ended once it did: told on every way out, by the drop.
    started: Instant,
    /// How long it may say nothing, by the terms of which age.
    idle: (Duration, u64),
    /// SITE IDLE: a shorter time.
    pub(crate) idle_wanted: Option<Duration>,
    pub(crate) end: Option<String>,
    /// Whether the client has heard 220 already.
    pub(crate) is_greeted: bool,
    /// Whether the client left and had not sent a byte, as a check of the port does: of that
    /// nothing is told.
    pub(crate) is_silent: bool,
    /// Whether it has been told of that there is this session.
    is_announced: AtomicBool,
    /// The TLS that it began with, which is told of with it.
    pub(crate) secured: Option<Protection>,
    /// Set once TLS protects the control connection.
    pub(crate) binding_id: Option<BindingId>,
}

/// Where a client stands with us. Files exist only once someone is logged in.
pub(crate) enum Login {
    Greeted,
    /// After USER: the name, and the bytes that it came in.
    Named {
        user: String,
        typed: Vec<u8>,
    },
    In(Box<LoggedIn>),
}

pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) files: Files,
    /// Held for its drop: the seat is free again when the account is left.
    pub(crate) _connection_guard: ConnectionGuard,
}

/// What TYPE, MODE, PROT, OPTS and EPSV ALL have set.
pub(crate) struct Parameters {
    pub(crate) transfer_type: TransferType,
    pub(crate) mode: Mode,
    /// For MODE Z: 0 is fast, 9 is small.
    pub(crate) deflate_level: u8,
    /// What HASH reckons.
    pub(crate) hash: Algorithm,
    pub(crate) has_buffer_size: bool,
    pub(crate) is_private: bool,
    pub(crate) facts: FactSet,
    pub(crate) is_extended_only: bool,
}

/// What one command has left for another.
#[derive(Default)]
pub(crate) struct Pending {
    /// REST: the next transfer begins here.
    pub(crate) restart_at: u64,
    /// ALLO: the size of the next upload, or of what is to come of it.
    pub(crate) announced: Option<u64>,
    /// RNFR: what RNTO is to rename.
    pub(crate) rename_from: Option<VPath>,
    /// SITE CPFR: what SITE CPTO is to copy.
    pub(crate) copy_from: Option<VPath>,
    /// RANG: the first and the last byte of what the next HASH is of.
    pub(crate) range: Option<(u64, u64)>,
}

impl Pending {
    /// Forgets everything but what `left` says.
    pub(crate) fn forget(&mut self, left: Leaves) {
        let before = std::mem::take(self);
        match left {
            Leaves::Nothing => {}
            Leaves::RenameFrom => self.rename_from = before.rename_from,
            Leaves::CopyFrom => self.copy_from = before.copy_from,
        }
    }
}

/// What a command leaves for the next one, and all but that one forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    Nothing,
    RenameFrom,
    CopyFrom,
}

impl Parameters {
    /// As after the greeting. With implicit TLS, data connections are protected from the start.
    pub(crate) fn new(listen_tls: ListenTls) -> Self {
        Self {
            transfer_type: TransferType::Ascii,
            mode: Mode::Stream,
            deflate_level: DEFLATE_LEVEL,
            hash: Algorithm::Sha256,
            has_buffer_size: false,
            is_private: listen_tls == ListenTls::Implicit,
            facts: FactSet::DEFAULT,
            is_extended_only: false,
        }
    }
}

impl Parameters {
    /// The level at which the next transfer is packed, if it is to be.
    pub(crate) fn deflate(&self) -> Option<u8> {
        (self.mode == Mode::Deflate).then_some(self.deflate_level)
    }
}

impl Session {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        handle: Arc<SessionHandle>,
        local: SocketAddr,
        listen_tls: ListenTls,
    ) -> Self {
        // Before the terms: what changes in between is looked at again.
        let generation = handle.generation();
        let config = shared.config();
        let settings = Arc::clone(&config.settings);
        Self {
            shared: Arc::clone(shared),
            peer: handle.peer,
            handle,
            local,
            listen_tls,
            login: Login::Greeted,
            failed_logins: 0,
            unauthenticated: None,
            login_deadline: Instant::now() + settings.login.timeout,
            cwd: VPath::root(),
            parameters: Parameters::new(listen_tls),
            pending: Pending::default(),
            data: None,
            names: Names::new(&settings.names),
            habit: None,
            client: None,
            has_unproven_data: false,
            data_resumes: None,
            data_kept_open: 0,
            proxies: Arc::default(),
            started: Instant::now(),
            end: None,
            is_greeted: false,
            is_silent: false,
            is_announced: false.into(),
            secured: None,
            idle: (settings.limits.idle_timeout, generation),
            idle_wanted: None,
            binding_id: None,
            tls: config.tls.clone(),
            settings,
        }
    }

    /// Leaves the account, if there is one, with its folder and what its commands left for others.
    /// It is a newcomer again, with time to log in.
    pub(crate) fn leave(&mut self) {
        if matches!(self.login, Login::In(_)) {
            self.unauthenticated = Some(self.shared.admission.unauthenticated_again());
            self.login_deadline = Instant::now() + self.settings.login.timeout;
        }
        self.handle.status.logged_out();
        self.idle_wanted = None;
        self.login = Login::Greeted;
        self.cwd = VPath::root();
        self.pending = Pending::default();
    }

    /// Forgets who it is and all it set, as REIN and the start of TLS demand (RFC 4217 §4).
    pub(crate) fn start_over(&mut self) {
        self.leave();
        self.parameters = Parameters::new(self.listen_tls);
        self.give_up_port();
        self.data_resumes = None;
        self.names = Names::new(&self.settings.names);
        self.habit = None;
    }

    /// How a data connection of this client is told from others.
    pub(crate) fn identity(&self) -> DataConnIdentity {
        DataConnIdentity {
            session: self.handle.number,
            peer: self.peer.ip(),
            binding_id: self.binding_id.filter(|_| self.parameters.is_private),
            resumes: self.data_resumes,
            proxies: Arc::clone(&self.proxies),
        }
    }

    /// What limits a transfer of this session, as long as it runs.
    pub(crate) fn rate_limiter(&self, direction: Option<Direction>) -> RateLimiter {
        let source: Arc<dyn LimitSource> = Arc::<Shared>::clone(&self.shared);
        RateLimiter::new(source, Arc::clone(&self.handle), direction)
    }

    /// How long it may say nothing, and the age of the terms that say so.
    pub(crate) fn idle_max(&mut self) -> (Duration, u64) {
        let generation = self.handle.generation();
        // Looked up only as terms change: this is asked for each line.
        if self.idle.1 != generation {
            self.idle = (self.shared.config().settings.limits.idle_timeout, generation);
        }
        let (most, generation) = self.idle;
        (self.idle_wanted.map_or(most, |wanted| wanted.min(most)), generation)
    }

    /// The most that SITE IDLE can ask for.
    pub(crate) fn idle_limit(&mut self) -> Duration {
        self.idle_max();
        self.idle.0
    }

    /// Until when a client that has not logged in must say something.
    pub(crate) fn silence_deadline(&mut self) -> Instant {
        // What is too far away for a clock never comes.
        let idle = Instant::now().checked_add(self.idle_max().0);
        idle.map_or(self.login_deadline, |idle| idle.min(self.login_deadline))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.binding_id.is_some()
    }

    pub(crate) fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.login {
            Login::In(inside) => Some(inside),
            Login::Greeted | Login::Named { .. } => None,
        }
    }

    /// When the account's hours end, or the account does.
    pub(crate) fn time_is_over(&self) -> Option<Instant> {
        let until = self.logged_in()?.account.until?;
        let left = u64::try_from(until.saturating_sub(self.shared.now())).unwrap_or_default();
        // What is too far away for a clock never comes.
        Instant::now().checked_add(Duration::from_secs(left))
    }

    /// The account's files.
    pub(crate) fn files(&self) -> Result<&Files, Refusal> {
        let inside = self.logged_in();
        inside
            .map(|inside| &inside.files)
            .ok_or_else(|| Refusal::say(Code::NOT_LOGGED_IN, "Please login with USER and PASS."))
    }

    /// The path that the client means by `typed`.
    ///
    /// Usually it has one reading. Where character sets, backslashes or pictures of control bytes
    /// leave several, the first that exists is meant, or the first whose folder exists; a client
    /// that shows here which legacy set it speaks is answered in it from then on.
    pub(crate) async fn path(&mut self, typed: &[u8]) -> Result<VPath, Refusal> {
        // Some clients ask for their home like this; a file that has this name was listed as it.
        if typed == b"~" {
            let literal = self.cwd.resolve(typed)?;
            let is_there = self.files()?.exists(&literal).await;
            return Ok(if is_there { literal } else { VPath::root() });
        }
        if typed.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Refusal::say(
                Code::BAD_ARGUMENT,
                "Invalid file name: it holds a line end.",
            ));
        }
        let Readings { tried, otherwise } = self.names.readings(typed);
        if let [only] = &tried[..]
            && *only == otherwise
        {
            let path = self.cwd.resolve(&only.path)?;
            self.means(typed, only, false);
            return Ok(path);
        }
        let files = self.files()?.clone();
        let paths = tried.iter().filter_map(|one| Some((one, self.cwd.resolve(&one.path).ok()?)));
        let paths: Vec<(&Reading, VPath)> = paths.collect();
        for (reading, path) in &paths {
            if files.exists(path).await {
                self.means(typed, reading, true);
                return Ok(path.clone());
            }
        }
        // What is new stands in a folder that is there, and that has a name as well.
        let is_deep = typed.rsplit(|&byte| byte == b'/').skip(1).any(|name| !name.is_ascii());
        for (reading, path) in paths.iter().filter(|(one, _)| is_deep && one.set.is_some()) {
            if let Some(parent) = path.parent()
                && files.exists(&parent).await
            {
                self.means(typed, reading, true);
                return Ok(path.clone());
            }
        }
        let path = self.cwd.resolve(&otherwise.path)?;
        self.means(typed, &otherwise, false);
        Ok(path)
    }

    /// `typed` was found to mean `reading`. The first time, and each time that another set shows,
    /// that is told.
    fn means(&mut self, typed: &[u8], reading: &Reading, exists: bool) {
        if let Some(recognised) = self.names.chose(typed, reading, exists) {
            self.recognised(recognised);
        }
        self.note_habit();
    }

    /// A login has shown `set`: by the name of an account, or by a password, which is a hint alone.
    pub(crate) fn has_shown(&mut self, set: &'static Charset, is_name: bool) {
        if !is_name {
            self.names.expect(Some(set));
        } else if let Some(recognised) = self.names.speaks(set, true) {
            self.recognised(recognised);
            self.note_habit();
        }
    }

    /// Remembers what is settled for the account's next session.
    fn note_habit(&mut self) {
        if let (Some(set), Some(inside)) = (self.names.settled(), self.logged_in())
            && self.habit != Some(set)
        {
            self.shared.habits.note(&inside.account.name, set);
            self.habit = Some(set);
        }
    }

    /// Tells which character set the client speaks.
    fn recognised(&self, recognised: Recognised) {
        let charset = recognised.set.name();
        self.emit(&Event::CharsetRecognised { charset, is_certain: recognised.is_settled });
    }

    pub(crate) fn who(&self) -> ClientInfo {
        ClientInfo {
            session: self.handle.number,
            peer: self.peer,
            local: self.local,
            user: self.logged_in().map(|inside| inside.account.name.clone()),
            is_tls: self.is_tls(),
            client: self.client.clone(),
            tree: self.logged_in().map(|inside| inside.files.tree()).unwrap_or_default(),
        }
    }

    /// Tells who wants to know of a command and its last reply. Of a secret, and of a line that is
    /// no command, only the first letters are told: a password may stand behind a misspelt verb,
    /// right after it (`PASSsecret`), or alone. Returns the moment.
    pub(crate) fn tell(&self, line: &[u8], is_open: bool, reply: &Reply) -> Instant {
        self.announce();
        let kept = if is_open { line } else { verb_alone(line) };
        let at = self.handle.status.command_answered(kept, reply.code, self.names.charset());
        if !self.shared.events.wants_commands() {
            return at;
        }
        let line = if is_open { escaped(line) } else { format!("{} ***", escaped(kept)) };
        let text = reply.lines.last().map(|text| escaped(text)).unwrap_or_default();
        self.emit(&Event::Command { line: &line, code: reply.code, text: &text });
        at
    }

    /// Tells of the session, once, as soon as its client says something. Checks of the port that
    /// connect and close are thus not told of.
    pub(crate) fn announce(&self) {
        if !self.is_announced.swap(true, Ordering::Relaxed) {
            self.shared.events.emit(&self.who(), &Event::Connected);
            if let Some(Protection { version, cipher }) = &self.secured {
                self.shared.events.emit(&self.who(), &Event::Secured { version, cipher });
            }
        }
    }

    pub(crate) fn emit(&self, event: &Event<'_>) {
        self.announce();
        self.shared.events.emit(&self.who(), event);
    }
}

/// The letters that may be a verb, four at most.
fn verb_alone(line: &[u8]) -> &[u8] {
    let word = line.trim_ascii_start();
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).take(4).count();
    word.get(..letters).unwrap_or_default()
}

/// One line for every session that began, also where its task was dropped in the middle.
impl Drop for Session {
    fn drop(&mut self) {
        // One that is cut off says nothing of its client.
        if self.end.is_some() {
            self.give_up_port();
        }
        self.shared.ports.release_retained(self.handle.number);
        if self.is_silent && !self.is_announced.load(Ordering::Relaxed) {
            return;
        }
        let reason = self.end.as_deref().unwrap_or("cut off as the server stopped");
        self.emit(&Event::Ended { reason, after: self.started.elapsed() });
    }
}
