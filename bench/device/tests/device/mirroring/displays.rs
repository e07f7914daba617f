//! Virtual displays, as the client of the server that makes one meets them.

use device::android::App;
use scrcpy::control::{ControlMsg, TouchAction};
use scrcpy::demux::Event;
use scrcpy::options::{NewDisplay, ServerOptions};
use scrcpy::packet::Session;
use tokio::time::timeout;

use super::rig::*;

fn new_display(width: u16, height: u16) -> ServerOptions {
    ServerOptions {
        new_display: Some(NewDisplay {
            size: Some((width, height)),
            dpi: None,
        }),
        ..ServerOptions::default()
    }
}

/// Ends the server and waits until its displays are gone.
async fn close(rig: Rig) -> device::Android {
    let android = rig.android.clone();
    drop(rig);
    let gone = async {
        while android.displays().len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, gone).await.expect("a display stays");
    android
}

async fn until_front(android: &device::Android, app: App) {
    let shown = async {
        while android.foreground() != app.package() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, shown).await.expect("the app does not come");
}

#[tokio::test]
async fn a_new_display_is_mirrored_listed_and_touched_apart_from_the_main_one() {
    let mut rig = Rig::with("4.1", App::Still, new_display(640, 480)).await;
    assert_eq!(rig.video.session().await, (640, 480));
    let displays = rig.android.displays();
    assert_eq!(displays.len(), 2);
    let there = rig.android.on(displays[1].0);
    let lists = ServerOptions {
        list_displays: true,
        ..ServerOptions::default()
    };
    let mut listing = launch(&rig.userland, rig.version, &lists);
    let mut told = String::new();
    while let Some(device::scrcpy_server::Output::Stdout(line)) = listing.next().await {
        told += &line;
    }
    let (main, other) = (
        format!("--display-id=0    ({WIDTH}x{HEIGHT})"),
        format!("--display-id={}    (640x480)", displays[1].0),
    );
    assert!(told.contains(&main) && told.contains(&other), "{told}");

    rig.send(ControlMsg::StartApp(App::Paint.package().to_owned()))
        .await;
    until_front(&there, App::Paint).await;
    rig.touch_in(TouchAction::DOWN, 1, (600, 30), (640, 480)).await;
    rig.settled().await;
    let pointers = there.pointers();
    assert_eq!((pointers.len(), pointers[0].x, pointers[0].y), (1, 600, 30));
    assert_eq!(rig.android.pointers(), []);
    assert_eq!(rig.android.foreground(), App::Still.package());
    assert_eq!(rig.video.picture().await.size, (640, 480));
    let android = close(rig).await;
    assert_eq!(
        android.foreground(),
        App::Still.package(),
        "its content is destroyed"
    );
}

#[tokio::test]
async fn what_is_on_a_new_display_may_come_to_the_main_one_when_it_goes() {
    let options = ServerOptions {
        vd_destroy_content: false,
        ..new_display(320, 320)
    };
    let mut rig = Rig::with("3.3.4", App::Still, options).await;
    rig.video.frame().await;
    rig.send(ControlMsg::StartApp(format!("+{}", App::Motion.package())))
        .await;
    let there = rig.android.on(rig.android.displays()[1].0);
    until_front(&there, App::Motion).await;
    let android = close(rig).await;
    until_front(&android, App::Motion).await;
}

#[tokio::test]
async fn a_flexible_display_takes_the_last_size_and_says_whose_doing_it_is() {
    let options = ServerOptions {
        flex_display: true,
        new_display: Some(NewDisplay {
            size: None,
            dpi: None,
        }),
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    let is_session = |event: &Event| matches!(event, Event::Size(_));
    let first = rig.video.skip_to(is_session).await;
    let session = |width, height, client_resized| {
        Event::Size(Session {
            width,
            height,
            client_resized,
        })
    };
    assert_eq!(first, session(1_280, 960, false));
    for (width, height) in [(400, 300), (500, 400), (800, 600)] {
        rig.send(ControlMsg::ResizeDisplay { width, height }).await;
    }
    assert_eq!(rig.video.skip_to(is_session).await, session(800, 600, true));
    rig.send(ControlMsg::ResetVideo).await;
    assert_eq!(rig.video.skip_to(is_session).await, session(800, 600, false));
    assert_eq!(rig.android.displays().len(), 2, "it is the same display");
}

#[tokio::test]
async fn a_flexible_display_that_is_not_new_is_the_main_one_and_a_size_for_it_ends_the_server() {
    let options = ServerOptions {
        flex_display: true,
        ..ServerOptions::default()
    };
    let mut rig = Rig::with("4.1", App::Still, options).await;
    assert_eq!(rig.video.session().await, (WIDTH, HEIGHT));
    assert_eq!(rig.android.displays().len(), 1);
    rig.send(ControlMsg::ResizeDisplay {
        width: 400,
        height: 300,
    })
    .await;
    let (told, _) = rig.output().await;
    assert!(told.contains("[server] ERROR: "), "{told}");
}

#[tokio::test]
async fn a_display_that_is_not_there_ends_the_server_when_its_sockets_are_open() {
    for version in ["3.0", "4.1"] {
        let options = ServerOptions {
            display_id: 7,
            ..ServerOptions::default()
        };
        let mut rig = Rig::with(version, App::Still, options).await;
        assert!(matches!(rig.video.event().await, Event::DeviceName(_)));
        let (told, code) = rig.output().await;
        assert!(told.contains("Display 7 not found\nList of displays:"), "{told}");
        assert_eq!(code, 0);
    }
    // Without a tunnel: a server that went on would say another thing.
    let (told, code) = super::server::printed("2.7", &["display_id=7"]).await;
    assert!(told.contains("Display 7 not found") && code == 0, "{told}");
}

#[tokio::test]
async fn of_a_display_that_is_there_and_a_new_one_the_new_one_is_mirrored() {
    for version in ["3.0", "4.1"] {
        let options = ServerOptions {
            display_id: 7,
            ..new_display(320, 320)
        };
        let mut rig = Rig::with(version, App::Still, options).await;
        assert_eq!(rig.video.session().await, (320, 320));
        assert_eq!(rig.android.displays().len(), 2);
        close(rig).await;
    }
}

#[tokio::test]
async fn a_server_of_a_new_display_leaves_a_dark_screen_dark() {
    for (options, lit) in [(new_display(320, 320), false), (ServerOptions::default(), true)] {
        let userland = userland();
        userland.android.set_screen_on(false);
        let mut rig = Rig::on(userland, "4.1", App::Still, options).await;
        // It has read this after it has lit the screen, if it does.
        rig.settled().await;
        assert_eq!(rig.android.screen_on(), lit);
    }
}
