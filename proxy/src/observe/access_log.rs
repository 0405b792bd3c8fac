//! The worker's end of the access log: lines into a batch, full batches to the writer, and never a wait.
//!
//! A worker owns at most [`limits::BATCHES_PER_WORKER`] batches, which travel to the writer and come back. When all are
//! away, the log does not keep up: lines are dropped and counted until one returns.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Instant;

use super::limits;
use super::line::{self, Date};
use super::metrics::{WorkerMetrics, add};

pub use super::line::{Record, Target};

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Message {
    /// Lines to write.
    Batch(Batch),
    /// An order was left: see to it.
    Wake,
}

/// Lines on their way to the writer.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) sink: usize,
    pub(super) lines: u32,
    pub(super) bytes: Vec<u8>,
}

/// What ties a sink to its writer.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) sink: usize,
    /// Has room for every batch of every worker: a send never fails for want of it.
    pub(super) full: SyncSender<Message>,
    pub(super) empty: Receiver<Vec<u8>>,
}

/// Where one worker writes its lines. Dropping it hands over what it holds.
#[derive(Debug)]
pub struct Sink {
    /// None if there is no log: then a record costs one comparison.
    ends: Option<Ends>,
    metrics: Arc<WorkerMetrics>,
    date: Date,
    batch: Vec<u8>,
    lines: u32,
    /// When [`Sink::tick`] first saw a line in the batch.
    seen: Option<Instant>,
    /// Batches that exist, here or on their way.
    alive: usize,
    /// An empty batch that came back, kept for the next turn.
    spare: Vec<Vec<u8>>,
}

impl Sink {
    pub(super) fn new(ends: Option<Ends>, metrics: Arc<WorkerMetrics>) -> Self {
        Self {
            ends,
            metrics,
            date: Date::new(),
            batch: Vec::new(),
            lines: 0,
            seen: None,
            alive: 0,
            spare: Vec::with_capacity(limits::SPARE_BATCHES),
        }
    }

    /// Writes one line. Never blocks, and allocates only until the worker has as many batches as it needs.
    pub fn record(&mut self, record: &Record<'_>) {
        if self.ends.is_none() {
            return;
        }
        if limits::BATCH_BYTES - self.batch.len() < line::bound(record) {
            self.flush();
        }
        if self.batch.capacity() == 0 && !self.take_batch() {
            add(&self.metrics.access_log_dropped, 1);
            return;
        }
        line::write(&mut self.batch, &mut self.date, record);
        self.lines += 1;
        add(&self.metrics.access_log_lines, 1);
    }

    /// Hands over a batch that has become too old. To be called a few times per [`limits::BATCH_AGE`] while
    /// [`Sink::is_pending`]; otherwise now and then, so that memory goes back after a burst.
    pub fn tick(&mut self, now: Instant) {
        if self.lines == 0 {
            self.shrink();
        } else if now.duration_since(*self.seen.get_or_insert(now)) >= limits::BATCH_AGE {
            self.flush();
        }
    }

    /// Whether lines wait for [`Sink::tick`]. If not, the worker may sleep as long as it likes.
    pub fn is_pending(&self) -> bool {
        self.lines > 0
    }

    /// Hands over what there is, however little.
    pub fn flush(&mut self) {
        self.seen = None;
        let Some(ends) = self.ends.as_ref().filter(|_| self.lines > 0) else {
            return;
        };
        let lines = std::mem::take(&mut self.lines);
        let batch = Batch {
            sink: ends.sink,
            lines,
            bytes: std::mem::take(&mut self.batch),
        };
        if ends.full.try_send(Message::Batch(batch)).is_err() {
            // Only after the writer's end: nobody reads any more.
            self.alive -= 1;
            add(&self.metrics.access_log_dropped, u64::from(lines));
        }
    }

    /// An empty batch to write into: one that came back, or a new one if the worker may have more.
    fn take_batch(&mut self) -> bool {
        let Some(ends) = &self.ends else { return false };
        let found = match self.spare.pop() {
            Some(batch) => Some(batch),
            None => ends.empty.try_recv().ok(),
        };
        if let Some(batch) = found {
            self.batch = batch;
        } else if self.alive < limits::BATCHES_PER_WORKER {
            self.alive += 1;
            self.batch = Vec::with_capacity(limits::BATCH_BYTES);
        } else {
            return false;
        }
        true
    }

    /// Takes back what the writer returned; what is beyond the spare ones goes to the allocator.
    fn shrink(&mut self) {
        let Some(ends) = &self.ends else { return };
        loop {
            match ends.empty.try_recv() {
                Ok(batch) if self.spare.len() < limits::SPARE_BATCHES => self.spare.push(batch),
                Ok(_) => self.alive -= 1,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.flush();
    }
}
