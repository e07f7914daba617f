//! Every message against the golden bytes in `vectors/`, which the TypeScript twins read too; and
//! proof that no bytes at all can make a decoder do anything but accept or refuse.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap, as tests may")]

use proptest::prelude::*;
use protocol::WireError;
use protocol::control::{self, KeyAction, System};
use protocol::input::{self, EdgeKind};
use protocol::stats;
use serde_json::{Value, json};

fn vectors(file: &str) -> Vec<Value> {
    let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn kind(error: WireError) -> &'static str {
    match error {
        WireError::Short => "short",
        WireError::Long => "long",
        WireError::UnknownType(_) => "unknown_type",
        WireError::TooMany(_) => "too_many",
        WireError::BadValue(_) => "bad_value",
        other => panic!("no vector names {other}"),
    }
}

/// Decodes, and gives the message as JSON and as bytes again.
type Codec = fn(&[u8]) -> Result<(Value, Vec<u8>), WireError>;

fn check(file: &str, to_gateway: Codec, to_viewer: Codec) {
    for vector in vectors(file) {
        let name = vector["name"].as_str().unwrap();
        let bytes = unhex(vector["hex"].as_str().unwrap());
        let codec = if vector["dir"] == "to_gateway" {
            to_gateway
        } else {
            to_viewer
        };
        match (codec(&bytes), vector.get("error")) {
            (Ok((message, again)), None) => {
                assert_eq!(message, vector["message"], "{file}: {name}");
                assert_eq!(again, bytes, "{file}: {name} encodes to the same bytes");
            }
            (Err(error), Some(expected)) => assert_eq!(kind(error), expected, "{file}: {name}"),
            (got, expected) => panic!("{file}: {name}: got {got:?}, expected error {expected:?}"),
        }
    }
}

#[test]
fn input_messages_match_their_golden_bytes() {
    check(
        "input",
        |bytes| {
            let message = input::Message::decode(bytes)?;
            let mut out = Vec::new();
            message.encode(&mut out);
            Ok((input_json(&message), out))
        },
        |bytes| {
            let ack = input::Ack::decode(bytes)?;
            let mut out = Vec::new();
            ack.encode(&mut out);
            let input::Ack {
                seq,
                edge,
                t_ms,
                held_us,
            } = ack;
            Ok((
                json!({"type": "ack", "seq": seq, "edge": edge, "t_ms": t_ms, "held_us": held_us}),
                out,
            ))
        },
    );
}

#[test]
fn control_messages_match_their_golden_bytes() {
    check(
        "control",
        |bytes| {
            let message = control::ToGateway::decode(bytes)?;
            let mut out = Vec::new();
            message.encode(&mut out);
            Ok((control_to_gateway_json(&message), out))
        },
        |bytes| {
            let message = control::ToViewer::decode(bytes)?;
            let mut out = Vec::new();
            message.encode(&mut out);
            Ok((control_to_viewer_json(message), out))
        },
    );
}

#[test]
fn stats_messages_match_their_golden_bytes() {
    check(
        "stats",
        |bytes| {
            let message = stats::ToGateway::decode(bytes)?;
            let mut out = Vec::new();
            message.encode(&mut out);
            let value = match message {
                stats::ToGateway::Ping { id, t0_us } => json!({"type": "ping", "id": id, "t0_us": t0_us}),
                stats::ToGateway::Subscribe { every_n } => json!({"type": "subscribe", "every_n": every_n}),
            };
            Ok((value, out))
        },
        |bytes| {
            let message = stats::ToViewer::decode(bytes)?;
            let mut out = Vec::new();
            message.encode(&mut out);
            Ok((stats_to_viewer_json(message), out))
        },
    );
}

fn input_json(message: &input::Message) -> Value {
    match message {
        input::Message::Wheel(wheel) => json!({
            "type": "wheel", "seq": wheel.seq, "t_ms": wheel.t_ms, "generation": wheel.generation.0,
            "x": wheel.x.0, "y": wheel.y.0, "total_h": wheel.total_h, "total_v": wheel.total_v,
        }),
        input::Message::Touch(touch) => json!({
            "type": "touch", "seq": touch.seq, "t_ms": touch.t_ms, "generation": touch.generation.0,
            "pointers": touch.pointers.iter().map(|pointer| json!({
                "id": pointer.id, "x": pointer.x.0, "y": pointer.y.0, "pressure": pointer.pressure,
                "moves": pointer.moves.iter().map(|step| json!({
                    "age_ms": step.age_ms, "x": step.x.0, "y": step.y.0,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "edges": touch.edges.iter().map(|edge| json!({
                "n": edge.n, "id": edge.id, "generation": edge.generation.0,
                "kind": match edge.kind { EdgeKind::Down => "down", EdgeKind::Up => "up" },
                "x": edge.x.0, "y": edge.y.0, "age_ms": edge.age_ms,
            })).collect::<Vec<_>>(),
        }),
    }
}

fn control_to_gateway_json(message: &control::ToGateway) -> Value {
    match message {
        control::ToGateway::Key(key) => json!({
            "type": "key", "keycode": key.keycode, "metastate": key.metastate, "repeat": key.repeat,
            "action": match key.action { KeyAction::Down => "down", KeyAction::Up => "up" },
        }),
        control::ToGateway::Text(text) => json!({"type": "text", "text": text}),
        control::ToGateway::System(system) => json!({"type": "system", "what": match system {
            System::Home => "home",
            System::Back => "back",
            System::Recents => "recents",
            System::Power => "power",
            System::VolumeUp => "volume_up",
            System::VolumeDown => "volume_down",
            System::Rotate => "rotate",
        }}),
        control::ToGateway::Bye(reason) => json!({"type": "bye", "reason": reason.as_str()}),
    }
}

fn control_to_viewer_json(message: control::ToViewer) -> Value {
    match message {
        control::ToViewer::Picture {
            generation,
            width,
            height,
        } => {
            json!({"type": "picture", "generation": generation.0, "width": width, "height": height})
        }
        control::ToViewer::Gate { open } => json!({"type": "gate", "open": open}),
        control::ToViewer::Bye(reason) => json!({"type": "bye", "reason": reason.as_str()}),
    }
}

fn stats_to_viewer_json(message: stats::ToViewer) -> Value {
    match message {
        stats::ToViewer::Picture {
            generation,
            width,
            height,
        } => {
            json!({"type": "picture", "generation": generation.0, "width": width, "height": height})
        }
        stats::ToViewer::Pong {
            id,
            t0_us,
            t1_us,
            t2_us,
        } => {
            json!({"type": "pong", "id": id, "t0_us": t0_us, "t1_us": t1_us, "t2_us": t2_us})
        }
        stats::ToViewer::FrameMeta(meta) => json!({
            "type": "frame_meta", "rtp": meta.rtp, "capture_us": meta.capture_us,
            "received_us": meta.received_us, "sent_us": meta.sent_us, "generation": meta.generation.0,
            "width": meta.width, "height": meta.height, "residence_us": meta.residence_us,
        }),
    }
}

proptest! {
    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        let mut out = Vec::new();
        if let Ok(message) = input::Message::decode(&bytes) {
            message.encode(&mut out);
            prop_assert_eq!(&out, &bytes);
        }
        out.clear();
        if let Ok(message) = control::ToGateway::decode(&bytes) {
            message.encode(&mut out);
            prop_assert_eq!(&out, &bytes);
        }
        out.clear();
        if let Ok(message) = stats::ToGateway::decode(&bytes) {
            message.encode(&mut out);
            prop_assert_eq!(&out, &bytes);
        }
    }
}

#[test]
fn text_above_the_limit_is_cut_between_characters() {
    let mut out = Vec::new();
    control::ToGateway::Text("好".repeat(101)).encode(&mut out);
    assert_eq!(
        control::ToGateway::decode(&out),
        Ok(control::ToGateway::Text("好".repeat(100)))
    );
    out.clear();
    control::ToGateway::Text(format!("a{}", "好".repeat(100))).encode(&mut out);
    assert_eq!(
        control::ToGateway::decode(&out),
        Ok(control::ToGateway::Text(format!("a{}", "好".repeat(99))))
    );
}
