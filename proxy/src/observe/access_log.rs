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

    /// Whether lines go anywhere.
    pub fn is_open(&self) -> bool {
        self.ends.is_some()
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
        let batch = Batch { sink: ends.sink, lines, bytes: std::mem::take(&mut self.batch) };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;
    use crate::observe::metrics::{Metrics, Setup};

    /// A sink whose batches arrive here instead of at a writer.
    fn sink() -> (Sink, Receiver<Message>, SyncSender<Vec<u8>>, Arc<WorkerMetrics>) {
        let metrics = Metrics::new(Setup { workers: 1, refusals: &[], faults: &[], version: "0" }).worker(0);
        let (full, batches) = sync_channel(limits::BATCHES_PER_WORKER + 1);
        let (back, empty) = sync_channel(limits::BATCHES_PER_WORKER);
        (Sink::new(Some(Ends { sink: 0, full, empty }), metrics.clone()), batches, back, metrics)
    }

    fn batch(batches: &Receiver<Message>) -> Batch {
        match batches.try_recv() {
            Ok(Message::Batch(batch)) => batch,
            other => panic!("no batch: {other:?}"),
        }
    }

    #[test]
    fn a_batch_is_filled_and_never_grows() {
        let (mut sink, batches, _back, metrics) = sink();
        let record = Record { path: &[b'x'; 3_000], ..Record::default() };
        for _ in 0..100 {
            sink.record(&record);
        }
        let first = batch(&batches);
        let free = limits::BATCH_BYTES - first.bytes.len();
        assert!(free < line::bound(&record), "{free} bytes were left");
        assert_eq!(first.bytes.capacity(), limits::BATCH_BYTES);
        assert_eq!(first.lines as usize, first.bytes.split_inclusive(|&byte| byte == b'\n').count());
        drop(sink);
        let rest: u32 = batches
            .try_iter()
            .map(|message| match message {
                Message::Batch(batch) => batch.lines,
                Message::Wake => panic!("sinks give no orders"),
            })
            .sum();
        assert_eq!(first.lines + rest, 100);
        assert_eq!(metrics.access_log_lines.load(Relaxed), 100);
    }

    #[test]
    fn batches_that_come_back_are_used_again() {
        let (mut sink, batches, back, _) = sink();
        sink.record(&Record::default());
        sink.flush();
        let mut bytes = batch(&batches).bytes;
        let place = bytes.as_ptr();
        bytes.clear();
        back.send(bytes).unwrap();
        sink.record(&Record::default());
        sink.flush();
        assert_eq!(batch(&batches).bytes.as_ptr(), place);
        assert_eq!(sink.alive, 1);
    }

    #[test]
    fn without_batches_lines_are_dropped_until_one_returns() {
        let (mut sink, batches, back, metrics) = sink();
        for _ in 0..limits::BATCHES_PER_WORKER + 5 {
            sink.record(&Record::default());
            sink.flush();
        }
        assert_eq!(metrics.access_log_dropped.load(Relaxed), 5);
        assert_eq!(metrics.access_log_lines.load(Relaxed), limits::BATCHES_PER_WORKER as u64);
        let mut bytes = batch(&batches).bytes;
        bytes.clear();
        back.send(bytes).unwrap();
        sink.record(&Record::default());
        assert!(sink.is_pending());
        assert_eq!(metrics.access_log_dropped.load(Relaxed), 5);
    }

    #[test]
    fn memory_goes_back_after_a_burst() {
        let (mut sink, batches, back, _) = sink();
        for _ in 0..10 {
            sink.record(&Record::default());
            sink.flush();
        }
        for _ in 0..10 {
            back.send(batch(&batches).bytes).unwrap();
        }
        sink.tick(Instant::now());
        assert_eq!((sink.alive, sink.spare.len()), (limits::SPARE_BATCHES, limits::SPARE_BATCHES));
    }

    #[test]
    fn a_writer_that_is_gone_costs_lines_only() {
        let (mut sink, batches, _back, metrics) = sink();
        drop(batches);
        for _ in 0..200 {
            sink.record(&Record::default());
            sink.flush();
        }
        assert_eq!(metrics.access_log_dropped.load(Relaxed), 200);
    }

    #[test]
    fn a_clock_that_stands_still_hands_nothing_over() {
        let (mut sink, batches, _back, _) = sink();
        let now = Instant::now();
        sink.record(&Record::default());
        sink.tick(now);
        sink.tick(now);
        assert!(batches.try_recv().is_err());
        sink.tick(now + Duration::from_secs(1));
        assert_eq!(batch(&batches).lines, 1);
    }
}
