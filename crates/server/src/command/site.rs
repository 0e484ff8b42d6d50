//! SITE commands: HELP, CHMOD, UMASK, IDLE, QUOTA, UTIME, CPFR, CPTO.

use std::time::Duration;

use wharf_core::event::Event;
use wharf_core::permission::Permissions;
use wharf_core::storage::Change;
use wharf_proto::args::parse_chmod;
use wharf_proto::reply::{Code, Reply};
use wharf_proto::site::{parse_seconds, parse_umask};

use super::file::SITE_UTIME;
use super::reply_text::{table, usage_lines};
use super::spec::{Arg, Run, Spec};
use crate::next::{Next, ServerSideJob};
use crate::refusal::Refusal;
use crate::session::{CarriedOver, Session};

pub(super) static ROWS: &[&Spec] = &[
    &SITE_HELP, &SITE_CHMOD, &SITE_UMASK, &SITE_UTIME, &SITE_IDLE, &SITE_QUOTA, &SITE_CPFR,
    &SITE_CPTO,
];

static SITE_HELP: Spec = Spec {
    verb: "SITE HELP",
    syntax: "SITE HELP",
    about: "List the SITE commands",
    rfc: "RFC 959 §4.1.3",
    keeps_pending: true,
    run: Run::Sync(help),
    ..Spec::any_time()
};

fn help(_: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    Ok(Next::Reply(list()))
}

/// The SITE commands, as HELP SITE and SITE HELP show them.
pub(super) fn list() -> Reply {
    let verbs: Vec<_> = ROWS.iter().filter_map(|row| row.verb.strip_prefix("SITE ")).collect();
    table("SITE commands:", &verbs, "Send HELP SITE <command> for details.")
}

static SITE_CHMOD: Spec = Spec {
    verb: "SITE CHMOD",
    syntax: "SITE CHMOD <mode> <path>",
    about: "Change the permission bits, three or four octal digits",
    rfc: "no RFC; sent by many clients",
    arg: Arg::Required,
    run: Run::Async(|session, arg| Box::pin(chmod(session, arg))),
    ..Spec::logged_in(Permissions::CHMOD)
};

async fn chmod(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let (mode, typed) = parse_chmod(arg)?;
    let path = session.path(typed).await?;
    session.files()?.set(&path, Change::Mode(mode)).await?;
    session.emit(&Event::AttributesChanged(&path));
    Next::reply(Code::OK, format!("Mode is {mode:03o}."))
}

static SITE_UMASK: Spec = Spec {
    verb: "SITE UMASK",
    syntax: "SITE UMASK [<umask>]",
    about: "Show or set the umask of new files; clearing bits needs chmod",
    rfc: "no RFC; sent by many clients",
    arg: Arg::Optional,
    keeps_pending: true,
    run: Run::Sync(umask),
    ..Spec::logged_in(Permissions::NONE)
};

/// Without the permission `chmod`, new files may only get fewer permission bits.
fn umask(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let files = session.files()?;
    let Some(now) = files.umask() else {
        return Err(Refusal::unavailable("Operation not supported."));
    };
    if arg.trim_ascii().is_empty() {
        return Next::reply(Code::OK, format!("Your current UMASK is {now:03o}"));
    }
    let umask = parse_umask(arg)?;
    files.set_umask(umask)?;
    Next::reply(Code::OK, format!("UMASK set to {umask:03o}"))
}

static SITE_IDLE: Spec = Spec {
    verb: "SITE IDLE",
    syntax: "SITE IDLE [<seconds>]",
    about: "Show or set the idle timeout of the session",
    rfc: "no RFC; sent by some clients",
    arg: Arg::Optional,
    keeps_pending: true,
    run: Run::Sync(idle),
    ..Spec::logged_in(Permissions::NONE)
};

/// Longer times than `limits.idle_timeout` are reduced to it.
fn idle(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    if arg.trim_ascii().is_empty() {
        let (now, most) = (session.idle_max().0, session.idle_limit());
        let (now, most) = (now.as_secs(), most.as_secs());
        return Next::reply(Code::OK, format!("Idle time is {now} seconds, at most {most}."));
    }
    let wanted = Duration::from_secs(parse_seconds(arg)?);
    session.idle_wanted = Some(wanted.min(session.idle_limit()));
    let seconds = session.idle_max().0.as_secs();
    Next::reply(Code::OK, format!("Idle time set to {seconds} seconds."))
}

static SITE_QUOTA: Spec = Spec {
    verb: "SITE QUOTA",
    syntax: "SITE QUOTA",
    about: "Show the quota and its usage",
    rfc: "no RFC; known from other servers",
    keeps_pending: true,
    run: Run::Sync(quota),
    ..Spec::logged_in(Permissions::NONE)
};

fn quota(session: &mut Session, _: &[u8]) -> Result<Next, Refusal> {
    let Some(usage) = session.files()?.usage() else {
        return Next::reply(Code::OK, "No quota for this account.");
    };
    let first = std::iter::once("Quota:".to_owned());
    let lines = first.chain(usage_lines(&usage)).chain(std::iter::once("End of quota.".to_owned()));
    Ok(Next::Reply(Reply::lines(Code::OK, lines)))
}

static SITE_CPFR: Spec = Spec {
    verb: "SITE CPFR",
    syntax: "SITE CPFR <path>",
    about: "Select the file that SITE CPTO copies",
    rfc: "no RFC; sent by some clients",
    arg: Arg::Required,
    is_extra: true,
    carries_over: CarriedOver::CopyFrom,
    run: Run::Async(|session, arg| Box::pin(copy_from(session, arg))),
    ..Spec::logged_in(Permissions::COPY.union(Permissions::READ))
};

async fn copy_from(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    session.pending.copy_from = None;
    let path = session.path(arg).await?;
    session.files()?.may_copy(&path).await?;
    session.pending.copy_from = Some(path);
    Next::reply(Code::PENDING, "Ready for SITE CPTO.")
}

static SITE_CPTO: Spec = Spec {
    verb: "SITE CPTO",
    syntax: "SITE CPTO <path>",
    about: "Copy the file selected with SITE CPFR; visible when complete",
    rfc: "no RFC; sent by some clients",
    arg: Arg::Required,
    is_extra: true,
    unavailable: Code::NAME_REJECTED,
    run: Run::Async(|session, arg| Box::pin(copy_to(session, arg))),
    ..Spec::logged_in(Permissions::COPY.union(Permissions::UPLOAD))
};

async fn copy_to(session: &mut Session, arg: &[u8]) -> Result<Next, Refusal> {
    let Some(from) = session.pending.copy_from.take() else {
        return Next::reply(Code::BAD_SEQUENCE, "Send SITE CPFR first.");
    };
    let to = session.path(arg).await?;
    let (source, sink) = session.files()?.copy(&from, &to).await?;
    Ok(Next::ServerSideJob(ServerSideJob::Copy { source, sink, from, to }))
}

#[cfg(test)]
mod tests {
    use wharf_core::permission::Rules;
    use wharf_proto::path::VPath;

    use super::*;
    use crate::testing::TestSession;

    #[tokio::test]
    async fn row_24_a_copy_takes_cpfr_and_then_cpto() {
        let mut bench = TestSession::new().logged_in(Permissions::ALL).with_file("/a", b"hello");
        assert_eq!(bench.send("SITE CPTO b").await, "503 Send SITE CPFR first.");
        assert!(bench.send("SITE CPFR a").await.starts_with("350"));
        assert_eq!(bench.send("SITE CPTO b").await, "250 Copied.");
        assert_eq!(bench.memory.content("/b").unwrap(), b"hello");
        assert_eq!(bench.send("SITE CPTO c").await, "503 Send SITE CPFR first.");
        bench.send("SITE CPFR a").await;
        assert_eq!(
            bench.send("RNTO c").await,
            "503 Bad sequence of commands: RNTO must immediately follow RNFR."
        );
        assert!(bench.send("SITE CPFR nothing").await.starts_with("550"));
        assert_eq!(bench.send("SITE CPTO c").await, "503 Send SITE CPFR first.");
        assert!(!bench.has_file("/c"));
    }

    #[tokio::test]
    async fn row_24_copies_need_an_explicit_right() {
        let full = Permissions::parse("full").unwrap();
        let mut bench = TestSession::new().logged_in(full).with_file("/a", b"hello");
        for line in ["SITE CPFR a", "SITE CPTO b"] {
            assert_eq!(
                bench.send(line).await,
                "502 Command not available: the account lacks permission copy."
            );
        }
    }

    #[tokio::test]
    async fn row_24_a_copy_needs_the_permissions_of_retr_there_and_of_stor_here() {
        let at = |path: &[u8]| VPath::root().resolve(path).unwrap();
        let without = |permission: Permissions| {
            let each = Permissions::EACH.iter().map(|(one, ..)| *one);
            each.filter(|one| *one != permission).fold(Permissions::NONE, Permissions::union)
        };
        let rules = Rules::everywhere(Permissions::ALL)
            .with(at(b"unreadable"), without(Permissions::READ))
            .with(at(b"uncopied"), without(Permissions::COPY))
            .with(at(b"closed"), without(Permissions::UPLOAD))
            .with(at(b"kept"), without(Permissions::OVERWRITE));
        let mut bench = TestSession::new().logged_in_with_rules(rules);
        for place in ["/", "/unreadable/", "/uncopied/", "/closed/", "/kept/"] {
            bench.memory.put(format!("{place}a"), b"old");
        }
        bench.memory.put("/new", b"new");
        for from in ["unreadable/a", "uncopied/a", "unreadable/nothing", "nothing", "kept", "/"] {
            let reply = bench.send(&format!("SITE CPFR {from}")).await;
            assert!(reply.starts_with("550"), "{from}: {reply}");
        }
        for to in ["uncopied/b", "closed/b", "kept/a", "uncopied/a", "kept", "nothing/b"] {
            bench.send("SITE CPFR new").await;
            let reply = bench.send(&format!("SITE CPTO {to}")).await;
            assert!(reply.starts_with("553"), "{to}: {reply}");
        }
        for to in ["kept/b", "unreadable/a", "a", "new"] {
            bench.send("SITE CPFR new").await;
            assert_eq!(bench.send(&format!("SITE CPTO {to}")).await, "250 Copied.", "{to}");
        }
        assert_eq!(bench.memory.content("/kept/a").unwrap(), b"old");
        assert_eq!(bench.memory.content("/new").unwrap(), b"new");
    }

    /// The list is closed: other SITE commands, such as EXEC, have been vulnerabilities of other
    /// servers.
    #[tokio::test]
    async fn row_25_no_site_command_executes_programs_or_creates_links() {
        let known: Vec<_> = ROWS.iter().map(|row| row.verb).collect();
        let expected = ["HELP", "CHMOD", "UMASK", "UTIME", "IDLE", "QUOTA", "CPFR", "CPTO"];
        assert_eq!(known, expected.map(|word| format!("SITE {word}")));
    }

    #[tokio::test]
    async fn help_site_lists_the_site_commands() {
        let mut bench = TestSession::new();
        let listed = bench.send("HELP SITE").await;
        assert!(listed.starts_with("214-SITE commands:") && listed.contains("CHMOD"), "{listed}");
        assert_eq!(bench.send("help site ").await, listed);
        assert_eq!(bench.send("SITE HELP").await, listed);
        assert!(bench.send("HELP SITE CHMOD").await.starts_with("214 SITE CHMOD <mode> <path>"));
        assert!(bench.send("HELP SITE NOTHING").await.starts_with("501"));
    }

    #[tokio::test]
    async fn site_umask_shows_and_sets_the_bits_of_new_files() {
        let mut bench = TestSession::new().logged_in(Permissions::ALL);
        assert_eq!(bench.send("SITE UMASK").await, "200 Your current UMASK is 022");
        assert_eq!(bench.send("SITE UMASK 077").await, "200 UMASK set to 077");
        assert_eq!(bench.send("SITE UMASK").await, "200 Your current UMASK is 077");
        assert_eq!(bench.send("SITE UMASK 0002").await, "200 UMASK set to 002");
        assert!(bench.send("SITE UMASK 1777").await.starts_with("501"));
        assert!(bench.send("SITE UMASK 8").await.starts_with("501"));
        // Without the permission to change bits, new files may get fewer of them only.
        let mut bench = TestSession::new().logged_in(Permissions::parse("read-write").unwrap());
        assert_eq!(bench.send("SITE UMASK 002").await, "550 Permission denied.");
        assert_eq!(bench.send("SITE UMASK 027").await, "200 UMASK set to 027");
    }

    #[tokio::test(start_paused = true)]
    async fn site_idle_shows_and_sets_the_time_up_to_that_of_the_server() {
        let mut bench = TestSession::new().logged_in(Permissions::ALL);
        let most = bench.session.settings.limits.idle_timeout.as_secs();
        let now = format!("200 Idle time is {most} seconds, at most {most}.");
        assert_eq!(bench.send("SITE IDLE").await, now);
        assert_eq!(bench.send("SITE IDLE 60").await, "200 Idle time set to 60 seconds.");
        assert_eq!(bench.session.idle_max().0, Duration::from_mins(1));
        let more = format!("200 Idle time set to {most} seconds.");
        assert_eq!(bench.send(&format!("SITE IDLE {}", most + 1)).await, more);
        assert!(bench.send("SITE IDLE 0").await.starts_with("501"));
        assert!(bench.send("SITE IDLE soon").await.starts_with("501"));
    }

    #[tokio::test]
    async fn row_25_chmod_has_its_own_permission_and_plain_bits_only() {
        let mut bench = TestSession::new().logged_in(Permissions::ALL).with_file("/a", b"x");
        for mode in ["4755", "2755", "1777", "7777", "888", "-1", "u+s", "", "00000644"] {
            let reply = bench.send(&format!("SITE CHMOD {mode} a")).await;
            assert!(reply.starts_with("501") || reply.starts_with("504"), "{mode}: {reply}");
        }
        assert_eq!(bench.send("SITE CHMOD 640 a").await, "200 Mode is 640.");
        assert_eq!(bench.send("SITE CHMOD 0777 a").await, "200 Mode is 777.");
        assert!(bench.send("SITE CHMOD 640 ../../nothing").await.starts_with("550"));
        let read_write = Permissions::parse("read-write").unwrap();
        let mut bench = TestSession::new().logged_in(read_write).with_file("/a", b"x");
        assert!(bench.send("SITE CHMOD 640 a").await.starts_with("550"));
    }
}
