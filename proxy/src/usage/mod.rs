//! What keys have used: counted on a request's way by one atomic addition, kept in a file that outlives the process (KP-06, KP-08).
//!
//! The counts lie in a mapped file (`slots`). A process that is killed loses none of them, and one that takes over counts in the same words
//! while the old one still finishes its requests: nothing is handed over, lost or counted twice. The disk gets them each second, so that a
//! machine without power loses one second of them at most. Days that are over become lines of a file (`history`).

pub mod history;
pub mod slots;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use policy::quota::{Day, day_of};

use self::history::Line;
use self::slots::{Slot, Slots};
use crate::limits::{HISTORY_LATE, HISTORY_TIME, USAGE_SYNC_TIME};
use crate::observe::render;

/// All counts of the process.
pub struct Usage {
    state: Option<PathBuf>,
    shelf: Mutex<Shelf>,
    end: (Mutex<bool>, Condvar),
}

/// Opened at a start, or when the first key is used.
#[derive(Default)]
struct Shelf {
    slots: Option<Slots>,
    /// Those for which the file has no room: what is counted here is lost with the process, unless the file takes it later.
    spare: HashMap<(String, String), Passing>,
    /// Why the file takes no more; until somebody has tried again.
    failing: bool,
}

/// A count in memory.
struct Passing {
    slot: Slot,
    /// Where the file has it, once it does: requests that found it here go on counting here until the next reload.
    moved: Option<Slot>,
}

impl Shelf {
    /// The slot of a key in a plan: in the file, if it has it or takes it.
    fn slot(&mut self, state: Option<&Path>, plan: &str, key: &str) -> Slot {
        match self.in_file(state, plan, key) {
            Ok(Some(slot)) => {
                // Counted in memory until now: the file has that from here on.
                if !self.spare.is_empty()
                    && let Some(passing) = self.spare.get_mut(&(plan.to_owned(), key.to_owned()))
                {
                    slot.count().take_over(passing.slot.count());
                    passing.moved = Some(slot.clone());
                }
                return slot;
            }
            Ok(None) => {}
            Err(error) => {
                self.failing = true;
                let path = state.map(slots::path).unwrap_or_default();
                tracing::error!(%error, "{}: keys that are new are counted in memory until there is room", path.display());
            }
        }
        let passing = self.spare.entry((plan.to_owned(), key.to_owned()));
        passing.or_insert_with(|| Passing { slot: Slot::passing(), moved: None }).slot.clone()
    }

    /// While the file takes nothing, it is only asked for what it has.
    fn in_file(&mut self, state: Option<&Path>, plan: &str, key: &str) -> io::Result<Option<Slot>> {
        if self.failing {
            return Ok(self.slots.as_mut().and_then(|slots| slots.known(plan, key).ok().flatten()));
        }
        open(&mut self.slots, state)?.slot(plan, key).map(Some)
    }

    /// Gives the file what is counted in memory, and tries first whether it takes anything.
    fn move_over(&mut self, state: Option<&Path>) {
        let mut waiting = self.spare.iter_mut().filter(|(_, passing)| passing.moved.is_none()).peekable();
        if waiting.peek().is_some() {
            let Ok(slots) = open(&mut self.slots, state) else { return };
            for ((plan, key), passing) in waiting {
                let Ok(slot) = slots.slot(plan, key) else { return };
                passing.moved = Some(slot);
            }
            tracing::info!("usage that was counted in memory is kept on the disk again");
        }
        self.failing = false;
        self.spare.values().for_each(Passing::mirror);
    }
}

impl Passing {
    fn mirror(&self) {
        if let Some(slot) = &self.moved {
            slot.count().take_over(self.slot.count());
        }
    }
}

impl Usage {
    /// Counts below a state directory, or in memory. Nothing is opened yet.
    pub fn new(state: Option<PathBuf>) -> Arc<Usage> {
        Arc::new(Usage { state, shelf: Mutex::default(), end: (Mutex::new(false), Condvar::new()) })
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // What a panic left is as good as before: words are taken one at a time.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file and looks at all that it has, before anybody waits for it. A file that is none of counts is put aside.
    pub fn prepare(&self) {
        let Some(state) = self.state.as_deref() else { return };
        let mut shelf = self.shelf();
        if shelf.slots.is_some() {
            return;
        }
        let opened = match Slots::open(state) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => put_aside(state, &error),
            opened => opened,
        };
        let path = slots::path(state);
        match opened.and_then(|mut slots| slots.prepare().map(|found| (slots, found))) {
            Ok((slots, (_, odd))) => {
                if odd > 0 {
                    tracing::warn!(
                        slots = odd,
                        "{}: counts that nobody can have written are left alone",
                        path.display()
                    );
                }
                shelf.slots = Some(slots);
            }
            Err(error) => {
                shelf.failing = true;
                tracing::error!(%error, "{}: usage is counted in memory until the file can be had", path.display());
            }
        }
    }

    /// Counts of keys in plans that would be lost with the process: the file has no room for them, or cannot be had.
    pub fn in_memory(&self) -> usize {
        self.shelf().spare.values().filter(|passing| passing.moved.is_none()).count()
    }

    /// Its families, behind those of the workers.
    pub fn render(&self, page: &mut render::Page) {
        let name = "tollgate_usage_in_memory";
        page.family(name, "gauge", "Counts of keys in plans that the state directory has no room for.");
        page.sample(name, &[], self.in_memory());
    }

    /// The slot of a key in a plan. Takes a lock: whoever counts keeps it.
    fn slot(&self, plan: &str, key: &str) -> Slot {
        self.shelf().slot(self.state.as_deref(), plan, key)
    }

    /// Starts the thread that waits for the disk. It ends with [`Usage::finish`].
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(self: &Arc<Usage>) -> io::Result<()> {
        let usage = self.clone();
        thread::Builder::new().name("usage".into()).spawn(move || usage.keep())?;
        Ok(())
    }

    fn keep(&self) {
        let mut since = HISTORY_TIME;
        while !self.wait() {
            since += USAGE_SYNC_TIME;
            if since >= HISTORY_TIME {
                since = Duration::ZERO;
                self.record();
            }
            self.sync();
        }
    }

    /// Whether it is over.
    fn wait(&self) -> bool {
        let ended = self.end.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.end.1.wait_timeout_while(ended, USAGE_SYNC_TIME, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn sync(&self) {
        let mut shelf = self.shelf();
        shelf.move_over(self.state.as_deref());
        let file = shelf.slots.as_ref().map(Slots::file);
        drop(shelf);
        let synced = file.map(|file| file?.map_or(Ok(()), |file| file.sync_data()));
        if let Some(Err(error)) = synced {
            tracing::error!(%error, "the disk does not take what keys have used; the process still knows it");
        }
    }

    /// Writes down the days that are over.
    fn record(&self) {
        let Some(state) = self.state.as_deref() else { return };
        let Some(Ok(all)) = self.shelf().slots.as_mut().map(Slots::all) else { return };
        if let Err(error) = write_down(state, &all, over(now())) {
            tracing::error!(%error, "days that are over cannot be written down; it is tried again");
        }
        if let Err(error) = history::forget(state, day_of(now())) {
            tracing::error!(%error, "what was used years ago cannot be removed; it is tried again");
        }
    }

    /// Ends the thread; the disk has all when this returns.
    pub fn finish(&self) {
        *self.end.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.1.notify_all();
        self.record();
        self.sync();
    }
}

fn open<'a>(slots: &'a mut Option<Slots>, state: Option<&Path>) -> io::Result<&'a mut Slots> {
    if slots.is_none() {
        *slots = Some(match state {
            Some(state) => Slots::open(state)?,
            None => Slots::passing(),
        });
    }
    Ok(slots.as_mut().expect("it was just opened"))
}

/// Whatever stands there is somebody's, or can be mended by somebody: it keeps another name.
fn put_aside(state: &Path, why: &io::Error) -> io::Result<Slots> {
    let path = slots::path(state);
    let aside = path.with_file_name(format!("counts.damaged-{}", now()));
    std::fs::rename(&path, &aside)?;
    tracing::error!(
        "{}: {why}; it is {} now, and quotas begin anew, but for days that are over and written down",
        path.display(),
        aside.display()
    );
    Slots::open(state)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The first day that is not over: workers look at their clocks a little late.
fn over(seconds: u64) -> Day {
    day_of(seconds.saturating_sub(HISTORY_LATE.as_secs()))
}

fn write_down(state: &Path, slots: &[Slot], today: Day) -> io::Result<()> {
    let mut lines = Vec::new();
    let mut written = Vec::new();
    for slot in slots {
        let Some((plan, key)) = slot.names() else { continue };
        for tally in slot.count().unwritten(today) {
            lines.push((Line { day: tally.day, plan: plan.clone(), key: key.clone() }, tally.number));
            written.push((slot, tally.day));
        }
    }
    history::append(state, &lines)?;
    for (slot, day) in written {
        slot.count().wrote(day);
    }
    Ok(())
}

/// Slots of one page: they are found soon, and made on first use.
const PAGE: usize = 64;
type Page = [OnceLock<Slot>; PAGE];

/// The counts of one table of keys, by the numbers of its subscriptions.
pub struct Counts {
    usage: Arc<Usage>,
    pages: Box<[OnceLock<Box<Page>>]>,
}

impl Counts {
    /// For so many subscriptions.
    pub fn new(usage: Arc<Usage>, subscriptions: u32) -> Counts {
        let pages = (0..(subscriptions as usize).div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Counts { usage, pages }
    }

    /// Where they are kept.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// The count of a subscription; `names` gives the plan's name and the key's id, and is asked once for each.
    #[inline]
    pub fn of<'n>(&self, number: u32, names: impl FnOnce() -> (&'n str, &'n str)) -> Option<&Slot> {
        let page = self.pages.get(number as usize / PAGE)?;
        let page = page.get_or_init(|| Box::new([const { OnceLock::new() }; PAGE]));
        let place = &page[number as usize % PAGE];
        match place.get() {
            Some(slot) => Some(slot),
            None => Some(self.first(place, names())),
        }
    }

    /// The count of a subscription, if it was asked for before.
    pub fn known(&self, number: u32) -> Option<&Slot> {
        self.pages.get(number as usize / PAGE)?.get()?[number as usize % PAGE].get()
    }

    #[cold]
    fn first<'a>(&self, place: &'a OnceLock<Slot>, (plan, key): (&str, &str)) -> &'a Slot {
        let slot = self.usage.slot(plan, key);
        place.get_or_init(|| slot)
    }
}

#[cfg(test)]
mod tests {
    use policy::quota::{Period, Quota};

    use super::*;
    use crate::usage::history::{Uses, day_of_text};

    const QUOTA: Quota = Quota { limit: 1_000, period: Period::Month, offset: 0 };

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("tollgate-usage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        path
    }

    #[test]
    fn a_reload_and_a_restart_go_on_counting() {
        let state = folder("restart");
        let take = |counts: &Counts| {
            let slot = counts.of(70, || ("plan", "key")).expect("there is room");
            slot.count().take(20_000, Some(QUOTA)).expect("the quota is large");
            slot.count().standing(QUOTA, 20_000).used
        };
        let usage = Usage::new(Some(state.clone()));
        assert_eq!([take(&Counts::new(usage.clone(), 71)), take(&Counts::new(usage, 71))], [1, 2]);
        let counts = Counts::new(Usage::new(Some(state.clone())), 71);
        assert_eq!(take(&counts), 3);
        assert!(counts.of(128, || ("plan", "key")).is_none(), "the table has no such number");
        std::fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn nothing_is_opened_before_a_key_is_used() {
        let state = folder("lazy");
        let counts = Counts::new(Usage::new(Some(state.clone())), 1);
        counts.usage().finish();
        assert!(!state.join("usage").exists());
        counts.of(0, || ("plan", "key")).unwrap();
        assert!(state.join("usage/counts").exists());
        std::fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn where_nothing_can_be_written_it_is_counted_in_memory() {
        let state = folder("unwritable").join("a file");
        std::fs::write(&state, "").unwrap();
        let usage = Usage::new(Some(state.clone()));
        let counts = Counts::new(usage, 2);
        let count = |number, key| counts.of(number, || ("plan", key)).unwrap().count();
        count(0, "a").take(1, Some(QUOTA)).unwrap();
        assert_eq!((count(0, "a").standing(QUOTA, 1).used, count(1, "b").standing(QUOTA, 1).used), (1, 0));
        std::fs::remove_dir_all(state.parent().unwrap()).unwrap();
    }

    /// One write that fails, the disk being full for a moment, takes nothing from keys that are known, and what is new is kept later.
    #[test]
    fn what_the_file_does_not_take_is_counted_in_memory_and_moved_later() {
        let state = folder("spare");
        let usage = Usage::new(Some(state.clone()));
        let take = |key: &str| {
            let slot = usage.slot("plan", key);
            slot.count().take(20_000, Some(QUOTA)).unwrap();
            slot.count().standing(QUOTA, 20_000).used
        };
        assert_eq!([take("known"), take("known")], [1, 2]);
        usage.shelf().slots.as_mut().unwrap().fail(true);
        let held = usage.slot("plan", "new");
        assert_eq!([take("new"), take("new"), take("known"), take("known")], [1, 2, 3, 4]);
        usage.sync();
        assert_eq!((usage.in_memory(), take("known")), (1, 5), "the file goes on with what it has");
        usage.shelf().slots.as_mut().unwrap().fail(false);
        usage.sync();
        assert_eq!((usage.in_memory(), take("new"), take("other")), (0, 3, 1));
        // Whoever found it in memory goes on counting there; the file learns of it.
        for _ in 0..4 {
            held.count().take(20_000, Some(QUOTA)).unwrap();
        }
        usage.finish();
        let again = Usage::new(Some(state.clone()));
        let used = |key| again.slot("plan", key).count().standing(QUOTA, 20_000).used;
        assert_eq!((used("known"), used("new"), used("other")), (5, 6, 1));
        std::fs::remove_dir_all(state).unwrap();
    }

    #[test]
    fn a_file_that_is_none_of_counts_is_put_aside() {
        let state = folder("aside");
        std::fs::create_dir_all(state.join("usage")).unwrap();
        std::fs::write(slots::path(&state), "somebody's notes").unwrap();
        let usage = Usage::new(Some(state.clone()));
        usage.prepare();
        usage.slot("plan", "key");
        assert_eq!(usage.in_memory(), 0);
        let files = std::fs::read_dir(state.join("usage")).unwrap().map(|entry| entry.unwrap().path());
        let aside: Vec<_> = files.filter(|path| path.to_string_lossy().contains("counts.damaged-")).collect();
        assert_eq!(std::fs::read_to_string(&aside[0]).unwrap(), "somebody's notes");
        std::fs::remove_dir_all(state).unwrap();
    }

    /// Row KP-08.
    #[test]
    fn days_that_are_over_are_written_down_once() {
        let state = folder("days");
        let usage = Usage::new(Some(state.clone()));
        let day = day_of_text("2026-11-30").unwrap();
        let slot = usage.slot("plan", "key");
        for later in [0, 0, 1] {
            slot.count().take(day + later, Some(QUOTA)).unwrap();
        }
        write_down(&state, std::slice::from_ref(&slot), day + 1).unwrap();
        write_down(&state, std::slice::from_ref(&slot), day + 1).unwrap();
        let text = std::fs::read_to_string(state.join("usage/2026-11.csv")).unwrap();
        assert_eq!(text, "2026-11-30,plan,key,2\n");
        write_down(&state, &[slot], day + 2).unwrap();
        let mut uses = Uses::new();
        history::read(&state, day, day + 9, &mut uses).unwrap();
        let uses: Vec<_> = uses.into_iter().map(|(line, used)| (line.day - day, used)).collect();
        assert_eq!(uses, [(0, 2), (1, 1)]);
        std::fs::remove_dir_all(state).unwrap();
    }
}
