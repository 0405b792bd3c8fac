//! The desk's thread: its runtime, its two doors, and its end.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use crate::control::Socket;
use crate::desk::Desk;
use crate::stage::{OpenDoor, Stage};
use crate::{control, http, limits};

/// A desk that is open. Dropping it closes the desk as [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    closer: Closer,
    thread: Option<JoinHandle<()>>,
}

/// Gives a desk's doors to another process, from any thread; and asks whether the desk is awake.
#[derive(Clone, Debug)]
pub struct Closer {
    stop: Arc<watch::Sender<Stage>>,
    doors: Arc<AtomicUsize>,
    socket: Arc<Mutex<Option<Socket>>>,
    runtime: Handle,
}

impl Running {
    /// Closes both doors and removes the control socket's file. Answers under way get
    /// [`limits::GRACE_TIME`](crate::limits::GRACE_TIME); a reload that is still running is not waited for longer.
    pub fn stop(self) {}

    /// What other threads may do with it.
    pub fn closer(&self) -> Closer {
        self.closer.clone()
    }
}

impl Closer {
    /// Lets nobody new in, and returns when both doors are let go: another process stands there. `with_control`: also at the
    /// control socket, whose file is then left to it.
    pub fn hand_over(&self, with_control: bool) {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket.filter(|_| !with_control) {
            socket.remove();
        }
        self.stop.send_replace(Stage::HandedOver);
        let until = Instant::now() + limits::LET_GO_TIME;
        while self.doors.load(Ordering::Acquire) > 0 && Instant::now() < until {
            thread::sleep(limits::LET_GO_PAUSE);
        }
    }

    /// Whether the desk's thread does something within this time.
    pub fn is_awake(&self, within: Duration) -> bool {
        let (tell, told) = mpsc::channel();
        drop(self.runtime.spawn(async move { tell.send(()) }));
        told.recv_timeout(within).is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // First the name, so that whoever comes now finds nobody home instead of a closed door.
        let socket = self.closer.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket {
            socket.remove();
        }
        self.closer.stop.send_replace(Stage::Stopped);
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the desk's thread panicked");
        }
    }
}

/// Opens the desk on its own thread, at the doors that are given: the admin port, the control socket, or both.
///
/// # Errors
/// When the runtime or the thread cannot be made, or a listener cannot be registered.
pub fn start(desk: Desk, admin: Option<TcpListener>, control: Option<UnixListener>) -> io::Result<Running> {
    let desk = Arc::new(desk);
    let runtime = Builder::new_current_thread().thread_name("desk-work").enable_io().enable_time().build()?;
    let (stop, stopped) = watch::channel(Stage::Open);
    let (doors, socket) = (Arc::default(), control.as_ref().and_then(Socket::of));
    let closer = Closer {
        stop: Arc::new(stop),
        doors: Arc::clone(&doors),
        socket: Arc::new(Mutex::new(socket)),
        runtime: runtime.handle().clone(),
    };
    let entered = runtime.enter();
    let admin = admin.map(nonblocking_tcp).transpose()?.map(|door| (door, OpenDoor::new(&doors)));
    let control = control.map(nonblocking_unix).transpose()?.map(|door| (door, OpenDoor::new(&doors)));
    drop(entered);
    let thread = thread::Builder::new().name("desk".into()).spawn(move || {
        runtime.block_on(async {
            let mut ended = stopped.clone();
            let pages = async {
                if let Some(door) = admin {
                    http::serve(door, desk.clone(), stopped.clone()).await;
                }
            };
            let commands = async {
                if let Some(door) = control {
                    control::serve(door, desk.clone(), stopped.clone()).await;
                }
            };
            let _ = tokio::join!(pages, commands, ended.wait_for(|stage| *stage == Stage::Stopped));
        });
        runtime.shutdown_background();
    })?;
    Ok(Running { closer, thread: Some(thread) })
}

fn nonblocking_tcp(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn nonblocking_unix(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}
