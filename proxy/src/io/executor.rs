//! Tasks of one thread: spawn, wake, poll, and contain panics.
//!
//! A task's future lives in a cell of a pool, so that a request in steady state allocates nothing. A waker is the packed
//! triple (shard, generation, index): cloning it is free, and a wake from another thread goes through that shard's eventfd.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::limits::{DROP_ROUNDS_MAX, SPARE_CELLS_MAX};

thread_local! {
    static TASKS: Tasks = const { Tasks::new() };
}

struct Tasks {
    shard: Cell<u16>,
    slots: RefCell<Vec<TaskSlot>>,
    free: RefCell<Vec<u32>>,
    ready: RefCell<VecDeque<TaskId>>,
    cells: RefCell<Vec<(Layout, Vec<NonNull<u8>>)>>,
    live: Cell<usize>,
    panics: Cell<u64>,
}

struct TaskSlot {
    generation: u32,
    queued: bool,
    future: Option<Erased>,
}

/// A future in its cell, with what is needed to poll and drop it without its type.
struct Erased {
    cell: NonNull<u8>,
    table: &'static Table,
}

struct Table {
    layout: Layout,
    poll: unsafe fn(NonNull<u8>, &mut Context<'_>) -> Poll<()>,
    drop: unsafe fn(NonNull<u8>),
}

trait HasTable {
    const TABLE: Table;
}

impl<F: Future<Output = ()>> HasTable for F {
    const TABLE: Table = Table {
        layout: Layout::new::<F>(),
        // SAFETY: type erasure needs a cast back. Sound: the table is only ever paired with a cell that holds an `F`, and the
        // cell does not move between the first poll and the drop, so pinning holds.
        poll: |cell, context| unsafe { Pin::new_unchecked(cell.cast::<F>().as_mut()).poll(context) },
        // SAFETY: as above; called once, after which the cell's bytes are only memory.
        drop: |cell| unsafe { cell.cast::<F>().drop_in_place() },
    };
}

/// (shard: 16 bits, generation: 24 bits, index: 24 bits).
#[derive(Clone, Copy, PartialEq, Eq)]
struct TaskId(u64);

const INDEX_BITS: u32 = 24;
const GENERATION_BITS: u32 = 24;

impl TaskId {
    fn new(shard: u16, generation: u32, index: u32) -> TaskId {
        TaskId(
            u64::from(shard) << (INDEX_BITS + GENERATION_BITS) | u64::from(generation) << INDEX_BITS | u64::from(index),
        )
    }

    fn shard(self) -> u16 {
        (self.0 >> (INDEX_BITS + GENERATION_BITS)) as u16
    }

    fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32 & ((1 << GENERATION_BITS) - 1)
    }

    fn index(self) -> u32 {
        self.0 as u32 & ((1 << INDEX_BITS) - 1)
    }
}

impl Tasks {
    const fn new() -> Tasks {
        Tasks {
            shard: Cell::new(0),
            slots: RefCell::new(Vec::new()),
            free: RefCell::new(Vec::new()),
            ready: RefCell::new(VecDeque::new()),
            cells: RefCell::new(Vec::new()),
            live: Cell::new(0),
            panics: Cell::new(0),
        }
    }

    fn cell(&self, layout: Layout) -> NonNull<u8> {
        if layout.size() == 0 {
            return NonNull::dangling();
        }
        let mut cells = self.cells.borrow_mut();
        if let Some((_, spare)) = cells.iter_mut().find(|(known, _)| *known == layout)
            && let Some(cell) = spare.pop()
        {
            return cell;
        }
        // SAFETY: the pool hands out untyped memory. Sound: the layout's size is not zero (checked above).
        NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
    }

    fn put_back(&self, cell: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        let mut cells = self.cells.borrow_mut();
        match cells.iter_mut().find(|(known, _)| *known == layout) {
            Some((_, spare)) if spare.len() < SPARE_CELLS_MAX => spare.push(cell),
            // SAFETY: memory of the pool is raw. Sound: it came from `alloc` with this layout, and its future was dropped.
            Some(_) => unsafe { dealloc(cell.as_ptr(), layout) },
            None => cells.push((layout, vec![cell])),
        }
    }

    fn wake(&self, task: TaskId) {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(task.index() as usize) else {
            return;
        };
        if slot.generation == task.generation() && !slot.queued {
            slot.queued = true;
            self.ready.borrow_mut().push_back(task);
        }
    }

    fn poll(&self, task: TaskId) {
        let Some(erased) = self.begin(task) else {
            return;
        };
        let waker = waker(task);
        let mut context = Context::from_waker(&waker);
        // SAFETY: the erased call is the point of the table. Sound: cell and table were made together in `spawn`, and the
        // future was taken out of its slot, so nothing else polls or drops it meanwhile.
        let polled = catch_unwind(AssertUnwindSafe(|| unsafe { (erased.table.poll)(erased.cell, &mut context) }));
        match polled {
            Ok(Poll::Pending) => self.slots.borrow_mut()[task.index() as usize].future = Some(erased),
            Ok(Poll::Ready(())) => self.finish(task, &erased),
            Err(payload) => {
                self.count_panic(payload);
                self.finish(task, &erased);
            }
        }
    }

    fn begin(&self, task: TaskId) -> Option<Erased> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(task.index() as usize)?;
        if slot.generation != task.generation() {
            return None;
        }
        slot.queued = false;
        slot.future.take()
    }

    fn finish(&self, task: TaskId, erased: &Erased) {
        // SAFETY: a finished future is dropped in place. Sound: it is dropped exactly once, and its cell is only reused after.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { (erased.table.drop)(erased.cell) }));
        if let Err(payload) = dropped {
            self.count_panic(payload);
        }
        self.put_back(erased.cell, erased.table.layout);
        let mut slots = self.slots.borrow_mut();
        let slot = &mut slots[task.index() as usize];
        slot.generation = (slot.generation + 1) & ((1 << GENERATION_BITS) - 1);
        slot.queued = false;
        self.free.borrow_mut().push(task.index());
        self.live.set(self.live.get() - 1);
    }

    /// A payload may panic when it is dropped; then it is leaked, and so is what that panic carries.
    fn count_panic(&self, payload: Box<dyn Any + Send>) {
        self.panics.set(self.panics.get() + 1);
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
    }

    /// Drops the tasks that there are now.
    fn drop_all(&self) {
        let count = self.slots.borrow().len();
        for index in 0..count {
            let (generation, erased) = {
                let slot = &mut self.slots.borrow_mut()[index];
                (slot.generation, slot.future.take())
            };
            if let Some(erased) = erased {
                self.finish(TaskId::new(self.shard.get(), generation, index as u32), &erased);
            }
        }
    }
}

/// Starts a task on this worker. It runs at the next turn; a panic in it is caught, counted, and ends it alone.
pub fn spawn<F: Future<Output = ()> + 'static>(future: F) {
    spawn_with(move || future);
}

/// As `spawn`, for futures that are large: they are made in their cell. That of a request has kilobytes of room for what comes
/// later, and moving it twice was six per cent of a small answer. Nothing stands between, so that the compiler can see that the room
/// is empty: that is why the cell is taken first, and why this is inlined.
#[inline(always)]
#[allow(clippy::inline_always, reason = "a call would move the future, whatever its size")]
pub fn spawn_with<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F) {
    let table: &'static Table = &<F as HasTable>::TABLE;
    let cell = take_cell(table.layout);
    // SAFETY: the future is made in its cell. Sound: the cell is free memory of exactly this layout.
    unsafe { cell.cast::<F>().write(make()) };
    start(Erased { cell, table });
}

fn take_cell(layout: Layout) -> NonNull<u8> {
    TASKS.with(|tasks| {
        assert!(tasks.shard.get() != 0, "tasks live on worker threads");
        tasks.cell(layout)
    })
}

/// Gives a future in its cell a slot, and its first turn.
fn start(erased: Erased) {
    TASKS.with(|tasks| {
        let mut slots = tasks.slots.borrow_mut();
        let index = tasks.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(TaskSlot { generation: 0, queued: false, future: None });
            slots.len() as u32 - 1
        });
        assert!(index < 1 << INDEX_BITS, "more tasks than a task id can name");
        let slot = &mut slots[index as usize];
        slot.future = Some(erased);
        slot.queued = true;
        let task = TaskId::new(tasks.shard.get(), slot.generation, index);
        tasks.ready.borrow_mut().push_back(task);
        tasks.live.set(tasks.live.get() + 1);
    });
}

/// Polls ready tasks, at most `budget`; true when some are still ready.
pub(super) fn run_ready(budget: usize) -> bool {
    TASKS.with(|tasks| {
        for _ in 0..budget {
            let Some(task) = tasks.ready.borrow_mut().pop_front() else {
                return false;
            };
            tasks.poll(task);
        }
        !tasks.ready.borrow().is_empty()
    })
}

/// This thread's number among all shards that the process ever had; 0: it is none.
pub(super) fn shard_number() -> u32 {
    TASKS.with(|tasks| u32::from(tasks.shard.get()))
}

/// Drops every task, also those that drops spawn; then lets `unregister` see the shard a last time: the end of a shard.
pub(super) fn drop_all_and(unregister: impl FnOnce()) {
    TASKS.with(|tasks| {
        for _ in 0..DROP_ROUNDS_MAX {
            if tasks.live.get() == 0 {
                break;
            }
            tasks.drop_all();
        }
        tasks.ready.borrow_mut().clear();
        unregister();
        tasks.shard.set(0);
    });
}

/// Tasks alive on this thread.
pub fn tasks_alive() -> usize {
    TASKS.with(|tasks| tasks.live.get())
}

/// Panics caught on this thread since it began.
pub fn panics() -> u64 {
    TASKS.with(|tasks| tasks.panics.get())
}

// --- wakers -----------------------------------------------------------------------------------------------------------

static WAKER_TABLE: RawWakerVTable = RawWakerVTable::new(|data| RawWaker::new(data, &WAKER_TABLE), wake, wake, |_| ());

fn waker(task: TaskId) -> Waker {
    let data = std::ptr::without_provenance(task.0 as usize);
    // SAFETY: wakers without heap memory need a hand-made table. Sound: data is a plain number, never dereferenced; clone,
    // wake and drop touch only thread-safe state (`wake` compares the shard and goes through a mutex otherwise).
    unsafe { Waker::from_raw(RawWaker::new(data, &WAKER_TABLE)) }
}

fn wake(data: *const ()) {
    let task = TaskId(data.addr() as u64);
    let local = TASKS.try_with(|tasks| {
        let local = tasks.shard.get() == task.shard();
        if local {
            tasks.wake(task);
        }
        local
    });
    if local != Ok(true)
        && let Some(remote) = remote(task.shard())
    {
        remote.wake(task);
    }
}

// --- wakes from other threads -----------------------------------------------------------------------------------------

static REMOTES: RwLock<Vec<Option<Arc<Remote>>>> = RwLock::new(Vec::new());

/// Where other threads leave their wakes.
pub(super) struct Remote {
    woken: Mutex<Vec<TaskId>>,
    eventfd: OwnedFd,
}

impl Remote {
    /// Registers this thread as a new shard.
    pub(super) fn register() -> io::Result<Arc<Remote>> {
        let remote = Arc::new(Remote::new()?);
        let mut remotes = REMOTES.write().unwrap_or_else(PoisonError::into_inner);
        remotes.push(Some(remote.clone()));
        let shard = u16::try_from(remotes.len()).expect("fewer than 65,536 shards in a process's life");
        TASKS.with(|tasks| tasks.shard.set(shard));
        Ok(remote)
    }

    fn new() -> io::Result<Remote> {
        // SAFETY: an eventfd is made by a raw call. Sound: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has to be owned to be closed. Sound: it was just created.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Remote { woken: Mutex::new(Vec::new()), eventfd })
    }

    /// Ends the registration of this thread's shard.
    pub(super) fn unregister() {
        let shard = TASKS.with(|tasks| tasks.shard.get());
        if let Some(remote) = REMOTES.write().unwrap_or_else(PoisonError::into_inner).get_mut(shard as usize - 1) {
            *remote = None;
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }

    /// Moves the wakes of other threads to this thread's ready queue.
    pub(super) fn take_woken(&self) {
        let woken = std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner));
        TASKS.with(|tasks| woken.into_iter().for_each(|task| tasks.wake(task)));
    }

    fn wake(&self, task: TaskId) {
        let first = {
            let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            // The same task many times over while the shard is busy is one wake.
            if woken.last() == Some(&task) {
                return;
            }
            woken.push(task);
            woken.len() == 1
        };
        // Whoever put the first one in rings; the others ride along, because the shard takes all of them after the ring.
        if first {
            self.ring();
        }
    }

    fn ring(&self) {
        let one = 1_u64;
        // SAFETY: an eventfd is written raw. Sound: eight bytes of a live local. It cannot block: the counter is far from full.
        unsafe { libc::write(self.eventfd.as_raw_fd(), std::ptr::from_ref(&one).cast(), 8) };
    }
}

fn remote(shard: u16) -> Option<Arc<Remote>> {
    let index = (shard as usize).checked_sub(1)?;
    REMOTES.read().unwrap_or_else(PoisonError::into_inner).get(index)?.clone()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::time::Duration;

    use super::super::{DriverKind, run, sleep};
    use super::*;

    fn on_a_shard(main: impl Future<Output = ()> + 'static) {
        let reached = Rc::new(Cell::new(false));
        run(DriverKind::Epoll, {
            let reached = reached.clone();
            async move {
                main.await;
                reached.set(true);
            }
        })
        .expect("a shard");
        assert!(reached.get(), "the test's task failed");
    }

    async fn until_alone() {
        while tasks_alive() > 1 {
            another_poll().await;
        }
    }

    /// Lets the other ready tasks run first.
    async fn another_poll() {
        let mut again = true;
        poll_fn(|context| {
            if std::mem::take(&mut again) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }

    fn slots_and_spare_cells() -> (usize, usize) {
        TASKS
            .with(|tasks| (tasks.slots.borrow().len(), tasks.cells.borrow().iter().map(|(_, spare)| spare.len()).sum()))
    }

    #[test]
    fn a_task_id_survives_packing() {
        let most = (1 << 24) - 1;
        for (shard, generation, index) in [(1, 0, 0), (u16::MAX, most, most), (7, most, 0), (7, 0, most)] {
            let task = TaskId::new(shard, generation, index);
            assert_eq!((task.shard(), task.generation(), task.index()), (shard, generation, index));
        }
    }

    #[test]
    fn finished_tasks_leave_their_cells_to_the_next() {
        on_a_shard(async {
            for _ in 0..1_000 {
                for _ in 0..3 {
                    spawn(async {
                        let kept = [1_u8; 300];
                        another_poll().await;
                        assert_eq!(kept[299], 1);
                    });
                }
                until_alone().await;
            }
            let (slots, cells) = slots_and_spare_cells();
            assert!(slots == 4 && cells == 3, "{slots} slots, {cells} cells");
        });
    }

    #[test]
    fn the_cells_of_a_burst_are_freed() {
        on_a_shard(async {
            for _ in 0..SPARE_CELLS_MAX * 3 {
                spawn(async { sleep(Duration::ZERO).await });
            }
            until_alone().await;
            assert_eq!(slots_and_spare_cells().1, SPARE_CELLS_MAX);
        });
    }

    #[test]
    fn a_wake_during_the_poll_is_not_lost() {
        on_a_shard(async {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                context.waker().wake_by_ref();
                context.waker().wake_by_ref();
                if polls == 5 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert_eq!(polls, 5, "two wakes are one poll");
        });
    }

    #[test]
    fn tasks_spawn_tasks_while_they_are_polled() {
        on_a_shard(async {
            let ran = Rc::new(Cell::new(0));
            let count = ran.clone();
            spawn(async move {
                for _ in 0..100 {
                    let count = count.clone();
                    spawn(async move { count.set(count.get() + 1) });
                }
            });
            until_alone().await;
            assert_eq!(ran.get(), 100);
        });
    }

    #[test]
    fn futures_without_size_and_with_large_alignment_have_cells() {
        #[repr(align(64))]
        struct Wide([u8; 64]);
        on_a_shard(async {
            let ran = Rc::new(Cell::new(0));
            spawn(std::future::ready(()));
            let count = ran.clone();
            spawn(async move {
                let wide = Wide([7; 64]);
                sleep(Duration::ZERO).await;
                assert!((&raw const wide).addr().is_multiple_of(64) && wide.0[63] == 7);
                count.set(1);
            });
            until_alone().await;
            assert_eq!(ran.get(), 1);
        });
    }

    #[test]
    fn a_stale_waker_wakes_nobody_wrongly() {
        on_a_shard(async {
            let stale = Rc::new(RefCell::new(None));
            let keep = stale.clone();
            spawn(poll_fn(move |context| {
                *keep.borrow_mut() = Some(context.waker().clone());
                Poll::Ready(())
            }));
            until_alone().await;
            let polls = Rc::new(Cell::new(0));
            let count = polls.clone();
            spawn(poll_fn(move |_| {
                count.set(count.get() + 1);
                Poll::<()>::Pending
            }));
            sleep(Duration::ZERO).await;
            stale.borrow().as_ref().expect("kept").wake_by_ref();
            sleep(Duration::ZERO).await;
            assert_eq!(polls.get(), 1, "same slot, another task");
        });
    }

    #[test]
    fn wakes_from_other_threads_arrive_also_after_the_end() {
        let (give, take) = std::sync::mpsc::channel::<Waker>();
        let (done, ended) = std::sync::mpsc::channel();
        let waking = std::thread::spawn(move || {
            let waker: Waker = take.recv().expect("a waker");
            for _ in 0..1_000 {
                waker.wake_by_ref();
            }
            ended.recv().expect("the shard's end");
            waker.wake();
        });
        on_a_shard(async move {
            let mut polls = 0;
            poll_fn(|context| {
                polls += 1;
                if polls == 1 {
                    give.send(context.waker().clone()).expect("the thread waits");
                }
                if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        done.send(()).expect("the thread waits");
        waking.join().expect("a wake without a shard is nothing");
    }

    #[test]
    fn many_wakes_of_one_task_are_kept_as_one() {
        on_a_shard(async {
            let task = TaskId::new(1, 0, 0);
            let remote = Remote::new().expect("an eventfd");
            for _ in 0..1_000 {
                remote.wake(task);
            }
            assert_eq!(remote.woken.lock().expect("unpoisoned").len(), 1);
        });
    }
}
