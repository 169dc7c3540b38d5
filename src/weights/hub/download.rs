//! One download: the hub's description of a file, then its bytes, resumed as often as needed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ureq::http::Response;
use ureq::http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use ureq::{Body, RequestBuilder};

use super::file::{HubFile, is_sha256, wrong_digest};
use super::settings::Hub;
use crate::weights::digest::file_sha256;
use crate::{Error, Result};

/// Attempts at one file before giving up; each goes on where the last one stopped.
const ATTEMPTS: u32 = 4;

/// Most redirects inside the hub (a renamed repository takes one).
const REDIRECTS: usize = 5;

/// A file as the hub describes it.
pub(super) struct Remote {
    url: String,
    /// Commit of the revision.
    pub commit: String,
    /// Name of the content: its SHA-256 for large files.
    pub etag: String,
    size: u64,
}

/// Why an attempt failed.
enum Failure {
    /// Trying again may help.
    Passing(String),
    Final(Error),
}

impl Remote {
    /// Asks for commit, digest and size. Redirects to other hosts, where the bytes are, are not
    /// followed: their headers are not the hub's.
    pub(super) fn find(hub: &Hub, file: &HubFile) -> Result<Remote> {
        let mut url = format!("{}/{}/resolve/{}/{}", hub.endpoint, file.repo, escape(file.revision), file.file);
        for _ in 0..=REDIRECTS {
            let response = attempts(hub, file, || {
                let request = hub.agent.head(&url).config().max_redirects(0).max_redirects_will_error(false).build();
                send(with_token(hub, request), file)
            })?;
            let inside = header(&response, LOCATION.as_str()).filter(|to| to.starts_with('/'));
            if let (300..=399, Some(to)) = (response.status().as_u16(), inside) {
                url = format!("{}{to}", origin(&url));
                continue;
            }
            return Remote::described(url, &response).ok_or_else(|| {
                let hint = "is HF_ENDPOINT the address of a Hugging Face hub or of a mirror?";
                file.fail(format!("the server at {} does not name the commit and digest of the file", hub.endpoint), hint)
            });
        }
        Err(file.fail("the hub redirects in a circle", "try again later, or fetch the file in a browser and give its path"))
    }

    fn described(url: String, response: &Response<Body>) -> Option<Remote> {
        let etag = header(response, "x-linked-etag").or_else(|| header(response, ETAG.as_str()))?;
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_string();
        let commit = header(response, "x-repo-commit")?;
        let size = header(response, "x-linked-size").or_else(|| header(response, CONTENT_LENGTH.as_str()))?.parse().ok()?;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (plain(&etag) && plain(commit)).then(|| Remote { url, commit: commit.into(), etag, size })
    }

    /// Size and digest of a file that should be this one.
    pub(super) fn check(&self, file: &HubFile, path: &Path) -> Result<()> {
        let size = fs::metadata(path).map_err(Error::io("look at", path))?.len();
        if size != self.size {
            return Err(file.fail(format!("has {size} bytes instead of {}", self.size), "fetch it again"));
        }
        let wanted: Vec<&str> = [file.sha256, Some(self.etag.as_str()).filter(|etag| is_sha256(etag))].into_iter().flatten().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let got = file_sha256(path)?;
        wanted.into_iter().find(|&want| want != got).map_or(Ok(()), |want| Err(wrong_digest(file, &got, want)))
    }

    /// Fetches the bytes into `blob`: through a file beside it that stays when the connection
    /// breaks, and is gone on from.
    pub(super) fn fetch(&self, hub: &Hub, file: &HubFile, blob: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let part = blob.with_file_name(format!("{}.incomplete", self.etag));
        let folder = blob.parent().unwrap_or(blob);
        fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
        let mut out =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&part).map_err(Error::io("open", &part))?;
        // One process downloads; the others wait and find the file.
        out.lock().map_err(Error::io("lock", &part))?;
        if blob.is_file() && self.check(file, blob).is_ok() {
            return Ok(());
        }
        attempts(hub, file, || self.receive(hub, file, &mut out, &part, progress))?;
        out.sync_all().map_err(Error::io("sync", &part))?;
        if let Err(error) = self.check(file, &part) {
            // Going on from wrong bytes would never end well.
            fs::remove_file(&part).map_err(Error::io("delete", &part))?;
            return Err(error);
        }
        fs::rename(&part, blob).map_err(Error::io("rename", &part))
    }

    /// One attempt: asks for the missing bytes and appends them.
    fn receive(&self, hub: &Hub, file: &HubFile, out: &mut File, part: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Failure> {
        let io = |action: &'static str| move |e| Failure::Final(Error::io(action, part)(e));
        let mut have = out.seek(SeekFrom::End(0)).map_err(io("read"))?;
        if have > self.size {
            out.set_len(0).map_err(io("write"))?;
            have = out.seek(SeekFrom::Start(0)).map_err(io("write"))?;
        }
        progress(have, self.size);
        if have == self.size {
            return Ok(());
        }
        let request = with_token(hub, hub.agent.get(&self.url)).header(RANGE, format!("bytes={have}-"));
        let response = send(request, file)?;
        let starts_there = header(&response, CONTENT_RANGE.as_str()).is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
        if have > 0 && !(response.status() == 206 && starts_there) {
            // The server does not do ranges: from the start, then.
            out.set_len(0).map_err(io("write"))?;
            have = out.seek(SeekFrom::Start(0)).map_err(io("write"))?;
        }
        let mut body = response.into_body().into_reader().take(self.size - have);
        let mut buffer = vec![0; 1 << 16];
        while have < self.size {
            let read = match body.read(&mut buffer) {
                Ok(0) => return Err(Failure::Passing(format!("the connection ended after {have} of {} bytes", self.size))),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::Passing(format!("the connection broke after {have} of {} bytes: {e}", self.size))),
            };
            out.write_all(&buffer[..read]).map_err(io("write"))?;
            have += read as u64;
            progress(have, self.size);
        }
        Ok(())
    }
}

/// Tries until it works, the failure is final, or patience is at its end.
fn attempts<T>(hub: &Hub, file: &HubFile, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
    let mut pause = hub.pause;
    let mut number = 1;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Passing(reason)) if number == ATTEMPTS => {
                let hint = "check the network and HF_ENDPOINT, then run the same again: it goes on where it stopped. Or fetch the file in a browser and give its path";
                return Err(file.fail(format!("could not be fetched from {}: {reason}", hub.endpoint), hint));
            }
            Err(Failure::Passing(_)) => std::thread::sleep(pause),
        }
        pause *= 2;
        number += 1;
    }
}

/// Sends a request and sorts the answers that are none.
fn send(request: RequestBuilder<ureq::typestate::WithoutBody>, file: &HubFile) -> Result<Response<Body>, Failure> {
    let response = request.header(ACCEPT_ENCODING, "identity").call().map_err(|e| Failure::Passing(e.to_string()))?;
    let page = format!("the repository's page {}", file.repo);
    let (problem, hint) = match response.status().as_u16() {
        200..=399 => return Ok(response),
        401 | 403 => (
            "the hub asks for permission",
            format!("accept its conditions on {page} if there are any, and set HF_TOKEN to a token of yours"),
        ),
        404 => ("the hub has no such file", format!("compare owner, name, revision and file with {page}; private ones need HF_TOKEN")),
        429 => return Err(Failure::Passing("the hub is busy (429)".into())),
        status @ 500.. => return Err(Failure::Passing(format!("the hub has a problem of its own ({status})"))),
        _ => ("the hub refuses the request", format!("compare owner, name, revision and file with {page}")),
    };
    Err(Failure::Final(file.fail(format!("{problem} ({})", response.status().as_u16()), hint)))
}

/// The token goes to the hub alone: ureq drops it when a redirect leads to another host.
fn with_token(hub: &Hub, request: RequestBuilder<ureq::typestate::WithoutBody>) -> RequestBuilder<ureq::typestate::WithoutBody> {
    match &hub.token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Scheme and host of an address.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

/// A revision may contain `/`, which the path of an address may not.
fn escape(revision: &str) -> String {
    revision.replace('/', "%2F")
}
