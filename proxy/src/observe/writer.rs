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

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::access_log::{Batch, Ends, Message, Sink};
use super::limits;
use super::metrics::{WorkerMetrics, WriterMetrics, add};

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
            let sinks = workers
                .iter()
                .map(|worker| Sink::new(None, worker.clone()))
                .collect();
            return Ok((
                sinks,
                Writer {
                    orders,
                    thread: None,
                },
            ));
        };
        // Room for every batch that can exist, and for an order: no sink ever finds it full.
        let (full, messages) = sync_channel(limits::BATCHES_PER_WORKER * workers.len() + 1);
        let mut sinks = Vec::with_capacity(workers.len());
        let mut returns = Vec::with_capacity(workers.len());
        for (sink, worker) in workers.iter().enumerate() {
            let (back, empty) = sync_channel(limits::BATCHES_PER_WORKER);
            returns.push(back);
            sinks.push(Sink::new(
                Some(Ends {
                    sink,
                    full: full.clone(),
                    empty,
                }),
                worker.clone(),
            ));
        }
        let task = Task {
            file,
            destination,
            torn: false,
            orders: orders.clone(),
            metrics,
            messages,
            returns,
        };
        let thread = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || task.run())?;
        Ok((
            sinks,
            Writer {
                orders,
                thread: Some((full, thread)),
            },
        ))
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
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path);
    opened.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("access log {}: {error}", path.display()),
        )
    })
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
}

impl Task {
    fn run(mut self) {
        loop {
            // Read before the receive: what was handed over before the order is then surely found.
            let stopping = self.orders.stop.load(Ordering::Acquire);
            let message = if stopping {
                self.messages.try_recv().ok()
            } else {
                self.messages.recv().ok()
            };
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
                add(&self.metrics.reopened, 1);
            }
            Err(error) => {
                add(&self.metrics.errors, 1);
                tracing::error!(%error, "access log not reopened; the old file goes on");
            }
        }
    }

    fn take(&mut self, mut batch: Batch) {
        match self.write(&batch.bytes) {
            Ok(()) => add(&self.metrics.bytes_written, batch.bytes.len() as u64),
            Err(error) => {
                add(&self.metrics.errors, 1);
                add(&self.metrics.lines_lost, u64::from(batch.lines));
                tracing::error!(%error, lines = batch.lines, "access log: lines lost");
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
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: limits::WRITER_PAUSE.subsec_nanos().into(),
        };
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&pause)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
