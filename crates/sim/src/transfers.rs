//! Transfers of simulated clients, and the faults injected into them.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use wharf_core::storage::Start;

use crate::actions::{file_name, text_of};
use crate::client::{Disconnected, SimClient};
use crate::data_conn::{TransferStart, verb_of};
use crate::oracle::{Download, SentUpload};
use crate::stream::ClientStream;

/// How long a client waits for progress on a data connection.
const DATA_MAX: Duration = Duration::from_secs(250);
/// Bytes per read or write of a client.
const PIECE_BYTES: usize = 8 * 1024;

/// A fault that is injected after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransferFault {
    Nothing,
    /// The data connection is reset.
    Reset,
    /// The client exits: its control connection ends no later than its data.
    Disconnects,
    /// The same, after a pipelined command.
    PipelinesAndDisconnects,
    /// The control connection is reset, and the data connection continues.
    ResetsControl,
    Aborts {
        by_telnet: bool,
    },
    /// NOOP or STAT.
    Queries(&'static str),
    /// Commands are pipelined.
    Pipelines,
    Pauses(Duration),
    /// Nothing is read or sent any more on either connection, for this time; then the client is
    /// gone.
    StopsReading(Duration),
}

/// How the transfer ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransferEnd {
    /// Orderly.
    Whole,
    /// Reset, given up, or aborted.
    Cut,
}

impl SimClient {
    /// STOR, APPE or STOU.
    pub(crate) async fn upload(&mut self) -> Result<(), Disconnected> {
        let path = file_name(&mut self.rng);
        let bytes = self.content();
        let (line, start, path) = match self.rng.below(10) {
            0 | 1 => (format!("APPE {path}"), Start::End, Some(path)),
            2 => ("STOU".to_owned(), Start::Fresh, None),
            _ => (format!("STOR {path}"), Start::Fresh, Some(path)),
        };
        if let Some(path) = &path
            && self.cut.remove(path).is_some()
        {
            self.uncertain_paths.insert(path.clone());
        }
        let is_ascii = self.rng.chance(1, 8);
        let sent = if is_ascii { from_network(&bytes) } else { bytes.clone() };
        let upload =
            SentUpload { account: self.profile.user.clone(), path, start, sent, whole: None };
        self.typed(is_ascii).await?;
        self.send_upload(&line, upload, &bytes).await?;
        self.back_to_image(is_ascii).await
    }

    /// Resumes an interrupted upload: SIZE, REST, STOR.
    pub(crate) async fn resume(&mut self) -> Result<(), Disconnected> {
        let Some(path) = self.cut.keys().next().cloned() else { return self.upload().await };
        let Some(whole) = self.cut.remove(&path) else { return Ok(()) };
        let size = self.command(&format!("SIZE {path}")).await?;
        let Some(size) = text_of(&size).parse::<usize>().ok().filter(|_| size.code.is_success())
        else {
            self.uncertain_paths.insert(path);
            return Ok(());
        };
        let Some(rest) = whole.get(size..).filter(|_| size > 0) else { return Ok(()) };
        if self.command(&format!("REST {size}")).await?.code.number() != 350 {
            return Ok(());
        }
        let upload = SentUpload {
            account: self.profile.user.clone(),
            path: Some(path.clone()),
            start: Start::At(u64::try_from(size).unwrap_or(u64::MAX)),
            sent: rest.to_vec(),
            whole: (self.profile.is_sole && !self.uncertain_paths.contains(&path)).then_some(whole),
        };
        let rest = upload.sent.clone();
        self.send_upload(&format!("STOR {path}"), upload, &rest).await
    }

    /// Performs an upload that sends `bytes` over the network.
    async fn send_upload(
        &mut self,
        command: &str,
        upload: SentUpload,
        bytes: &[u8],
    ) -> Result<(), Disconnected> {
        let Some(route) = self.route().await? else {
            // A REST must not apply to another file.
            return self.command("REST 0").await.map(drop);
        };
        let verb = verb_of(command);
        let stored = upload.sent.clone();
        let path = upload.path.clone();
        let is_fresh = upload.start == Start::Fresh;
        let id = self.oracle.begin_upload(upload);
        let (mut link, name) = match self.open(command, route).await? {
            TransferStart::Rejected => {
                self.oracle.end_upload(id, false);
                return Ok(());
            }
            TransferStart::Open { link, name } => (link, name),
        };
        if verb == "STOU" {
            self.oracle.set_name(id, format!("/{}", name.trim_start_matches("FILE: ")));
        }
        if let Some(path) = path.as_ref().filter(|_| is_fresh) {
            self.cut.insert(path.clone(), stored);
        }
        let fault = self.fault();
        let moved = self.send_data(&mut link, bytes, fault).await?;
        if moved == TransferEnd::Whole {
            self.oracle.is_whole(id);
            self.log_line(&format!("has sent {} bytes", bytes.len()));
            let _ = timeout(DATA_MAX, link.end()).await;
        }
        let code = self.reply_to(verb).await?;
        self.oracle.end_upload(id, is_done(code));
        // Another client may remove a directory while its file is being uploaded.
        let is_safe = path.as_ref().is_none_or(|path| !path.starts_with("/d"));
        if let Some(path) = path.filter(|_| is_done(code)) {
            self.cut.remove(&path);
        }
        let went_well = moved == TransferEnd::Whole && is_safe && is_harmless(fault);
        self.settle(verb, code, fault, went_well, link).await
    }

    async fn typed(&mut self, is_ascii: bool) -> Result<(), Disconnected> {
        if is_ascii { self.command("TYPE A").await.map(drop) } else { Ok(()) }
    }

    async fn back_to_image(&mut self, is_ascii: bool) -> Result<(), Disconnected> {
        if is_ascii { self.command("TYPE I").await.map(drop) } else { Ok(()) }
    }

    /// RETR, sometimes from an offset.
    pub(crate) async fn download(&mut self) -> Result<(), Disconnected> {
        let path = file_name(&mut self.rng);
        let is_ascii = self.rng.chance(1, 8);
        let from = if self.rng.chance(1, 4) && !is_ascii { self.rng.size(0, 60_000) } else { 0 };
        self.typed(is_ascii).await?;
        self.retrieve(&path, from, is_ascii).await?;
        self.back_to_image(is_ascii).await
    }

    async fn retrieve(
        &mut self,
        path: &str,
        from: usize,
        is_ascii: bool,
    ) -> Result<(), Disconnected> {
        let Some(route) = self.route().await? else { return Ok(()) };
        if from > 0 && self.command(&format!("REST {from}")).await?.code.number() != 350 {
            return Ok(());
        }
        let requested_at = Instant::now();
        let TransferStart::Open { mut link, .. } =
            self.open(&format!("RETR {path}"), route).await?
        else {
            return Ok(());
        };
        let opened = Instant::now();
        let fault = self.fault();
        let mut bytes = Vec::new();
        let moved = self.receive_data(&mut link, &mut bytes, fault).await?;
        self.log_line(&format!("has got {} bytes: {moved:?}", bytes.len()));
        let code = self.reply_to("RETR").await?;
        let is_whole = is_done(code) && moved == TransferEnd::Whole;
        let download =
            Download { path, from, is_ascii, bytes: &bytes, requested_at, opened, is_whole };
        self.oracle.check_download(&download);
        let went_well = moved == TransferEnd::Whole && is_harmless(fault);
        self.settle("RETR", code, fault, went_well, link).await
    }

    /// LIST, NLST or MLSD.
    pub(crate) async fn list(&mut self) -> Result<(), Disconnected> {
        let verb = *self.rng.pick(&["LIST", "NLST", "MLSD"]);
        let line = match self.rng.below(4) {
            0 => format!("{verb} /d0"),
            1 if verb != "MLSD" => format!("{verb} /f*"),
            _ => verb.to_owned(),
        };
        let Some(route) = self.route().await? else { return Ok(()) };
        let requested_at = Instant::now();
        let TransferStart::Open { mut link, .. } = self.open(&line, route).await? else {
            return Ok(());
        };
        let fault = self.fault();
        let mut bytes = Vec::new();
        let moved = self.receive_data(&mut link, &mut bytes, fault).await?;
        let code = self.reply_to(verb).await?;
        let is_lines = bytes.is_empty() || bytes.ends_with(b"\r\n");
        if is_done(code) && moved == TransferEnd::Whole && !is_lines {
            self.report_violation("a listing that ends within a line");
        }
        if is_done(code) && moved == TransferEnd::Whole && line == "NLST" {
            let names = String::from_utf8_lossy(&bytes);
            let names: Vec<_> = names.lines().map(str::to_owned).collect();
            self.oracle.listed(&names, requested_at, Instant::now());
        }
        let went_well = moved == TransferEnd::Whole && is_harmless(fault);
        self.settle(verb, code, fault, went_well, link).await
    }

    /// After a transfer: reads the remaining replies, and checks the result.
    async fn settle(
        &mut self,
        verb: &str,
        code: u16,
        fault: TransferFault,
        went_well: bool,
        link: ClientStream,
    ) -> Result<(), Disconnected> {
        drop(link);
        // The target may have been removed, or another session of the account appends to it.
        let has_conflict = verb == "APPE" && matches!(code, 450 | 451 | 550);
        if self.profile.is_faultless && went_well && !is_done(code) && !has_conflict {
            self.report_violation(&format!("{verb} succeeded, but got {code}"));
        }
        self.all_replies().await?;
        if matches!(fault, TransferFault::Aborts { .. }) {
            self.command("NOOP").await?;
        }
        Ok(())
    }

    fn fault(&mut self) -> TransferFault {
        if self.profile.is_well_behaved {
            return TransferFault::Nothing;
        }
        match self.rng.below(40) {
            0..3 => TransferFault::Reset,
            3 => TransferFault::Disconnects,
            4 => TransferFault::PipelinesAndDisconnects,
            5 => TransferFault::ResetsControl,
            6..10 => TransferFault::Aborts { by_telnet: self.rng.chance(1, 2) },
            10..13 => TransferFault::Queries("NOOP"),
            13..15 => TransferFault::Queries("STAT"),
            15..18 => TransferFault::Pipelines,
            18..20 => TransferFault::Pauses(Duration::from_millis(self.rng.between(1, 20_000))),
            20 => TransferFault::Pauses(Duration::from_secs(self.rng.between(100, 140))),
            21 => TransferFault::StopsReading(Duration::from_secs(self.rng.between(1, 200))),
            _ => TransferFault::Nothing,
        }
    }

    /// Sends bytes, and injects the fault in between. The caller sends the FIN.
    async fn send_data(
        &mut self,
        link: &mut ClientStream,
        bytes: &[u8],
        fault: TransferFault,
    ) -> Result<TransferEnd, Disconnected> {
        let (before, after) = bytes.split_at(self.rng.size(0, bytes.len()));
        if send_all(link, before).await.is_err() {
            self.log_line("cannot send data");
            return Ok(TransferEnd::Cut);
        }
        if self.inject(link, fault).await? == TransferEnd::Cut {
            return Ok(TransferEnd::Cut);
        }
        if send_all(link, after).await.is_err() {
            self.log_line("cannot send data");
            return Ok(TransferEnd::Cut);
        }
        Ok(TransferEnd::Whole)
    }

    /// Reads to the end, and injects the fault in between.
    async fn receive_data(
        &mut self,
        link: &mut ClientStream,
        bytes: &mut Vec<u8>,
        fault: TransferFault,
    ) -> Result<TransferEnd, Disconnected> {
        let at = self.rng.size(0, 50_000);
        let mut is_ahead = fault != TransferFault::Nothing;
        loop {
            if is_ahead && bytes.len() >= at {
                is_ahead = false;
                if self.inject(link, fault).await? == TransferEnd::Cut {
                    return Ok(TransferEnd::Cut);
                }
            }
            let mut piece = link.take(u64::try_from(PIECE_BYTES).unwrap_or(1));
            match timeout(DATA_MAX, piece.read_buf(bytes)).await {
                Ok(Ok(0)) => return Ok(TransferEnd::Whole),
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Ok(TransferEnd::Cut),
                Err(_) => {
                    self.log_line("data has stalled");
                    return Ok(TransferEnd::Cut);
                }
            }
        }
    }

    /// Injects a fault, and returns whether the transfer can continue.
    async fn inject(
        &mut self,
        link: &mut ClientStream,
        fault: TransferFault,
    ) -> Result<TransferEnd, Disconnected> {
        if fault != TransferFault::Nothing {
            self.log_line(&format!("{fault:?}"));
        }
        match fault {
            TransferFault::Nothing => {}
            TransferFault::Reset => {
                link.link().reset();
                return Ok(TransferEnd::Cut);
            }
            TransferFault::Disconnects | TransferFault::PipelinesAndDisconnects => {
                if fault == TransferFault::PipelinesAndDisconnects {
                    self.send_commands(&["PWD"]).await?;
                    sleep(Duration::from_millis(self.rng.below(200))).await;
                }
                let control = self.control.as_mut();
                let control_ends = control.map(|control| control.link().finish(None));
                link.link().finish(control_ends);
                self.disconnect();
                return Err(Disconnected);
            }
            TransferFault::ResetsControl => {
                if let Some(control) = &mut self.control {
                    control.link().reset();
                }
                self.disconnect();
                let _ = send_all(link, b"late data").await;
                link.link().finish(None);
                return Err(Disconnected);
            }
            TransferFault::Aborts { by_telnet } => {
                if by_telnet {
                    self.abort_by_telnet().await?;
                } else {
                    self.send_commands(&["ABOR"]).await?;
                }
                self.aborted().await?;
                return Ok(TransferEnd::Cut);
            }
            TransferFault::Queries(verb) => {
                if !self.command_during_transfer(verb).await? {
                    return Ok(TransferEnd::Cut);
                }
            }
            TransferFault::Pipelines => {
                self.send_commands(&["PWD", "NOOP", "SYST", "NONSENSE"]).await?;
            }
            TransferFault::Pauses(time) => sleep(time).await,
            TransferFault::StopsReading(time) => {
                sleep(time).await;
                link.link().reset();
                self.disconnect();
                return Err(Disconnected);
            }
        }
        Ok(TransferEnd::Whole)
    }

    fn content(&mut self) -> Vec<u8> {
        let size = match self.rng.below(10) {
            // If other clients use the account, contents must differ to be distinguishable.
            0 | 1 if !self.profile.is_sole => 16,
            0 => 0,
            1 => 1,
            2..6 => self.rng.size(2, 3000),
            6..9 => self.rng.size(3000, 60_000),
            // Large enough for a kernel copy.
            _ if self.rng.chance(1, 3) => self.rng.size(2_000_000, 3_500_000),
            _ => self.rng.size(60_000, 300_000),
        };
        let mut bytes = vec![0; size];
        self.rng.fill(&mut bytes);
        bytes
    }
}

/// Text as the server stores it: CR LF becomes LF.
fn from_network(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        if byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            stored.push(byte);
        }
    }
    stored
}

async fn send_all(link: &mut ClientStream, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE_BYTES) {
        match timeout(DATA_MAX, link.write_all(piece)).await {
            Ok(done) => done?,
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
    timeout(DATA_MAX, link.flush()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is_done(code: u16) -> bool {
    matches!(code, 226 | 250)
}

/// Whether a transfer should succeed despite the fault.
fn is_harmless(fault: TransferFault) -> bool {
    match fault {
        TransferFault::Nothing | TransferFault::Queries(_) | TransferFault::Pipelines => true,
        TransferFault::Pauses(time) => time < Duration::from_secs(100),
        TransferFault::Reset
        | TransferFault::Disconnects
        | TransferFault::PipelinesAndDisconnects
        | TransferFault::ResetsControl
        | TransferFault::StopsReading(_)
        | TransferFault::Aborts { .. } => false,
    }
}
