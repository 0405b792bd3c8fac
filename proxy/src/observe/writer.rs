//! The access log's writer: one thread that takes the workers' batches to standard output or to a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use admin::Seldom;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::access_log::{Batch, Ends, Message, Sink};
use super::limits;
use super::metrics::{WorkerMetrics, WriterMetrics};

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Nowhere: sinks that cost nothing, and no thread.
    None,
    /// Standard output.
    Stdout,
    /// The end of a file, made with mode 0640 if it is missing.
    File(PathBuf),
}

/// The writer's thread, and the orders that it takes.
#[derive(Debug)]
pub struct Writer {
    orders: Arc<Orders>,
    thread: Option<(SyncSender<Message>, JoinHandle<()>)>,
}

#[derive(Debug, Default)]
struct Orders {
    reopen: AtomicBool,
    stop: AtomicBool,
}

impl Writer {
    /// Opens the log and starts the thread, with a sink for each worker, in the order of `workers`.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread not be started.
    pub fn start(
        destination: Destination,
        workers: &[Arc<WorkerMetrics>],
        metrics: Arc<WriterMetrics>,
    ) -> io::Result<(Vec<Sink>, Writer)> {
        let orders = Arc::new(Orders::default());
        let Some(file) = open(&destination)? else {
            let sinks = workers.iter().map(|worker| Sink::new(None, worker.clone())).collect();
            return Ok((sinks, Writer { orders, thread: None }));
        };
        // Room for every batch that can exist, and for an order: no sink ever finds it full.
        let (full, messages) = sync_channel(limits::BATCHES_PER_WORKER * workers.len() + 1);
        let mut sinks = Vec::with_capacity(workers.len());
        let mut returns = Vec::with_capacity(workers.len());
        for (sink, worker) in workers.iter().enumerate() {
            let (back, empty) = sync_channel(limits::BATCHES_PER_WORKER);
            returns.push(back);
            sinks.push(Sink::new(Some(Ends { sink, full: full.clone(), empty }), worker.clone()));
        }
        let task = Task {
            file,
            destination,
            torn: false,
            orders: orders.clone(),
            metrics,
            messages,
            returns,
            errors: Seldom::default(),
            untold: 0,
        };
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || task.run())?;
        Ok((sinks, Writer { orders, thread: Some((full, thread)) }))
    }

    /// Opens the file again under its name (USR1, after a rename by logrotate), before the next batch is written. If that
    /// fails, the old file is kept and the failure counted. Standard output stays as it is. Does not block.
    pub fn reopen(&self) {
        self.orders.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Writes everything that the sinks have handed over, then ends the thread. Drop the sinks first: what they still hold is
    /// handed over then. Returns false if a stalled reader did not let it finish in time; what is left is lost.
    pub fn stop(mut self, patience: Duration) -> bool {
        self.orders.stop.store(true, Ordering::Release);
        self.wake();
        let Some((_, thread)) = self.thread.take() else {
            return true;
        };
        let deadline = Instant::now() + patience;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(limits::STOP_PAUSE);
        }
        thread.is_finished() && thread.join().is_ok()
    }

    /// If the channel is full, the thread has work and sees the order before it takes the next batch.
    fn wake(&self) {
        if let Some((full, _)) = &self.thread {
            let _ = full.try_send(Message::Wake);
        }
    }
}

fn open(destination: &Destination) -> io::Result<Option<File>> {
    match destination {
        Destination::None => Ok(None),
        // A descriptor of our own: the standard library's would look for line ends in every batch.
        Destination::Stdout => Ok(Some(File::from(io::stdout().as_fd().try_clone_to_owned()?))),
        Destination::File(path) => append_to(path).map(Some),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    opened.map_err(|error| io::Error::new(error.kind(), format!("access log {}: {error}", path.display())))
}

/// What the thread owns.
struct Task {
    file: File,
    destination: Destination,
    /// The last write ended within a line: the next one must begin a new line.
    torn: bool,
    orders: Arc<Orders>,
    metrics: Arc<WriterMetrics>,
    messages: Receiver<Message>,
    returns: Vec<SyncSender<Vec<u8>>>,
    errors: Seldom,
    /// Lines that were lost since that was told last.
    untold: u64,
}

impl Task {
    fn run(mut self) {
        loop {
            // Read before the receive: what was handed over before the order is then surely found.
            let stopping = self.orders.stop.load(Ordering::Acquire);
            let message = if stopping { self.messages.try_recv().ok() } else { self.messages.recv().ok() };
            if self.orders.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            match message {
                Some(Message::Batch(batch)) => self.take(batch),
                Some(Message::Wake) => {}
                None => return,
            }
        }
    }

    fn reopen(&mut self) {
        let Destination::File(path) = &self.destination else {
            return;
        };
        match append_to(path) {
            Ok(file) => {
                self.file = file;
                self.torn = false;
                self.metrics.reopened.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.metrics.errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "access log not reopened; the old file goes on");
            }
        }
    }

    fn take(&mut self, mut batch: Batch) {
        match self.write(&batch.bytes) {
            Ok(()) => {
                self.metrics.bytes_written.fetch_add(batch.bytes.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                self.metrics.errors.fetch_add(1, Ordering::Relaxed);
                self.metrics.lines_lost.fetch_add(batch.lines.into(), Ordering::Relaxed);
                self.untold += u64::from(batch.lines);
                if let Some(failures) = self.errors.say(Instant::now()) {
                    let lines = std::mem::take(&mut self.untold);
                    tracing::error!(%error, lines, failures, "access log: lines lost");
                }
            }
        }
        batch.bytes.clear();
        // A sink that is gone needs no batches.
        let _ = self.returns[batch.sink].try_send(batch.bytes);
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_all(b"\n")?;
            self.torn = false;
        }
        self.write_all(bytes)
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.torn = bytes[written - 1] != b'\n';
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Standard output may be a terminal or pipe that somebody else made non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait_writable()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_writable(&self) -> io::Result<()> {
        let pause = Timespec { tv_sec: 0, tv_nsec: limits::WRITER_PAUSE.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::observe::access_log::Record;
    use crate::observe::metrics::{Metrics, Setup};

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Log {
        metrics: Arc<Metrics>,
        sinks: Vec<Sink>,
        writer: Writer,
    }

    fn start(destination: Destination, workers: usize) -> Log {
        let metrics = Metrics::new(Setup { workers, refusals: &[], faults: &[], version: "0" });
        let blocks: Vec<_> = (0..workers).map(|index| metrics.worker(index)).collect();
        let (sinks, writer) = Writer::start(destination, &blocks, metrics.writer()).unwrap();
        Log { metrics, sinks, writer }
    }

    /// A path of its own for each caller, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let name = format!("tollgate-log-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
            let folder = std::env::temp_dir().join(name);
            fs::create_dir(&folder).unwrap();
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("access.log")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn lines(text: &str) -> Vec<serde_json::Value> {
        assert!(text.is_empty() || text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
    }

    fn eventually(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn all_lines_of_all_workers_are_written_before_the_end() {
        let scratch = Scratch::new();
        let mut log = start(Destination::File(scratch.file()), 3);
        for number in 0..5_000u64 {
            for (worker, sink) in log.sinks.iter_mut().enumerate() {
                let id = format!("{worker}-{number}");
                sink.record(&Record { request_id: id.as_bytes(), ..Record::default() });
            }
        }
        drop(log.sinks);
        assert!(log.writer.stop(PATIENCE));
        let text = fs::read_to_string(scratch.file()).unwrap();
        let ids: BTreeSet<_> =
            lines(&text).into_iter().map(|line| line["requestId"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 15_000);
        assert_eq!(log.metrics.total(|worker| &worker.access_log_lines), 15_000);
        assert_eq!(log.metrics.total(|worker| &worker.access_log_dropped), 0);
        assert_eq!(log.metrics.writer().bytes_written.load(Relaxed), text.len() as u64);
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_no_time() {
        let (mut reader, pipe) = io::pipe().unwrap();
        let target = PathBuf::from(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
        let mut log = start(Destination::File(target), 1);
        drop(pipe);
        let mut sink = log.sinks.pop().unwrap();
        let record = Record { path: &[b'a'; 1_000], ..Record::default() };
        let mut slowest = Duration::ZERO;
        for _ in 0..20_000 {
            let before = Instant::now();
            sink.record(&record);
            slowest = slowest.max(before.elapsed());
        }
        // Generous to a busy machine; a write to the full pipe would never have come back.
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        let count = |counter: fn(&WorkerMetrics) -> &AtomicU64| log.metrics.total(counter);
        let (kept, dropped) = (count(|w| &w.access_log_lines), count(|w| &w.access_log_dropped));
        assert_eq!(kept + dropped, 20_000);
        let most = (limits::BATCH_BYTES * limits::BATCHES_PER_WORKER) as u64;
        assert!(kept * 1_000 < most && dropped > 10_000, "kept {kept}, dropped {dropped}");

        // The reader wakes up: what was kept arrives, and new lines are taken again.
        let reading = thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        eventually("lines are taken again", || log.metrics.writer().bytes_written.load(Relaxed) > most / 2);
        sink.record(&record);
        drop(sink);
        assert_eq!(count(|w| &w.access_log_lines), kept + 1);
        assert!(log.writer.stop(PATIENCE));
        let text = reading.join().unwrap().unwrap();
        assert_eq!(lines(&text).len() as u64, kept + 1);
    }

    #[test]
    fn a_stalled_reader_does_not_hold_up_the_end() {
        let (reader, pipe) = io::pipe().unwrap();
        let target = PathBuf::from(format!("/proc/self/fd/{}", pipe.as_raw_fd()));
        let mut log = start(Destination::File(target), 1);
        for _ in 0..1_000 {
            log.sinks[0].record(&Record { path: &[b'a'; 1_000], ..Record::default() });
        }
        drop(log.sinks);
        assert!(!log.writer.stop(Duration::from_millis(50)), "it cannot have finished");
        drop(reader);
    }

    #[test]
    fn reopened_after_a_rename() {
        let scratch = Scratch::new();
        let mut log = start(Destination::File(scratch.file()), 1);
        let sink = &mut log.sinks[0];
        let writer = log.metrics.writer();
        sink.record(&Record { request_id: b"one", ..Record::default() });
        sink.flush();
        eventually("the first line is written", || writer.bytes_written.load(Relaxed) > 0);

        let rotated = scratch.0.join("access.log.1");
        fs::rename(scratch.file(), &rotated).unwrap();
        log.writer.reopen();
        eventually("the log is open again", || writer.reopened.load(Relaxed) == 1);
        assert!(scratch.file().exists(), "without waiting for a line");
        sink.record(&Record { request_id: b"two", ..Record::default() });
        drop(log.sinks);
        assert!(log.writer.stop(PATIENCE));
        let ids = |path: &Path| {
            lines(&fs::read_to_string(path).unwrap())
                .into_iter()
                .map(|line| line["requestId"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&rotated), ["one"]);
        assert_eq!(ids(&scratch.file()), ["two"]);
    }

    #[test]
    fn a_failed_reopening_keeps_the_old_file() {
        let scratch = Scratch::new();
        let mut log = start(Destination::File(scratch.file()), 1);
        let moved = scratch.0.join("elsewhere");
        fs::rename(scratch.file(), &moved).unwrap();
        fs::create_dir(scratch.file()).unwrap();
        log.writer.reopen();
        eventually("the failure is counted", || log.metrics.writer().errors.load(Relaxed) == 1);
        log.sinks[0].record(&Record::default());
        drop(log.sinks);
        assert!(log.writer.stop(PATIENCE));
        assert_eq!(lines(&fs::read_to_string(&moved).unwrap()).len(), 1);
    }

    #[test]
    fn lines_lost_on_a_full_disk_are_counted() {
        let mut log = start(Destination::File("/dev/full".into()), 1);
        for _ in 0..3 {
            log.sinks[0].record(&Record::default());
        }
        drop(log.sinks);
        assert!(log.writer.stop(PATIENCE));
        assert_eq!(log.metrics.writer().lines_lost.load(Relaxed), 3);
        assert_eq!(log.metrics.writer().errors.load(Relaxed), 1);
    }

    #[test]
    fn an_old_batch_is_handed_over_by_the_clock() {
        let scratch = Scratch::new();
        let mut log = start(Destination::File(scratch.file()), 1);
        let sink = &mut log.sinks[0];
        let now = Instant::now();
        assert!(!sink.is_pending());
        sink.record(&Record::default());
        sink.tick(now);
        sink.tick(now + limits::BATCH_AGE / 2);
        assert!(sink.is_pending(), "not before its time");
        sink.tick(now + limits::BATCH_AGE);
        assert!(!sink.is_pending());
        eventually("the line is in the file", || {
            fs::read_to_string(scratch.file()).is_ok_and(|text| lines(&text).len() == 1)
        });
        sink.record(&Record::default());
        sink.tick(now + limits::BATCH_AGE);
        assert!(sink.is_pending(), "a new batch has its own age");
    }

    #[test]
    fn without_a_log_nothing_is_counted_and_nothing_runs() {
        let mut log = start(Destination::None, 2);
        assert_eq!(log.sinks.len(), 2);
        log.sinks[1].record(&Record::default());
        assert!(!log.sinks[1].is_pending());
        assert_eq!(log.metrics.total(|worker| &worker.access_log_lines), 0);
        log.writer.reopen();
        assert!(log.writer.stop(Duration::ZERO));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error_that_names_it() {
        let metrics = Metrics::new(Setup { workers: 1, refusals: &[], faults: &[], version: "0" });
        let file = PathBuf::from("/nonexistent/access.log");
        let error = Writer::start(Destination::File(file), &[metrics.worker(0)], metrics.writer()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("/nonexistent/access.log"));
    }
}
