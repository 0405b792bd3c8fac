//! The small proxy on monoio, one thread and one ring, for perf/run: `peer-monoio LISTEN BACKEND`.
//!
//! The ring is set up with `COOP_TASKRUN`, without which it costs a fifth more.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;

use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::{ListenerOpts, TcpListener, TcpStream};
use monoio::{IoUringDriver, RuntimeBuilder};
use relay::{Backend, Stream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entries of the ring: operations that are handed over in one call.
const ENTRIES: u32 = 4096;

struct Socket(TcpStream);

impl Stream for Socket {
    async fn connect(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_addr(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    async fn read(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<usize>, Box<[u8]>) {
        let (result, slice) = self.0.read(buffer.slice_mut(part)).await;
        (result, slice.into_inner())
    }

    async fn write(&mut self, buffer: Box<[u8]>, part: Range<usize>) -> (io::Result<()>, Box<[u8]>) {
        let (result, slice) = self.0.write_all(buffer.slice(part)).await;
        (result.map(drop), slice.into_inner())
    }
}

async fn run(listen: SocketAddr, backend: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind_with_config(listen, &ListenerOpts::new().backlog(4096))?;
    let backend = Rc::new(Backend::new(backend));
    loop {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let backend = Rc::clone(&backend);
        monoio::spawn(async move { relay::serve(Socket(stream), address, &backend).await });
    }
}

fn main() -> io::Result<()> {
    let (listen, backend) = relay::addresses()?;
    let mut ring = io_uring::IoUring::builder();
    ring.setup_coop_taskrun();
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES).uring_builder(ring).build()?;
    runtime.block_on(run(listen, backend))
}
