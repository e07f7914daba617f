//! What an agent keeps on disk to be known: its key, its certificate, control's authority.
//!
//! ```text
//! <folder>/host.key  host.pem  authority.pem       folder 0700, files 0600
//! ```
//!
//! The key is made once and stays, also when the host has to join again: control recognises the host
//! by it and gives the old id back. Files are written by disk.rs: a crash leaves the old or the new content.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use protocol::HostId;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::tls::{HostCertificate, TlsError, read_host_certificate};
use super::token::Fingerprint;
use crate::disk;

const KEY: &str = "host.key";
const CERTIFICATE: &str = "host.pem";
const AUTHORITY: &str = "authority.pem";

/// The identity cannot be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The folder or a file in it.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// A key or certificate is damaged.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The folder with the identity, and the key in it.
pub struct Keeper {
    folder: PathBuf,
    key: KeyPair,
}

/// An enrolled host's credentials.
pub struct Identity {
    /// The authority that signed both sides, PEM.
    pub authority_pem: String,
    /// The host's certificate, PEM.
    pub certificate_pem: String,
    /// What the certificate says.
    pub certificate: HostCertificate,
}

impl Keeper {
    /// Opens the folder; makes it and the key when there are none.
    ///
    /// # Errors
    /// When the folder cannot be written or the key in it is damaged.
    pub fn open(folder: &Path) -> Result<Self, IdentityError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| IdentityError::File {
            path: folder.to_owned(),
            source,
        })?;
        let key = match read(&folder.join(KEY))? {
            Some(pem) => KeyPair::from_pem(&pem).map_err(TlsError::from)?,
            None => {
                let key = KeyPair::generate().map_err(TlsError::from)?;
                replace(folder, KEY, &key.serialize_pem())?;
                key
            }
        };
        Ok(Self {
            folder: folder.to_owned(),
            key,
        })
    }

    /// The credentials, if the host was enrolled before.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn load(&self) -> Result<Option<Identity>, IdentityError> {
        let certificate = read(&self.folder.join(CERTIFICATE))?;
        let authority = read(&self.folder.join(AUTHORITY))?;
        match (certificate, authority) {
            (Some(certificate), Some(authority)) => Ok(Some(Identity::new(certificate, authority)?)),
            _ => Ok(None),
        }
    }

    /// Keeps new credentials.
    ///
    /// # Errors
    /// When they do not parse or cannot be written.
    pub fn keep(&self, certificate_pem: String, authority_pem: String) -> Result<Identity, IdentityError> {
        let identity = Identity::new(certificate_pem, authority_pem)?;
        replace(&self.folder, AUTHORITY, &identity.authority_pem)?;
        replace(&self.folder, CERTIFICATE, &identity.certificate_pem)?;
        Ok(identity)
    }

    /// A signing request for the key.
    ///
    /// # Errors
    /// When signing fails.
    pub fn signing_request(&self) -> Result<String, TlsError> {
        Ok(CertificateParams::default().serialize_request(&self.key)?.pem()?)
    }

    /// The private key in PEM, for TLS.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

impl Identity {
    fn new(certificate_pem: String, authority_pem: String) -> Result<Self, IdentityError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(TlsError::from)?;
        let certificate = read_host_certificate(&der)?;
        Ok(Self {
            authority_pem,
            certificate_pem,
            certificate,
        })
    }

    /// Who this is.
    #[must_use]
    pub fn host(&self) -> HostId {
        self.certificate.host
    }

    /// Whether the certificate is good at `now`.
    #[must_use]
    pub fn is_good(&self, now: SystemTime) -> bool {
        now < self.certificate.not_after
    }

    /// How long until half of the certificate's life is over; zero when it is.
    #[must_use]
    pub fn until_renewal(&self, now: SystemTime) -> Duration {
        let HostCertificate {
            not_before,
            not_after,
            ..
        } = self.certificate;
        let life = not_after.duration_since(not_before).unwrap_or_default();
        (not_before + life / 2).duration_since(now).unwrap_or_default()
    }

    /// Whether a join token comes from the control that signed this.
    #[must_use]
    pub fn is_of(&self, authority: Fingerprint) -> bool {
        CertificateDer::from_pem_slice(self.authority_pem.as_bytes())
            .is_ok_and(|der| Fingerprint::of(&der) == authority)
    }
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn replace(folder: &Path, name: &str, content: &str) -> Result<(), IdentityError> {
    disk::replace(folder, name, content.as_bytes()).map_err(|source| IdentityError::File {
        path: folder.join(name),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tls::Authority;
    use std::os::unix::fs::PermissionsExt as _;
    use uuid::Uuid;

    #[test]
    fn an_identity_survives_a_restart_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let (authority, _) = Authority::create(now).unwrap();
        let host = HostId::from_uuid(Uuid::now_v7());

        let keeper = Keeper::open(folder.path()).unwrap();
        assert!(keeper.load().unwrap().is_none());
        let request = authority
            .read_request(&keeper.signing_request().unwrap())
            .unwrap();
        let issued = authority.sign(request, host, now).unwrap();
        keeper
            .keep(issued.pem, authority.certificate_pem().to_owned())
            .unwrap();

        let again = Keeper::open(folder.path()).unwrap();
        let identity = again.load().unwrap().unwrap();
        assert_eq!(again.key_pem(), keeper.key_pem());
        assert_eq!(identity.host(), host);
        assert!(identity.is_of(authority.fingerprint()));
        assert!(!identity.is_of(Fingerprint::of(b"another")));
        for name in [KEY, CERTIFICATE, AUTHORITY] {
            let mode = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_at_half_of_its_life() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (authority, _) = Authority::create(now).unwrap();
        let keeper = Keeper::open(folder.path()).unwrap();
        let request = authority
            .read_request(&keeper.signing_request().unwrap())
            .unwrap();
        let issued = authority
            .sign(request, HostId::from_uuid(Uuid::nil()), now)
            .unwrap();
        let identity = keeper
            .keep(issued.pem, authority.certificate_pem().to_owned())
            .unwrap();

        let half = identity.until_renewal(now);
        assert!((11 * 3600..=12 * 3600).contains(&half.as_secs()), "{half:?}");
        assert_eq!(identity.until_renewal(now + half), Duration::ZERO);
        assert!(identity.is_good(now + Duration::from_secs(23 * 3600)));
        assert!(!identity.is_good(now + Duration::from_secs(25 * 3600)));
    }
}
