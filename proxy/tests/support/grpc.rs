//! A caller that speaks HTTP/2, and the messages of gRPC.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::PATIENCE;

/// One message: not compressed, its length, its bytes.
pub fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).expect("a short text");
    [&[0], &length.to_be_bytes()[..], text.as_bytes()].concat().into()
}

/// Runs a caller; fails when it takes too long.
#[track_caller]
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await }).expect("not in time")
}

/// One connection to the gateway.
pub struct Caller {
    requests: SendRequest<Bytes>,
}

/// A call under way.
pub struct Call {
    pub out: SendStream<Bytes>,
    answer: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
}

/// The whole of an answer.
#[derive(Debug)]
pub struct Answer {
    pub head: http::response::Parts,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    /// Whether the head was the end.
    pub trailers_only: bool,
}

impl Answer {
    /// `grpc-status`, wherever it stands.
    pub fn status(&self) -> Option<&str> {
        let trailers = self.trailers.as_ref().unwrap_or(&self.head.headers);
        trailers.get("grpc-status").and_then(|value| value.to_str().ok())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Caller {
    pub async fn connect(address: &str) -> Caller {
        Caller::over(TcpStream::connect(address).await.expect("a listener")).await
    }

    /// Over TLS, with somebody who goes by the name `a.test`.
    pub async fn connect_safely(address: &str, config: Arc<ClientConfig>) -> Caller {
        let stream = TcpStream::connect(address).await.expect("a listener");
        let name = ServerName::try_from("a.test").expect("a name");
        Caller::over(TlsConnector::from(config).connect(name, stream).await.expect("a handshake")).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Caller {
        let (requests, connection) = h2::client::handshake(stream).await.expect("prior knowledge");
        tokio::spawn(async move {
            // The calls tell how it ended.
            let _ = connection.await;
        });
        Caller { requests }
    }

    /// Begins a call.
    pub async fn call(&mut self, path: &str, fields: &[(&str, &str)]) -> Call {
        let mut head = Request::post(format!("http://a.test{path}"));
        for (name, value) in fields {
            head = head.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await.expect("a connection");
        let (answer, out) = requests.send_request(head.body(()).expect("a head"), false).expect("a connection");
        Call { out, answer: Some(answer), body: None }
    }

    /// A call with one message, to its end.
    pub async fn unary(&mut self, path: &str, fields: &[(&str, &str)], text: &str) -> Answer {
        let fields = [&[("content-type", "application/grpc+proto"), ("te", "trailers")], fields].concat();
        let mut call = self.call(path, &fields).await;
        call.send(text, true);
        call.finish().await
    }
}

impl Call {
    pub fn send(&mut self, text: &str, ends: bool) {
        self.out.send_data(message(text), ends).expect("a stream that is open");
    }

    pub fn end(&mut self) {
        self.out.send_data(Bytes::new(), true).expect("a stream that is open");
    }

    /// The head of the answer.
    pub async fn head(&mut self) -> Response<()> {
        let answer = self.answer.take().expect("asked once").await.expect("an answer");
        let (head, body) = answer.into_parts();
        self.body = Some(body);
        Response::from_parts(head, ())
    }

    /// The next bytes of the answer; `None` at its end.
    pub async fn next(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let body = self.body.as_mut().expect("the head came first");
        let bytes = body.data().await;
        if let Some(Ok(bytes)) = &bytes {
            let _ = body.flow_control().release_capacity(bytes.len());
        }
        bytes
    }

    pub async fn trailers(&mut self) -> Option<HeaderMap> {
        self.body.as_mut().expect("the head came first").trailers().await.expect("a whole answer")
    }

    /// All that is left of the answer.
    pub async fn finish(mut self) -> Answer {
        let head = if self.answer.is_some() { Some(self.head().await.into_parts().0) } else { None };
        let trailers_only = self.body.as_ref().is_some_and(RecvStream::is_end_stream);
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await {
            body.extend_from_slice(&bytes.expect("a whole answer"));
        }
        let trailers = self.trailers().await;
        let head = head.unwrap_or_else(|| Response::new(()).into_parts().0);
        Answer { head, body, trailers, trailers_only }
    }
}

/// A pause in which something could happen that must not.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
