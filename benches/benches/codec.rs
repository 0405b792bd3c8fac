//! What the codec costs: a typical request head, a typical response head, a path, and a chunked body.

use std::hint::black_box;

use codec::head::{HeadLimits, Name, RequestHead, ResponseHead};
use codec::http1::framing::{ChunkDecoder, ChunkStep};
use codec::http1::parse::{parse_request, parse_response};
use codec::http1::write;
use codec::target::canonical_path;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const REQUEST: &[u8] = b"GET /pets/42?expand=photos HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    X-Api-Key: k-0123456789abcdef\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Mon, 02 Feb 2026 10:00:00 GMT\r\n\
    Server: backend\r\n\
    Content-Type: application/json\r\n\
    Cache-Control: no-store\r\n\
    Content-Length: 1024\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("head");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    let mut head = RequestHead::new();
    group.bench_function("request", |bencher| {
        bencher.iter(|| parse_request(black_box(REQUEST), &mut head, &HeadLimits::REQUEST));
    });
    // What a head costs that has not arrived whole: the careful reader looks at it too.
    group.bench_function("request_incomplete", |bencher| {
        let cut = &REQUEST[..REQUEST.len() - 2];
        bencher.iter(|| parse_request(black_box(cut), &mut head, &HeadLimits::REQUEST));
    });
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    let mut head = ResponseHead::new();
    group.bench_function("response", |bencher| {
        bencher.iter(|| parse_response(black_box(RESPONSE), &mut head, false, &HeadLimits::RESPONSE));
    });
    group.finish();

    criterion.bench_function("head/name", |bencher| {
        bencher.iter(|| (Name::of(black_box(b"content-type")), Name::of(black_box(b"x-something-else"))));
    });
    let mut out = Vec::with_capacity(512);
    criterion.bench_function("head/write", |bencher| {
        bencher.iter(|| {
            out.clear();
            write::status_line(&mut out, black_box(200));
            write::field(&mut out, b"Content-Type", b"application/json");
            write::field(&mut out, b"Date", b"Mon, 02 Feb 2026 10:00:00 GMT");
            write::content_length(&mut out, black_box(1_024));
            write::end(&mut out);
            out.len()
        });
    });
}

fn paths(criterion: &mut Criterion) {
    let mut scratch = Vec::with_capacity(256);
    let mut group = criterion.benchmark_group("path");
    group.bench_function("plain", |bencher| {
        bencher.iter(|| canonical_path(black_box(b"/v1/pets/42/photos/cat.jpg"), &mut scratch).map(<[u8]>::len));
    });
    group.bench_function("dot_segments", |bencher| {
        bencher.iter(|| canonical_path(black_box(b"/v1/./pets/../pets/42/photos"), &mut scratch).map(<[u8]>::len));
    });
    group.finish();
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunked");
    for size in [16, 1_024, 16_384] {
        let mut body = Vec::new();
        for _ in 0..16 {
            write::chunk_head(&mut body, size);
            body.resize(body.len() + size, b'x');
            body.extend_from_slice(write::CHUNK_END);
        }
        body.extend_from_slice(write::LAST_CHUNK);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("16_of_{size}"), |bencher| bencher.iter(|| payload(black_box(&body))));
    }
    group.finish();
}

/// Bytes of payload in a body that is whole.
fn payload(mut input: &[u8]) -> usize {
    let mut decoder = ChunkDecoder::new();
    let mut bytes = 0;
    while let Ok(ChunkStep::Data { start, end }) = decoder.next(input) {
        bytes += end - start;
        input = &input[end..];
    }
    bytes
}

criterion_group!(benches, heads, paths, bodies);
criterion_main!(benches);
