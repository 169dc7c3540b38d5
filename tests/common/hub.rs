//! A model hub on this machine with one file: what `HF_ENDPOINT` points to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Serves `content` as `/{repo}/resolve/main/model.safetensors` until the process ends; returns the address.
pub(crate) fn serve(repo: &'static str, content: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, repo, &content);
        }
    });
    address
}

/// One request a connection.
fn answer(mut stream: TcpStream, repo: &str, content: &[u8]) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    lines.take_while(|line| line.as_ref().is_ok_and(|l| !l.is_empty())).for_each(drop);
    let known = request.split(' ').nth(1) == Some(&format!("/{repo}/resolve/main/model.safetensors"));
    let (status, body) = if known { ("200 OK", content) } else { ("404 Not Found", &b"Entry not found"[..]) };
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\nX-Repo-Commit: {}\r\nETag: \"{:x}\"\r\n\r\n",
        body.len(),
        "0123456789".repeat(4),
        content.len(),
    );
    stream.write_all(head.as_bytes()).unwrap();
    if request.starts_with("GET") {
        stream.write_all(body).unwrap();
    }
}
