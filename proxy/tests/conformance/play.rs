//! A case at work: a connection of its own, and what cases say again and again.

use std::time::Duration;

use crate::frames::{Answer, Carrier, Frame, Peer, flag, headers, setting};
use crate::hpack::Block;
use crate::tls::Visitor;

/// How long others may take: those that fail many cases by silence would take all day.
const STRANGERS_PATIENCE: Duration = Duration::from_secs(2);

/// Whom the cases are played against.
pub struct Target {
    pub name: String,
    pub address: String,
    /// For TLS: a client, and the name it asks for.
    pub visitor: Option<(Visitor, String)>,
    pub authority: String,
    pub path: String,
    /// A path whose bodies nobody reads.
    pub stuck: String,
    /// Ours answers every request with 200.
    pub ours: bool,
}

/// What a case does. What comes of it is judged afterwards; an `Err` tells what is wrong already.
pub type Act = fn(&mut Play) -> Result<(), String>;

/// A case, and whether settings are exchanged before it.
pub struct Case {
    pub name: &'static str,
    pub greeted: bool,
    pub act: Act,
}

/// One on a connection that is ready for requests.
pub const fn case(name: &'static str, act: Act) -> Case {
    Case { name, greeted: true, act }
}

/// One that begins the connection itself.
pub const fn raw(name: &'static str, act: Act) -> Case {
    Case { name, greeted: false, act }
}

/// A connection, and the stream that matters.
pub struct Play<'a> {
    pub peer: Peer,
    pub target: &'a Target,
    pub stream: u32,
    /// No further request can be asked on this connection.
    pub spent: bool,
}

impl<'a> Play<'a> {
    pub fn begin(target: &'a Target, case: &Case) -> Result<Play<'a>, String> {
        let carrier = match &target.visitor {
            None => Carrier::connect(&target.address),
            Some((visitor, name)) => Carrier::Sealed(Box::new(visitor.connect(&target.address, name).into_stream())),
        };
        let mut play = Play { peer: Peer::new(carrier), target, stream: 1, spent: false };
        if !target.ours {
            play.peer.patience = STRANGERS_PATIENCE;
        }
        if case.greeted {
            play.peer.greet(&[])?;
        }
        Ok(play)
    }

    /// Sends frames in one write.
    #[allow(clippy::unnecessary_wraps, reason = "most cases end with it")]
    pub fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), String> {
        self.peer.send(frames);
        Ok(())
    }

    /// The fields that every request has.
    pub fn fields(&self, method: &str) -> [(&'static str, String); 4] {
        let scheme = if self.target.visitor.is_some() { "https" } else { "http" };
        let (path, authority) = (self.target.path.clone(), self.target.authority.clone());
        [(":method", method.to_owned()), (":scheme", scheme.to_owned()), (":path", path), (":authority", authority)]
    }

    /// A request's block.
    pub fn block(&self, method: &str) -> Block {
        self.fields(method).iter().fold(Block::new(), |block, (name, value)| block.field(name, value))
    }

    /// A block with a pseudo-field of another value, or without it.
    pub fn altered(&self, name: &str, value: Option<&str>) -> Block {
        self.fields("GET").iter().fold(Block::new(), |block, (known, usual)| match value {
            _ if *known != name => block.field(known, usual),
            Some(value) => block.field(name, value),
            None => block,
        })
    }

    /// A whole request.
    pub fn get(&self, stream: u32) -> Frame {
        headers(stream, flag::WHOLE, &self.block("GET"))
    }

    /// A request whose body follows.
    pub fn post(&self, stream: u32) -> Frame {
        headers(stream, flag::END_HEADERS, &self.block("POST"))
    }

    /// A whole request with a further field.
    pub fn with(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), String> {
        let block = self.block("GET").field(name, value);
        self.send([headers(1, flag::WHOLE, &block)])
    }

    /// From now on, no answer has a body before a window is opened.
    pub fn shut_windows(&mut self) -> Result<(), String> {
        self.set(&[(setting::INITIAL_WINDOW_SIZE, 0)])
    }

    /// Sends settings, and waits for their acknowledgement.
    pub fn set(&mut self, list: &[(u16, u32)]) -> Result<(), String> {
        let before = self.peer.settings_acks;
        self.peer.set(list);
        self.peer.until("the settings' acknowledgement", |peer| peer.settings_acks > before)
    }

    /// Asks for what cannot be sent yet: stream 1 is half-closed by us, and stays.
    pub fn hold(&mut self) -> Result<(), String> {
        self.shut_windows()?;
        let get = self.get(1);
        self.send([get])?;
        self.peer.until("an answer's head", |peer| peer.answer(1).status.is_some())
    }

    /// Asks on a stream, and waits for the whole answer.
    pub fn ask(&mut self, stream: u32) -> Result<Answer, String> {
        let get = self.get(stream);
        self.send([get])?;
        self.answered(stream)
    }

    /// Waits for the whole answer of a stream, opening windows for it.
    pub fn answered(&mut self, stream: u32) -> Result<Answer, String> {
        loop {
            let frames = self.peer.frames;
            self.peer.open_windows(stream);
            self.peer.until(&format!("an answer on stream {stream}"), |peer| {
                let answer = peer.answer(stream);
                answer.ended || answer.reset.is_some() || peer.frames > frames
            })?;
            let answer = self.peer.answer(stream);
            if answer.reset.is_some() && !answer.ended {
                return Err(format!("stream {stream} is reset: {:?}", answer.reset));
            }
            if answer.ended {
                return Ok(answer);
            }
        }
    }
}
