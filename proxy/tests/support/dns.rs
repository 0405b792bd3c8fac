//! A name server that says what a test wants, with a TTL of nothing: it is believed for as long as the gateway believes anybody.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

type Table = Arc<Mutex<HashMap<String, Vec<IpAddr>>>>;

/// Answers over UDP.
pub struct Dns {
    address: String,
    table: Table,
    asked: Arc<AtomicUsize>,
}

impl Dns {
    /// Starts to listen; nobody has an address.
    pub fn new() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("it is bound").to_string();
        let (table, asked) = (Table::default(), Arc::new(AtomicUsize::new(0)));
        let (shared, counter) = (table.clone(), asked.clone());
        thread::spawn(move || {
            let mut room = [0; 1500];
            while let Ok((count, peer)) = socket.recv_from(&mut room) {
                if let Some(answer) = answer(&room[..count], &shared) {
                    counter.fetch_add(1, Ordering::AcqRel);
                    // The asker may be gone.
                    let _ = socket.send_to(&answer, peer);
                }
            }
        });
        Dns { address, table, asked }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on the name has these addresses; none: it does not exist.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an IP address")).collect();
        self.table.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), addresses);
    }

    /// Questions so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

const A: u16 = 1;
const AAAA: u16 = 28;

/// Header and question as they came, and the records that fit.
fn answer(question: &[u8], table: &Table) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push(String::from_utf8_lossy(question.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*question.get(at)?, *question.get(at + 1)?]);
    let end = at + 4;
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let known = table.get(&name.join("."));
    let fits = |address: &&IpAddr| matches!((address, kind), (IpAddr::V4(_), A) | (IpAddr::V6(_), AAAA));
    let records: Vec<IpAddr> = known.into_iter().flatten().filter(fits).copied().collect();
    let mut out = question[..2].to_vec();
    // A response, authoritative, recursion available; NXDOMAIN where the name is not known.
    out.extend([0x85, if known.is_some_and(|known| !known.is_empty()) { 0x80 } else { 0x83 }]);
    out.extend([0, 1, 0, records.len() as u8, 0, 0, 0, 0]);
    out.extend(&question[12..end]);
    for address in records {
        // The question's name, the class IN, no time.
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1, 0, 0, 0, 0]);
        let bytes = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        out.extend((bytes.len() as u16).to_be_bytes());
        out.extend(bytes);
    }
    Some(out)
}
