//! When the server waits for the lines that it has gathered: at its end, and when a thread panics.

use std::sync::Arc;

use super::Log;

/// Writes all lines of the log when it is dropped.
pub(crate) struct FlushOnDrop(pub(crate) Arc<Log>);

impl Drop for FlushOnDrop {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Logs every panic, and writes all lines of the log: they may show why, and a second panic would
/// abort the process.
pub(crate) fn log_panics(log: &Arc<Log>) {
    let log = Arc::downgrade(log);
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(log) = log.upgrade() {
            let location = panic.location().map(ToString::to_string);
            let reason = panic.payload_as_str().unwrap_or("unknown");
            log.note_panic(reason, &location.unwrap_or_default());
            log.flush();
        }
        report(panic);
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::super::line::LineFormat;
    use super::super::record::{Level, LogRecord};
    use super::super::target::LogTarget;
    use super::super::{LogFilter, LogOptions, Output};
    use super::*;

    type Memory = Arc<Mutex<Vec<u8>>>;

    fn log_to(memory: &Memory) -> Arc<Log> {
        let log = Log::prepare(LogOptions {
            outputs: vec![Output { style: LineFormat::Text, target: LogTarget::memory(memory) }],
            filter: LogFilter::of(Level::Info, false, Vec::new()),
            transfer_log: None,
            audit: None,
        });
        log.begin().unwrap();
        Arc::new(log)
    }

    fn note(log: &Log, count: u64) {
        for number in 0..count {
            log.note(&LogRecord::new(Level::Info, "ready").number("number", number));
        }
    }

    fn lines(memory: &Memory) -> usize {
        String::from_utf8_lossy(&memory.lock().unwrap()).lines().count()
    }

    #[test]
    fn row_43_gathered_lines_are_written_at_the_end_although_others_still_hold_the_log() {
        let memory = Memory::default();
        let log = log_to(&memory);
        // A thread of the event delivery, say.
        let other = Arc::clone(&log);
        let flush = FlushOnDrop(Arc::clone(&log));
        note(&log, 50);
        drop((log, flush));
        assert_eq!(lines(&memory), 50);
        drop(other);
    }

    #[test]
    fn row_43_a_panic_is_logged_and_counted_and_gathered_lines_are_written_before_it_is_reported() {
        let memory = Memory::default();
        let log = log_to(&memory);
        let usual = std::panic::take_hook();
        let (reported, written) = (Arc::<Mutex<Vec<usize>>>::default(), Arc::clone(&memory));
        let seen = Arc::clone(&reported);
        std::panic::set_hook(Box::new(move |_| seen.lock().unwrap().push(lines(&written))));
        log_panics(&log);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let task = runtime.spawn({
            let log = Arc::clone(&log);
            async move {
                note(&log, 50);
                panic!("a fault");
            }
        });
        assert!(runtime.block_on(task).unwrap_err().is_panic());
        assert_eq!(log.panics(), 1);
        let text = String::from_utf8(memory.lock().unwrap().clone()).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.contains(" ERROR event=panic reason=\"a fault\" location=\""), "{last}");
        assert!(last.contains("flushing.rs:"), "{last}");
        // The log continues, and without it a panic is only reported.
        note(&log, 1);
        log.flush();
        drop(log);
        assert!(std::thread::spawn(|| panic!("another fault")).join().is_err());
        std::panic::set_hook(usual);
        assert_eq!(*reported.lock().unwrap(), [51, 52]);
    }
}
