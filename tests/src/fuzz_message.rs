//! What the fuzz target `message` does: reads a message of a client, whatever it holds.

use arbitrary::{Arbitrary, Unstructured};
use lockstore_server::describe_message;

/// A message whose frame may be right, so that what is in it is looked at too.
#[derive(Arbitrary, Debug)]
struct Case<'a> {
    framed: bool,
    op: Op,
    flags: u8,
    sections: Vec<Section<'a>>,
    rest: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Op {
    Message,
    Query,
    Other(i32),
}

#[derive(Arbitrary, Debug)]
struct Section<'a> {
    kind: u8,
    /// By how much its length is wrong.
    lie: i8,
    content: &'a [u8],
}

/// Reads the message that `bytes` describe.
///
/// # Panics
///
/// When the answer differs from one time to the next.
pub fn read_message(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let message = if case.framed { framed(&case) } else { case.rest.to_vec() };
    assert_eq!(describe_message(&message), describe_message(&message), "one message, read twice");
}

fn framed(case: &Case<'_>) -> Vec<u8> {
    let mut body = match case.op {
        Op::Message | Op::Other(_) => u32::from(case.flags).to_le_bytes().to_vec(),
        Op::Query => b"\0\0\0\0admin.$cmd\0\0\0\0\0\x01\0\0\0".to_vec(),
    };
    for Section { kind, lie, content } in &case.sections {
        body.push(kind % 4);
        let length = i32::try_from(content.len()).unwrap_or(i32::MAX);
        // Most are right.
        let lie = if lie % 8 == 0 { i32::from(*lie) } else { 0 };
        body.extend_from_slice(&length.wrapping_add(4 + lie).to_le_bytes());
        body.extend_from_slice(content);
    }
    body.extend_from_slice(case.rest);
    let op = match case.op {
        Op::Message => 2013,
        Op::Query => 2004,
        Op::Other(op) => op,
    };
    let length = i32::try_from(body.len() + 16).unwrap_or(i32::MAX);
    let mut message: Vec<u8> =
        [length, 7, 0, op].iter().flat_map(|number| number.to_le_bytes()).collect();
    message.append(&mut body);
    message
}
