//! The command line.

use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, Short, Value, ValueExt as _};

/// What `--help` prints.
pub const USAGE: &str = "\
load [OPTIONS] ADDRESS [PATH…]      for example: load --rate 20000 127.0.0.1:8080 /pets /pets/1

Asks for the paths in rotation over kept HTTP/1.1 connections, from one thread. Without --rate each connection asks again as
soon as it has its answer; with it requests are due at a constant rate, and latency counts from when they were due.
Exits with 1 when an answer was wrong or missing.

  -c, --connections N      kept connections (64)
  -d, --duration SECONDS   what is measured (10)
  -w, --warm-up SECONDS    before that (1)
  -r, --rate N             requests a second over all connections
  -m, --method NAME        (GET)
  -b, --body BYTES         a body of so many bytes
  -H, --header 'A: b'      more fields; Host is there unless given
      --paths FILE         paths, one in a line
      --fields FILE        one more field in each request, in rotation: a line of the file
      --status N           what every answer must have (200)
      --size BYTES         how long every answer must be
      --core N             the core to run on
      --json               for programs
";

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// Who is asked.
    pub address: SocketAddr,
    /// What for, in rotation; at least one.
    pub paths: Vec<String>,
    /// Kept connections.
    pub connections: usize,
    /// The window that is measured.
    pub duration: Duration,
    /// What is not, before it.
    pub warm_up: Duration,
    /// Requests a second; `None`: a closed loop.
    pub rate: Option<u64>,
    /// The method of each request.
    pub method: String,
    /// Bytes of its body; `None`: it has none.
    pub body: Option<usize>,
    /// More fields.
    pub headers: Vec<String>,
    /// One of these in each request, in rotation.
    pub rotating: Vec<String>,
    /// The status that each answer must have.
    pub status: u16,
    /// Bytes that the body of each answer must have.
    pub size: Option<u64>,
    /// The core to run on.
    pub core: Option<usize>,
    /// JSON instead of text.
    pub json: bool,
}

/// `None`: help was asked for.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut address, mut paths) = (None, Vec::new());
    let mut options = Options {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        paths: Vec::new(),
        connections: 64,
        duration: Duration::from_secs(10),
        warm_up: Duration::from_secs(1),
        rate: None,
        method: "GET".into(),
        body: None,
        headers: Vec::new(),
        rotating: Vec::new(),
        status: 200,
        size: None,
        core: None,
        json: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Short('c') | Long("connections") => options.connections = parser.value()?.parse()?,
            Short('d') | Long("duration") => options.duration = seconds(&mut parser)?,
            Short('w') | Long("warm-up") => options.warm_up = seconds(&mut parser)?,
            Short('r') | Long("rate") => options.rate = Some(parser.value()?.parse()?),
            Short('m') | Long("method") => options.method = parser.value()?.string()?,
            Short('b') | Long("body") => options.body = Some(parser.value()?.parse()?),
            Short('H') | Long("header") => options.headers.push(parser.value()?.string()?),
            Long("paths") => paths.extend(lines(&mut parser)?),
            Long("fields") => options.rotating = lines(&mut parser)?,
            Long("status") => options.status = parser.value()?.parse()?,
            Long("size") => options.size = Some(parser.value()?.parse()?),
            Long("core") => options.core = Some(parser.value()?.parse()?),
            Long("json") => options.json = true,
            Value(value) if address.is_none() => address = Some(value.parse()?),
            Value(value) => paths.push(value.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    options.address = address.ok_or("whom to ask is missing: ADDRESS, as 127.0.0.1:8080")?;
    options.paths = if paths.is_empty() { vec!["/".into()] } else { paths };
    if options.connections == 0 || options.rate == Some(0) || options.duration.is_zero() {
        return Err("connections, rate and duration cannot be 0".into());
    }
    Ok(Some(options))
}

fn lines(parser: &mut lexopt::Parser) -> Result<Vec<String>, lexopt::Error> {
    let file = parser.value()?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn seconds(parser: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let number: f64 = parser.value()?.parse()?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string().into())
}

impl Options {
    /// The requests, byte for byte. They are never freed: the kernel reads them whenever it likes.
    pub fn requests(&self) -> Vec<&'static [u8]> {
        let has_host = self.headers.iter().any(|field| field.to_ascii_lowercase().starts_with("host:"));
        let host = (!has_host).then(|| format!("Host: {}", self.address));
        let length = self.body.map(|size| format!("Content-Length: {size}"));
        let fields: Vec<String> = host.into_iter().chain(self.headers.iter().cloned()).chain(length).collect();
        let fields: String = fields.iter().flat_map(|field| [field.as_str(), "\r\n"]).collect();
        let body = "x".repeat(self.body.unwrap_or(0));
        let rotating: Vec<String> = self.rotating.iter().map(|field| format!("{field}\r\n")).collect();
        let request = |at: usize| {
            let path = &self.paths[at % self.paths.len()];
            let more = if rotating.is_empty() { "" } else { &rotating[at % rotating.len()] };
            format!("{} {path} HTTP/1.1\r\n{fields}{more}\r\n{body}", self.method)
        };
        (0..self.paths.len().max(rotating.len())).map(|at| request(at).leak().as_bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(words: &[&str]) -> Result<Option<Options>, String> {
        parse(lexopt::Parser::from_args(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_written_once_and_whole() {
        let words = ["-m", "POST", "-b", "3", "-H", "A: b", "127.0.0.1:80", "/x", "/y"];
        let requests = given(&words).unwrap().unwrap().requests();
        let first = "POST /x HTTP/1.1\r\nHost: 127.0.0.1:80\r\nA: b\r\nContent-Length: 3\r\n\r\nxxx";
        assert_eq!(String::from_utf8_lossy(requests[0]), first);
        assert_eq!((requests.len(), requests[1].starts_with(b"POST /y ")), (2, true));
        let named = given(&["[::1]:80", "-H", "host: me"]).unwrap().unwrap().requests();
        assert_eq!(named, [b"GET / HTTP/1.1\r\nhost: me\r\n\r\n"]);
    }

    #[test]
    fn fields_rotate_beside_paths() {
        let mut options = given(&["127.0.0.1:80", "/x", "/y"]).unwrap().unwrap();
        options.rotating = ["A: 1", "A: 2", "A: 3"].map(str::to_owned).into();
        let heads: Vec<String> =
            options.requests().iter().map(|head| String::from_utf8_lossy(head).into_owned()).collect();
        let asked: Vec<(&str, &str)> =
            heads.iter().map(|head| (&head[4..6], &head[head.len() - 8..head.len() - 4])).collect();
        assert_eq!(asked, [("/x", "A: 1"), ("/y", "A: 2"), ("/x", "A: 3")]);
    }

    #[test]
    fn faults_are_told() {
        assert!(given(&["--help"]).unwrap().is_none());
        assert!(given(&[]).unwrap_err().contains("ADDRESS"));
        assert!(given(&["--rate", "0", "127.0.0.1:80"]).is_err());
        assert!(given(&["-d", "-1", "127.0.0.1:80"]).is_err());
        assert!(given(&["--quick", "127.0.0.1:80"]).is_err());
    }
}
