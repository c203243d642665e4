//! Bodies of clients, on their way through the gateway to httpbin, which says them back.

use std::net::SocketAddr;

use super::server::Httpbin;
use super::stage::{GATE, Stage};
use crate::harness::Client;

/// 64 MiB, of which no part is like another, come back as they were sent.
#[test]
fn a_large_upload_arrives_whole() {
    const BLOCK: usize = 64 * 1024;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let block: Vec<u8> = (0..BLOCK).map(|_| letter(&mut seed)).collect();
    let mut body = Vec::with_capacity(1024 * BLOCK);
    for number in 0..1024 {
        body.extend_from_slice(format!("{number:08}").as_bytes());
        body.extend_from_slice(&block[8..]);
    }

    let httpbin = Httpbin::start();
    let stage = Stage::before(&httpbin.url());
    let head = format!(
        "POST /post HTTP/1.1\r\nHost: {GATE}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        stage.token,
        body.len()
    );
    let mut client = Client::connect(stage.gateway.address());
    let answer = client.send(head).send(&body).response();
    assert_eq!(answer.status(), 200);
    let marker = b"\"data\": \"";
    let start = answer
        .body
        .windows(marker.len())
        .position(|window| window == marker);
    let returned = answer.body.get(start.unwrap() + marker.len()..).unwrap();
    assert!(returned.starts_with(&body), "the body is another one");
    assert_eq!(returned.get(body.len()), Some(&b'"'));
}

/// A letter or a digit, the next of a sequence (xorshift).
fn letter(seed: &mut u64) -> u8 {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    LETTERS[(*seed % 32) as usize]
}

/// Chunks of any size, sent apart and cut anywhere, arrive as one body.
#[test]
fn an_upload_in_chunks_arrives_whole() {
    let httpbin = Httpbin::start();
    let stage = Stage::before(&httpbin.url());
    let mut seed = 1;
    let (mut body, mut wire) = (Vec::new(), Vec::new());
    for size in [1, 7, 4096, 65_537, 2, 100_000] {
        let chunk: Vec<u8> = (0..size).map(|_| letter(&mut seed)).collect();
        wire.extend_from_slice(format!("{size:x};a=b\r\n").as_bytes());
        wire.extend_from_slice(&chunk);
        wire.extend_from_slice(b"\r\n");
        body.extend_from_slice(&chunk);
    }
    wire.extend_from_slice(b"0\r\n\r\n");

    let upload = |address: SocketAddr, host: &str, credential: &str| {
        let head = format!(
            "PUT /anything/chunks HTTP/1.1\r\nHost: {host}\r\n{credential}\
             Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        let mut client = Client::connect(address);
        client.send(head);
        for part in wire.chunks(3001) {
            client.send(part);
        }
        client.response().json()
    };
    let bearer = format!("Authorization: Bearer {}\r\n", stage.token);
    let gated = upload(stage.gateway.address(), GATE, &bearer);
    let direct = upload(httpbin.address(), &httpbin.address().to_string(), "");
    for answer in [&gated, &direct] {
        assert_eq!(answer["headers"]["Transfer-Encoding"], "chunked");
        assert!(
            answer["data"].as_str().unwrap().as_bytes() == body,
            "the body is another one"
        );
    }
    assert_eq!(gated["headers"].get("Authorization"), None);
}
