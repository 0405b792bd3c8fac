//! The addresses at which the gateway listens: bound before anything else changes, and let go without losing who has come.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use config::snapshot::{ListenAddress, Listener};

use crate::limits::{BIND_PATIENCE, BIND_RETRY, LAST_HANDSHAKES_TIME_MAX};
use crate::listener::{self, Bound, Opened, Order, SocketFile};

/// The doors that are open. Dropping it removes the files of its unix sockets.
pub struct Doors {
    workers: usize,
    open: Vec<Door>,
    /// Doors that were closed a moment ago: the last handshakes may still be under way there.
    closed: Vec<(ListenAddress, Instant)>,
    next: u64,
}

struct Door {
    number: u64,
    spec: Listener,
    bound: ListenAddress,
    file: Option<SocketFile>,
}

/// What is about to be changed. Dropping it undoes what was bound for it.
pub struct Plan {
    /// The doors afterwards, in the order of the document.
    doors: Vec<Door>,
    /// Descriptors of new doors, by the door's number, one for each worker.
    descriptors: Vec<(u64, VecDeque<OwnedFd>)>,
}

/// What a plan changes, for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Addresses where nobody listened before.
    pub opened: Vec<String>,
    /// Addresses that are let go.
    pub closed: Vec<String>,
    /// Addresses with other settings.
    pub changed: Vec<String>,
}

impl Doors {
    /// No doors yet, for this many workers.
    pub fn new(workers: usize) -> Doors {
        Doors { workers, open: Vec::new(), closed: Vec::new(), next: 0 }
    }

    /// Where the gateway listens, ports that the kernel chose included.
    pub fn addresses(&self) -> Vec<String> {
        self.open.iter().map(|door| show(&door.bound)).collect()
    }

    /// Binds what is wanted and not yet there. An address that was asked for before keeps its sockets, also one with port 0:
    /// nothing that is open is touched. The error is a sentence for people.
    pub fn plan(&mut self, wanted: &[Listener]) -> Result<Plan, String> {
        self.closed.retain(|(_, at)| at.elapsed() < LAST_HANDSHAKES_TIME_MAX + BIND_PATIENCE);
        let mut plan = Plan { doors: Vec::new(), descriptors: Vec::new() };
        for (spec, kept) in wanted.iter().zip(self.kept(wanted)) {
            if let Some(door) = kept.map(|at| &self.open[at]) {
                // The file stays with the door that is open until the plan is carried out.
                plan.doors.push(Door {
                    number: door.number,
                    spec: spec.clone(),
                    bound: door.bound.clone(),
                    file: None,
                });
                continue;
            }
            let Bound { descriptors, address, file } =
                self.bind(spec).map_err(|error| cannot_listen(&show(&spec.address), &error))?;
            let number = self.next;
            self.next += 1;
            plan.descriptors.push((number, descriptors.into()));
            plan.doors.push(Door { number, spec: spec.clone(), bound: address, file });
        }
        Ok(plan)
    }

    /// For each wanted listener the open door that it means, each door at most once: by what the document said before, or by
    /// the address that came of it.
    fn kept(&self, wanted: &[Listener]) -> Vec<Option<usize>> {
        let mut free: Vec<usize> = (0..self.open.len()).collect();
        let mut kept = vec![None; wanted.len()];
        let means: [fn(&Door, &ListenAddress) -> bool; 2] =
            [|door, wanted| door.spec.address == *wanted, |door, wanted| door.bound == *wanted];
        for means in means {
            for (spec, kept) in wanted.iter().zip(&mut kept).filter(|(_, kept)| kept.is_none()) {
                let found = free.iter().position(|at| means(&self.open[*at], &spec.address));
                *kept = found.map(|at| free.remove(at));
            }
        }
        kept
    }

    fn bind(&self, spec: &Listener) -> io::Result<Bound> {
        let ListenAddress::Tcp(address) = spec.address else { return listener::bind(spec, self.workers, true) };
        // Ours are no strangers: the exact address and the one of all interfaces may stand side by side, or follow each other.
        let is_alone = !self.open.iter().any(|door| door.bound.overlaps(address));
        // The same sockets group would still give its share to a door that lets nobody in: it has to be gone.
        let is_closing = self.closed.iter().any(|(closed, _)| *closed == spec.address);
        let until = Instant::now() + BIND_PATIENCE;
        loop {
            match listener::bind(spec, self.workers, is_alone) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_closing && Instant::now() < until => {
                    thread::sleep(BIND_RETRY);
                }
                outcome => return outcome,
            }
        }
    }

    /// Makes a plan true: what each worker is to do. From here on nothing can fail.
    pub fn carry_out(&mut self, plan: Plan) -> (Vec<Vec<Order>>, Summary) {
        let Plan { mut doors, mut descriptors } = plan;
        let mut orders: Vec<Vec<Order>> = (0..self.workers).map(|_| Vec::new()).collect();
        let mut summary = Summary::default();
        let mut before: Vec<Door> = std::mem::take(&mut self.open);
        for door in &mut doors {
            let Listener { execute_api, backlog, .. } = door.spec;
            let known = before.iter().position(|known| known.number == door.number).map(|at| before.remove(at));
            if let Some(known) = known {
                door.file = known.file;
                if (known.spec.execute_api, known.spec.backlog) != (execute_api, backlog) {
                    summary.changed.push(show(&door.bound));
                    for orders in &mut orders {
                        orders.push(Order::Change { door: door.number, execute_api, backlog });
                    }
                }
            } else if let Some((_, sockets)) = descriptors.iter_mut().find(|(number, _)| *number == door.number) {
                summary.opened.push(show(&door.bound));
                let port = port_of(&door.bound);
                for (orders, descriptor) in orders.iter_mut().zip(sockets.drain(..)) {
                    orders.push(Order::Open(Opened { door: door.number, descriptor, port, execute_api, backlog }));
                }
            }
        }
        for gone in before {
            summary.closed.push(show(&gone.bound));
            for orders in &mut orders {
                orders.push(Order::Close(gone.number));
            }
            self.closed.push((gone.bound, Instant::now()));
            // Dropped here: the name of a unix socket goes first, so that its queue can come to an end.
        }
        self.open = doors;
        (orders, summary)
    }
}

/// Whether connections to this address might reach a socket that is bound there.
trait Overlaps {
    fn overlaps(&self, address: SocketAddr) -> bool;
}

impl Overlaps for ListenAddress {
    fn overlaps(&self, address: SocketAddr) -> bool {
        let ListenAddress::Tcp(bound) = self else { return false };
        let shared = bound.ip() == address.ip() || bound.ip().is_unspecified() || address.ip().is_unspecified();
        bound.port() == address.port() && bound.is_ipv4() == address.is_ipv4() && shared
    }
}

fn port_of(address: &ListenAddress) -> u16 {
    match address {
        ListenAddress::Tcp(address) => address.port(),
        ListenAddress::Unix(_) => 0,
    }
}

/// `127.0.0.1:8080`, `unix:/run/x.sock`.
pub fn show(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Why an address cannot be had, and what to do.
pub fn cannot_listen(address: &str, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => ": another program serves there; `ss -ltnp` shows which",
        io::ErrorKind::PermissionDenied => ": ports below 1024 need CAP_NET_BIND_SERVICE or a systemd socket",
        io::ErrorKind::AddrNotAvailable => ": no interface of this machine has that address",
        _ => "",
    };
    format!("cannot listen on {address}: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn listen(address: &str) -> Listener {
        let address = match address.strip_prefix("unix:") {
            Some(path) => ListenAddress::Unix(PathBuf::from(path)),
            None => ListenAddress::Tcp(address.parse().expect("an address")),
        };
        Listener { address, backlog: 16, execute_api: true }
    }

    fn change(doors: &mut Doors, wanted: &[Listener]) -> Summary {
        let plan = doors.plan(wanted).expect("bound");
        let (orders, summary) = doors.carry_out(plan);
        assert_eq!(orders.len(), 2, "each worker has its own");
        assert!(orders.windows(2).all(|two| two[0].len() == two[1].len()));
        summary
    }

    #[test]
    fn ports_that_the_kernel_chose_stay() {
        let mut doors = Doors::new(2);
        let any = listen("127.0.0.1:0");
        let first = change(&mut doors, &[any.clone(), any.clone()]);
        assert_eq!((first.opened.len(), doors.addresses().len()), (2, 2));
        let addresses = doors.addresses();
        assert_ne!(addresses[0], addresses[1]);
        assert_eq!(change(&mut doors, &[any.clone(), any.clone()]), Summary::default());
        assert_eq!(doors.addresses(), addresses);
        // Named by what the kernel chose, and in another order.
        assert_eq!(change(&mut doors, &[listen(&addresses[1]), any.clone()]), Summary::default());
        assert_eq!(doors.addresses(), [addresses[1].clone(), addresses[0].clone()]);
        let last = change(&mut doors, &[any]);
        assert_eq!(last.closed.len(), 1);
    }

    #[test]
    fn settings_change_without_another_socket() {
        let mut doors = Doors::new(2);
        let mut one = listen("127.0.0.1:0");
        change(&mut doors, std::slice::from_ref(&one));
        let address = doors.addresses();
        one.execute_api = false;
        let summary = change(&mut doors, std::slice::from_ref(&one));
        assert_eq!(summary, Summary { changed: address.clone(), ..Summary::default() });
        one.backlog = 17;
        assert_eq!(change(&mut doors, std::slice::from_ref(&one)).changed, address);
    }

    #[test]
    fn a_plan_that_fails_leaves_nothing_behind() {
        let mut doors = Doors::new(2);
        let folder = std::env::temp_dir().join(format!("tollgate-doors-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let (path, taken) = (folder.join("a.sock"), std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
        let unix = listen(&format!("unix:{}", path.display()));
        let taken = listen(&taken.local_addr().expect("bound").to_string());
        let Err(why) = doors.plan(&[unix.clone(), taken.clone()]) else { panic!("somebody listens there") };
        assert!(why.contains("another program serves there"), "{why}");
        assert!(!path.exists(), "the file of a plan that was given up is gone");
        assert!(doors.addresses().is_empty());
        change(&mut doors, &[unix]);
        assert!(path.exists());
        drop(doors);
        assert!(!path.exists());
        std::fs::remove_dir(&folder).expect("it is empty");
    }

    #[test]
    fn all_interfaces_and_one_of_them_are_no_strangers() {
        let mut doors = Doors::new(2);
        change(&mut doors, &[listen("0.0.0.0:0")]);
        let port = doors.addresses()[0].rsplit_once(':').expect("a port").1.to_owned();
        let (all, one) = (listen(&format!("0.0.0.0:{port}")), listen(&format!("127.0.0.1:{port}")));
        let both = change(&mut doors, &[all.clone(), one.clone()]);
        assert_eq!((both.opened.len(), both.closed.len()), (1, 0));
        let narrower = change(&mut doors, std::slice::from_ref(&one));
        assert_eq!((narrower.opened.len(), narrower.closed.len()), (0, 1));
        let wider = change(&mut doors, &[all]);
        assert_eq!((wider.opened.len(), wider.closed.len()), (1, 1));
    }

    #[test]
    fn an_address_that_has_just_been_let_go_can_be_had_again() {
        let mut doors = Doors::new(2);
        change(&mut doors, &[listen("127.0.0.1:0")]);
        let one = listen(&doors.addresses()[0]);
        let plan = doors.plan(&[]).expect("nothing to bind");
        // The workers' descriptors close a moment later.
        let (orders, _) = doors.carry_out(plan);
        drop(orders);
        assert_eq!(change(&mut doors, &[one]).opened.len(), 1);
    }
}
