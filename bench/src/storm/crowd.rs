//! Those who act in numbers: a crowd that races for one device, and an admin who makes what is raced for.
//!
//! ```text
//!   crowd    32 at once for one device: through one link of one use, or each through one of its links
//!               left to answer  32 ── 31 ── … ── 1 ── 0          the storm kills in between (`Scene::race`)
//!   admin    new link, revoke, reset a device
//! ```
//!
//! What they are told goes where every word goes (`load.rs`). They do not know who is killed.

use super::dice::Dice;
use super::load::{Person, Scene};

/// Clients that race for one device at once.
pub(crate) const CROWD: usize = 32;
/// Links that are good at one time, for each device: enough to make people meet on one device.
const LINKS_EACH: usize = 3;

/// A crowd that races, again and again.
pub(crate) async fn crowd(scene: &Scene, mut people: Vec<Person>, mut dice: Dice) {
    loop {
        let pause = dice.ms(300, 1_200);
        tokio::time::sleep(pause).await;
        let _act = scene.gate.read().await;
        let device = dice.below(scene.devices.len());
        // Either all through one link that can be used once, or each through one of the device's links.
        let one_use = dice.percent(50);
        let links = if one_use {
            scene.make_link(device, Some(1), None).await.into_iter().collect()
        } else {
            scene
                .links()
                .into_iter()
                .filter(|link| link.device() == device)
                .collect::<Vec<_>>()
        };
        if links.is_empty() {
            continue;
        }
        scene.race.send_replace(people.len());
        let races = people.iter_mut().enumerate().map(async |(at, person)| {
            let link = links[at % links.len()].clone();
            person.launch(scene, link, None).await;
            scene.race.send_modify(|left| *left -= 1);
        });
        futures_util::future::join_all(races).await;
        // Whoever won keeps it for a moment and ends; the rest never had anything.
        for person in &mut people {
            person.let_go(scene).await;
        }
        if one_use && let Some(link) = links.first() {
            scene.revoke(link).await;
        }
    }
}

/// An admin who makes links and revokes them, and has quarantined devices cleaned.
pub(crate) async fn admin(scene: &Scene, mut dice: Dice) {
    loop {
        {
            let _act = scene.gate.read().await;
            for device in 0..scene.devices.len() {
                let of_device = scene
                    .links()
                    .into_iter()
                    .filter(|link| link.device() == device)
                    .count();
                if of_device < LINKS_EACH {
                    scene.make_link(device, None, None).await;
                }
            }
            if dice.percent(40)
                && let Some(link) = scene.link(&mut dice)
            {
                scene.revoke(&link).await;
            }
            if dice.percent(20) {
                let device = dice.below(scene.devices.len());
                scene.reset(&scene.devices[device]).await;
            }
        }
        tokio::time::sleep(dice.ms(100, 700)).await;
    }
}
