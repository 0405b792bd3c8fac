//! A new connection to a server, within its time. The addresses of one name race: a family that leads nowhere costs a quarter
//! of a second, not the whole time (RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use policy::fault::Fault;

use super::server::{Address, Server};
use crate::body::is_timeout;
use crate::io::{Outgoing, Sleep, Sock, is_shortage, now, sleep};
use crate::limits::CONNECT_HEAD_START;

/// Connects to `server`, or to one of the `others`, which have the same name: in their order, each a moment after the one
/// before or as soon as that one has failed. Whoever fails or is overtaken is told so. `introduction` is what they are sent first: whose
/// connection it is, if they are to know. The winner, and its socket.
pub async fn connect(
    server: &Rc<Server>,
    others: Vec<Rc<Server>>,
    within: Duration,
    introduction: &[u8],
) -> Result<(Rc<Server>, Sock), Fault> {
    if others.is_empty() {
        let outcome = one(server, within, introduction).await;
        return outcome.map(|sock| (server.clone(), sock)).inspect_err(|fault| server.broke(*fault));
    }
    let mut waiting = vec![server.clone()];
    waiting.extend(others);
    waiting.reverse();
    let until = now() + within;
    let start = move |server: Rc<Server>| {
        let left = until.saturating_duration_since(now());
        let racing = server.clone();
        (server, Box::pin(async move { one(&racing, left, introduction).await }))
    };
    let mut race = Race { waiting, racing: Vec::new(), start, pause: None, last: Fault::ConnectFailed };
    poll_fn(|context| race.poll(context)).await
}

/// A connection that is ready for its first request. The introduction comes before everything else, TLS included.
async fn one(server: &Server, within: Duration, introduction: &[u8]) -> Result<Sock, Fault> {
    let began = now();
    let connected = match &server.address {
        Address::Socket(address) => Sock::connect(*address, within).await,
        Address::Unix(path) => Sock::connect_unix(path, within).await,
        Address::Name { .. } => return Err(Fault::NameNotResolved),
    };
    let sock = connected.map_err(|error| fault(&error))?;
    if !introduction.is_empty() {
        sock.start_send(Outgoing::new(introduction.to_vec()));
    }
    if let Some(secure) = &server.secure {
        secure.shake(&sock, within.saturating_sub(now() - began)).await?;
        server.shaken(sock.protection());
    }
    Ok(sock)
}

fn fault(error: &io::Error) -> Fault {
    match error {
        error if is_timeout(error) => Fault::ConnectTimedOut,
        error if is_shortage(error) => Fault::ResourcesShort,
        _ => Fault::ConnectFailed,
    }
}

/// Connects that run against each other, in the order of their start.
struct Race<F, S> {
    /// The next one is the last.
    waiting: Vec<Rc<Server>>,
    racing: Vec<(Rc<Server>, Pin<Box<F>>)>,
    start: S,
    /// The head start of the last one that was started.
    pause: Option<Pin<Box<Sleep>>>,
    last: Fault,
}

impl<F, S> Race<F, S>
where
    F: Future<Output = Result<Sock, Fault>>,
    S: Fn(Rc<Server>) -> (Rc<Server>, Pin<Box<F>>),
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(Rc<Server>, Sock), Fault>> {
        loop {
            let mut at = 0;
            while let Some((server, connecting)) = self.racing.get_mut(at) {
                match connecting.as_mut().poll(context) {
                    Poll::Pending => at += 1,
                    Poll::Ready(Ok(sock)) => {
                        // Those before it had more time, and are no nearer.
                        let winner = server.clone();
                        self.racing[..at].iter().for_each(|(slow, _)| slow.broke(Fault::ConnectTimedOut));
                        return Poll::Ready(Ok((winner, sock)));
                    }
                    Poll::Ready(Err(fault)) => {
                        server.broke(fault);
                        self.last = fault;
                        self.racing.remove(at);
                        self.pause = None;
                    }
                }
            }
            let paused = self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(context).is_pending());
            match self.waiting.pop() {
                Some(next) if !paused => {
                    self.racing.push((self.start)(next));
                    self.pause = Some(Box::pin(sleep(CONNECT_HEAD_START)));
                }
                Some(next) => {
                    self.waiting.push(next);
                    return Poll::Pending;
                }
                None if self.racing.is_empty() => return Poll::Ready(Err(self.last)),
                None => return Poll::Pending,
            }
        }
    }
}
