//! The floor of `perf/run`: bytes relayed between a client and an upstream connection of its own, on the gateway's runtime, unread.
//!
//! What it costs is the kernel's work and the runtime's; what a gateway costs more is HTTP. One core, as one worker of the gateway.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use proxy::io::{
    DriverChoice, Group, Listener, Outgoing, RBuf, Sock, bequeath, is_shortage, pick, run, sleep, spawn, vector,
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const BACKLOG: i32 = 4096;
const SHORTAGE_PAUSE: Duration = Duration::from_millis(10);
const USAGE: &str =
    "usage: relay LISTEN UPSTREAM [auto|uring|epoll]   for example: relay 127.0.0.1:8080 127.0.0.1:9000 uring";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (address, upstream, choice) = match words[..] {
        [address, upstream] | [address, upstream, "auto"] => (address, upstream, DriverChoice::Auto),
        [address, upstream, "uring"] => (address, upstream, DriverChoice::Uring),
        [address, upstream, "epoll"] => (address, upstream, DriverChoice::Epoll),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match relay(address, upstream, choice) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn relay(address: &str, upstream: &str, choice: DriverChoice) -> Result<(), String> {
    let upstream: SocketAddr = upstream.parse().map_err(|error| format!("{upstream}: {error}"))?;
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    bequeath(&listener).map_err(|error| error.to_string())?;
    // Again, with room for all the connections of a run at once: the standard library makes it for 128.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| error.to_string())?;
    let (kind, _) = pick(choice)?;
    let accept = async move {
        let listener = Listener::adopt(listener.into());
        loop {
            match listener.accept().await {
                Ok(client) => spawn(serve(Sock::adopt(client, None), upstream)),
                Err(error) if is_shortage(&error) => sleep(SHORTAGE_PAUSE).await,
                Err(_) => {} // of one connection that has gone again
            }
        }
    };
    run(kind, accept).map_err(|error| error.to_string())
}

/// One connection, with one upstream; a task for each direction, as neither waits for the other.
async fn serve(client: Sock, upstream: SocketAddr) {
    let Ok(upstream) = Sock::connect(upstream, CONNECT_PATIENCE).await else { return };
    let (client, upstream) = (Rc::new(client), Rc::new(upstream));
    spawn(one_way(client.clone(), upstream.clone(), Group::Small));
    one_way(upstream, client, Group::Large).await;
}

async fn one_way(from: Rc<Sock>, to: Rc<Sock>, group: Group) {
    let pass_on = async {
        loop {
            let bytes = from.recv(group).await?;
            if bytes.is_empty() {
                return to.flush().await;
            }
            to.send(piece(bytes)).await?;
        }
    };
    let how = if pass_on.await.is_ok() { Shutdown::Write } else { Shutdown::Both };
    to.shutdown(how);
    if how == Shutdown::Both {
        from.shutdown(how);
    }
}

fn piece(bytes: RBuf) -> Outgoing {
    let mut outgoing = Outgoing::new(vector());
    outgoing.push(bytes).expect("it is the first piece");
    outgoing
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    /// What the upstream answers: all that it was told, backwards, once nothing more comes.
    fn backwards(mut peer: TcpStream) {
        let mut told = Vec::new();
        peer.read_to_end(&mut told).unwrap();
        told.reverse();
        peer.write_all(&told).unwrap();
    }

    fn passes_both_ways(choice: DriverChoice) {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = upstream.local_addr().unwrap().to_string();
        std::thread::spawn(move || upstream.incoming().for_each(|peer| backwards(peer.unwrap())));
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::thread::spawn(move || relay(&free.to_string(), &to, choice));
        let began = std::time::Instant::now();
        let mut client = loop {
            match TcpStream::connect(free) {
                Ok(client) => break client,
                Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
            }
        };
        let sent: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        came.reverse();
        assert!(came == sent, "{} bytes came of {}", came.len(), sent.len());
    }

    #[test]
    fn bytes_pass_both_ways_and_so_does_their_end() {
        passes_both_ways(DriverChoice::Auto);
        passes_both_ways(DriverChoice::Epoll);
    }
}
