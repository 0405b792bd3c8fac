//! Watches the documents that serve, and has them loaded again when their content changes (`gateway.watch`).
//!
//! The kernel tells of names: every step of a path is watched in the folder that holds it, so that files that are written in
//! place, renamed over, or swapped by a symbolic link anywhere in the path are noticed alike. What decides is the content: a
//! file that was only touched is no reason to load, and a document with faults is tried once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use admin::ReloadReport;
use config::Input;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::bell::timespec;
use crate::limits::{LINKS_MAX, WATCH_DELAY_MAX, WATCH_LOOK, WATCH_QUIET};
use crate::observe::metrics::{By, Metrics};
use crate::reload::{self, Reloader};

/// Starts the thread. It sleeps as long as the configuration does not want it. `tell` gets each report.
pub fn start(
    reloader: Arc<Reloader>,
    metrics: Arc<Metrics>,
    tell: impl Fn(&ReloadReport) + Send + 'static,
) -> io::Result<()> {
    let watcher = Watcher { reloader, metrics, deaf: false };
    thread::Builder::new().name("watch".into()).spawn(move || watcher.run(&tell))?;
    Ok(())
}

struct Watcher {
    reloader: Arc<Reloader>,
    metrics: Arc<Metrics>,
    /// It was said that the kernel tells nothing.
    deaf: bool,
}

impl Watcher {
    fn run(mut self, tell: &dyn Fn(&ReloadReport)) {
        while !self.reloader.is_leaving() {
            let wanted = self.reloader.current().snapshot.gateway.watch;
            let files = if wanted { self.reloader.files() } else { Vec::new() };
            self.metrics.set_watched(files.len() as u64);
            if !wanted {
                self.reloader.bell().wait(None, None);
                continue;
            }
            // Armed before the look: what changes behind the look is told.
            let ears = self.listen(&files);
            if self.has_changed(&files) {
                settle(ears.as_ref());
                if self.load_again(tell) {
                    continue;
                }
            }
            // Until somebody speaks, another reload is done, or it is time to look all the same.
            wait(ears.as_ref(), &self.reloader);
        }
    }

    /// Loads again, unless somebody else has done so meanwhile. False if there is no use in trying it again at once.
    fn load_again(&self, tell: &dyn Fn(&ReloadReport)) -> bool {
        reload::attempt(|| {
            let mut alone = self.reloader.alone();
            let files = self.reloader.files();
            let changed: Vec<_> = files.iter().filter(|file| file.has_changed()).map(|file| &file.path).collect();
            if !changed.is_empty() {
                tracing::info!(files = ?changed, "documents have changed: loading again");
                tell(&alone.reload(By::Watch));
            }
        })
    }

    fn has_changed(&self, files: &[Input]) -> bool {
        self.metrics.watch_looked();
        files.iter().any(Input::has_changed)
    }

    fn listen(&mut self, files: &[Input]) -> Option<Ears> {
        match Ears::of(files) {
            Ok(ears) => Some(ears),
            Err(error) => {
                if !std::mem::replace(&mut self.deaf, true) {
                    tracing::warn!(%error, every = ?WATCH_LOOK, "the kernel tells nothing of files: they are looked at");
                }
                None
            }
        }
    }
}

fn wait(ears: Option<&Ears>, reloader: &Reloader) {
    let until = Instant::now() + WATCH_LOOK;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let rang = reloader.bell().wait(ears.map(|ears| &ears.inotify), Some(left));
        if rang || left.is_zero() || ears.is_some_and(Ears::heard) {
            return;
        }
    }
}

/// Waits until nothing more happens: documents that belong together are often written one after the other.
fn settle(ears: Option<&Ears>) {
    let until = Instant::now() + WATCH_DELAY_MAX;
    let mut quiet = Instant::now() + WATCH_QUIET;
    while Instant::now() < quiet.min(until) {
        let Some(ears) = ears else {
            thread::sleep(WATCH_QUIET);
            return;
        };
        let left = quiet.min(until).saturating_duration_since(Instant::now());
        // A wait that fails is over at once, and there is no harm in that.
        let _ = poll(&mut [PollFd::new(&ears.inotify, PollFlags::IN)], Some(&timespec(left)));
        if ears.heard() {
            quiet = Instant::now() + WATCH_QUIET;
        }
    }
}

/// Hears what happens to names, and to the files behind them.
struct Ears {
    inotify: OwnedFd,
    /// What matters of each watched folder; nothing: it is a file, and all of it matters.
    names: HashMap<i32, HashSet<OsString>>,
}

impl Ears {
    fn of(files: &[Input]) -> io::Result<Ears> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut ears = Ears { inotify, names: HashMap::new() };
        let mut known = HashSet::new();
        for file in files {
            let (steps, end) = steps(&std::path::absolute(&file.path)?);
            for (folder, name) in steps {
                if known.insert((folder.clone(), name.clone()))
                    && let Some(number) = ears.watch(&folder, names_change())?
                {
                    ears.names.entry(number).or_default().insert(name);
                }
            }
            // Behind a mount the folder may be another one than the writer's.
            if let Some(number) = ears.watch(&end, content_changes())? {
                ears.names.entry(number).or_default();
            }
        }
        Ok(ears)
    }

    /// `None`: it is not there, or not for us; what is above it tells when that changes.
    fn watch(&self, path: &Path, flags: WatchFlags) -> io::Result<Option<i32>> {
        match inotify::add_watch(&self.inotify, path, flags) {
            Ok(number) => Ok(Some(number)),
            Err(error @ (Errno::NOSPC | Errno::NOMEM)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }

    /// Takes what has happened; whether any of it matters.
    fn heard(&self) -> bool {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.inotify, &mut room);
        let mut matters = false;
        while let Ok(event) = events.next() {
            let names = self.names.get(&event.wd());
            let is_named = |name: &OsStr| names.is_some_and(|names| names.contains(name));
            matters |= match event.file_name() {
                // Overflown, moved, unmounted, gone: what is known of the names may be wrong.
                None => true,
                Some(name) => is_named(OsStr::from_bytes(name.to_bytes())),
            } || event.events().contains(ReadFlags::QUEUE_OVERFLOW);
        }
        matters
    }
}

fn names_change() -> WatchFlags {
    WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

fn content_changes() -> WatchFlags {
    WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF
}

/// Every name that decides what an absolute path means, with the folder that it stands in, as far as there are any; and where
/// the path ends. The folders bear no symbolic links.
fn steps(path: &Path) -> (Vec<(PathBuf, OsString)>, PathBuf) {
    let mut found = Vec::new();
    let mut at = PathBuf::from("/");
    let mut links = 0;
    let mut rest: VecDeque<OsString> = names(path);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        found.push((at.clone(), name));
        match fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                for name in names(&target).into_iter().rev() {
                    rest.push_front(name);
                }
            }
            _ => at = next,
        }
    }
    (found, at)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    names.map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("tollgate-watch-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("a writable folder");
            Folder(path.canonicalize().expect("it is there"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_path_is_followed_through_its_links() {
        let folder = Folder::new("links");
        let root = &folder.0;
        fs::create_dir(root.join("one")).expect("a folder");
        fs::write(root.join("one/g.yaml"), "").expect("a file");
        symlink("one", root.join("data")).expect("a link");
        symlink("data/g.yaml", root.join("g.yaml")).expect("a link");
        let (steps, end) = steps(&root.join("data/../g.yaml"));
        let own: Vec<_> = steps
            .iter()
            .filter(|(folder, _)| folder.starts_with(root))
            .map(|(folder, name)| folder.strip_prefix(root).expect("below").join(name))
            .collect();
        assert_eq!(own, ["data", "one", "g.yaml", "data", "one", "one/g.yaml"].map(PathBuf::from));
        assert_eq!(end, root.join("one/g.yaml"));
    }

    #[test]
    fn a_circle_of_links_ends() {
        let folder = Folder::new("circle");
        symlink("b", folder.0.join("a")).expect("a link");
        symlink("a", folder.0.join("b")).expect("a link");
        assert!(steps(&folder.0.join("a")).0.len() <= LINKS_MAX + 20);
        assert!(Ears::of(&[Input::missing(&folder.0.join("a"))]).is_ok());
    }

    #[test]
    fn only_what_matters_is_heard() {
        let folder = Folder::new("ears");
        let path = folder.0.join("g.yaml");
        fs::write(&path, "").expect("a file");
        let inputs = [Input::missing(&path), Input::missing(&folder.0.join("none/of/these.yaml"))];
        let ears = || Ears::of(&inputs).expect("inotify");
        let heard = |what: &str, act: &dyn Fn(), wanted: bool| {
            let ears = ears();
            act();
            assert_eq!(ears.heard(), wanted, "{what}");
        };
        heard("nothing", &|| {}, false);
        heard("an editor's own file", &|| fs::write(folder.0.join(".g.yaml.swp"), "x").expect("a file"), false);
        heard("written in place", &|| fs::write(&path, "x").expect("a file"), true);
        let renamed = || fs::rename(folder.0.join(".g.yaml.swp"), &path).expect("a file");
        heard("renamed over", &renamed, true);
        heard("removed", &|| fs::remove_file(&path).expect("a file"), true);
        heard("back again", &|| fs::write(&path, "x").expect("a file"), true);
        heard("a folder on the way comes", &|| fs::create_dir(folder.0.join("none")).expect("a folder"), true);
        heard("the next one", &|| fs::create_dir(folder.0.join("none/of")).expect("a folder"), true);
        heard("and goes", &|| fs::rename(folder.0.join("none"), folder.0.join("some")).expect("a folder"), true);
        heard("read", &|| assert_eq!(fs::read(&path).expect("a file"), b"x"), false);
    }
}
