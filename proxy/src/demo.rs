//! `tollgate demo`: an embedded petstore API and the backend behind it, on loopback, ready to curl.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::reload::Source;
use crate::supervisor::Addresses;

const DOCUMENT: &str = include_str!("demo.yaml");

/// Starts the backend and makes the document that describes the API in front of it.
pub fn source() -> io::Result<Source> {
    let backend = start_backend()?;
    let free = |wanted: u16| match TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) {
        Ok(_) => wanted,
        Err(_) => 0,
    };
    let text = DOCUMENT
        .replace("BACKEND", &backend.to_string())
        .replace("LISTEN", &format!("127.0.0.1:{}", free(8080)))
        .replace("ADMIN", &format!("127.0.0.1:{}", free(9901)));
    Ok(Source::Text(text))
}

/// Says what is served and how to try it.
pub fn greet(addresses: &Addresses) {
    let base = addresses.listeners.first().map_or("127.0.0.1:8080", String::as_str);
    let admin = addresses.admin.map(|address| address.to_string()).unwrap_or_default();
    let text = format!(
        "\nTollgate serves the petstore on http://{base}\n\n\
         REST API `petstore`, stage `dev`, and HTTP API `hello`, stage `$default`:\n\
         \x20 GET  /dev/pets            proxied to an embedded backend\n\
         \x20 POST /dev/pets            proxied, with a body\n\
         \x20 GET  /dev/pets/{{id}}       proxied, with a path variable\n\
         \x20 GET  /dev/health          answered here (mock)\n\
         \x20 GET  /hello/{{name}}        answered here (mock, HTTP API)\n\n\
         Try:\n\
         \x20 curl -i http://{base}/dev/pets\n\
         \x20 curl -i http://{base}/hello/world\n\
         \x20 curl -i -d '{{\"name\":\"Rex\"}}' -H 'content-type: application/json' http://{base}/dev/pets\n\n\
         Admin: http://{admin}/status and /metrics. Ctrl-C ends it.\n"
    );
    // Nobody may be reading.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn start_backend() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    thread::Builder::new().name("demo-backend".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| runtime.block_on(serve(listener)));
        if let Err(error) = served {
            tracing::error!(%error, "the demo's backend ended");
        }
    })?;
    Ok(address)
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let app = Router::new().route("/pets", get(pets).post(add)).route("/pets/{id}", get(pet));
    axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await
}

const PETS: [(&str, &str); 3] = [("1", "Bello"), ("2", "Mia"), ("3", "Nemo")];

async fn pets() -> Json<Value> {
    Json(PETS.iter().map(|(id, name)| json!({"id": id, "name": name})).collect())
}

async fn pet(Path(id): Path<String>) -> (StatusCode, Json<Value>) {
    match PETS.iter().find(|(known, _)| *known == id) {
        Some((id, name)) => (StatusCode::OK, Json(json!({"id": id, "name": name}))),
        None => (StatusCode::NOT_FOUND, Json(json!({"message": "no such pet"}))),
    }
}

async fn add(Json(pet): Json<Value>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(json!({"id": "4", "pet": pet})))
}
