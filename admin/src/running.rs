//! The desk's thread: its runtime, its two doors, and its end.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::control::Socket;
use crate::desk::Desk;
use crate::{control, http};

/// A desk that is open. Dropping it closes the desk as [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    socket: Option<Socket>,
}

impl Running {
    /// Closes both doors and removes the control socket's file. Pages under way get
    /// [`limits::GRACE_TIME`](crate::limits::GRACE_TIME); a reload that is still running is not waited for.
    pub fn stop(self) {}
}

impl Drop for Running {
    fn drop(&mut self) {
        // First the name, so that whoever comes now finds nobody home instead of a closed door.
        if let Some(socket) = self.socket.take() {
            socket.remove();
        }
        self.stop.send_replace(true);
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
    let (stop, stopped) = watch::channel(false);
    let socket = control.as_ref().and_then(Socket::of);
    let entered = runtime.enter();
    let admin = admin.map(nonblocking_tcp).transpose()?;
    let control = control.map(nonblocking_unix).transpose()?;
    drop(entered);
    let thread = thread::Builder::new().name("desk".into()).spawn(move || {
        runtime.block_on(async {
            let mut ended = stopped.clone();
            let pages = async {
                if let Some(listener) = admin {
                    http::serve(listener, desk.clone(), stopped.clone()).await;
                }
            };
            let commands = async {
                if let Some(listener) = control {
                    control::serve(listener, desk.clone(), stopped.clone()).await;
                }
            };
            let _ = tokio::join!(pages, commands, ended.wait_for(|stop| *stop));
        });
        runtime.shutdown_background();
    })?;
    Ok(Running { stop, thread: Some(thread), socket })
}

fn nonblocking_tcp(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

fn nonblocking_unix(listener: UnixListener) -> io::Result<tokio::net::UnixListener> {
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}
