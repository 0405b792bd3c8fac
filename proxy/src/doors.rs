//! The addresses at which the gateway listens: bound before anything else changes, and let go without losing who has come.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use config::snapshot::{ListenAddress, Listener};

use crate::inherit::{Inherited, Role};
use crate::limits::{BIND_PATIENCE, BIND_RETRY, LAST_HANDSHAKES_TIME_MAX};
use crate::listener::{self, Bound, Opened, Order, SocketFile, Terms};

/// The doors that are open. Dropping it removes the files of its unix sockets.
pub struct Doors {
    workers: usize,
    open: Vec<Door>,
    /// Doors that were closed a moment ago: the last handshakes may still be under way there.
    closed: Vec<(ListenAddress, Instant)>,
    /// What came from elsewhere. That of the service manager is kept for a listener that a reload may bring.
    inherited: Vec<Spare>,
    next: u64,
}

struct Door {
    number: u64,
    spec: Listener,
    bound: ListenAddress,
    file: Option<SocketFile>,
    /// Held for the process that may follow; the workers have copies.
    sockets: Vec<OwnedFd>,
    /// Whether the service manager holds them as well.
    activated: bool,
}

/// An inherited address, and who has it now.
struct Spare {
    inherited: Inherited,
    user: Option<User>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum User {
    Door(u64),
    Desk,
}

/// An address for the process that follows, and its door.
pub struct Heirloom {
    /// The door; none for what no listener names.
    pub door: Option<u64>,
    /// Copies of its sockets.
    pub inherited: Inherited,
}

/// What is about to be changed. Dropping it undoes what was bound for it.
pub struct Plan {
    /// The doors afterwards, in the order of the document.
    doors: Vec<Door>,
    /// Descriptors of new doors, by the door's number, for each worker.
    descriptors: Vec<(u64, Vec<Vec<OwnedFd>>)>,
    /// What is inherited for them.
    inherited: Vec<(usize, u64)>,
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
    /// No doors yet, for this many workers. What is inherited is used before anything is bound.
    pub fn new(workers: usize, inherited: Vec<Inherited>) -> Doors {
        let inherited = inherited.into_iter().map(|inherited| Spare { inherited, user: None }).collect();
        Doors { workers, open: Vec::new(), closed: Vec::new(), inherited, next: 0 }
    }

    /// Where the gateway listens, ports that the kernel chose included.
    pub fn addresses(&self) -> Vec<String> {
        self.open.iter().map(|door| show(&door.bound)).collect()
    }

    /// Binds what is wanted and not yet there. An address that was asked for before keeps its sockets, also one with port 0:
    /// nothing that is open is touched. The error is a sentence for people.
    pub fn plan(&mut self, wanted: &[Listener]) -> Result<Plan, String> {
        self.closed.retain(|(_, at)| at.elapsed() < LAST_HANDSHAKES_TIME_MAX + BIND_PATIENCE);
        let mut plan = Plan { doors: Vec::new(), descriptors: Vec::new(), inherited: Vec::new() };
        for (spec, kept) in wanted.iter().zip(self.kept(wanted)) {
            if let Some(door) = kept.map(|at| &self.open[at]) {
                // File and sockets stay with the door that is open until the plan is carried out.
                let (number, bound, activated) = (door.number, door.bound.clone(), door.activated);
                plan.doors.push(Door { number, spec: spec.clone(), bound, file: None, sockets: Vec::new(), activated });
                continue;
            }
            let number = self.next;
            self.next += 1;
            let opened = self.open(spec, number, &mut plan.inherited);
            let (door, shares) = opened.map_err(|error| cannot_listen(&show(&spec.address), &error))?;
            plan.descriptors.push((number, shares));
            plan.doors.push(door);
        }
        Ok(plan)
    }

    /// A new door, of what is inherited or newly bound, and each worker's share of its sockets.
    fn open(
        &self,
        spec: &Listener,
        number: u64,
        taken: &mut Vec<(usize, u64)>,
    ) -> io::Result<(Door, Vec<Vec<OwnedFd>>)> {
        let (Bound { sockets, address, file }, activated) = match self.spare(&spec.address, taken) {
            Some(at) => {
                let Inherited { address, activated, sockets, .. } = &self.inherited[at].inherited;
                taken.push((at, number));
                (Bound { sockets: copies(sockets)?, address: address.clone(), file: None }, *activated)
            }
            None => (self.bind(spec)?, false),
        };
        let shares = spread(&sockets, self.workers)?;
        Ok((Door { number, spec: spec.clone(), bound: address, file, sockets, activated }, shares))
    }

    /// The inherited address that fits best and is free.
    fn spare(&self, wanted: &ListenAddress, taken: &[(usize, u64)]) -> Option<usize> {
        let is_free = |at: usize| self.inherited[at].user.is_none() && !taken.iter().any(|(other, _)| *other == at);
        let fit = |at: usize| {
            let inherited = &self.inherited[at].inherited;
            let is_door = matches!(inherited.role, Role::Door | Role::Activated);
            inherited.fits(wanted).filter(|_| is_door && is_free(at))
        };
        (0..self.inherited.len()).filter_map(|at| fit(at).map(|fit| (fit, at))).min().map(|(_, at)| at)
    }

    /// The inherited socket of the desk at this address.
    pub fn desk_socket(&mut self, role: Role, wanted: &ListenAddress) -> Option<OwnedFd> {
        let fits = |spare: &&mut Spare| {
            let is_for = spare.inherited.role == role || (spare.inherited.role, role) == (Role::Activated, Role::Admin);
            spare.user.is_none() && is_for && spare.inherited.fits(wanted).is_some_and(|fit| fit < 2)
        };
        let spare = self.inherited.iter_mut().find(fits)?;
        let socket = spare.inherited.sockets.first()?.try_clone().ok()?;
        spare.user = Some(User::Desk);
        Some(socket)
    }

    /// The numbers of the inherited addresses that are in use, in the order in which they came.
    pub fn in_use(&self) -> Vec<usize> {
        (0..self.inherited.len()).filter(|at| self.inherited[*at].user.is_some()).collect()
    }

    /// What the service manager listens at and no listener names: whoever comes there is not answered.
    pub fn unanswered(&self) -> Vec<String> {
        let unused = self.inherited.iter().filter(|spare| spare.user.is_none() && spare.inherited.activated);
        unused.map(|spare| show(&spare.inherited.address)).collect()
    }

    /// The process before has left its sockets: their files are ours from now on, and what nobody wanted is closed.
    pub fn take_possession(&mut self) {
        for door in &mut self.open {
            let is_inherited = |spare: &Spare| spare.user == Some(User::Door(door.number));
            if let ListenAddress::Unix(path) = &door.bound
                && !door.activated
                && self.inherited.iter().any(is_inherited)
            {
                door.file = SocketFile::of(path);
            }
        }
        self.inherited.retain(|spare| spare.inherited.activated);
    }

    /// What the process that follows gets.
    pub fn heirlooms(&self) -> io::Result<Vec<Heirloom>> {
        let mut list = Vec::new();
        for door in &self.open {
            let (address, activated) = (door.bound.clone(), door.activated);
            let (said, sockets) = (Some(door.spec.address.clone()), copies(&door.sockets)?);
            let dual =
                self.inherited.iter().any(|spare| spare.user == Some(User::Door(door.number)) && spare.inherited.dual);
            let inherited = Inherited { role: Role::Door, said, address, activated, dual, sockets };
            list.push(Heirloom { door: Some(door.number), inherited });
        }
        for Spare { inherited, .. } in self.inherited.iter().filter(|spare| spare.user.is_none()) {
            let (sockets, address) = (copies(&inherited.sockets)?, inherited.address.clone());
            list.push(Heirloom { door: None, inherited: Inherited { sockets, address, said: None, ..*inherited } });
        }
        Ok(list)
    }

    /// Leaves the files of these doors to another process.
    pub fn leave_files(&mut self, doors: &[u64]) {
        for door in self.open.iter_mut().filter(|door| doors.contains(&door.number)) {
            if let Some(file) = door.file.take() {
                file.leave();
            }
        }
    }

    /// Lets go of every socket but those of the workers: from now on theirs are the last.
    pub fn let_go(&mut self) {
        self.open.iter_mut().for_each(|door| door.sockets.clear());
        self.inherited.clear();
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
        let Plan { mut doors, mut descriptors, inherited } = plan;
        for (at, door) in inherited {
            self.inherited[at].user = Some(User::Door(door));
        }
        let mut orders: Vec<Vec<Order>> = (0..self.workers).map(|_| Vec::new()).collect();
        let mut summary = Summary::default();
        let mut before: Vec<Door> = std::mem::take(&mut self.open);
        for door in &mut doors {
            let Listener { execute_api, backlog, h2c, manner, .. } = door.spec;
            let tls = door.spec.tls.clone().map(Arc::new);
            let balancers = door.spec.proxy_protocol.clone().map(Arc::new);
            let terms = Terms { execute_api, backlog, h2c, tls, balancers, manner };
            let known = before.iter().position(|known| known.number == door.number).map(|at| before.remove(at));
            if let Some(known) = known {
                (door.file, door.sockets) = (known.file, known.sockets);
                // The same sockets may be named by what was asked for or by what came of it.
                if (Listener { address: door.spec.address.clone(), ..known.spec }) != door.spec {
                    summary.changed.push(show(&door.bound));
                    for orders in &mut orders {
                        orders.push(Order::Change { door: door.number, terms: terms.clone() });
                    }
                }
            } else if let Some((_, shares)) = descriptors.iter_mut().find(|(number, _)| *number == door.number) {
                summary.opened.push(show(&door.bound));
                let (door, port, shared) = (door.number, port_of(&door.bound), door.activated);
                for (orders, share) in orders.iter_mut().zip(shares.drain(..)) {
                    let open =
                        |descriptor| Order::Open(Opened { door, descriptor, port, shared, terms: terms.clone() });
                    orders.extend(share.into_iter().map(open));
                }
            }
        }
        for gone in before {
            summary.closed.push(show(&gone.bound));
            for orders in &mut orders {
                orders.push(Order::Close(gone.number));
            }
            for spare in self.inherited.iter_mut().filter(|spare| spare.user == Some(User::Door(gone.number))) {
                spare.user = None;
            }
            self.closed.push((gone.bound, Instant::now()));
            // Dropped here: the name of a unix socket goes first, so that its queue can come to an end.
        }
        self.open = doors;
        (orders, summary)
    }
}

fn copies(sockets: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    sockets.iter().map(OwnedFd::try_clone).collect()
}

/// Each worker's share: every socket is somebody's, and everybody has one; several share one where there are not enough.
fn spread(sockets: &[OwnedFd], workers: usize) -> io::Result<Vec<Vec<OwnedFd>>> {
    let mut shares: Vec<Vec<OwnedFd>> = (0..workers).map(|_| Vec::new()).collect();
    for at in 0..sockets.len().max(workers) {
        shares[at % workers].push(sockets[at % sockets.len()].try_clone()?);
    }
    Ok(shares)
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
    let port = address.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let hint = match (error.kind(), port) {
        (io::ErrorKind::AddrInUse, Some(port)) => {
            &*format!(": another program serves there; `sudo ss -ltnp 'sport = :{port}'` names it")
        }
        (io::ErrorKind::AddrInUse, None) => ": another program serves there; `sudo ss -lxp` names it",
        (io::ErrorKind::PermissionDenied, _) => ": ports below 1024 need CAP_NET_BIND_SERVICE or a systemd socket",
        (io::ErrorKind::AddrNotAvailable, _) => ": no interface of this machine has that address",
        _ => "",
    };
    format!("cannot listen on {address}: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use config::snapshot::Manner;

    use super::*;

    fn listen(address: &str) -> Listener {
        let address = match address.strip_prefix("unix:") {
            Some(path) => ListenAddress::Unix(PathBuf::from(path)),
            None => ListenAddress::Tcp(address.parse().expect("an address")),
        };
        Listener {
            address,
            backlog: 16,
            execute_api: true,
            h2c: false,
            tls: None,
            proxy_protocol: None,
            manner: Manner::default(),
        }
    }

    #[test]
    fn every_socket_finds_a_worker_and_every_worker_a_socket() {
        let sockets: Vec<OwnedFd> =
            (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port").into()).collect();
        let shares =
            |workers| -> Vec<usize> { spread(&sockets, workers).expect("copies").iter().map(Vec::len).collect() };
        assert_eq!(shares(3), [1, 1, 1]);
        assert_eq!(shares(2), [2, 1], "fewer workers: nobody's queue is forgotten");
        assert_eq!(shares(5), [1, 1, 1, 1, 1], "more workers: some share");
    }

    #[test]
    fn what_is_inherited_is_not_bound_again() {
        let mut first = Doors::new(2, Vec::new());
        let (any, other) = (listen("127.0.0.1:0"), listen("127.0.0.1:0"));
        change(&mut first, &[any.clone(), other]);
        let addresses = first.addresses();
        let heirlooms = first.heirlooms().expect("copies");
        assert_eq!(heirlooms.iter().map(|one| one.inherited.sockets.len()).collect::<Vec<_>>(), [2, 2]);
        let mut second = Doors::new(2, heirlooms.into_iter().map(|one| one.inherited).collect());
        // By its address, and by what the document said.
        change(&mut second, &[listen(&addresses[1]), any]);
        assert_eq!(second.addresses(), [addresses[1].clone(), addresses[0].clone()]);
        assert_eq!((second.in_use(), second.unanswered()), (vec![0, 1], Vec::new()));
        second.take_possession();
        assert!(second.inherited.is_empty());
    }

    #[test]
    fn a_socket_of_the_service_manager_outlives_its_listener() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = ListenAddress::Tcp(socket.local_addr().expect("bound"));
        let spec = listen(&show(&address));
        let sockets = vec![socket.into()];
        let (role, said, activated, dual) = (Role::Activated, None, true, false);
        let mut doors = Doors::new(2, vec![Inherited { role, said, address, activated, dual, sockets }]);
        assert_eq!(doors.unanswered().len(), 1);
        for _ in 0..2 {
            assert_eq!(change(&mut doors, std::slice::from_ref(&spec)).opened.len(), 1);
            assert!(doors.unanswered().is_empty());
            doors.take_possession();
            assert_eq!(change(&mut doors, &[]).closed.len(), 1);
            assert_eq!(doors.unanswered(), [show(&spec.address)]);
        }
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
        let mut doors = Doors::new(2, Vec::new());
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
        let mut doors = Doors::new(2, Vec::new());
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
        let mut doors = Doors::new(2, Vec::new());
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
        let mut doors = Doors::new(2, Vec::new());
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
        let mut doors = Doors::new(2, Vec::new());
        change(&mut doors, &[listen("127.0.0.1:0")]);
        let one = listen(&doors.addresses()[0]);
        let plan = doors.plan(&[]).expect("nothing to bind");
        // The workers' descriptors close a moment later.
        let (orders, _) = doors.carry_out(plan);
        drop(orders);
        assert_eq!(change(&mut doors, &[one]).opened.len(), 1);
    }
}
