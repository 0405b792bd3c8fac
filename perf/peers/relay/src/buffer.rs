//! Bytes that have been read and go on from where they lie: a new head is put in front of the body that came with the old one.

use std::io::{self, ErrorKind};

use crate::Stream;

/// Room that a head may gain when it is written anew: the field with the client's address, or `connection: close`.
const HEADROOM: usize = 128;

pub(crate) struct Buffer {
    /// Lent to the stream while it reads or writes.
    bytes: Box<[u8]>,
    from: usize,
    to: usize,
}

impl Buffer {
    pub fn new(size: usize) -> Self {
        Self { bytes: vec![0; HEADROOM + size].into_boxed_slice(), from: HEADROOM, to: HEADROOM }
    }

    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    pub fn consume(&mut self, count: usize) {
        self.from += count;
    }

    /// Reads once, behind what is there; fails if there is no room left, which is a head that is too long.
    pub async fn read<S: Stream>(&mut self, stream: &mut S) -> io::Result<usize> {
        if self.from == self.to {
            (self.from, self.to) = (HEADROOM, HEADROOM);
        } else if self.to == self.bytes.len() && self.from > HEADROOM {
            self.bytes.copy_within(self.from..self.to, HEADROOM);
            (self.from, self.to) = (HEADROOM, HEADROOM + self.to - self.from);
        }
        if self.to == self.bytes.len() {
            return Err(ErrorKind::InvalidData.into());
        }
        let part = self.to..self.bytes.len();
        let (result, bytes) = stream.read(std::mem::take(&mut self.bytes), part).await;
        self.bytes = bytes;
        let count = result?;
        self.to += count;
        Ok(count)
    }

    /// Writes the first bytes of what is there, which stays.
    pub async fn write<S: Stream>(&mut self, count: usize, stream: &mut S) -> io::Result<()> {
        let part = self.from..self.from + count;
        let (result, bytes) = stream.write(std::mem::take(&mut self.bytes), part).await;
        self.bytes = bytes;
        result
    }

    /// Puts a head into the place of the one of this length; what follows stays where it lies.
    pub fn replace_head(&mut self, length: usize, head: &[u8]) -> io::Result<()> {
        let body = self.from + length;
        self.from = body.checked_sub(head.len()).ok_or(ErrorKind::InvalidData)?;
        self.bytes[self.from..body].copy_from_slice(head);
        Ok(())
    }
}
