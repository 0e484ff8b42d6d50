//! Actions of a simulated client without data connections: sessions, logins and commands.

use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};
use wharf_load::Random;
use wharf_proto::reply::Reply;

use crate::client::{Disconnected, SimClient};
use crate::oracle::{FileOperation, ReportedResult};

/// A client gives up after this many rejected logins.
const LOGINS_MAX: u32 = 6;

/// The path of a file that may exist, now or later.
pub(crate) fn file_name(rng: &mut Random) -> String {
    match rng.below(8) {
        0 => format!("/d{}/g{}", rng.below(2), rng.below(2)),
        _ => format!("/f{}", rng.below(5)),
    }
}

fn dir_name(rng: &mut Random) -> String {
    format!("/d{}", rng.below(3))
}

/// The last line of a reply.
pub(crate) fn text_of(reply: &Reply) -> String {
    let last = reply.lines.last();
    last.map(|line| String::from_utf8_lossy(line).into_owned()).unwrap_or_default()
}

impl SimClient {
    /// Performs this many actions, in as many sessions as necessary.
    pub(crate) async fn run(&mut self, actions: u64) {
        let mut logins = 0;
        let mut left = actions;
        while left > 0 && logins < LOGINS_MAX {
            logins += 1;
            if logins > 1 {
                sleep(Duration::from_millis(self.rng.below(8000))).await;
            }
            if self.connect_and_log_in().await.is_err() {
                self.disconnect();
                continue;
            }
            while left > 0 {
                left -= 1;
                if self.random_action().await.is_err() {
                    break;
                }
            }
            if self.control.is_some() && self.rng.chance(2, 3) {
                let _ = self.command("QUIT").await;
            }
            self.disconnect();
        }
        self.log_line("is done");
    }

    /// A session without faults: everything must succeed.
    pub(crate) async fn check_service(&mut self) {
        if self.connect().await.is_err()
            || self.profile.wants_tls && self.secure().await.is_err()
            || self.log_in().await.is_err()
        {
            return self.report_violation("the server no longer accepts logins");
        }
        for _ in 0..2 {
            if self.upload().await.is_err()
                || self.download().await.is_err()
                || self.list().await.is_err()
            {
                return self.report_violation("the server no longer completes transfers");
            }
        }
        let _ = self.command("QUIT").await;
    }

    /// Connects and logs in, sometimes with a wrong password first.
    async fn connect_and_log_in(&mut self) -> Result<(), Disconnected> {
        self.connect().await?;
        if self.profile.wants_tls {
            self.secure().await?;
        }
        if self.rng.chance(1, 6) {
            self.command(&format!("USER {}", self.profile.user)).await?;
            self.command("PASS wrong").await?;
        }
        if self.rng.chance(1, 8) {
            self.command("LIST").await?;
        }
        if self.rng.chance(1, 50) {
            sleep(Duration::from_secs(self.rng.between(1, 70))).await;
        }
        self.log_in().await
    }

    async fn log_in(&mut self) -> Result<(), Disconnected> {
        self.command(&format!("USER {}", self.profile.user)).await?;
        let reply = self.command(&format!("PASS {}", self.profile.secret)).await?;
        if reply.code.number() != 230 {
            self.disconnect();
            return Err(Disconnected);
        }
        self.command("TYPE I").await.map(drop)
    }

    async fn random_action(&mut self) -> Result<(), Disconnected> {
        match self.rng.below(100) {
            0..26 => self.upload().await,
            26..33 => self.resume().await,
            33..53 => self.download().await,
            53..60 => self.list().await,
            60..66 => self.remove().await,
            66..72 => self.rename().await,
            72..78 => self.directories().await,
            78..88 => self.query().await,
            88..92 => self.pipeline().await,
            92..94 => self.abandon_transfer().await,
            94..96 => self.command("ABOR").await.map(drop),
            96 => {
                let most = if self.rng.chance(1, 4) { 400_000 } else { 5000 };
                sleep(Duration::from_millis(self.rng.between(1, most))).await;
                Ok(())
            }
            97 | 98 => self.send_invalid().await,
            _ => {
                self.log_line("vanishes");
                self.disconnect();
                Err(Disconnected)
            }
        }
    }

    async fn remove(&mut self) -> Result<(), Disconnected> {
        let path = file_name(&mut self.rng);
        self.change(&format!("DELE {path}"), FileOperation::RemoveFile, &path).await
    }

    async fn rename(&mut self) -> Result<(), Disconnected> {
        let is_dir = self.rng.chance(1, 8);
        let mut name = || if is_dir { dir_name(&mut self.rng) } else { file_name(&mut self.rng) };
        let (from, to) = (name(), name());
        if self.command(&format!("RNFR {from}")).await?.code.number() != 350 {
            return Ok(());
        }
        self.change(&format!("RNTO {to}"), FileOperation::Rename, &to).await
    }

    async fn directories(&mut self) -> Result<(), Disconnected> {
        let path = dir_name(&mut self.rng);
        match self.rng.below(3) {
            0 => self.change(&format!("RMD {path}"), FileOperation::RemoveDir, &path).await,
            _ => self.change(&format!("MKD {path}"), FileOperation::MakeDir, &path).await,
        }
    }

    /// Sends a command that changes something, and compares the reply with what the storage did.
    async fn change(
        &mut self,
        line: &str,
        operation: FileOperation,
        path: &str,
    ) -> Result<(), Disconnected> {
        let since = self.oracle.moment();
        let reply = self.command(line).await?;
        let is_sole = self.profile.is_sole;
        let reported =
            ReportedResult { account: &self.profile.user, operation, path, since, is_sole };
        self.oracle.check_result(&reported, reply.code.is_success());
        Ok(())
    }

    async fn query(&mut self) -> Result<(), Disconnected> {
        let path = file_name(&mut self.rng);
        let line = match self.rng.below(12) {
            0 => format!("SIZE {path}"),
            1 => format!("MDTM {path}"),
            2 => format!("MLST {path}"),
            3 => "STAT".to_owned(),
            4 => "STAT /".to_owned(),
            5 => "FEAT".to_owned(),
            6 => "HELP".to_owned(),
            7 => "CWD /".to_owned(),
            8 => "CDUP".to_owned(),
            9 => "ALLO 0".to_owned(),
            10 => "RETR".to_owned(),
            _ => "NOOP".to_owned(),
        };
        self.command(&line).await.map(drop)
    }

    /// Sends invalid input.
    async fn send_invalid(&mut self) -> Result<(), Disconnected> {
        match self.rng.below(6) {
            0 => self.command(&"X".repeat(5000)).await.map(drop),
            1 => self.command("PORT 192,0,2,77,200,1").await.map(drop),
            2 => self.command("RETR /f0").await.map(drop),
            3 => {
                self.command("REIN").await?;
                self.log_in().await
            }
            4 => {
                self.send_commands(&["HELP"; 300]).await?;
                self.stop_reading().await
            }
            _ => {
                for _ in 0..3 {
                    self.command(&format!("USER {}", self.profile.user)).await?;
                    self.command("PASS guess").await?;
                }
                Ok(())
            }
        }
    }

    /// Reads a part of the replies, and no more.
    async fn stop_reading(&mut self) -> Result<(), Disconnected> {
        let most = self.rng.size(0, 100_000);
        self.log_line(&format!("receives no more than {most} bytes of replies"));
        let time = Duration::from_secs(self.rng.between(1, 60));
        if let Some(control) = &mut self.control {
            let mut bytes = vec![0; most];
            let _ = timeout(time, control.read_exact(&mut bytes)).await;
        }
        sleep(time).await;
        self.disconnect();
        Err(Disconnected)
    }

    /// Sends several commands at once.
    async fn pipeline(&mut self) -> Result<(), Disconnected> {
        const LINES: &[&str] =
            &["NOOP", "PWD", "SYST", "FEAT", "STAT", "SIZE /f0", "GARBAGE", "TYPE I", "CWD /"];
        let lines: Vec<_> = (0..self.rng.between(2, 7)).map(|_| *self.rng.pick(LINES)).collect();
        self.send_commands(&lines).await?;
        self.all_replies().await
    }

    /// Requests a passive port without using it, or a transfer without connecting.
    async fn abandon_transfer(&mut self) -> Result<(), Disconnected> {
        self.command("EPSV").await?;
        match self.rng.below(3) {
            0 => self.command("LIST").await.map(drop),
            1 => {
                sleep(Duration::from_secs(self.rng.between(1, 40))).await;
                self.list().await
            }
            _ => Ok(()),
        }
    }
}
