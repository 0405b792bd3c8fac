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
    TASKS.with(|tasks| {
        assert!(tasks.shard.get() != 0, "tasks live on worker threads");
        let table: &'static Table = &<F as HasTable>::TABLE;
        let cell = tasks.cell(table.layout);
        // SAFETY: the future moves into its cell. Sound: the cell is free memory of exactly this layout.
        unsafe { cell.cast::<F>().write(future) };
        let erased = Erased { cell, table };
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
        // SAFETY: an eventfd is made by a raw call. Sound: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor has to be owned to be closed. Sound: it was just created.
        let eventfd = unsafe { OwnedFd::from_raw_fd(fd) };
        let remote = Arc::new(Remote { woken: Mutex::new(Vec::new()), eventfd });
        let mut remotes = REMOTES.write().unwrap_or_else(PoisonError::into_inner);
        remotes.push(Some(remote.clone()));
        let shard = u16::try_from(remotes.len()).expect("fewer than 65,536 shards in a process's life");
        TASKS.with(|tasks| tasks.shard.set(shard));
        Ok(remote)
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
