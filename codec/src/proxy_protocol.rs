//! The header of the PROXY protocol, versions 1 and 2: what a balancer says of its client before the first byte of it (row P07).
//!
//! A header is read to its exact length or refused by name; what follows it is the client's. The specification is the
//! `proxy-protocol.txt` of HAProxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::limits::{PROXY_HEADER_MAX, PROXY_LINE_MAX};

/// What a header says, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its bytes; what follows is not the balancer's any more.
    pub length: usize,
    /// As spoken.
    pub version: Version,
    /// Whom it speaks of.
    pub told: Told,
}

/// The version of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// A line of text.
    V1,
    /// In binary.
    V2,
}

/// Whom a header speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Of nobody: the connection counts as the balancer's own (`LOCAL`, `UNKNOWN`, an unspecified family).
    Nothing,
    /// Of a client of a Unix socket: it has no address.
    Unix,
    /// Of this client.
    Client {
        /// Its address.
        source: SocketAddr,
        /// Where it wanted to go.
        destination: SocketAddr,
    },
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// Why a header is none; closed, so that every counter has a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[$doc])* $variant,)*
        }

        impl Fault {
            /// Every variant.
            pub const ALL: &[Fault] = &[$(Fault::$variant,)*];

            /// The `snake_case` label for metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }
        }
    };
}

faults! {
    /// What came begins as no header does.
    Absent = "absent";
    /// Version 1 without its end where the longest line ends.
    LineTooLong = "line_too_long";
    /// Version 1 in another form than its own: a blank too many, a line end that is none, an unknown word.
    LineMalformed = "line_malformed";
    /// Version 1 with an address or a port that is none.
    AddressMalformed = "address_malformed";
    /// The signature of version 2 before another version's number.
    VersionUnknown = "version_unknown";
    /// Neither `LOCAL` nor `PROXY`.
    CommandUnknown = "command_unknown";
    /// A family or a transport that does not exist, or only one of both.
    FamilyUnknown = "family_unknown";
    /// Longer than any header has to be.
    TooLong = "too_long";
    /// Shorter than the addresses of its family.
    AddressCut = "address_cut";
    /// The last extension ends behind the header.
    ExtensionCut = "extension_cut";
    /// The checksum is wrong, not four bytes long, or there are two.
    Checksum = "checksum";
}

/// What every header of version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 1 begins with.
const WORD: &[u8; 6] = b"PROXY ";
/// Signature, version and command, family and transport, length of the rest.
const FIXED: usize = SIGNATURE.len() + 4;
/// The type of the extension with the checksum.
const CRC32C: u8 = 0x03;

/// Reads a header at the beginning of a connection. `None`: there is more to come, and nothing wrong with what has.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, wanted)| byte == wanted);
    match bytes.first() {
        None => Ok(None),
        Some(b'P') if begins(WORD) => line(bytes),
        Some(b'\r') if begins(SIGNATURE) => binary(bytes),
        Some(_) => Err(Fault::Absent),
    }
}

fn line(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let within = &bytes[..bytes.len().min(PROXY_LINE_MAX)];
    let Some(end) = within.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < PROXY_LINE_MAX { Ok(None) } else { Err(Fault::LineTooLong) };
    };
    match &within[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if bytes.len() < PROXY_LINE_MAX => return Ok(None),
        [b'\r'] => return Err(Fault::LineTooLong),
        _ => return Err(Fault::LineMalformed),
    }
    let text = bytes.get(WORD.len()..end).ok_or(Fault::LineMalformed)?;
    let told = match text.split(|byte| *byte == b' ').next() {
        // What else it says is nobody's business.
        Some(b"UNKNOWN") => Told::Nothing,
        Some(b"TCP4") => client::<Ipv4Addr>(&text[4..])?,
        Some(b"TCP6") => client::<Ipv6Addr>(&text[4..])?,
        _ => return Err(Fault::LineMalformed),
    };
    Ok(Some(Header { length: end + 2, version: Version::V1, told }))
}

/// Both addresses, then both ports, each behind one blank.
fn client<A: std::str::FromStr + Into<IpAddr>>(text: &[u8]) -> Result<Told, Fault> {
    let mut parts = text.split(|byte| *byte == b' ').skip(1).map(|part| str::from_utf8(part).unwrap_or_default());
    let mut part = || parts.next().ok_or(Fault::LineMalformed);
    let (from, to, from_port, to_port) = (part()?, part()?, part()?, part()?);
    if parts.next().is_some() {
        return Err(Fault::LineMalformed);
    }
    let address = |text: &str| text.parse::<A>().map(Into::into).map_err(|_| Fault::AddressMalformed);
    let (source, destination) = (address(from)?, address(to)?);
    Ok(Told::Client {
        source: SocketAddr::new(source, port(from_port)?),
        destination: SocketAddr::new(destination, port(to_port)?),
    })
}

/// 0 to 65535 in digits, without zeroes before it.
fn port(text: &str) -> Result<u16, Fault> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Fault::AddressMalformed)
}

fn binary(bytes: &[u8]) -> Result<Option<Header>, Fault> {
    let Some(&command) = bytes.get(SIGNATURE.len()) else { return Ok(None) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ if command >> 4 == 2 => return Err(Fault::CommandUnknown),
        _ => return Err(Fault::VersionUnknown),
    };
    let Some(&family) = bytes.get(SIGNATURE.len() + 1) else { return Ok(None) };
    let addresses = match family {
        // A family that is not looked at can be anything.
        _ if is_local => 0,
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(Fault::FamilyUnknown),
    };
    let Some(length) = bytes.get(FIXED - 2..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length > PROXY_HEADER_MAX {
        return Err(Fault::TooLong);
    }
    if length < FIXED + addresses {
        return Err(Fault::AddressCut);
    }
    let Some(header) = bytes.get(..length) else { return Ok(None) };
    let block = &header[FIXED..];
    let told = match addresses {
        12 => told::<4>(block),
        36 => told::<16>(block),
        216 => Told::Unix,
        _ => Told::Nothing,
    };
    if addresses > 0 {
        extensions(header, FIXED + addresses)?;
    }
    Ok(Some(Header { length, version: Version::V2, told }))
}

/// Both addresses of so many bytes, then both ports.
fn told<const N: usize>(block: &[u8]) -> Told
where
    IpAddr: From<[u8; N]>,
{
    let ip = |at: usize| {
        let mut octets = [0; N];
        octets.copy_from_slice(&block[at..at + N]);
        IpAddr::from(octets)
    };
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    Told::Client { source: SocketAddr::new(ip(0), port(2 * N)), destination: SocketAddr::new(ip(N), port(2 * N + 2)) }
}

/// Walks over the extensions, which have to end where the header ends. Only the checksum means something to us.
fn extensions(header: &[u8], mut at: usize) -> Result<(), Fault> {
    let mut checked = false;
    while at < header.len() {
        let (kind, value) = match header[at..] {
            [kind, high, low, ..] => (kind, at + 3..at + 3 + usize::from(u16::from_be_bytes([high, low]))),
            _ => return Err(Fault::ExtensionCut),
        };
        if value.end > header.len() {
            return Err(Fault::ExtensionCut);
        }
        at = value.end;
        if kind == CRC32C {
            let said = header[value.clone()].try_into().map(u32::from_be_bytes).map_err(|_| Fault::Checksum)?;
            if std::mem::replace(&mut checked, true) || said != checksum(header, value.start) {
                return Err(Fault::Checksum);
            }
        }
    }
    Ok(())
}

/// CRC-32C of the header, its own four bytes counted as zeroes.
fn checksum(header: &[u8], place: usize) -> u32 {
    let zeroes = [0; 4];
    let parts = header[..place].iter().chain(&zeroes).chain(&header[place + 4..]);
    !parts.fold(u32::MAX, |crc, byte| crc >> 8 ^ CRC_TABLE[usize::from(crc as u8 ^ byte)])
}

/// The remainders of all bytes by Castagnoli's polynomial, lowest bit first.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Writes a header for whoever is behind us.
pub fn write(version: Version, told: &Told, out: &mut Vec<u8>) {
    match version {
        Version::V1 => write_line(told, out),
        Version::V2 => write_binary(told, out),
    }
}

fn write_line(told: &Told, out: &mut Vec<u8>) {
    let Told::Client { source, destination } = told else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let (from, to) = of_one_family(source.ip(), destination.ip());
    let word = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!("PROXY {word} {from} {to} {} {}\r\n", source.port(), destination.port());
    out.extend_from_slice(line.as_bytes());
}

fn write_binary(told: &Told, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let (source, destination) = match told {
        Told::Nothing => return out.extend_from_slice(&[0x20, 0x00, 0, 0]),
        Told::Unix => return out.extend_from_slice(&[0x21, 0x00, 0, 0]),
        Told::Client { source, destination } => (source, destination),
    };
    match of_one_family(source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&as_v6(from).octets());
            out.extend_from_slice(&as_v6(to).octets());
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Both addresses as IPv4 if they are, otherwise both as IPv6.
fn of_one_family(from: IpAddr, to: IpAddr) -> (IpAddr, IpAddr) {
    match (from.to_canonical(), to.to_canonical()) {
        (from, to) if from.is_ipv4() == to.is_ipv4() => (from, to),
        (from, to) => (as_v6(from).into(), as_v6(to).into()),
    }
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::proxy_header as holds;
    use proptest::prelude::*;

    const FROM: &str = "192.0.2.7:56324";
    const TO: &str = "198.51.100.1:443";

    fn told(from: &str, to: &str) -> Told {
        Told::Client { source: from.parse().expect("an address"), destination: to.parse().expect("an address") }
    }

    fn read(bytes: &[u8]) -> Result<Option<Told>, Fault> {
        holds(bytes);
        let header = parse(bytes)?;
        Ok(header.map(|header| {
            assert_eq!(header.length, bytes.len());
            header.told
        }))
    }

    /// A header of version 2 with this block.
    fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, family], &(block.len() as u16).to_be_bytes(), block].concat()
    }

    fn addresses() -> Vec<u8> {
        let mut out = Vec::new();
        write(Version::V2, &told(FROM, TO), &mut out);
        out.split_off(FIXED)
    }

    fn extension(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
    }

    /// With a checksum that is right.
    fn checked(block: &[u8]) -> Vec<u8> {
        let mut header = v2(0x21, 0x11, &[block, &extension(CRC32C, &[0; 4])].concat());
        let place = header.len() - 4;
        let sum = checksum(&header, place);
        header[place..].copy_from_slice(&sum.to_be_bytes());
        header
    }

    #[test]
    fn p07_lines() {
        let client = |from, to| Ok(Some(told(from, to)));
        let malformed = Err(Fault::LineMalformed);
        let address = Err(Fault::AddressMalformed);
        let longest = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
        assert_eq!(longest.len(), PROXY_LINE_MAX);
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", client(FROM, TO)),
            ("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", client("[2001:db8::1]:0", "[::1]:65535")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", client("[::ffff:192.0.2.7]:1", "[::1]:2")),
            ("PROXY UNKNOWN\r\n", Ok(Some(Told::Nothing))),
            ("PROXY UNKNOWN \0 what ever\r\n", Ok(Some(Told::Nothing))),
            (longest, Ok(Some(Told::Nothing))),
            ("PROXY ", Ok(None)),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r", Ok(None)),
            ("PROXY UNKNOWNS\r\n", malformed),
            ("PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n", malformed),
            ("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", malformed),
            ("PROXY tcp4 192.0.2.7 198.51.100.1 1 2\r\n", malformed),
            ("PROXY \r\n", malformed),
            ("PROXY TCP4\r\n", malformed),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", malformed),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", malformed),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", malformed),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\r\n", malformed),
            ("PROXY UNKNOWN a\nb\r\n", malformed),
            ("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", malformed),
            ("PROXY TCP4 192.0.2.7  198.51.100.1 1\r\n", address),
            ("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", address),
            ("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n", address),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", address),
            ("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n", address),
            ("PROXY TCP6 fe80::1%1 ::1 1 2\r\n", address),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", address),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 02\r\n", address),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n", address),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 1 -2\r\n", address),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 \u{e4} 2\r\n", address),
        ] {
            assert_eq!(read(line.as_bytes()), expected, "{line:?}");
        }
        let long = longest.replace("65535\r\n", "655350\r\n");
        assert_eq!(read(long.as_bytes()), Err(Fault::LineTooLong));
        assert_eq!(read(format!("PROXY {}", "x".repeat(200)).as_bytes()), Err(Fault::LineTooLong));
    }

    #[test]
    fn p07_what_is_no_header() {
        for bytes in
            ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0", "proxy TCP4", "PROXYX", " PROXY", "\x16\x03\x01", "\r\n\r\nX"]
        {
            assert_eq!(read(bytes.as_bytes()), Err(Fault::Absent), "{bytes}");
        }
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"\r\n\r\n\0\r\nQUIT"), Ok(None));
        assert_eq!(read(b"\r\n\r\n\0\r\nQUIP"), Err(Fault::Absent));
    }

    #[test]
    fn p07_commands_and_families() {
        let (block, six) = (addresses(), [&[0x20; 32][..], &[0, 1, 0, 2]].concat());
        let v6 = "[2020:2020:2020:2020:2020:2020:2020:2020]";
        let v6 = Ok(Some(told(&format!("{v6}:1"), &format!("{v6}:2"))));
        let nothing = Ok(Some(Told::Nothing));
        for (command, family, block, expected) in [
            (0x21, 0x11, &block[..], Ok(Some(told(FROM, TO)))),
            (0x21, 0x12, &block, Ok(Some(told(FROM, TO)))),
            (0x21, 0x21, &six, v6),
            (0x21, 0x22, &six, v6),
            (0x21, 0x31, &[b'/'; 216], Ok(Some(Told::Unix))),
            (0x21, 0x32, &[b'/'; 216], Ok(Some(Told::Unix))),
            (0x21, 0x00, &[], nothing),
            (0x21, 0x00, b"what ever", nothing),
            (0x20, 0x00, &[], nothing),
            (0x20, 0x11, &block, nothing),
            (0x20, 0xFF, b"\x03\xff\xff", nothing),
            (0x11, 0x11, &block, Err(Fault::VersionUnknown)),
            (0x31, 0x11, &block, Err(Fault::VersionUnknown)),
            (0x01, 0x11, &block, Err(Fault::VersionUnknown)),
            (0x22, 0x11, &block, Err(Fault::CommandUnknown)),
            (0x2F, 0x11, &block, Err(Fault::CommandUnknown)),
            (0x21, 0x10, &block, Err(Fault::FamilyUnknown)),
            (0x21, 0x01, &block, Err(Fault::FamilyUnknown)),
            (0x21, 0x13, &block, Err(Fault::FamilyUnknown)),
            (0x21, 0x41, &block, Err(Fault::FamilyUnknown)),
            (0x21, 0x11, &block[..11], Err(Fault::AddressCut)),
            (0x21, 0x11, &[], Err(Fault::AddressCut)),
            (0x21, 0x21, &block, Err(Fault::AddressCut)),
            (0x21, 0x31, &[b'/'; 215], Err(Fault::AddressCut)),
        ] {
            assert_eq!(read(&v2(command, family, block)), expected, "{command:#x} {family:#x} {}", block.len());
        }
    }

    #[test]
    fn p07_extensions_end_where_the_header_ends() {
        let with = |more: &[u8]| read(&v2(0x21, 0x11, &[&addresses(), more].concat()));
        let fine = Ok(Some(told(FROM, TO)));
        let room = PROXY_HEADER_MAX - FIXED - 12;
        assert_eq!(with(&extension(0x01, b"h2")), fine);
        assert_eq!(with(&[extension(0x04, b""), extension(0xE0, &[7; 300]), extension(0x20, b"x")].concat()), fine);
        assert_eq!(with(&extension(0xE0, &vec![0; room - 3])), fine);
        assert_eq!(with(&extension(0xE0, &vec![0; room - 2])), Err(Fault::TooLong));
        for cut in [&[0x01][..], &[0x01, 0], &[0x01, 0, 1], &[0x01, 0xFF, 0xFF, 0], &[0x01, 0, 0, 0x01]] {
            assert_eq!(with(cut), Err(Fault::ExtensionCut), "{cut:?}");
        }
        // A length beyond everything is refused before any of it is waited for.
        let endless = [&SIGNATURE[..], &[0x21, 0x11, 0xFF, 0xFF]].concat();
        assert_eq!(read(&endless), Err(Fault::TooLong));
    }

    #[test]
    fn p07_the_checksum_is_checked() {
        let header = checked(&addresses());
        assert_eq!(read(&header), Ok(Some(told(FROM, TO))));
        // Every bit of it counts, but those that say that it is a checksum.
        for at in (FIXED..header.len()).filter(|at| *at != FIXED + 12) {
            for bit in 0..8 {
                let mut wrong = header.clone();
                wrong[at] ^= 1 << bit;
                assert!(read(&wrong).is_err(), "byte {at}, bit {bit}");
            }
        }
        let more = [addresses(), extension(CRC32C, &checksum(&header, header.len() - 4).to_be_bytes())].concat();
        assert_eq!(read(&checked(&more)), Err(Fault::Checksum), "two of them");
        let short = [addresses(), extension(CRC32C, &[0; 3])].concat();
        assert_eq!(read(&v2(0x21, 0x11, &short)), Err(Fault::Checksum));
        let first = [addresses(), extension(0xE0, b"x")].concat();
        assert_eq!(read(&checked(&first)), Ok(Some(told(FROM, TO))));
    }

    #[test]
    fn headers_for_others() {
        let written = |version, told: &Told| {
            let mut out = Vec::new();
            write(version, told, &mut out);
            out
        };
        assert_eq!(written(Version::V1, &told(FROM, TO)), b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n");
        let mixed = told("[::ffff:192.0.2.7]:1", "[2001:db8::1]:2");
        assert_eq!(written(Version::V1, &mixed), b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n");
        let same = told("[::ffff:192.0.2.7]:1", "198.51.100.1:2");
        assert_eq!(written(Version::V1, &same), b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n");
        let exact = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 192, 0, 2, 7, 198, 51, 100, 1, 0, 1, 0, 2]].concat();
        assert_eq!(written(Version::V2, &same), exact);
        assert_eq!(written(Version::V2, &mixed).len(), FIXED + 36);
        for told in [Told::Nothing, Told::Unix] {
            assert_eq!(written(Version::V1, &told), b"PROXY UNKNOWN\r\n");
            assert_eq!(read(&written(Version::V2, &told)), Ok(Some(Told::Nothing)));
        }
        assert_eq!(written(Version::V2, &Told::Nothing)[12], 0x20, "a check of our own is no client's");
        assert_eq!(written(Version::V2, &Told::Unix)[12], 0x21);
    }

    fn extensions() -> impl Strategy<Value = Vec<u8>> {
        let one = (prop_oneof![0..6_u8, any::<u8>()], prop::collection::vec(any::<u8>(), 0..40));
        let some = prop::collection::vec(one, 0..4);
        (some, prop::collection::vec(any::<u8>(), 0..3), any::<bool>()).prop_map(|(some, rest, is_cut)| {
            let all: Vec<u8> = some.into_iter().flat_map(|(kind, value)| extension(kind, &value)).collect();
            if is_cut { [all, rest].concat() } else { all }
        })
    }

    const WORDS: &[&str] = &[
        "TCP4",
        "TCP6",
        "UNKNOWN",
        "192.0.2.7",
        "10.0.0.300",
        "::1",
        "2001:db8::",
        "1",
        "0",
        "080",
        "65536",
        "",
        "x",
        "\r",
        "\n",
    ];

    fn some_header() -> impl Strategy<Value = Vec<u8>> {
        let family = prop_oneof![8 => Just(0x11), 8 => Just(0x21), 2 => Just(0x31), 1 => Just(0), 1 => any::<u8>()];
        let block = prop::collection::vec(any::<u8>(), 216);
        let binary = (prop_oneof![9 => Just(0x21), 1 => any::<u8>()], family, block, extensions(), any::<bool>());
        let binary = binary.prop_map(|(command, family, block, more, is_checked)| {
            let length = match family >> 4 {
                1 => 12,
                2 => 36,
                3 => 216,
                _ => 0,
            };
            let block = [&block[..length], &more].concat();
            if is_checked && family == 0x11 { checked(&block) } else { v2(command, family, &block) }
        });
        let words = prop::collection::vec(prop::sample::select(WORDS), 0..7);
        let text = words.prop_map(|words| format!("PROXY {}\r\n", words.join(" ")).into_bytes());
        let good =
            (any::<[u8; 4]>(), any::<[u8; 16]>(), any::<u16>(), any::<bool>()).prop_map(|(four, six, port, is_six)| {
                let (word, ip) = if is_six { ("TCP6", IpAddr::from(six)) } else { ("TCP4", IpAddr::from(four)) };
                format!("PROXY {word} {ip} {ip} {port} 443\r\n").into_bytes()
            });
        prop_oneof![4 => binary, 2 => text, 1 => good, 1 => prop::collection::vec(any::<u8>(), 0..20)]
    }

    proptest! {
        #[test]
        fn random_headers_are_what_the_twin_says(
            header in some_header(), change in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), more in "[a-z]{0,9}",
        ) {
            let mut bytes = [&header[..], more.as_bytes()].concat();
            holds(&bytes);
            if let (true, false) = (change.2, bytes.is_empty()) {
                let at = change.0.index(bytes.len());
                bytes[at] = change.1;
                holds(&bytes);
            }
        }
    }
}
