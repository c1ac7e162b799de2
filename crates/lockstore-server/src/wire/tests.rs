use bson::rawdoc;
use proptest::prelude::*;

use super::*;

fn read(mut bytes: &[u8]) -> io::Result<Result<Request, WireError>> {
    match Header::read(&mut bytes)? {
        Ok(header) => Ok(header.understand(header.read_body(&mut bytes)?)),
        Err(error) => Ok(Err(error)),
    }
}

fn message(flags: u32, sections: &[u8]) -> Vec<u8> {
    assemble(OP_MSG, 7, 0, &[&flags.to_le_bytes(), sections])
}

fn body(command: &bson::RawDocument) -> Vec<u8> {
    [&[0], command.as_bytes()].concat()
}

fn sequence(name: &str, documents: &[u8]) -> Vec<u8> {
    let length = i32::try_from(4 + name.len() + 1 + documents.len()).unwrap();
    [&[1], &length.to_le_bytes()[..], name.as_bytes(), &[0], documents].concat()
}

#[track_caller]
fn understood(bytes: &[u8]) -> Message {
    match read(bytes).unwrap().unwrap() {
        Request::Message(message) => message,
        Request::Query(query) => panic!("{query:?}"),
    }
}

#[track_caller]
fn refused(bytes: &[u8], expected: &str) {
    let error = read(bytes).unwrap().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_command_is_its_body_and_its_sequences() {
    let insert = rawdoc! { "insert": "jobs", "$db": "factory" };
    let documents = [rawdoc! { "_id": 1 }.into_bytes(), rawdoc! { "_id": 2 }.into_bytes()].concat();
    let sections = [sequence("documents", &documents), body(&insert)].concat();
    let message = understood(&message(0, &sections));
    let expected =
        rawdoc! { "insert": "jobs", "$db": "factory", "documents": [{ "_id": 1 }, { "_id": 2 }] };
    assert_eq!(message.command, expected);
    assert!(!message.more_to_come);
}

#[test]
fn a_client_says_that_it_waits_for_no_reply() {
    let ping = body(&rawdoc! { "ping": 1 });
    assert!(understood(&message(MORE_TO_COME, &ping)).more_to_come);
    assert!(
        !understood(&message(1 << 16, &ping)).more_to_come,
        "optional flags may be passed over"
    );
    refused(&message(1 << 5, &ping), "flags that must be understood");
}

#[test]
fn a_checksum_is_checked() {
    let mut bytes = message(1, &body(&rawdoc! { "ping": 1 }));
    let length = i32::try_from(bytes.len() + 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes);
    let mut good = bytes.clone();
    good.extend_from_slice(&checksum.to_le_bytes());
    assert_eq!(understood(&good).command, rawdoc! { "ping": 1 });
    let mut bad = bytes;
    bad.extend_from_slice(&(checksum ^ 1).to_le_bytes());
    refused(&bad, "the checksum of a message is");
}

#[test]
fn a_greeting_comes_in_the_old_way_too() {
    let hello = rawdoc! { "isMaster": 1 };
    let before = [&[0; 4], &b"admin.$cmd\0"[..], &[0, 0, 0, 0, 255, 255, 255, 255]].concat();
    let bytes = assemble(OP_QUERY, 7, 0, &[&before, hello.as_bytes()]);
    match read(&bytes).unwrap().unwrap() {
        Request::Query(query) => {
            assert_eq!((query.database.as_str(), query.command), ("admin", hello));
        }
        Request::Message(message) => panic!("{message:?}"),
    }
    let find = [&[0; 4], &b"factory.jobs\0"[..], &[0; 8]].concat();
    refused(&assemble(OP_QUERY, 7, 0, &[&find, rawdoc! {}.as_bytes()]), "not served any more");
}

#[test]
fn what_is_malformed_says_what_is_wrong() {
    let ping = body(&rawdoc! { "ping": 1 });
    refused(&assemble(1, 7, 0, &[]), "messages of the kind 1");
    refused(&15_i32.to_le_bytes().repeat(4), "15 bytes long");
    refused(&i32::MAX.to_le_bytes().repeat(4), "2147483647 bytes long");
    refused(&(-1_i32).to_le_bytes().repeat(4), "-1 bytes long");
    refused(&message(0, &[]), "no body");
    refused(&message(0, &ping[..ping.len() - 1]), "its body is no document");
    refused(&message(0, &[&ping[..], &ping[..]].concat()), "two bodies");
    refused(&message(0, &[2]), "unknown kind");
    refused(&message(0, &[1, 255, 255, 255, 255]), "longer or shorter");
    refused(&message(0, &[1, 3, 0, 0, 0]), "longer or shorter");
    refused(&assemble(OP_MSG, 7, 0, &[&[0, 0]]), "no flags");
}

#[test]
fn a_message_that_is_cut_off_is_none() {
    let whole = message(0, &body(&rawdoc! { "ping": 1 }));
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "after {length} bytes");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_understood_or_refused(op in prop_oneof![Just(OP_MSG), Just(OP_QUERY), any::<i32>()], bytes: Vec<u8>) {
        let _ = read(&assemble(op, 7, 0, &[&bytes]));
        let _ = read(&bytes);
    }

    #[test]
    fn any_sections_are_understood_or_refused(sections in prop::collection::vec((0..3_u8, any::<i8>(), any::<Vec<u8>>()), 0..4)) {
        let mut bytes = Vec::new();
        for (kind, lie, content) in sections {
            bytes.push(kind);
            let length = i32::try_from(content.len()).unwrap() + 4 + i32::from(lie / 64);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&content);
        }
        let _ = read(&message(0, &bytes));
    }
}

const MORE_TO_COME: u32 = 2;
