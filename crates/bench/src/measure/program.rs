//! A client program: its time from start to exit.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};
use std::sync::Arc;

use super::{Figures, MeasurementContext, add_peak};
use crate::bench::cases::{CountUnit, FileLocation};
use crate::bench::clients::{ClientJob, ClientProgram, Endpoints, contents, downloads};
use crate::bench::number::{GIB, figure, length, ratio};
use crate::bench::paths::{make_folder, remove_folder};
use crate::bench::result::Figure;
use crate::bench::running::RunningServer;
use crate::bench::sampler::watch;
use crate::bench::tree::UPLOADS;
use crate::bench::{clock, proc};

/// Runs the program against the server at `address`, and checks that everything has arrived.
pub(super) fn measure(
    bench: &MeasurementContext,
    unit: CountUnit,
    running: &Arc<RunningServer>,
    address: SocketAddr,
    (client, job): (ClientProgram, ClientJob),
) -> Result<Figures, String> {
    let root = bench.tree.root(FileLocation::Memory);
    let local = bench.tree.local();
    remove_folder(&local);
    make_folder(&local)?;
    let places = Endpoints { server: address, root: &root, local: &local };
    let mut command = client.command(job, &places)?;
    // In its own process group, so that Ctrl-C ends the servers first.
    command.process_group(0);
    let (group, pid) = running.counted();
    let before = group.held(pid);
    let (cpu, own, busy) = (group.cpu(pid), proc::own_and_children(), proc::busy());
    let begun = clock::now();
    // The time is taken before the sampler ends, which waits for its next sample.
    let ((ended, took), peak) = watch(running, || (run(&mut command), begun.elapsed()));
    let wall = took.as_secs_f64();
    let (cpu, own) = (group.cpu(pid) - cpu, proc::own_and_children() - own);
    let others = (proc::busy() - busy - cpu - own).max(0.0);
    let program = client.program(job);
    ended.map_err(|why| format!("{program}: {why}"))?;
    let arrived = if job.is_upload() { root.join(UPLOADS) } else { downloads(&places) };
    let (files, bytes) = contents(&arrived)?;
    let wanted = contents(&root.join(job.folder()))?;
    remove_folder(&local);
    if (files, bytes) != wanted {
        let (all, all_bytes) = wanted;
        return Err(format!(
            "{program} moved {files} files with {bytes} bytes instead of {all} with {all_bytes}"
        ));
    }
    let (units, cpu_scale) = match unit {
        CountUnit::Gib => (figure(bytes) / figure(GIB), 1.0),
        CountUnit::Operation | CountUnit::Entry => (figure(files), 1e6),
    };
    let mut figures = Figures::from([
        (Figure::Rate, ratio(units, wall)),
        (Figure::Cpu, ratio(cpu * cpu_scale, units)),
        (Figure::WallS, wall),
        (Figure::Bytes, figure(bytes)),
        (Figure::Operations, figure(files)),
        (Figure::ServerCpuS, cpu),
        (Figure::GeneratorCpuS, own),
    ]);
    add_peak(&mut figures, &peak, before);
    let processors = wall * length(wharf_load::machine::cores());
    figures.insert(Figure::OthersCpu, 100.0 * ratio(others, processors));
    Ok(figures)
}

fn run(command: &mut Command) -> Result<(), String> {
    let Output { status, stderr, .. } = command.output().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&stderr);
    let end: Vec<&str> = text.lines().rev().take(MESSAGE_LINES_MAX).collect();
    Err(format!("{status}: {}", end.into_iter().rev().collect::<Vec<_>>().join("; ")))
}

/// The end of what a failed program has printed.
const MESSAGE_LINES_MAX: usize = 3;
