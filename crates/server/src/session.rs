//! The state of one session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use encoding_rs::Encoding as Charset;
use ipnet::IpNet;
use tokio::time::Instant;
use tracing::debug;
use wharf_core::account::Account;
use wharf_core::event::{ClientInfo, Direction, Event};
use wharf_proto::args::{Mode, TransferType};
use wharf_proto::facts::FactSet;
use wharf_proto::path::{VPath, escaped};
use wharf_proto::reply::{Code, Reply};

use crate::admission::ConnectionGuard;
use crate::data::DataPort;
use crate::digest::Algorithm;
use crate::files::SessionFiles;
use crate::names::{NameCodec, Reading, Readings, RecognisedCharset};
use crate::ports::DataConnIdentity;
use crate::rate_limit::{LimitSource, RateLimiter};
use crate::refusal::Refusal;
use crate::registry::SessionHandle;
use crate::settings::{ListenTls, Settings};
use crate::shared::Shared;
use crate::tls::{Acceptor, BindingId, NegotiatedTls};

/// The default level of zlib.
const DEFLATE_LEVEL: u8 = 6;

/// One client, from the greeting to the end of its connection. Owned by its own task.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    /// The acceptor for TLS on the control and data connections.
    pub(crate) tls: Option<Arc<Acceptor>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) handle: Arc<SessionHandle>,
    pub(crate) local: SocketAddr,
    pub(crate) listen_tls: ListenTls,
    pub(crate) login: LoginState,
    pub(crate) failed_logins: u32,
    /// Counts this session as unauthenticated until the login.
    pub(crate) unauthenticated: Option<ConnectionGuard>,
    /// When an unauthenticated session is closed.
    pub(crate) login_deadline: Instant,
    pub(crate) cwd: VPath,
    pub(crate) parameters: Parameters,
    pub(crate) pending: Pending,
    /// Boxed: idle sessions have none.
    pub(crate) data: Option<Box<DataPort>>,
    pub(crate) names: NameCodec,
    /// The character set that was recorded for the account.
    pub(crate) remembered_charset: Option<&'static Charset>,
    pub(crate) client: Option<String>,
    /// Whether a data connection was accepted by its address only.
    pub(crate) has_unproven_data: bool,
    /// Whether its data connections resume its TLS session; `None` before the first one.
    pub(crate) data_resumes: Option<bool>,
    /// Consecutive downloads whose data connection the client closed only after the last reply.
    pub(crate) unclosed_downloads: u8,
    /// The proxies of its listener; empty if clients connect directly.
    pub(crate) proxies: Arc<[IpNet]>,
    /// When it began. The end is reported on drop.
    started: Instant,
    /// The idle timeout, and the generation of the settings that it is from.
    idle: (Duration, u64),
    /// SITE IDLE: a shorter time.
    pub(crate) idle_wanted: Option<Duration>,
    pub(crate) end: Option<String>,
    /// Whether the greeting was sent.
    pub(crate) is_greeted: bool,
    /// Whether the client disconnected without sending a byte, like a port check; such a session is
    /// not reported.
    pub(crate) is_silent: bool,
    /// Whether the session was reported.
    is_announced: AtomicBool,
    /// The implicit TLS that it began with, which is reported together with the session.
    pub(crate) secured: Option<Box<NegotiatedTls>>,
    /// Set once TLS protects the control connection.
    pub(crate) binding_id: Option<BindingId>,
    /// The command that came first, TYPE or PASV (EPSV).
    pub(crate) transfer_order: TransferOrder,
    /// Whether it began TLS with AUTH SSL, the older name of AUTH TLS, as libcurl does.
    pub(crate) used_auth_ssl: bool,
}

/// How a client prepares its transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferOrder {
    /// It prepared none yet.
    Unknown,
    /// TYPE first, as most clients do.
    TypeFirst,
    /// PASV or EPSV first, then TYPE and SIZE: libcurl.
    PassiveFirst,
}

/// The login state of a session. Files are available only after a login.
pub(crate) enum LoginState {
    NoUser,
    /// After USER: the decoded name, and the bytes as sent.
    UserGiven {
        user: String,
        typed: Vec<u8>,
    },
    LoggedIn(Box<LoggedIn>),
}

pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) files: SessionFiles,
    /// Counts the session against the limit of the account until it is dropped.
    pub(crate) _connection_guard: ConnectionGuard,
}

/// The parameters set with TYPE, MODE, PROT, OPTS and EPSV ALL.
pub(crate) struct Parameters {
    pub(crate) transfer_type: TransferType,
    pub(crate) mode: Mode,
    /// For MODE Z: 0 is fast, 9 is small.
    pub(crate) deflate_level: u8,
    /// The algorithm of HASH.
    pub(crate) hash: Algorithm,
    pub(crate) has_buffer_size: bool,
    pub(crate) is_private: bool,
    pub(crate) facts: FactSet,
    pub(crate) is_extended_only: bool,
}

/// State that one command sets for a later one.
#[derive(Default)]
pub(crate) struct Pending {
    /// REST: the offset of the next transfer.
    pub(crate) restart_at: u64,
    /// ALLO: the size of the next upload, or of its remaining part.
    pub(crate) announced: Option<u64>,
    /// RNFR: the file that RNTO renames.
    pub(crate) rename_from: Option<VPath>,
    /// SITE CPFR: the file that SITE CPTO copies.
    pub(crate) copy_from: Option<VPath>,
    /// RANG: the first and the last byte that the next HASH covers.
    pub(crate) range: Option<(u64, u64)>,
}

impl Pending {
    /// Clears everything except for `left`.
    pub(crate) fn forget(&mut self, left: CarriedOver) {
        let before = std::mem::take(self);
        match left {
            CarriedOver::Nothing => {}
            CarriedOver::RenameFrom => self.rename_from = before.rename_from,
            CarriedOver::CopyFrom => self.copy_from = before.copy_from,
        }
    }
}

/// The state that a command sets for the immediately following one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarriedOver {
    Nothing,
    RenameFrom,
    CopyFrom,
}

impl Parameters {
    /// The initial parameters. With implicit TLS, data connections are protected by default.
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
    /// The compression level of the next transfer, if it is compressed.
    pub(crate) fn deflate(&self) -> Option<u8> {
        (self.mode == Mode::Deflate).then_some(self.deflate_level)
    }
}

impl TransferOrder {
    /// Records the first command of a transfer; later ones change nothing.
    pub(crate) fn note(&mut self, first: Self) {
        if *self == Self::Unknown {
            *self = first;
        }
    }
}

impl Session {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        handle: Arc<SessionHandle>,
        local: SocketAddr,
        listen_tls: ListenTls,
    ) -> Self {
        // Read before the settings, so that a change in between is noticed.
        let generation = handle.generation();
        let config = shared.config();
        let settings = Arc::clone(&config.settings);
        Self {
            shared: Arc::clone(shared),
            handle,
            local,
            listen_tls,
            login: LoginState::NoUser,
            failed_logins: 0,
            unauthenticated: None,
            login_deadline: Instant::now() + settings.login.timeout,
            cwd: VPath::root(),
            parameters: Parameters::new(listen_tls),
            pending: Pending::default(),
            data: None,
            names: NameCodec::new(&settings.names),
            remembered_charset: None,
            client: None,
            has_unproven_data: false,
            data_resumes: None,
            unclosed_downloads: 0,
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
            transfer_order: TransferOrder::Unknown,
            used_auth_ssl: false,
            tls: config.tls.clone(),
            settings,
        }
    }

    /// Logs out: resets the current directory and the pending state. The session counts as
    /// unauthenticated again, with a new deadline for the login.
    pub(crate) fn leave(&mut self) {
        if matches!(self.login, LoginState::LoggedIn(_)) {
            self.unauthenticated = Some(self.shared.admission.unauthenticated_again());
            self.login_deadline = Instant::now() + self.settings.login.timeout;
        }
        self.handle.status.logged_out();
        self.idle_wanted = None;
        self.login = LoginState::NoUser;
        self.cwd = VPath::root();
        self.pending = Pending::default();
    }

    /// Logs out and resets all parameters, as required for REIN and AUTH TLS (RFC 4217 §4).
    pub(crate) fn reset(&mut self) {
        self.leave();
        self.parameters = Parameters::new(self.listen_tls);
        self.give_up_port();
        self.data_resumes = None;
        self.names = NameCodec::new(&self.settings.names);
        self.remembered_charset = None;
    }

    /// How data connections of this session are identified.
    pub(crate) fn identity(&self) -> DataConnIdentity {
        DataConnIdentity {
            session: self.handle.number,
            peer: self.handle.peer.ip(),
            binding_id: self.binding_id.filter(|_| self.parameters.is_private),
            resumes: self.data_resumes,
            proxies: Arc::clone(&self.proxies),
        }
    }

    /// The rate limiter of a transfer of this session.
    pub(crate) fn rate_limiter(&self, direction: Option<Direction>) -> RateLimiter {
        let source: Arc<dyn LimitSource> = Arc::<Shared>::clone(&self.shared);
        RateLimiter::new(source, Arc::clone(&self.handle), direction)
    }

    /// The idle timeout, and the generation of the settings that it is from.
    pub(crate) fn idle_max(&mut self) -> (Duration, u64) {
        let generation = self.handle.generation();
        // Looked up only after a change of the settings: this is called for each command.
        if self.idle.1 != generation {
            self.idle = (self.shared.config().settings.limits.idle_timeout, generation);
        }
        let (most, generation) = self.idle;
        (self.idle_wanted.map_or(most, |wanted| wanted.min(most)), generation)
    }

    /// The longest time that SITE IDLE can set.
    pub(crate) fn idle_limit(&mut self) -> Duration {
        self.idle_max();
        self.idle.0
    }

    /// When an unauthenticated client must have sent its next command.
    pub(crate) fn idle_deadline(&mut self) -> Instant {
        // A time beyond the range of the clock does not limit anything.
        let idle = Instant::now().checked_add(self.idle_max().0);
        idle.map_or(self.login_deadline, |idle| idle.min(self.login_deadline))
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.binding_id.is_some()
    }

    pub(crate) fn logged_in(&self) -> Option<&LoggedIn> {
        match &self.login {
            LoginState::LoggedIn(inside) => Some(inside),
            LoginState::NoUser | LoginState::UserGiven { .. } => None,
        }
    }

    /// When the account's login hours end or the account expires.
    pub(crate) fn account_deadline(&self) -> Option<Instant> {
        let until = self.logged_in()?.account.until?;
        let left = u64::try_from(until.saturating_sub(self.shared.now())).unwrap_or_default();
        // A time beyond the range of the clock does not limit anything.
        Instant::now().checked_add(Duration::from_secs(left))
    }

    /// The account's files.
    pub(crate) fn files(&self) -> Result<&SessionFiles, Refusal> {
        let inside = self.logged_in();
        inside
            .map(|inside| &inside.files)
            .ok_or_else(|| Refusal::new(Code::NOT_LOGGED_IN, "Please login with USER and PASS."))
    }

    /// Whether the client's CLNT name begins with `name`.
    pub(crate) fn is_client(&self, name: &str) -> bool {
        let start = self.client.as_ref().and_then(|client| client.get(..name.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    }

    /// Resolves a path that the client sent.
    ///
    /// Usually there is one interpretation. If character sets, backslashes or control pictures
    /// allow several, the first that exists is used, or the first whose directory exists. If this
    /// reveals the client's legacy character set, names are sent in it from then on.
    pub(crate) async fn path(&mut self, typed: &[u8]) -> Result<VPath, Refusal> {
        // Some clients use `~` for the home; an existing file of that name takes precedence.
        if typed == b"~" {
            let literal = self.cwd.resolve(typed)?;
            let is_there = self.files()?.exists(&literal).await;
            return Ok(if is_there { literal } else { VPath::root() });
        }
        if typed.iter().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Refusal::new(
                Code::BAD_ARGUMENT,
                "Invalid file name: contains a line break.",
            ));
        }
        let Readings { tried, otherwise } = self.names.readings(typed);
        if let [only] = &tried[..]
            && *only == otherwise
        {
            let path = self.cwd.resolve(&only.path)?;
            self.note_reading(typed, only, false);
            return Ok(path);
        }
        let files = self.files()?.clone();
        let paths = tried.iter().filter_map(|one| Some((one, self.cwd.resolve(&one.path).ok()?)));
        let paths: Vec<(&Reading, VPath)> = paths.collect();
        for (reading, path) in &paths {
            if files.exists(path).await {
                self.note_reading(typed, reading, true);
                return Ok(path.clone());
            }
        }
        // For a new file, the name of the existing directory can show the character set.
        let is_deep = typed.rsplit(|&byte| byte == b'/').skip(1).any(|name| !name.is_ascii());
        for (reading, path) in paths.iter().filter(|(one, _)| is_deep && one.set.is_some()) {
            if let Some(parent) = path.parent()
                && files.exists(&parent).await
            {
                self.note_reading(typed, reading, true);
                return Ok(path.clone());
            }
        }
        let path = self.cwd.resolve(&otherwise.path)?;
        self.note_reading(typed, &otherwise, false);
        Ok(path)
    }

    /// Records the interpretation of `typed`, and reports the character set when it is first
    /// recognised or changes.
    fn note_reading(&mut self, typed: &[u8], reading: &Reading, exists: bool) {
        if let Some(recognised) = self.names.chose(typed, reading, exists) {
            self.report_charset(recognised);
        }
        self.remember_charset();
    }

    /// Records a character set from a login: certain if from the user name, a hint if only from the
    /// password.
    pub(crate) fn note_login_charset(&mut self, set: &'static Charset, is_name: bool) {
        if !is_name {
            self.names.assume(set);
        } else if let Some(recognised) = self.names.adopt_charset(set) {
            self.report_charset(recognised);
            self.remember_charset();
        }
    }

    /// Records the settled character set for the account's next session.
    fn remember_charset(&mut self) {
        if let (Some(set), Some(inside)) = (self.names.charset_to_remember(), self.logged_in())
            && self.remembered_charset != Some(set)
        {
            self.shared.charset_memory.note(&inside.account.name, set);
            self.remembered_charset = Some(set);
        }
    }

    /// Reports the client's character set.
    fn report_charset(&self, recognised: RecognisedCharset) {
        let charset = recognised.set.name();
        self.emit(&Event::CharsetDetected { charset, is_certain: recognised.is_settled });
    }

    pub(crate) fn client_info(&self) -> ClientInfo {
        ClientInfo {
            session: self.handle.number,
            peer: self.handle.peer,
            local: self.local,
            user: self.logged_in().map(|inside| inside.account.name.clone()),
            is_tls: self.is_tls(),
            client: self.client.clone(),
            tree: self.logged_in().map(|inside| inside.files.tree()).unwrap_or_default(),
        }
    }

    /// Reports a command and its last reply. Of secrets and of unknown commands, only the first
    /// letters are reported: a password may follow a misspelt verb, with or without a space
    /// (`PASSsecret`), or be sent alone. Returns the current time.
    pub(crate) fn report_command(&self, line: &[u8], is_open: bool, reply: &Reply) -> Instant {
        self.announce();
        let logged = if is_open { line } else { verb_only(line) };
        let at = self.handle.status.command_answered(logged, reply.code, self.names.charset());
        if !self.shared.events.wants_commands() {
            return at;
        }
        let line = shown_line(line, is_open);
        let text = reply.lines.last().map(|text| escaped(text)).unwrap_or_default();
        self.emit(&Event::Command { line: &line, code: reply.code, text: &text });
        at
    }

    /// Reports the session, once, when its client sends something. Port checks that connect and
    /// close are thus not reported.
    pub(crate) fn announce(&self) {
        if !self.is_announced.swap(true, Ordering::Relaxed) {
            self.shared.events.emit(&self.client_info(), &Event::Connected);
            if let Some(NegotiatedTls { version, cipher }) = self.secured.as_deref() {
                self.shared
                    .events
                    .emit(&self.client_info(), &Event::TlsEstablished { version, cipher });
            }
        }
    }

    pub(crate) fn emit(&self, event: &Event<'_>) {
        self.announce();
        self.shared.events.emit(&self.client_info(), event);
    }
}

/// A command for the log: if it is secret or unknown, only its first letters.
pub(crate) fn shown_line(line: &[u8], is_open: bool) -> String {
    if is_open { escaped(line) } else { format!("{} ***", escaped(verb_only(line))) }
}

/// The leading letters, at most four, which may be a verb.
fn verb_only(line: &[u8]) -> &[u8] {
    let word = line.trim_ascii_start();
    let letters = word.iter().take_while(|byte| byte.is_ascii_alphabetic()).take(4).count();
    word.get(..letters).unwrap_or_default()
}

/// Reports the end of every session, also if its task was cancelled.
impl Drop for Session {
    fn drop(&mut self) {
        // A cancelled session is not an observation of the data connections of its client.
        if self.end.is_some() {
            self.give_up_port();
        }
        self.shared.ports.release_retained(self.handle.number);
        if self.is_silent && !self.is_announced.load(Ordering::Relaxed) {
            debug!(peer = %self.handle.peer, local = %self.local, "connected and closed");
            return;
        }
        let reason = self.end.as_deref().unwrap_or("closed because the server stopped");
        self.emit(&Event::SessionEnded { reason, after: self.started.elapsed() });
    }
}
