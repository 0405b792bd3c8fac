//! Heads byte by byte, strictly from left to right: what the fast path does not vouch for is decided here.
//!
//! The first byte that breaks a rule decides, and no rule looks ahead; so a head that fails, fails in the same way however
//! its bytes were split over reads (row S27).

use super::bytes::{Class, TARGET, TOKEN, VALUE};
use super::misbehave::Misbehaviour;
use super::parse::Progress;
use crate::head::{Fields, HeadLimits, Name, RequestHead, ResponseHead, Span, Version};
use crate::limits;

/// Reads the request head that begins at `begin`: its parts, not their meaning.
pub(super) fn request(
    buf: &[u8],
    begin: usize,
    head: &mut RequestHead,
    limits: &HeadLimits,
) -> Result<Progress, Misbehaviour> {
    let mut scan = Scan::new(buf, begin, limits);
    progress(scan.request_line(head, limits).and_then(|()| {
        scan.fields(&mut head.fields, limits)?;
        head.length = scan.at;
        Ok(())
    }))
}

/// Reads a response head: its parts, not their meaning.
pub(super) fn response(buf: &[u8], head: &mut ResponseHead, limits: &HeadLimits) -> Result<Progress, Misbehaviour> {
    let mut scan = Scan::new(buf, 0, limits);
    progress(scan.status_line(head, limits).and_then(|()| {
        scan.fields(&mut head.fields, limits)?;
        head.length = scan.at;
        Ok(())
    }))
}

/// Why scanning stopped before the head's end.
#[derive(Clone, Copy)]
enum Stop {
    /// The bytes ended; nothing is wrong so far.
    More,
    Wrong(Misbehaviour),
}

impl From<Misbehaviour> for Stop {
    fn from(why: Misbehaviour) -> Stop {
        Stop::Wrong(why)
    }
}

fn progress(scanned: Result<(), Stop>) -> Result<Progress, Misbehaviour> {
    match scanned {
        Ok(()) => Ok(Progress::Complete),
        Err(Stop::More) => Ok(Progress::Incomplete),
        Err(Stop::Wrong(why)) => Err(why),
    }
}

/// A place in the buffer, and how far the part being read may reach.
struct Scan<'a> {
    buf: &'a [u8],
    at: usize,
    /// One past the last byte that the head may have.
    head_cap: usize,
    /// One past the last byte that this part may have; a byte there means `over`.
    cap: usize,
    over: Misbehaviour,
}

impl<'a> Scan<'a> {
    fn new(buf: &'a [u8], begin: usize, limits: &HeadLimits) -> Scan<'a> {
        let head_cap = begin + limits.head as usize;
        Scan { buf, at: begin, head_cap, cap: head_cap, over: Misbehaviour::HeadTooLarge }
    }

    /// From here on, a byte at `cap` or behind means `over`; the head's own limit holds besides.
    fn limit(&mut self, cap: usize, over: Misbehaviour) {
        (self.cap, self.over) =
            if cap < self.head_cap { (cap, over) } else { (self.head_cap, Misbehaviour::HeadTooLarge) };
    }

    fn no_limit(&mut self) {
        self.limit(usize::MAX, Misbehaviour::HeadTooLarge);
    }

    fn peek(&self) -> Result<u8, Stop> {
        match self.buf.get(self.at) {
            None => Err(Stop::More),
            Some(_) if self.at >= self.cap => Err(Stop::Wrong(self.over)),
            Some(byte) => Ok(*byte),
        }
    }

    /// Passes over bytes of a class, and says where they began and ended.
    fn run(&mut self, class: &Class) -> Span {
        let window = &self.buf[..self.buf.len().min(self.cap)];
        let start = self.at;
        while window.get(self.at).is_some_and(|byte| class[*byte as usize]) {
            self.at += 1;
        }
        Span::new(start, self.at)
    }

    /// Reads the LF that must follow a CR.
    fn line_feed(&mut self) -> Result<(), Stop> {
        self.at += 1;
        if self.peek()? != b'\n' {
            return Err(Misbehaviour::BareCr.into());
        }
        self.at += 1;
        Ok(())
    }

    fn request_line(&mut self, head: &mut RequestHead, limits: &HeadLimits) -> Result<(), Stop> {
        self.limit(self.at + limits::METHOD_MAX + 1, Misbehaviour::MethodTooLong);
        head.method = self.run(&TOKEN);
        match self.peek()? {
            b' ' if !head.method.is_empty() => self.at += 1,
            b' ' | b'\t' | b'\r' => return Err(Misbehaviour::RequestLineMalformed.into()),
            b'\n' => return Err(Misbehaviour::BareLf.into()),
            _ => return Err(Misbehaviour::MethodMalformed.into()),
        }
        self.limit(self.at.saturating_add(limits.target as usize + 1), Misbehaviour::TargetTooLong);
        head.target = self.run(&TARGET);
        match self.peek()? {
            b' ' if !head.target.is_empty() => self.at += 1,
            b'\r' if !head.target.is_empty() => return Err(Misbehaviour::Http09.into()),
            b'\n' => return Err(Misbehaviour::BareLf.into()),
            _ => return Err(Misbehaviour::RequestLineMalformed.into()),
        }
        self.no_limit();
        head.version = match self.version()? {
            (1, 0) => Version::Http10,
            (1, _) => Version::Http11,
            (0, _) => return Err(Misbehaviour::Http09.into()),
            _ => return Err(Misbehaviour::VersionUnsupported.into()),
        };
        match self.peek()? {
            b'\r' => self.line_feed(),
            b'\n' => Err(Misbehaviour::BareLf.into()),
            b' ' | b'\t' => Err(Misbehaviour::RequestLineMalformed.into()),
            _ => Err(Misbehaviour::VersionMalformed.into()),
        }
    }

    /// `HTTP/` digit `.` digit.
    fn version(&mut self) -> Result<(u8, u8), Stop> {
        for (index, expected) in b"HTTP/".iter().enumerate() {
            match self.peek()? {
                byte if byte == *expected => self.at += 1,
                b' ' | b'\t' if index == 0 => return Err(Misbehaviour::RequestLineMalformed.into()),
                _ => return Err(Misbehaviour::VersionMalformed.into()),
            }
        }
        let major = self.digit(Misbehaviour::VersionMalformed)?;
        if self.peek()? != b'.' {
            return Err(Misbehaviour::VersionMalformed.into());
        }
        self.at += 1;
        Ok((major, self.digit(Misbehaviour::VersionMalformed)?))
    }

    fn digit(&mut self, otherwise: Misbehaviour) -> Result<u8, Stop> {
        let byte = self.peek()?;
        if !byte.is_ascii_digit() {
            return Err(otherwise.into());
        }
        self.at += 1;
        Ok(byte - b'0')
    }

    fn status_line(&mut self, head: &mut ResponseHead, limits: &HeadLimits) -> Result<(), Stop> {
        head.version = match self.version() {
            Ok((1, 0)) => Version::Http10,
            Ok((1, _)) => Version::Http11,
            Err(Stop::More) => return Err(Stop::More),
            Err(Stop::Wrong(Misbehaviour::HeadTooLarge)) => {
                return Err(Misbehaviour::HeadTooLarge.into());
            }
            Ok(_) | Err(Stop::Wrong(_)) => return Err(Misbehaviour::StatusLineMalformed.into()),
        };
        if self.peek()? != b' ' {
            return Err(Misbehaviour::StatusLineMalformed.into());
        }
        self.at += 1;
        head.status = 0;
        for _ in 0..3 {
            head.status = head.status * 10 + u16::from(self.digit(Misbehaviour::StatusLineMalformed)?);
        }
        if !(100..=599).contains(&head.status) {
            return Err(Misbehaviour::StatusOutOfRange.into());
        }
        head.reason = Span::new(self.at, self.at);
        match self.peek()? {
            b' ' => {
                self.at += 1;
                self.limit(self.at.saturating_add(limits.target as usize + 1), Misbehaviour::TargetTooLong);
                head.reason = self.run(&VALUE);
            }
            b'\r' | b'\n' => {}
            _ => return Err(Misbehaviour::StatusLineMalformed.into()),
        }
        let end = self.peek()?;
        self.no_limit();
        match end {
            b'\r' => self.line_feed(),
            b'\n' => Err(Misbehaviour::BareLf.into()),
            _ => Err(Misbehaviour::StatusLineMalformed.into()),
        }
    }

    /// Field lines up to and including the empty one.
    fn fields(&mut self, fields: &mut Fields, limits: &HeadLimits) -> Result<(), Stop> {
        fields.clear();
        let cap = self.at.saturating_add(limits.field_bytes as usize);
        loop {
            self.no_limit();
            match self.peek()? {
                b'\r' => return self.line_feed(),
                b'\n' => return Err(Misbehaviour::BareLf.into()),
                _ => {}
            }
            self.limit(cap, Misbehaviour::FieldsTooLarge);
            match self.peek()? {
                _ if fields.len() == limits.fields as usize => {
                    return Err(Misbehaviour::TooManyFields.into());
                }
                b' ' | b'\t' if fields.is_empty() => return Err(Misbehaviour::LeadingSpace.into()),
                b' ' | b'\t' => return Err(Misbehaviour::ObsFold.into()),
                _ => {}
            }
            let (name, value) = self.field()?;
            if !fields.push(name, value, Name::of(name.of(self.buf))) {
                return Err(Misbehaviour::TooManyFields.into());
            }
        }
    }

    /// One field line.
    fn field(&mut self) -> Result<(Span, Span), Stop> {
        let name = self.run(&TOKEN);
        match self.peek()? {
            b':' if !name.is_empty() => self.at += 1,
            b':' => return Err(Misbehaviour::EmptyName.into()),
            b' ' | b'\t' => return Err(Misbehaviour::SpaceBeforeColon.into()),
            b'\r' => return Err(Misbehaviour::NoColon.into()),
            b'\n' => return Err(Misbehaviour::BareLf.into()),
            _ => return Err(Misbehaviour::NameMalformed.into()),
        }
        while matches!(self.peek()?, b' ' | b'\t') {
            self.at += 1;
        }
        let mut value = self.run(&VALUE);
        match self.peek()? {
            b'\r' => self.line_feed()?,
            b'\n' => return Err(Misbehaviour::BareLf.into()),
            b'\0' => return Err(Misbehaviour::NulInValue.into()),
            _ => return Err(Misbehaviour::ControlInValue.into()),
        }
        while let [.., b' ' | b'\t'] = value.of(self.buf) {
            value.end -= 1;
        }
        Ok((name, value))
    }
}
