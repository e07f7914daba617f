//! The shapes of the link's messages in JSON, where a change would go unnoticed by the types: names of types, what
//! an older or newer version leaves out or adds.

use super::*;
use uuid::Uuid;

#[test]
fn a_request_names_its_type_and_carries_its_epoch() {
    let release = Request::Release(Release {
        lease: None,
        device: DeviceId::from_uuid(Uuid::nil()),
        epoch: Epoch(7),
        app: None,
        reset: Reset::WipeApp,
        reason: CloseReason::LinkRevoked,
    });
    let json = serde_json::to_value(&release).unwrap();
    assert_eq!(json["type"], "release");
    assert_eq!(json["epoch"], 7);
    assert_eq!(json["reason"], "link_revoked");
    assert_eq!(serde_json::from_value::<Request>(json).unwrap(), release);
}

#[test]
fn a_field_of_a_newer_version_is_ignored() {
    let text = r#"{"type":"report","devices":[],"mood":"fine"}"#;
    assert_eq!(
        serde_json::from_str::<FromAgent>(text).unwrap(),
        FromAgent::Report(Report {
            devices: vec![],
            touched: vec![]
        })
    );
}

#[test]
fn a_reply_keeps_its_type_inside_a_response() {
    let response = Response::Reply(Reply::Prepared {
        width: 720,
        height: 1280,
    });
    let json = serde_json::to_value(&response).unwrap();
    assert_eq!(json["reply"]["type"], "prepared");
    assert_eq!(serde_json::from_value::<Response>(json).unwrap(), response);
}

#[test]
fn a_closed_connection_says_why() {
    let json = serde_json::to_value(ConnectionState::Closed {
        reason: CloseReason::Replaced,
    })
    .unwrap();
    assert_eq!(json, serde_json::json!({"state": "closed", "reason": "replaced"}));
}

#[test]
fn a_report_of_an_older_agent_tells_of_no_touches_and_no_labels() {
    let fact = r#"{"id":"00000000-0000-0000-0000-000000000000","name":"","serial":"","model":"","width":0,
        "height":0,"health":"healthy","fence":0}"#;
    let text = format!(r#"{{"type":"report","devices":[{fact}]}}"#);
    let FromAgent::Report(report) = serde_json::from_str(&text).unwrap() else {
        panic!("a report")
    };
    assert_eq!(report.touched, []);
    assert!(report.devices[0].labels.is_empty());
}
