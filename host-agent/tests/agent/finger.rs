//! A finger of somebody who looks at a device: it lands on the same place of the screen, whatever size the encoder makes of
//! the picture. It does not know encoders, nor who else looks.

use std::time::{Duration, Instant};

use protocol::control::ToViewer;
use protocol::input::Message;
use protocol::{Channel, Fraction};

use crate::person::Person;
use crate::rig::PATIENCE;
use crate::show::Show;
use crate::viewer::Viewer;

/// A press that has not landed by then was void for its age, and never lands.
const PRESS_ANEW: Duration = Duration::from_secs(1);

/// A finger in the picture lands on the same place of the screen, whatever size the encoder makes of it. A press may be
/// void for its age on a slow machine; then it is pressed anew.
pub async fn touch(show: &Show, viewer: &mut Viewer, (width, height): (u16, u16)) {
    let mut generation = None;
    viewer
        .until("the picture is told", |peer| {
            let control = peer
                .messages
                .iter()
                .filter(|(_, channel, _)| *channel == Channel::Control);
            generation = control
                .filter_map(|(_, _, bytes)| match ToViewer::decode(bytes) {
                    Ok(ToViewer::Picture { generation, .. }) => Some(generation),
                    _ => None,
                })
                .next_back();
            generation.is_some() && peer.open.len() == Channel::ALL.len()
        })
        .await;
    let eye = show.rig.phone.host().await;
    let mut person = Person::new(Instant::now());
    person.generation = generation.unwrap();
    let (x, y) = (Fraction(16_384), Fraction(49_152));
    let deadline = Instant::now() + PATIENCE;
    let look = async |viewer: &Viewer, person: &mut Person| {
        let mut bytes = Vec::new();
        Message::Touch(person.packet(Instant::now())).encode(&mut bytes);
        viewer.say(Channel::Input, &bytes);
        let dump = eye.shell("dumpsys simulated").await.unwrap().stdout;
        let dump: serde_json::Value = serde_json::from_slice(&dump).unwrap();
        assert!(Instant::now() < deadline, "the touch is lost: {dump}");
        let fingers = dump["pointers"].as_array().unwrap().len();
        (fingers, dump)
    };
    let dump = 'lands: loop {
        person.press(0, x.0, y.0, Instant::now());
        let until = Instant::now() + PRESS_ANEW;
        while Instant::now() < until {
            let (fingers, dump) = look(viewer, &mut person).await;
            if fingers == 1 {
                break 'lands dump;
            }
        }
        person.lift(0, Instant::now());
    };
    let there = (&dump["pointers"][0]["x"], &dump["pointers"][0]["y"]);
    assert_eq!(
        (there.0.as_u64(), there.1.as_u64()),
        (Some(x.pixel(width).into()), Some(y.pixel(height).into()))
    );
    person.lift(0, Instant::now());
    let dump = loop {
        let (fingers, dump) = look(viewer, &mut person).await;
        if fingers == 0 {
            break dump;
        }
    };
    assert_eq!(dump["dropped"].as_array().map(Vec::len), Some(0), "{dump}");
}
