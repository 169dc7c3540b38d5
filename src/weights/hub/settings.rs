//! Where the hub is and how to speak to it: the environment variables of `huggingface_hub`.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "hub")]
use ureq::Agent;
#[cfg(feature = "hub")]
use ureq::tls::{RootCerts, TlsConfig};

use crate::{Error, Result};

/// Access to the hub and the cache that its files are kept in.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "nothing is asked of the hub"))]
pub(crate) struct Hub {
    pub(super) endpoint: String,
    pub(super) cache: PathBuf,
    pub(super) token: Option<String>,
    pub(super) offline: bool,
    /// Pause before the second attempt; doubled before each further one.
    pub(super) pause: Duration,
    #[cfg(feature = "hub")]
    pub(super) agent: Agent,
}

impl Hub {
    /// Follows `HF_ENDPOINT`; `HF_HUB_CACHE`, else `HF_HOME`, else `XDG_CACHE_HOME`, else
    /// `~/.cache`; `HF_TOKEN`, else the file that `huggingface-cli login` writes (`HF_TOKEN_PATH`,
    /// else `HF_HOME/token`); `HF_HUB_OFFLINE`.
    ///
    /// # Errors
    /// None of the folders is set.
    pub(crate) fn from_env() -> Result<Hub> {
        Hub::with(|name| std::env::var_os(name))
    }

    /// As [`Hub::from_env`] with other variables.
    pub(super) fn with(variable: impl Fn(&str) -> Option<OsString>) -> Result<Hub> {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let text = |name: &str| variable(name).and_then(|v| v.into_string().ok()).filter(|v| !v.trim().is_empty());
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|p| p.join("huggingface")))
            .or_else(|| path("HOME").map(|p| p.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE").or_else(|| home.as_ref().map(|home| home.join("hub")));
        let cache = cache.ok_or_else(|| Error::setting("no folder is set to keep the hub's files in", "set HF_HOME to one"))?;
        let saved = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        let token = text("HF_TOKEN").or_else(|| saved.and_then(|file| fs::read_to_string(file).ok()));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let offline = text("HF_HUB_OFFLINE").is_some_and(|v| ["1", "true", "yes", "on"].contains(&v.trim().to_lowercase().as_str()));
        Ok(Hub {
            endpoint: endpoint.trim().trim_end_matches('/').into(),
            cache,
            token: token.map(|t| t.trim().to_string()).filter(|t| !t.is_empty()),
            offline,
            pause: Duration::from_secs(1),
            #[cfg(feature = "hub")]
            agent: agent(),
        })
    }
}

/// Trusts the system's certificates, so that a company's own mirror works, and gives up on a silent
/// server.
#[cfg(feature = "hub")]
fn agent() -> Agent {
    let patience = Some(Duration::from_secs(60));
    Agent::config_builder()
        .user_agent(concat!("headstart/", env!("CARGO_PKG_VERSION")))
        .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(patience)
        .timeout_per_read(patience)
        .http_status_as_error(false)
        .build()
        .into()
}
