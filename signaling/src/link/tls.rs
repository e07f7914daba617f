//! Certificates of the agent link: control's own authority, and what each side trusts.
//!
//! ```text
//!            authority (10 years, kept by control)
//!             ├── control's certificate   SERVER_NAME, server only, made at start, ≤ 24 h
//!             └── a host's certificate    URI farglass://host/<id>, client only, ≤ 24 h
//! ```
//!
//! A host's id is read from the certificate that the handshake proved, from nowhere else. TLS 1.3
//! only; no early data; no session resumption, which would skip looking at the certificate again.
//! From a signing request only the key is taken: what a host may call itself is for control to say.
//!
//! It does not know which host may join or is retired; `Backend` in server.rs decides.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::HostId;
use protocol::agent::{ALPN_AGENT, ALPN_JOIN};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::HashedConnectionIdGenerator;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _, SanType,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::token::Fingerprint;
use super::transport;

/// How long a host's or control's certificate is good. It is renewed at half of it.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How far a certificate reaches into the past, for clocks that are behind.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// Signing requests longer than this are not read, bytes of PEM.
pub const CSR_BYTES_MAX: usize = 8 * 1024;
/// How long the authority itself is good.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Control's name inside its certificate; agents reach it by any address.
const SERVER_NAME: &str = "control.farglass.internal";
/// Before a host's id in its certificate.
const HOST_URI: &str = "farglass://host/";
/// Handshakes that wait to be accepted; beyond it QUIC refuses.
const INCOMING_MAX: usize = 256;

/// A certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The authority's files are damaged, or making a certificate failed.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The PEM text holds no such item.
    #[error("PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// TLS refuses the material.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificate is not one of ours.
    #[error("the certificate names no host of ours")]
    Foreign,
    /// The signing request is above [`CSR_BYTES_MAX`].
    #[error("the signing request is longer than {CSR_BYTES_MAX} bytes")]
    TooLong,
}

/// Control's certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

/// A host's signing request whose signature was checked.
pub struct SigningRequest {
    request: CertificateSigningRequestParams,
    /// Fingerprint of the key: who joins again with the same key is the same host.
    pub key: Fingerprint,
}

/// A certificate that was just made.
pub struct Issued {
    /// The certificate in PEM.
    pub pem: String,
    /// When it ends.
    pub not_after: SystemTime,
}

impl Authority {
    /// A new authority, and its key in PEM for the caller to keep secret.
    ///
    /// # Errors
    /// When there is no randomness or the time is out of X.509's range.
    pub fn create(now: SystemTime) -> Result<(Self, String), TlsError> {
        let key = KeyPair::generate()?;
        let mut params = named("Farglass control", now, AUTHORITY_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let key_pem = key.serialize_pem();
        Ok((Self::open(&certificate.pem(), &key_pem)?, key_pem))
    }

    /// The authority from its two files.
    ///
    /// # Errors
    /// When a file is damaged.
    pub fn open(certificate_pem: &str, key_pem: &str) -> Result<Self, TlsError> {
        let certificate = CertificateDer::from_pem_slice(certificate_pem.as_bytes())?;
        let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::from_pem(key_pem)?)?;
        Ok(Self {
            issuer,
            certificate,
            certificate_pem: certificate_pem.to_owned(),
        })
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What join tokens pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Reads a signing request from outside.
    ///
    /// # Errors
    /// When it is too long, damaged, or not signed by the key inside it.
    pub fn read_request(&self, csr_pem: &str) -> Result<SigningRequest, TlsError> {
        if csr_pem.len() > CSR_BYTES_MAX {
            return Err(TlsError::TooLong);
        }
        let request = CertificateSigningRequestParams::from_pem(csr_pem)?;
        let key = Fingerprint::of(&request.public_key.subject_public_key_info());
        Ok(SigningRequest { request, key })
    }

    /// Makes the certificate of a host.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, request: SigningRequest, host: HostId, now: SystemTime) -> Result<Issued, TlsError> {
        let mut params = named(&host.to_string(), now, CERTIFICATE_LIFETIME);
        params.subject_alt_names = vec![SanType::URI(format!("{HOST_URI}{host}").try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let public_key = request.request.public_key;
        let certificate = CertificateSigningRequestParams { params, public_key }.signed_by(&self.issuer)?;
        Ok(Issued {
            pem: certificate.pem(),
            not_after: now + CERTIFICATE_LIFETIME,
        })
    }

    /// Control's side of QUIC, with a certificate of its own made now.
    pub(crate) fn server_config(&self, now: SystemTime) -> Result<quinn::ServerConfig, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = named("control", now, CERTIFICATE_LIFETIME);
        params.subject_alt_names = vec![SanType::DnsName(SERVER_NAME.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots()?, provider())
            .allow_unauthenticated()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private_key(&key))?;
        config.alpn_protocols = vec![ALPN_AGENT.to_vec(), ALPN_JOIN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let crypto =
            QuicServerConfig::try_from(config).map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config
            .transport_config(transport::for_control())
            .max_incoming(INCOMING_MAX);
        Ok(config)
    }

    /// Reset and connection-id keys that stay the same over restarts, so that agents of a control
    /// that was killed are told at once. The authority's key is secret and stays; so are these.
    pub(crate) fn endpoint_config(&self) -> quinn::EndpointConfig {
        let seed = |label: &[u8]| -> [u8; 32] {
            Sha256::new()
                .chain_update(label)
                .chain_update(self.issuer.key().serialized_der())
                .finalize()
                .into()
        };
        let reset_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &seed(b"stateless reset"));
        let mut config = quinn::EndpointConfig::new(Arc::new(reset_key));
        let [a, b, c, d, e, f, g, h, ..] = seed(b"connection ids");
        let cid_key = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)));
        config
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        Ok(Arc::new(roots))
    }
}

/// The name that agents ask for in the handshake.
pub(crate) fn server_name() -> &'static str {
    SERVER_NAME
}

/// An agent's side of QUIC while it has only a join token.
pub(crate) fn join_config(authority: Fingerprint) -> Result<quinn::ClientConfig, TlsError> {
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedAuthority {
            authority,
            provider: provider(),
        }))
        .with_no_client_auth();
    client_config(config, ALPN_JOIN)
}

/// An agent's side of QUIC once it is enrolled.
pub(crate) fn agent_config(
    ca_pem: &str,
    cert_pem: &str,
    key_pem: &str,
) -> Result<quinn::ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let chain = vec![CertificateDer::from_pem_slice(cert_pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())?;
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    client_config(config, ALPN_AGENT)
}

fn client_config(mut config: rustls::ClientConfig, alpn: &[u8]) -> Result<quinn::ClientConfig, TlsError> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    let crypto =
        QuicClientConfig::try_from(config).map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport::for_agent());
    Ok(config)
}

/// What is written in a host's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCertificate {
    /// The host's id.
    pub host: HostId,
    /// Fingerprint of the host's key.
    pub key: Fingerprint,
    /// From when it is good.
    pub not_before: SystemTime,
    /// Until when it is good.
    pub not_after: SystemTime,
}

/// Reads a host's certificate. Proves nothing: the handshake or the file's owner does.
///
/// # Errors
/// When it is damaged or not one that [`Authority::sign`] makes.
pub fn read_host_certificate(der: &[u8]) -> Result<HostCertificate, TlsError> {
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(der).map_err(|_| TlsError::Foreign)?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| TlsError::Foreign)?;
    let names = names.ok_or(TlsError::Foreign)?;
    let host = names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(HOST_URI)?.parse().ok(),
        _ => None,
    });
    let instant = |seconds: i64| {
        let seconds = u64::try_from(seconds).map_err(|_| TlsError::Foreign)?;
        Ok::<_, TlsError>(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    };
    Ok(HostCertificate {
        host: host.ok_or(TlsError::Foreign)?,
        key: Fingerprint::of(certificate.public_key().raw),
        not_before: instant(certificate.validity().not_before.timestamp())?,
        not_after: instant(certificate.validity().not_after.timestamp())?,
    })
}

/// Trusts whatever chain ends in the one authority that the join token names.
#[derive(Debug)]
struct PinnedAuthority {
    authority: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedAuthority {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pinned = chain
            .iter()
            .find(|certificate| Fingerprint::of(certificate) == self.authority);
        let pinned = pinned.ok_or(rustls::CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn named(common_name: &str, now: SystemTime, lifetime: Duration) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = (now - CLOCK_TOLERANCE).into();
    params.not_after = (now + lifetime).into();
    params.use_authority_key_identifier_extension = true;
    params
}

fn private_key(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Entry point for fuzzing: any bytes as a certificate and as a signing request.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let _ = read_host_certificate(bytes);
    let _ = std::str::from_utf8(bytes).map(CertificateSigningRequestParams::from_pem);
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_certificate_says_the_host_that_control_chose_and_lasts_a_day() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let (authority, _) = Authority::create(now).unwrap();
        let host = HostId::from_uuid(Uuid::now_v7());
        let key = KeyPair::generate().unwrap();
        let mut wished = CertificateParams::default();
        wished.subject_alt_names = vec![SanType::URI(
            format!("{HOST_URI}{}", Uuid::nil()).try_into().unwrap(),
        )];
        let csr = wished.serialize_request(&key).unwrap().pem().unwrap();

        let request = authority.read_request(&csr).unwrap();
        let key_hash = request.key;
        let issued = authority.sign(request, host, now).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let read = read_host_certificate(&der).unwrap();

        assert_eq!(read.host, host);
        assert_eq!(read.key, key_hash);
        assert_eq!(read.not_after, now + CERTIFICATE_LIFETIME);
        assert_eq!(read.not_before, now - CLOCK_TOLERANCE);
    }

    #[test]
    fn a_damaged_signing_request_is_refused() {
        let (authority, _) = Authority::create(SystemTime::now()).unwrap();
        assert!(authority.read_request("").is_err());
        assert!(authority.read_request(&"x".repeat(CSR_BYTES_MAX + 1)).is_err());
        assert!(authority.read_request(authority.certificate_pem()).is_err());
    }

    #[test]
    fn the_authority_is_the_same_after_a_restart() {
        let (authority, key_pem) = Authority::create(SystemTime::now()).unwrap();
        let again = Authority::open(authority.certificate_pem(), &key_pem).unwrap();
        assert_eq!(again.fingerprint(), authority.fingerprint());
    }
}
