//! The layout of recordings: its bytes, what is cut off, what is refused, and what an older version has.

use crate::packet::Command;

use super::*;

fn head() -> Head {
    Head {
        text_kept: false,
        packets: true,
        started_us: 0x0102_0304_0506_0708,
        device: "pixel-1".to_owned(),
        server: "4.1".to_owned(),
    }
}

fn header() -> Header {
    Header {
        command: Command::Open,
        arg0: 7,
        arg1: 0x10_0000,
        length: 7,
        check: SUM_KEPT_BACK,
    }
}

fn all_kinds() -> Vec<Record> {
    let stream = StreamId(3);
    let whats = [
        What::Opened(stream, "shell,v2,raw:id".to_owned()),
        What::Sent(stream, Bytes::from_static(b"in")),
        What::Received(stream, Bytes::from_static(b"out")),
        What::Closed(stream),
        What::Carried(stream, Carrier(7)),
        What::Packet(Passed {
            direction: Direction::ToDevice,
            header: header(),
            said: Bytes::from_static(b"shell:\0"),
        }),
        What::Lost { records: 2, bytes: 9 },
        What::Ended(Why::Full),
    ];
    let record = |(at_us, what)| Record { at_us, what };
    (5..).zip(whats).map(record).collect()
}

fn file(records: &[Record]) -> Bytes {
    let mut out = BytesMut::new();
    encode_head(&head(), &mut out);
    for record in records {
        encode_record(record, &mut out);
    }
    out.freeze()
}

fn read(file: Bytes) -> Result<(Head, Vec<Record>), RecordingError> {
    let (head, records) = parse(file)?;
    Ok((head, records.collect::<Result<_, _>>()?))
}

#[test]
fn a_recording_has_exactly_these_bytes() {
    let written = file(&all_kinds()[3..6]);
    let golden: &[&[u8]] = &[
        b"FGLSWIRE\x02\x00\x02\x00\x08\x07\x06\x05\x04\x03\x02\x01\x07pixel-1\x034.1",
        b"\x04\x03\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x08\x03\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x07\x00\x00\x00",
        b"\x07\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x20\x00\x00\x00",
        b"\x01OPEN\x07\x00\x00\x00\x00\x00\x10\x00\x07\x00\x00\x00\xff\xff\xff\xff\xb0\xaf\xba\xb1shell:\x00",
    ];
    assert_eq!(written, golden.concat());
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(file(&all_kinds())), Ok((head(), all_kinds())));
}

#[test]
fn a_payload_that_is_too_long_becomes_several_records() {
    let bytes = Bytes::from(vec![7; PAYLOAD_MAX + 1]);
    let what = What::Received(StreamId(1), bytes.clone());
    let (_, records) = read(file(&[Record { at_us: 0, what }])).unwrap();
    let part = |at: usize| match &records[at].what {
        What::Received(_, bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(records.len(), 2);
    assert_eq!([part(0), part(1)].concat(), bytes);
}

#[test]
fn a_file_that_was_cut_off_counts_up_to_its_last_whole_record() {
    let whole = file(&all_kinds());
    let lengths: Vec<usize> = (0..=whole.len())
        .filter_map(|len| Some(read(whole.slice(..len)).ok()?.1.len()))
        .collect();
    assert_eq!(*lengths.last().unwrap(), all_kinds().len());
    assert!(lengths.is_sorted() && lengths[0] == 0, "{lengths:?}");
    assert_eq!(read(whole.slice(..20)), Err(RecordingError::Head));
}

#[test]
fn what_is_no_recording_is_refused_and_nothing_is_read_after_a_fault_or_the_end() {
    assert_eq!(
        read(Bytes::from_static(b"\0\0\0\x01\x67")),
        Err(RecordingError::Magic)
    );
    let mut other = BytesMut::from(&file(&[])[..]);
    other[8] = 9;
    assert_eq!(read(other.freeze()), Err(RecordingError::Version(9)));
    let fault = |kind: u8, len: u32| {
        let mut out = BytesMut::from(&file(&[])[..]);
        out.put_u8(kind);
        out.put_slice(&[0; 12]);
        out.put_u32_le(len);
        out.put_slice(&file(&all_kinds())[31..]);
        let records: Vec<_> = parse(out.freeze()).unwrap().1.collect();
        assert_eq!(records.len(), 1);
        records[0].clone().unwrap_err()
    };
    assert_eq!(fault(9, 0), RecordingError::Kind(9));
    let payload = |kind, len| RecordingError::Payload { kind, len };
    assert_eq!(fault(RECEIVED, u32::MAX), payload(RECEIVED, u32::MAX));
    assert_eq!(fault(CLOSED, 1), payload(CLOSED, 1));
    assert_eq!(fault(CARRIED, 5), payload(CARRIED, 5));
    for len in [PACKET_LEN - 1, PACKET_LEN + SAID_MAX + 1] {
        assert_eq!(fault(PACKET, len as u32), payload(PACKET, len as u32));
    }
    let mut after = all_kinds();
    after.extend(all_kinds());
    assert_eq!(read(file(&after)).unwrap().1.len(), all_kinds().len());
}

#[test]
fn a_packet_that_is_none_or_goes_nowhere_is_refused() {
    let packet = file(&all_kinds()[5..6]);
    let payload_at = packet.len() - 7 - PACKET_LEN;
    let spoilt = |at: usize| {
        let mut bytes = BytesMut::from(&packet[..]);
        bytes[payload_at + at] = 9;
        read(bytes.freeze()).unwrap_err()
    };
    assert_eq!(spoilt(0), RecordingError::Direction(9));
    assert!(matches!(
        spoilt(1),
        RecordingError::Packet(PacketError::Magic { .. })
    ));
}

#[test]
fn a_packet_says_no_more_than_its_record_may_hold() {
    let what = |len: usize| {
        What::Packet(Passed {
            direction: Direction::FromDevice,
            header: header(),
            said: vec![1; len].into(),
        })
    };
    let record = |len| Record {
        at_us: 0,
        what: what(len),
    };
    let (_, records) = read(file(&[record(SAID_MAX + 1)])).unwrap();
    assert_eq!(records, [record(SAID_MAX)]);
}

#[test]
fn a_recording_of_the_first_version_is_read_and_has_no_packets() {
    let of_the_first = |records: &[Record]| {
        let mut file = BytesMut::from(&file(records)[..]);
        file[8] = 1;
        file[10] = 0;
        file.freeze()
    };
    let (before, after) = (&all_kinds()[..4], &all_kinds()[6..]);
    let old = [before, after].concat();
    let (told, records) = read(of_the_first(&old)).unwrap();
    assert_eq!(records, old);
    assert!(!told.packets);
    for new in [4, 5] {
        let kind = [CARRIED, PACKET][new - 4];
        let read = read(of_the_first(&all_kinds()[new..=new]));
        assert_eq!(read, Err(RecordingError::Kind(kind)));
    }
}
