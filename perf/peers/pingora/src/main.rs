//! The least proxy that the crate pingora makes, for perf/run: `peer-pingora LISTEN BACKEND HTTP_VERSION [CERTIFICATE KEY]`.

use async_trait::async_trait;
use bytes::Bytes;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::{HttpPeer, ProxyHttp, Result, Server, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SMALL: &[u8] = &[b'x'; 128]; // what the others answer by themselves
struct Proxy(HttpPeer);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();
    fn new_ctx(&self) {}
    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> Result<bool> {
        if session.req_header().uri.path() != "/mock" {
            return Ok(false);
        }
        let mut head = ResponseHeader::build(200, Some(1))?;
        head.insert_header("content-length", SMALL.len())?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(Bytes::from_static(SMALL)), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.0.clone()))
    }

    async fn upstream_request_filter(&self, session: &mut Session, up: &mut RequestHeader, (): &mut ()) -> Result<()> {
        let address = session.client_addr().and_then(|peer| peer.as_inet()).map(|peer| peer.ip().to_string());
        up.append_header("x-forwarded-for", address.unwrap_or_default()).map(drop)
    }
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let mut peer = HttpPeer::new(words[2].as_str(), false, String::new());
    let version = if words[3] == "2" { 2 } else { 1 };
    peer.options.set_http_version(version, version);
    peer.options.max_h2_streams = 100;
    let settings = ServerConf { work_stealing: false, upstream_keepalive_pool_size: 1024, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, settings);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Proxy(peer));
    if let [_, _, _, _, certificate, key] = &words[..] {
        let mut tls = TlsSettings::intermediate(certificate, key)?;
        tls.enable_h2();
        service.add_tls_with_settings(&words[1], None, tls);
    } else {
        service.add_tcp(&words[1]);
    }
    server.add_service(service);
    server.run_forever();
}
