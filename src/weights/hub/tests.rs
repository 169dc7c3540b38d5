//! The real client against a server on this machine that behaves like the hub, and misbehaves as
//! networks do.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::*;
use crate::Result;
use crate::weights::hex;

const FILE: HubFile = HubFile::safetensors("timm/resnet50.tv_in1k");
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server is to do wrong.
#[derive(Clone, Copy, Default)]
struct Faults {
    /// Ends the connection after so many bytes of each answer to a GET.
    cut_after: Option<usize>,
    /// Sends other bytes than it promises.
    wrong_bytes: bool,
    /// Answers ranges with the whole file.
    no_ranges: bool,
    /// Answers the first so many requests with 503.
    busy: usize,
    /// Wants this token.
    token: Option<&'static str>,
    /// Redirects HEAD requests of the old name to the new one, as for a renamed repository.
    renamed: bool,
}

struct Server {
    address: String,
    /// Method, path, range, authorisation of each request.
    seen: Arc<Mutex<Vec<[String; 4]>>>,
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn digest() -> String {
    hex(&Sha256::digest(content()))
}

impl Server {
    fn start(faults: Faults) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(vec![]));
        let log = seen.clone();
        // The threads end with the test process; each test has a server of its own.
        std::thread::spawn(move || {
            let busy = Arc::new(AtomicUsize::new(faults.busy));
            for stream in listener.incoming().flatten() {
                let (log, busy) = (log.clone(), busy.clone());
                std::thread::spawn(move || serve(stream, faults, port, &log, &busy));
            }
        });
        Server { address: format!("http://127.0.0.1:{port}"), seen }
    }

    fn requests(&self, method: &str) -> Vec<[String; 4]> {
        self.seen.lock().unwrap().iter().filter(|r| r[0] == method).cloned().collect()
    }
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, faults: Faults, port: u16, log: &Mutex<Vec<[String; 4]>>, busy: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        log.lock().unwrap().push(request.clone());
        if busy.fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1)).is_ok() {
            answer(reader.get_mut(), "503 Service Unavailable", &[], &[], false);
        } else if !respond(reader.get_mut(), &request, faults, port) {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<[String; 4]> {
    let mut lines = reader.lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ').map(str::to_string);
    let mut request = [words.next()?, words.next()?, String::new(), String::new()];
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { return Some(request) };
        match name.to_lowercase().as_str() {
            "range" => request[2] = value.into(),
            "authorization" => request[3] = value.into(),
            _ => {}
        }
    }
    None
}

fn answer(stream: &mut TcpStream, status: &str, headers: &[(&str, String)], body: &[u8], only_headers: bool) {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
    // A client that hangs up early is one of the cases.
    let _ = stream.write_all((text + "\r\n").as_bytes());
    if !only_headers {
        let _ = stream.write_all(body);
    }
}

/// `false` where the connection is to end.
fn respond(stream: &mut TcpStream, [method, path, range, authorization]: &[String; 4], faults: Faults, port: u16) -> bool {
    let head = method == "HEAD";
    let unknown = |token| *authorization != format!("Bearer {token}");
    if !path.starts_with("/cdn") && faults.token.is_some_and(unknown) {
        answer(stream, "401 Unauthorized", &[], b"", head);
        return true;
    }
    let file = "/resolve/main/model.safetensors";
    let name = path.strip_suffix(file).unwrap_or_default();
    let whole = content();
    match name {
        "/timm/resnet50.tv_in1k" if faults.renamed => {
            answer(stream, "307 Temporary Redirect", &[("Location", format!("/timm/new{file}"))], b"", head);
        }
        "/timm/resnet50.tv_in1k" | "/timm/new" => {
            let headers = [
                // Another host, as the hub's own storage is: "localhost" is not "127.0.0.1".
                ("Location", format!("http://localhost:{port}/cdn/blob?signed=1")),
                ("X-Repo-Commit", COMMIT.into()),
                ("X-Linked-Etag", format!("\"{}\"", digest())),
                ("X-Linked-Size", whole.len().to_string()),
                ("ETag", "\"of-the-redirect\"".into()),
            ];
            answer(stream, "302 Found", &headers, b"", head);
        }
        _ if path.starts_with("/cdn/") => return send_blob(stream, range, whole, faults),
        _ => answer(stream, "404 Not Found", &[], b"Entry not found", head),
    }
    true
}

fn send_blob(stream: &mut TcpStream, range: &str, mut whole: Vec<u8>, faults: Faults) -> bool {
    if faults.wrong_bytes {
        whole[5] ^= 1;
    }
    let size = whole.len();
    let start = range.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-')).and_then(|r| r.parse::<usize>().ok()).unwrap_or(0);
    let start = if faults.no_ranges { 0 } else { start };
    let body = &whole[start..];
    let sent = &body[..faults.cut_after.unwrap_or(usize::MAX).min(body.len())];
    let headers = [("Content-Length", body.len().to_string()), ("Content-Range", format!("bytes {start}-{}/{size}", size - 1))];
    let (status, headers) = if faults.no_ranges { ("200 OK", &headers[..1]) } else { ("206 Partial Content", &headers[..]) };
    answer(stream, status, headers, sent, false);
    sent.len() == body.len()
}

fn hub(server: &Server, cache: &Path, more: &[(&str, &str)]) -> Hub {
    let cache: OsString = cache.into();
    let mut variables = HashMap::from([("HF_ENDPOINT".to_string(), OsString::from(&server.address)), ("HF_HUB_CACHE".into(), cache)]);
    variables.extend(more.iter().map(|&(name, value)| (name.to_string(), OsString::from(value))));
    let hub = Hub::with(|name| variables.get(name).cloned()).unwrap();
    Hub { pause: Duration::from_millis(1), ..hub }
}

fn fetch(hub: &Hub) -> Result<PathBuf> {
    hub.fetch(&FILE, &mut |_, _| {})
}

/// A server with faults, an empty cache, and the settings for them.
fn setting(faults: Faults, more: &[(&str, &str)]) -> (Server, tempfile::TempDir, Hub) {
    let server = Server::start(faults);
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(&server, folder.path(), more);
    (server, folder, hub)
}

fn incomplete(folder: &Path) -> PathBuf {
    folder.join(format!("models--timm--resnet50.tv_in1k/blobs/{}.incomplete", digest()))
}

#[test]
fn a_file_is_fetched_once_and_kept_as_pythons_library_keeps_it() {
    let (server, folder, hub) = setting(Faults::default(), &[]);
    let mut heard = vec![];
    let path = hub.fetch(&FILE, &mut |have, size| heard.push((have, size))).unwrap();
    let repository = folder.path().join("models--timm--resnet50.tv_in1k");
    assert_eq!(path, repository.join("snapshots").join(COMMIT).join("model.safetensors"));
    assert_eq!(fs::read(&path).unwrap(), content());
    assert_eq!(fs::canonicalize(&path).unwrap(), fs::canonicalize(repository.join("blobs").join(digest())).unwrap());
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    assert!(heard.is_sorted() && heard.first() == Some(&(0, 400_000)) && heard.last() == Some(&(400_000, 400_000)));
    assert!(!incomplete(folder.path()).exists());

    let before = server.seen.lock().unwrap().len();
    assert_eq!(fetch(&hub).unwrap(), path);
    assert_eq!(server.seen.lock().unwrap().len(), before, "what is here is not asked for again");
}

#[test]
fn a_cut_connection_is_gone_on_from() {
    let (server, folder, hub) = setting(Faults { cut_after: Some(150_000), ..Faults::default() }, &[]);
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
    let ranges: Vec<_> = server.requests("GET").into_iter().filter(|r| r[1].starts_with("/cdn")).map(|r| r[2].clone()).collect();
    assert_eq!(ranges, ["bytes=0-", "bytes=150000-", "bytes=300000-"]);
    assert!(!incomplete(folder.path()).exists());
}

#[test]
fn what_was_fetched_before_the_patience_ended_serves_the_next_run() {
    let (server, folder, hub) = setting(Faults { cut_after: Some(60_000), ..Faults::default() }, &[]);
    let error = fetch(&hub).unwrap_err().to_string();
    assert!(error.contains("240000 of 400000 bytes") && error.contains("goes on where it stopped"), "{error}");
    assert_eq!(fs::metadata(incomplete(folder.path())).unwrap().len(), 240_000);
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
    assert_eq!(server.requests("GET").iter().filter(|r| r[1].starts_with("/cdn")).count(), 4 + 3);
}

#[test]
fn a_server_without_ranges_starts_again() {
    let (_server, folder, hub) = setting(Faults { no_ranges: true, ..Faults::default() }, &[]);
    let part = incomplete(folder.path());
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, &content()[..1000]).unwrap();
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
}

#[test]
fn a_leftover_that_is_too_long_starts_again() {
    let (_server, folder, hub) = setting(Faults::default(), &[]);
    let part = incomplete(folder.path());
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, vec![0; 400_001]).unwrap();
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let (_server, folder, hub) = setting(Faults { wrong_bytes: true, ..Faults::default() }, &[]);
    let error = fetch(&hub).unwrap_err().to_string();
    assert!(
        error.contains("has SHA-256") && error.contains(&digest()) && error.contains("timm/resnet50.tv_in1k/model.safetensors"),
        "{error}"
    );
    assert!(!incomplete(folder.path()).exists() && hub.cached(&FILE).is_none());
    assert_eq!(fs::read_dir(incomplete(folder.path()).parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn a_digest_known_beforehand_is_held_to() {
    let (_server, _folder, hub) = setting(Faults::default(), &[]);
    let pinned = HubFile { sha256: Some("00"), ..FILE };
    assert!(hub.fetch(&pinned, &mut |_, _| {}).unwrap_err().to_string().contains("instead of 00"));
}

#[test]
fn a_damaged_copy_in_the_cache_is_fetched_again() {
    let (_server, _folder, hub) = setting(Faults::default(), &[]);
    let path = fetch(&hub).unwrap();
    fs::write(fs::canonicalize(&path).unwrap(), b"damaged").unwrap();
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
    fs::write(fs::canonicalize(&path).unwrap(), b"damaged").unwrap();
    let offline = Hub { offline: true, ..hub };
    assert!(fetch(&offline).unwrap_err().to_string().contains("has SHA-256"));
}

#[test]
fn offline_uses_what_is_there_and_says_what_is_not() {
    let (server, folder, online) = setting(Faults::default(), &[]);
    let offline = hub(&server, folder.path(), &[("HF_HUB_OFFLINE", "1")]);
    let error = fetch(&offline).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE is set") && error.contains("models--timm--resnet50.tv_in1k"), "{error}");
    assert!(server.seen.lock().unwrap().is_empty());
    let path = fetch(&online).unwrap();
    assert_eq!(fetch(&offline).unwrap(), path);
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let faults = Faults { token: Some("secret"), ..Faults::default() };
    let (_server, _folder, anonymous) = setting(faults, &[]);
    let error = fetch(&anonymous).unwrap_err().to_string();
    assert!(error.contains("HF_TOKEN") && error.contains("(401)"), "{error}");
    let (server, _folder, known) = setting(faults, &[("HF_TOKEN", "secret\n")]);
    fetch(&known).unwrap();
    for [_, path, _, authorization] in server.seen.lock().unwrap().iter() {
        assert_eq!(authorization.is_empty(), path.starts_with("/cdn"), "{path}");
    }
}

#[test]
fn a_missing_file_says_what_to_compare() {
    let (_server, _folder, hub) = setting(Faults::default(), &[]);
    let error = hub.fetch(&HubFile::safetensors("timm/resnet51"), &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("(404)") && error.to_string().contains("timm/resnet51"), "{error}");
    assert!(error.is_unusable_input());
}

#[test]
fn a_busy_hub_is_asked_again() {
    let (_server, _folder, patient) = setting(Faults { busy: 2, ..Faults::default() }, &[]);
    assert!(fetch(&patient).is_ok());
    let (_server, _folder, hub) = setting(Faults { busy: 100, ..Faults::default() }, &[]);
    assert!(fetch(&hub).unwrap_err().to_string().contains("(503)"));
}

#[test]
fn a_renamed_repository_is_followed() {
    let (_server, _folder, hub) = setting(Faults { renamed: true, ..Faults::default() }, &[]);
    assert_eq!(fs::read(fetch(&hub).unwrap()).unwrap(), content());
}

#[test]
fn no_server_at_all_is_an_error_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = Server { address: format!("http://127.0.0.1:{port}"), seen: Arc::default() };
    let error = fetch(&hub(&nobody, folder.path(), &[])).unwrap_err().to_string();
    assert!(error.contains("could not be fetched") && error.contains("HF_ENDPOINT"), "{error}");
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    let (server, _folder, hub) = setting(Faults::default(), &[]);
    for repo in ["resnet50", "../../etc", "a/b/c", "a/..", ""] {
        assert!(hub.fetch(&HubFile::safetensors(repo), &mut |_, _| {}).is_err(), "{repo}");
    }
    assert!(hub.fetch(&HubFile { file: "../x", ..FILE }, &mut |_, _| {}).is_err());
    assert!(server.seen.lock().unwrap().is_empty());
}

#[test]
fn folders_and_tokens_follow_pythons_variables() {
    let with = |variables: &[(&str, &str)]| {
        let all: HashMap<_, _> = variables.iter().copied().collect();
        Hub::with(|name| all.get(name).map(OsString::from)).unwrap()
    };
    assert_eq!(with(&[("HOME", "/h")]).cache, Path::new("/h/.cache/huggingface/hub"));
    assert_eq!(with(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]).cache, Path::new("/x/huggingface/hub"));
    assert_eq!(with(&[("HF_HOME", "/f"), ("XDG_CACHE_HOME", "/x")]).cache, Path::new("/f/hub"));
    assert_eq!(with(&[("HF_HOME", "/f"), ("HF_HUB_CACHE", "/c")]).cache, Path::new("/c"));
    assert!(Hub::with(|_| None).is_err());
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "saved\n").unwrap();
    let home = folder.path().to_str().unwrap();
    assert_eq!(with(&[("HF_HOME", home)]).token.as_deref(), Some("saved"));
    assert_eq!(with(&[("HF_HOME", home), ("HF_TOKEN", "given")]).token.as_deref(), Some("given"));
    let plain = with(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "0")]);
    assert!(!plain.offline && plain.token.is_none() && plain.endpoint == "https://huggingface.co");
    assert!(with(&[("HOME", "/h"), ("HF_HUB_OFFLINE", "True")]).offline);
}
