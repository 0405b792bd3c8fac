//! What a rule asks of a request: tests, and groups of them.

use codec::head::Fate;
use serde::{Deserialize, Serialize};

use super::managed::Managed;
use super::text::{TextTest, Work};
use super::{Request, Unsound};
use crate::limits::{FIREWALL_CONDITIONS_MAX, FIREWALL_DEPTH_MAX};
use crate::networks::Networks;

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Piece>", into = "Vec<Piece>")]
pub enum When {
    /// All of these hold; of none all do.
    All(Box<[When]>),
    /// One of these holds.
    Any(Box<[When]>),
    /// It does not hold.
    Not(Box<When>),
    /// This is so.
    Is(Test),
}

/// One thing that is asked of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Test {
    /// The client is in the set of that number.
    Address(u16),
    /// It is one of these verbs, as it is written.
    Method(Box<[Box<str>]>),
    /// A part of it has more bytes.
    Larger(Part, u64),
    /// A text of it is so.
    Text(Box<TextTest>),
    /// It looks like one of these attacks.
    Managed(Box<Managed>),
}

/// What has a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// The path.
    Path,
    /// What stands behind `?`.
    Query,
    /// The names and values of all header fields.
    Headers,
    /// The body, as it is announced; one whose end is not said is larger than any size.
    Body,
}

impl When {
    /// Whether it holds for a request. `sets`: those that tests name by number.
    pub fn holds(&self, request: &Request<'_>, sets: &[Networks], work: &mut Work) -> bool {
        match self {
            Self::All(all) => all.iter().all(|when| when.holds(request, sets, work)),
            Self::Any(any) => any.iter().any(|when| when.holds(request, sets, work)),
            Self::Not(when) => !when.holds(request, sets, work),
            Self::Is(test) => test.holds(request, sets, work),
        }
    }

    /// How many conditions it is, groups counted.
    pub fn count(&self) -> usize {
        self.sum(&|_| 1)
    }

    /// How many patterns it has compiled.
    pub fn patterns(&self) -> usize {
        self.sum(&|when| match when {
            Self::Is(Test::Managed(managed)) => managed.searches(),
            Self::Is(Test::Text(test)) => usize::from(test.compare.is_search()),
            _ => 0,
        })
    }

    /// Whether there are sets for all of its tests, if there are so many.
    pub fn knows(&self, sets: usize) -> bool {
        self.sum(&|when| match when {
            Self::Is(Test::Address(number)) => usize::from(usize::from(*number) >= sets),
            _ => 0,
        }) == 0
    }

    fn sum(&self, of: &impl Fn(&Self) -> usize) -> usize {
        let inner = match self {
            Self::All(list) | Self::Any(list) => list.iter().map(|when| when.sum(of)).sum(),
            Self::Not(when) => when.sum(of),
            Self::Is(_) => 0,
        };
        inner + of(self)
    }
}

impl Test {
    fn holds(&self, request: &Request<'_>, sets: &[Networks], work: &mut Work) -> bool {
        match self {
            Self::Address(number) => sets[usize::from(*number)].contain(request.address),
            Self::Method(verbs) => {
                let verb = request.head.method.of(request.head_bytes);
                verbs.iter().any(|known| known.as_bytes() == verb)
            }
            Self::Larger(part, bytes) => part.size(request).is_none_or(|size| size > *bytes),
            Self::Text(test) => test.holds(request, work),
            Self::Managed(managed) => managed.holds(request, work),
        }
    }
}

impl Part {
    fn size(self, request: &Request<'_>) -> Option<u64> {
        let bytes = match self {
            Self::Path => request.path.len(),
            Self::Query => request.head.query.map_or(0, |query| query.of(request.head_bytes).len()),
            Self::Headers => {
                let fields = request.head.fields.iter();
                fields
                    .filter(|field| field.fate == Fate::Pass)
                    .map(|field| field.name.of(request.head_bytes).len() + field.value.of(request.head_bytes).len())
                    .sum()
            }
            Self::Body => return request.body,
        };
        Some(bytes as u64)
    }
}

/// A condition in a file: groups stand before what belongs to them, so that no file is read deeper than a document may go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Piece {
    /// So many conditions follow.
    All(u16),
    /// Likewise.
    Any(u16),
    /// One follows.
    Not,
    /// A test.
    Is(Test),
}

impl From<When> for Vec<Piece> {
    fn from(when: When) -> Self {
        let mut pieces = Self::new();
        flatten(when, &mut pieces);
        pieces
    }
}

fn flatten(when: When, out: &mut Vec<Piece>) {
    match when {
        When::All(all) => {
            out.push(Piece::All(all.len() as u16));
            all.into_iter().for_each(|when| flatten(when, out));
        }
        When::Any(any) => {
            out.push(Piece::Any(any.len() as u16));
            any.into_iter().for_each(|when| flatten(when, out));
        }
        When::Not(when) => {
            out.push(Piece::Not);
            flatten(*when, out);
        }
        When::Is(test) => out.push(Piece::Is(test)),
    }
}

impl TryFrom<Vec<Piece>> for When {
    type Error = Unsound;

    fn try_from(pieces: Vec<Piece>) -> Result<Self, Unsound> {
        if pieces.len() > FIREWALL_CONDITIONS_MAX {
            return Err(Unsound("too many conditions of a firewall"));
        }
        let mut pieces = pieces.into_iter();
        let when = Self::read(&mut pieces, 0)?;
        if pieces.next().is_some() { Err(Unsound("conditions of a firewall are left over")) } else { Ok(when) }
    }
}

impl When {
    /// What a group or a negation may stand in is bounded: each takes room of a worker's stack. Groups made of a mapping's fields count.
    fn read(pieces: &mut std::vec::IntoIter<Piece>, depth: usize) -> Result<Self, Unsound> {
        if depth > 3 * FIREWALL_DEPTH_MAX {
            return Err(Unsound("conditions of a firewall stand too deep"));
        }
        let piece = pieces.next().ok_or(Unsound("a condition of a firewall is missing"))?;
        let mut list = |count: u16| (0..count).map(|_| Self::read(pieces, depth + 1)).collect::<Result<_, _>>();
        Ok(match piece {
            Piece::All(count) => Self::All(list(count)?),
            Piece::Any(count) => Self::Any(list(count)?),
            Piece::Not => Self::Not(Box::new(Self::read(pieces, depth + 1)?)),
            Piece::Is(test) => Self::Is(test),
        })
    }
}
