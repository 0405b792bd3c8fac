//! The small proxy on glommio, one executor, for perf/run: `peer-glommio LISTEN BACKEND`.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::{TcpListener, TcpStream};
use glommio::{LocalExecutorBuilder, Placement};
use relay::{Backend, Stream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries of each of its rings.
const ENTRIES: usize = 4096;

struct Socket(TcpStream);

impl Stream for Socket {
    async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn read(&mut self, mut buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<usize>, Box<[u8]>) {
        (self.0.read(&mut buffer[part]).await, buffer)
    }

    async fn write(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<()>, Box<[u8]>) {
        (self.0.write_all(&buffer[part]).await, buffer)
    }
}

async fn run(listen: SocketAddr, backend: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    let backend = Rc::new(Backend::new(backend));
    loop {
        let stream = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (address, backend) = (stream.peer_addr()?, Rc::clone(&backend));
        glommio::spawn_local(async move { relay::serve(Socket(stream), address, &backend).await }).detach();
    }
}

fn main() -> io::Result<()> {
    let (listen, backend) = relay::addresses()?;
    // perf/run pins the process: the executor stays where that is.
    let executor = LocalExecutorBuilder::new(Placement::Unbound).ring_depth(ENTRIES).make()?;
    executor.run(run(listen, backend))
}
