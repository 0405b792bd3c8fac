//! TLS on one socket: what has come is opened before anybody reads it, and what is sent is sealed before it leaves. No socket is
//! touched here.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::rc::Rc;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Connection, HandshakeKind, ProtocolVersion};

use super::buffers::{self, Group, RBuf};
use super::limits::{OPENED_BYTES_MAX, SEND_CHUNKS_MAX};
use super::slot::Outgoing;
use crate::guest::Guest;

/// One side's state of a TLS connection. It costs no task and, between two messages, no receive buffer.
pub struct Session {
    tls: Connection,
    /// Bytes that are opened and not yet read.
    opened: usize,
    /// A record was wrong, or the other end sent a fatal alert: nothing more can be said.
    failed: Option<rustls::Error>,
    /// The end of the stream comes without a word, so that what was cut does not look whole.
    silent: bool,
    /// The socket under it has ended.
    ended: bool,
    /// The end of the stream is to follow what is being sent.
    pub(super) ends: bool,
    /// Who the other end is, where that matters.
    guest: Option<Rc<Guest>>,
}

/// How a connection is protected, in the words of API Gateway's `$context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// `TLSv1.3`, `TLSv1.2`.
    pub version: &'static str,
    /// As OpenSSL calls it.
    pub suite: &'static str,
    /// Whether the handshake continued an earlier session.
    pub resumed: bool,
    /// Whether both have agreed to speak HTTP/2.
    pub http2: bool,
}

impl Session {
    /// A session whose handshake may be under way.
    pub fn new(tls: impl Into<Connection>) -> Session {
        let mut tls = tls.into();
        // The gateway bounds what it sends by itself: one send at a time.
        tls.set_buffer_limit(None);
        Session { tls, opened: 0, failed: None, silent: false, ended: false, ends: false, guest: None }
    }

    /// Opens bytes of the socket. What is left of them is for later: first somebody has to read what is opened.
    pub(super) fn open(&mut self, sealed: &mut RBuf) -> io::Result<()> {
        while !sealed.is_empty() && self.opened < OPENED_BYTES_MAX && self.failed.is_none() {
            let mut rest = &sealed[..];
            let taken = self.tls.read_tls(&mut rest).inspect_err(|_| self.failed = Some(GARBLED))?;
            // Behind the other end's goodbye nothing means anything.
            sealed.advance(if taken == 0 { sealed.len() } else { taken });
            self.process()?;
        }
        Ok(())
    }

    fn process(&mut self) -> io::Result<()> {
        match self.tls.process_new_packets() {
            Ok(state) => {
                self.opened = state.plaintext_bytes_to_read();
                Ok(())
            }
            Err(error) => {
                // What was opened before is still good.
                self.failed = Some(error.clone());
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Goes on with what was received with the first message of a handshake.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.process()
    }

    /// Whether there is something to read.
    pub(super) fn has_opened(&self) -> bool {
        self.opened > 0
    }

    /// What is opened, as far as a buffer holds it; `None` if there is no buffer.
    pub(super) fn read(&mut self, group: Group) -> Option<RBuf> {
        let bytes = buffers::fill(group, |room| self.tls.reader().read(room).unwrap_or(0))?;
        // An empty view means the end: the count is put right rather than believed.
        self.opened = if bytes.is_empty() { 0 } else { self.opened.saturating_sub(bytes.len()) };
        Some(bytes)
    }

    /// The socket has ended.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// How the stream ended, if it did: without a goodbye it was cut.
    pub(super) fn ending(&mut self) -> Option<io::Result<RBuf>> {
        if let Some(error) = &self.failed {
            Some(Err(io::Error::new(io::ErrorKind::InvalidData, error.clone())))
        } else if self.has_said_goodbye() {
            Some(Ok(RBuf::empty()))
        } else {
            self.ended.then(|| Err(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    fn has_said_goodbye(&mut self) -> bool {
        self.opened == 0 && matches!(self.tls.reader().read(&mut [0]), Ok(0))
    }

    /// Seals bytes, the pieces together.
    pub(super) fn seal(&mut self, outgoing: &Outgoing) {
        let mut pieces = [IoSlice::new(&[]); SEND_CHUNKS_MAX + 1];
        let mut count = 0;
        for piece in outgoing.slices().filter(|piece| !piece.is_empty()) {
            pieces[count] = IoSlice::new(piece);
            count += 1;
        }
        // Without a limit everything is taken, and memory is all that could fail.
        let _ = self.tls.writer().write_vectored(&pieces[..count]);
    }

    /// Whether something is to be sent.
    pub(super) fn has_records(&self) -> bool {
        self.tls.wants_write()
    }

    /// All that is to be sent.
    pub(super) fn records(&mut self) -> Vec<u8> {
        let mut records = buffers::vector();
        while self.tls.wants_write() {
            if !matches!(self.tls.write_tls(&mut records), Ok(1..)) {
                break;
            }
        }
        records
    }

    pub(super) fn remember(&mut self, guest: impl FnOnce(&[CertificateDer<'static>]) -> Guest) {
        self.guest = Some(Rc::new(guest(self.tls.peer_certificates().unwrap_or_default())));
    }

    pub(super) fn server_name(&self) -> Option<&str> {
        match &self.tls {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        }
    }

    pub(super) fn guest(&self) -> Option<Rc<Guest>> {
        self.guest.clone()
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Says nothing at the end.
    pub(super) fn be_silent(&mut self) {
        self.silent = true;
    }

    /// Tells the other end that nothing more will come, once.
    pub(super) fn say_goodbye(&mut self) {
        if !std::mem::replace(&mut self.silent, true)
            && self.failed.is_none()
            && !self.ended
            && !self.tls.is_handshaking()
        {
            self.tls.send_close_notify();
        }
    }

    pub(super) fn protection(&self) -> Protection {
        let version = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = self.tls.negotiated_cipher_suite().map_or("", |suite| name_of(suite.suite()));
        let resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        Protection { version, suite, resumed, http2: self.tls.alpn_protocol() == Some(b"h2") }
    }
}

/// What is no record at all.
const GARBLED: rustls::Error = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);

fn name_of(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}
