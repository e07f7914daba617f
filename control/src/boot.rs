//! What happens before anybody is served: folder, authority, first admin, sockets, join token.
//!
//! ```text
//! DATA/control.db           the database
//! DATA/authority.pem, .key  our certificate authority; the key is worth as much as every host
//! DATA/admin.json           {"login","password"} of the first admin, mode 0600
//! ```
//!
//! `admin.json` is kept only so that whoever started control can show the password once; the database
//! has its argon2id hash and never reads the file again. Delete it when the password is noted.

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use signaling::disk;
use signaling::link::tls::Authority;
use signaling::link::token::{Fingerprint, JoinToken};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::domain::time::UnixMs;
use crate::replica::{Replica, Words};
use crate::routes::auth;
use crate::secret::{Hash, Seal, Secret};
use crate::store::Store;
use crate::store::audit::Actor;

/// Login of the first admin.
const FIRST_LOGIN: &str = "admin";
/// Tries to find a port that is free on TCP and UDP when any port will do.
const PORT_TRIES: u32 = 16;

/// Makes the data folder, for its owner only.
pub(crate) fn make_folder(folder: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the data folder {} cannot be made", folder.display()))
}

/// Opens the certificate authority, or makes it at the first start.
pub(crate) fn authority(folder: &Path, now: SystemTime) -> anyhow::Result<(Authority, Seal)> {
    let (certificate, key) = (folder.join("authority.pem"), folder.join("authority.key"));
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    match (read(&certificate)?, read(&key)?) {
        (Some(certificate_pem), Some(key_pem)) => {
            let authority = Authority::open(&certificate_pem, &key_pem)
                .with_context(|| format!("the certificate authority in {} is damaged", folder.display()))?;
            Ok((authority, Seal::of(&key_pem)))
        }
        // A certificate without its key is a first start that was cut short: it signed nothing.
        (_, None) => {
            let (authority, key_pem) = Authority::create(now)?;
            write_secret(&certificate, authority.certificate_pem())?;
            write_secret(&key, &key_pem)?;
            Ok((authority, Seal::of(&key_pem)))
        }
        (None, Some(_)) => bail!("{} is missing beside its key", certificate.display()),
    }
}

/// Takes this control's place among others on the same database. Agents know one authority, so all have the same.
pub(crate) async fn among_others(
    store: &Store,
    id: Uuid,
    authority: Fingerprint,
    now: UnixMs,
) -> anyhow::Result<(Replica, Words)> {
    store.replica_starts(id, authority, now).await?;
    if store.is_shared() && store.has_other_authority(authority).await? {
        store.replica_leaves(id).await?;
        bail!(
            "another control on this database has another certificate authority: copy its authority.pem and \
             authority.key into this one's data folder"
        );
    }
    Ok(Replica::new(id, store.is_shared()))
}

/// Makes the first admin with a random password.
pub(crate) async fn first_admin(store: &Store, folder: &Path, now: UnixMs) -> anyhow::Result<()> {
    if store.has_users().await? {
        return Ok(());
    }
    let password = Secret::generate()?;
    let hash =
        auth::hash(password.reveal()).map_err(|error| anyhow::anyhow!("hashing a password: {error}"))?;
    // The file first: a database with an admin whose password nobody knows could not be used.
    let file = folder.join("admin.json");
    let content = serde_json::json!({ "login": FIRST_LOGIN, "password": password.reveal() });
    write_secret(&file, &format!("{content}\n"))?;
    if !store.add_first_admin(FIRST_LOGIN, &hash, now).await? {
        // Another control on this database was faster: its file has the password.
        return fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()));
    }
    tracing::info!(file = %file.display(), "the first admin was made; its password is in this file");
    Ok(())
}

/// Writes a join token if no enrolled host can come back with the certificate that it has.
pub(crate) async fn join_token(
    store: &Store,
    authority: &Authority,
    file: &Path,
    now: UnixMs,
) -> anyhow::Result<()> {
    if store.has_enrolled_host(now).await? {
        return Ok(());
    }
    let token = JoinToken::generate(authority.fingerprint())?;
    store
        .add_join_token(Hash::of(token.secret()), &Actor::SYSTEM, now)
        .await?;
    write_secret(file, &format!("{}\n", token.reveal()))
}

/// Binds TCP for HTTP and UDP for the agents' link, with the same port number.
pub(crate) async fn bind(listen: SocketAddr) -> anyhow::Result<(TcpListener, UdpSocket)> {
    let mut tries = if listen.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| refused(listen, "TCP"))?;
        let address = listener.local_addr()?;
        tries -= 1;
        match UdpSocket::bind(address) {
            Ok(socket) => return Ok((listener, socket)),
            Err(error) if tries == 0 => return Err(error).with_context(|| refused(address, "UDP")),
            Err(_) => {}
        }
    }
}

fn refused(address: SocketAddr, kind: &str) -> String {
    format!("{kind} {address} cannot be used: another program may have it; choose another --listen address")
}

/// Writes a file for its owner only, whole or not at all.
fn write_secret(path: &Path, content: &str) -> anyhow::Result<()> {
    let written = match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => disk::replace(folder, name, content.as_bytes()),
        _ => Err(io::ErrorKind::IsADirectory.into()),
    };
    written.with_context(|| format!("{} cannot be written", path.display()))
}
