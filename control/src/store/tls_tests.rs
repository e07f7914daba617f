//! TLS to PostgreSQL, against a real server with `ssl=on`: what an address may ask for, and what a wrong authority says.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpSocket;
use uuid::Uuid;

use crate::postgres_child::Postgres as Server;
use crate::store::{OpenError, Store};

/// An authority of this name: its certificate in PEM, and what signs.
fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// A server with a certificate for `localhost`.
struct Rig {
    _server: Server,
    port: u16,
    _held: TcpSocket,
    folder: TempDir,
}

impl Rig {
    fn new() -> Self {
        let (pem, issuer) = authority("own");
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        // The server cannot choose one by itself; bound and not listened on it stays free for the server alone.
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = held.local_addr().unwrap().port();
        let server = Server::start_with_tls(port, &certificate.pem(), &key.serialize_pem());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.pem"), pem).unwrap();
        std::fs::write(folder.path().join("other.pem"), authority("other").0).unwrap();
        Self {
            _server: server,
            port,
            _held: held,
            folder,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Opens the database at `host` with these parameters, and asks whether the connection is encrypted.
    async fn open(&self, host: &str, mode: &str, root: Option<&Path>) -> Result<bool, OpenError> {
        let mut address = format!("postgres://farglass@{host}:{}/postgres?sslmode={mode}", self.port);
        if let Some(root) = root {
            address += &format!("&sslrootcert={}", root.display());
        }
        let store = Store::open(
            address.parse().unwrap(),
            Uuid::nil(),
            crate::support::READ_TIMEOUT,
        )
        .await?;
        let own = "SELECT 1 AS one FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
        let encrypted = !store.rows(own).await.unwrap().is_empty();
        store.close().await;
        Ok(encrypted)
    }
}

#[tokio::test]
async fn an_address_that_asks_for_tls_gets_it_and_one_that_asks_for_none_does_not() {
    let rig = Rig::new();
    let own = rig.file("own.pem");
    assert!(rig.open("localhost", "require", None).await.unwrap());
    assert!(rig.open("localhost", "verify-ca", Some(&own)).await.unwrap());
    assert!(rig.open("localhost", "verify-full", Some(&own)).await.unwrap());
    assert!(!rig.open("localhost", "disable", None).await.unwrap());
}

#[tokio::test]
async fn a_server_of_another_authority_or_another_name_is_refused_and_the_reason_is_said() {
    let rig = Rig::new();
    let refused = |result: Result<bool, OpenError>| match result {
        Err(error @ OpenError::Unreachable(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let other = refused(
        rig.open("localhost", "verify-full", Some(&rig.file("other.pem")))
            .await,
    );
    assert!(
        other.contains("certificate") && other.contains("UnknownIssuer"),
        "{other}"
    );
    let name = refused(
        rig.open("127.0.0.1", "verify-full", Some(&rig.file("own.pem")))
            .await,
    );
    assert!(name.contains("not valid for name"), "{name}");
    let missing = refused(
        rig.open("localhost", "verify-full", Some(&rig.file("none.pem")))
            .await,
    );
    assert!(
        missing.contains("none.pem") || missing.contains("No such file"),
        "{missing}"
    );
}
