//! TLS as adb uses it after STLS: version 1.3 only, both sides with a self-signed certificate, trusted by its public
//! key and by nothing else (no names, no dates, no authorities). It does not know adb's packets.
//!
//! ```text
//!   host = TLS client                                device = TLS server
//!   ClientHello ───────────────────────────────────►
//!               ◄─── certificate, CertificateRequest { O=AdbKey-0, CN=<SHA-256 of a known key's SPKI>, … }
//!   certificate of the key that the device names,
//!   else of the first ─────────────────────────────►   known (or accepted) key → goes on, else an alert
//! ```

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyUsagePurpose};
use rustls::client::ResolvesClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::key::{Fingerprint, Key, KeyError, PublicKey, hex};
use crate::known_keys::KnownKeys;

/// How long a certificate is valid, as Android's own; nobody looks.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Which devices a host takes for what they say they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceTrust {
    /// Any, as adb itself does: the device knows the host, not the other way round.
    Any,
    /// Those whose key has one of these fingerprints.
    Known(Vec<Fingerprint>),
}

/// Why TLS could not be set up, before anything was sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No certificate could be made of the key.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The parts do not fit together.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}

/// What a host's side of TLS needs.
pub(crate) fn connector(
    keys: &[Key],
    trust: &DeviceTrust,
    now: SystemTime,
) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let identities = keys.iter().map(|key| {
        Ok(Identity {
            name: authority(&key.public().fingerprint()),
            certified: certified(key, &provider, now)?,
        })
    });
    let identities = identities.collect::<Result<Vec<_>, TlsError>>()?;
    let verifier = Devices {
        trust: trust.clone(),
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Identities(identities)));
    config.enable_sni = false;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Shakes hands as a host.
pub(crate) async fn connect<S>(connector: &TlsConnector, socket: S) -> io::Result<client::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Devices have no names; this one is neither sent nor looked at.
    let nobody = ServerName::try_from("adb").map_err(io::Error::other)?;
    connector.connect(nobody, socket).await
}

/// What a device's side of TLS needs.
pub(crate) fn acceptor(key: &Key, known: &KnownKeys, now: SystemTime) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let hints = known.all();
    let hints = hints.iter().map(|key| authority(&key.fingerprint()).into());
    let verifier = Hosts {
        known: known.clone(),
        hints: hints.collect(),
        provider: Arc::clone(&provider),
    };
    let (certificate, private) = certificate(key, now)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(vec![certificate], private)?;
    // Nothing is resumed: every connection shows its key.
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Shakes hands as a device.
pub(crate) async fn accept<S>(acceptor: &TlsAcceptor, socket: S) -> io::Result<server::TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    acceptor.accept(socket).await
}

/// What rustls says went wrong, if it was rustls.
pub(crate) fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the handshake failed because of the peer's key.
pub(crate) fn is_distrust(error: &Error) -> bool {
    *error == Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

fn certificate(
    key: &Key,
    now: SystemTime,
) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let pkcs8 = PrivatePkcs8KeyDer::from(key.to_pkcs8()?);
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_RSA_SHA256)?;
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "US");
    name.push(DnType::OrganizationName, "Android");
    name.push(DnType::CommonName, "Adb");
    params.distinguished_name = name;
    params.not_before = now.into();
    params.not_after = (now + VALIDITY).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&pair)?;
    Ok((certificate.der().clone(), pkcs8.into()))
}

fn certified(key: &Key, provider: &CryptoProvider, now: SystemTime) -> Result<Arc<CertifiedKey>, TlsError> {
    let (certificate, private) = certificate(key, now)?;
    let certified = CertifiedKey::from_der(vec![certificate], private, provider)?;
    Ok(Arc::new(certified))
}

/// The DER of the name by which a device tells that it knows a key: O=AdbKey-0, CN=<fingerprint in hexadecimal>.
fn authority(fingerprint: &Fingerprint) -> Vec<u8> {
    const ORGANIZATION: [u8; 5] = *b"\x06\x03\x55\x04\x0a";
    const COMMON_NAME: [u8; 5] = *b"\x06\x03\x55\x04\x03";
    let attribute = |oid: [u8; 5], value: &str| {
        let pair = [&oid[..], &der(0x0c, value.as_bytes())].concat();
        der(0x31, &der(0x30, &pair))
    };
    let names = [
        attribute(ORGANIZATION, "AdbKey-0"),
        attribute(COMMON_NAME, &hex(fingerprint)),
    ];
    der(0x30, &names.concat())
}

/// One DER value; everything here is shorter than the 128 bytes from which on lengths take more than one.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("a name of two short texts");
    debug_assert!(length < 0x80);
    [&[tag, length], content].concat()
}

fn key_of(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    PublicKey::from_spki(parsed.subject_public_key_info().as_ref())
        .map_err(|_| Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
}

fn distrusted<T>() -> Result<T, Error> {
    Err(Error::InvalidCertificate(
        CertificateError::ApplicationVerificationFailure,
    ))
}

/// A host's keys, by the names under which devices may know them.
#[derive(Debug)]
struct Identities(Vec<Identity>);

#[derive(Debug)]
struct Identity {
    name: Vec<u8>,
    certified: Arc<CertifiedKey>,
}

impl ResolvesClientCert for Identities {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let known = self
            .0
            .iter()
            .find(|identity| hints.contains(&identity.name.as_slice()));
        let chosen = known.or(self.0.first())?;
        Some(Arc::clone(&chosen.certified))
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The methods that a verifier of either role needs beside its own: signatures as rustls checks them, and none of TLS 1.2,
/// which is not spoken. The verifier keeps its `provider`.
macro_rules! tls13_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            distrusted()
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                cert,
                dss,
                &self.provider.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    };
}

/// A host's view of devices.
#[derive(Debug)]
struct Devices {
    trust: DeviceTrust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Devices {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = key_of(end_entity)?;
        match &self.trust {
            DeviceTrust::Known(known) if !known.contains(&key.fingerprint()) => distrusted(),
            DeviceTrust::Any | DeviceTrust::Known(_) => Ok(ServerCertVerified::assertion()),
        }
    }

    tls13_signatures!();
}

/// A device's view of hosts.
#[derive(Debug)]
struct Hosts {
    known: KnownKeys,
    hints: Vec<rustls::DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Hosts {
    fn root_hint_subjects(&self) -> &[rustls::DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.known.admit(&key_of(end_entity)?) {
            Ok(ClientCertVerified::assertion())
        } else {
            distrusted()
        }
    }

    tls13_signatures!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_is_named_as_android_names_it() {
        let name = authority(&[0xab; 32]);
        let common_name = [
            b"\x31\x49\x30\x47\x06\x03\x55\x04\x03\x0c\x40".as_slice(),
            &b"AB".repeat(32),
        ]
        .concat();
        let golden = [
            b"\x30\x5e\x31\x11\x30\x0f\x06\x03\x55\x04\x0a\x0c\x08AdbKey-0".as_slice(),
            &common_name,
        ];
        assert_eq!(name, golden.concat());
    }
}
