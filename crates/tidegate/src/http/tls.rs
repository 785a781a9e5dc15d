//! TLS of a listener: its certificate and key, from PEM files that are read again when they change.

use super::x509::not_after;
use crate::clock::{Clock, rfc3339};
use crate::log::{About, Event};
use crate::output;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use thiserror::Error;
use tidegate_core::ids::UnixMs;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at: whoever renews a certificate does not wait long for it.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long before its end a certificate is warned of, ms: two weeks, since what renews them by
/// itself does so a month before.
const WARNED_MS: u64 = 14 * DAY_MS;
/// How often it is warned of, ms.
const DAY_MS: u64 = 86_400_000;

/// When the certificate in use ends, ms since 1970; 0 where there is none. A process has one
/// listener with TLS.
static ENDS_AT: AtomicU64 = AtomicU64::new(0);

/// When the certificate of this process's listener ends, or the first of those that it was signed
/// by; `None` without TLS.
pub(crate) fn certificate_ends_at() -> Option<UnixMs> {
    Some(UnixMs(ENDS_AT.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
}

/// Whether a certificate that ends at a moment is warned of.
pub(crate) fn ends_soon(ends_at: UnixMs, now: UnixMs) -> bool {
    ends_at.since(now) < WARNED_MS
}

/// Why a certificate and its key cannot be used.
#[derive(Debug, Error)]
pub(crate) enum TlsError {
    /// A file is not there, or is not ours to read.
    #[error("tls: `{}` cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file has none.
    #[error("tls.cert: `{}` has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// The file has none.
    #[error("tls.key: `{}` has no private key in PEM form", .0.display())]
    NoKey(PathBuf),
    /// They are of different pairs.
    #[error("tls: the key `{}` is not that of the certificate `{}`", key.display(), cert.display())]
    Mismatch { cert: PathBuf, key: PathBuf },
    /// The library refuses them.
    #[error("tls: the certificate `{}` cannot be used: {source}", cert.display())]
    Refused { cert: PathBuf, source: rustls::Error },
}

/// A listener's certificate, as its files have it now.
#[derive(Debug)]
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
    /// Somebody wants the files to be read now.
    asked: Notify,
}

impl Tls {
    /// Reads both files, and reads them again whenever they change. Those that cannot be used then
    /// are said once, and the ones before stay.
    ///
    /// # Errors
    /// The first of [`TlsError`]'s that holds.
    pub(crate) fn load(cert: PathBuf, key: PathBuf) -> Result<Arc<Tls>, TlsError> {
        let texts = texts(&cert, &key)?;
        warn_of_readers(&key);
        let config = ArcSwap::from(config((&cert, &key), &texts)?);
        let asked = Notify::new();
        let tls = Arc::new(Tls { cert, key, config, asked });
        note_end(&texts);
        tokio::spawn(keep_fresh(Arc::downgrade(&tls), texts));
        Ok(tls)
    }

    /// Has the files read now, also where they are as before.
    pub(crate) fn read_again(&self) {
        self.asked.notify_one();
    }

    /// Greets a client; it says whether it speaks HTTP/2 behind that.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

/// Notes when the first certificate of a chain ends: clients refuse all of it then.
fn note_end([certs, _]: &Texts) {
    let chain = CertificateDer::pem_slice_iter(certs).filter_map(Result::ok);
    let ends_at = chain.filter_map(|certificate| not_after(&certificate)).min();
    ENDS_AT.store(ends_at.map_or(0, |at| at.0), Ordering::Relaxed);
}

/// Warns of a certificate that ends soon, once a day.
fn warn_of_end(warned: &mut Option<UnixMs>, now: UnixMs) {
    let Some(ends_at) = certificate_ends_at().filter(|at| ends_soon(*at, now)) else {
        *warned = None;
        return;
    };
    if warned.is_some_and(|at| now.since(at) < DAY_MS) {
        return;
    }
    *warned = Some(now);
    let what = match now >= ends_at {
        true => "the certificate of the listener has expired, and clients refuse it",
        false => "the certificate of the listener expires soon",
    };
    let why = format!(
        "it holds until {}; put a new one in its place, the files are read again by themselves",
        rfc3339(ends_at)
    );
    About::service(output::service()).log(&Event::WorkFailed { what, why });
}

/// Says where other users of the machine can read the key.
fn warn_of_readers(key: &Path) {
    if is_read_by_others(key) {
        let what = "the listener's key can be read by every user of this machine";
        let why = format!("`chmod 600 {}`", key.display());
        About::service(output::service()).log(&Event::WorkFailed { what, why });
    }
}

#[cfg(unix)]
fn is_read_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_read_by_others(_path: &Path) -> bool {
    false
}

type Texts = [Vec<u8>; 2];

fn texts(cert: &Path, key: &Path) -> Result<Texts, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
    };
    Ok([read(cert)?, read(key)?])
}

fn config(
    (cert, key): (&Path, &Path),
    [certs, keys]: &Texts,
) -> Result<Arc<ServerConfig>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certs).collect();
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(cert.to_owned()));
    }
    let secret =
        PrivateKeyDer::from_pem_slice(keys).map_err(|_| TlsError::NoKey(key.to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let refused = |source| match source {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { cert: cert.to_owned(), key: key.to_owned() }
        }
        source => TlsError::Refused { cert: cert.to_owned(), source },
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(refused)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn keep_fresh(tls: Weak<Tls>, mut known: Texts) {
    // What could not be used last, said once.
    let mut said = None;
    let mut warned = None;
    loop {
        warn_of_end(&mut warned, Clock::Real.now());
        let asked = match tls.upgrade() {
            Some(tls) => timeout(LOOK_EVERY, tls.asked.notified()).await.is_ok(),
            None => return,
        };
        let Some(tls) = tls.upgrade() else { return };
        let (cert, key) = (tls.cert.clone(), tls.key.clone());
        let reading = tokio::task::spawn_blocking(move || texts(&cert, &key)).await;
        let Ok(read) = reading else { return };
        let made = match read {
            Ok(texts) if texts == known => {
                if asked {
                    output::stderr(
                        "the certificate of the listener was read again: it is as before",
                    );
                }
                continue;
            }
            Ok(texts) => config((&tls.cert, &tls.key), &texts).map(|config| (config, texts)),
            Err(error) => Err(error),
        };
        match made {
            Ok((config, texts)) => {
                tls.config.store(config);
                note_end(&texts);
                (known, said) = (texts, None);
                output::stderr("the certificate of the listener was read again: its file changed");
            }
            Err(error) => {
                let why = error.to_string();
                if asked || said.as_ref() != Some(&why) {
                    let what = "the changed certificate is not used, the one before stays";
                    let event = Event::WorkFailed { what, why: why.clone() };
                    About::service(output::service()).log(&event);
                    said = Some(why);
                }
            }
        }
    }
}
