//! Makes the rows about this control's links equal to its links.
//!
//! ```text
//!              link here       no link here
//!   row ours   as it is        taken away, and the devices are offline        both under the host's turn:
//!   no row     written, and    as it is                                       who is coming or going is left alone
//!              the next report is noted
//! ```
//!
//! `agents` writes a row when a link comes or goes. What is lost of that (the database was away, a task died, another
//! control took us for gone) is found here, a few seconds later. It does not know how links come about.

use protocol::HostId;
use signaling::link::server::Backend as _;

use crate::agents::Agents;
use crate::app::Shared;
use crate::domain::time::UnixMs;
use crate::store::StoreError;

/// Looks once.
pub(crate) async fn settle(app: &Shared) -> Result<(), StoreError> {
    for broken in app.hosts.broken() {
        // As a rule its own task is about to say so. Not here: another link of this host may be on its way.
        let shared = app.clone();
        app.jobs.spawn(async move { Agents(shared).down(&broken).await });
    }
    let noted = app.store.links_of(app.replica.id).await?;
    for host in app.hosts.here() {
        if !noted.contains(&host) {
            keep(app, host).await?;
        }
    }
    for host in noted {
        if !app.hosts.is_online(host) {
            lose(app, host).await?;
        }
    }
    app.store.unlinked_are_offline().await
}

/// Somebody took our row away, and its devices for out of reach.
async fn keep(app: &Shared, host: HostId) -> Result<(), StoreError> {
    let Some(_turn) = app.hosts.try_turn(host) else {
        return Ok(());
    };
    if !app.hosts.is_online(host) {
        return Ok(());
    }
    let (replica, now) = (app.replica.id, UnixMs::now());
    if app.store.keep_link(host, replica, app.authority, now).await? {
        tracing::warn!(host.id = %host, "a host's link was forgotten; it is noted again");
        // Whatever it said is said anew with its next report.
        app.hosts.forget_facts(host);
    }
    Ok(())
}

/// The link was lost, and could not be noted as lost.
async fn lose(app: &Shared, host: HostId) -> Result<(), StoreError> {
    let Some(_turn) = app.hosts.try_turn(host) else {
        return Ok(());
    };
    if !app.hosts.is_online(host) {
        tracing::warn!(host.id = %host, "a host that is not linked was still noted as linked");
        app.store.host_lost(host, app.replica.id).await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "linkage_tests.rs"]
mod tests;
