use super::*;

use crate::conformance::extended;
use crate::conformance::value::show;

/// A server with a cursor that gives two documents at a time.
struct Slow {
    documents: i32,
    asked: Vec<String>,
}

impl Server for Slow {
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        self.asked.push(show(RawBsonRef::Document(command)));
        let is_first = command.get("getMore").is_ok_and(|id| id.is_none());
        let batch: Vec<_> = (0..self.documents.min(2)).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
        self.documents -= i32::try_from(batch.len()).unwrap();
        let (id, name) =
            (i32::from(self.documents > 0), if is_first { "firstBatch" } else { "nextBatch" });
        reply(&format!(
            r#"{{"cursor":{{"id":{{"$numberLong":"{id}"}},"ns":"test.a.b","{name}":[{}]}},"ok":1}}"#,
            batch.join(",")
        ))
    }
}

fn reply(text: &str) -> RawDocumentBuf {
    extended::document(&serde_json::from_str(text).unwrap()).unwrap()
}

#[test]
fn a_cursor_is_followed_to_its_end() {
    for documents in 0..7 {
        let mut server = Slow { documents, asked: Vec::new() };
        let whole = server.run_to_the_end(&reply(r#"{"find":"a.b"}"#));
        let cursor = whole.get_document("cursor").unwrap();
        let batch = cursor.get_array("firstBatch").unwrap();
        assert_eq!(batch.into_iter().count(), usize::try_from(documents).unwrap());
        assert!(cursor.get("nextBatch").unwrap().is_none());
        assert_eq!(whole.get_i32("ok").unwrap(), 1);
        let mores = server.asked.iter().skip(1);
        for more in mores {
            assert_eq!(more, r#"{"getMore":{"$numberLong":"1"},"collection":"a.b"}"#);
        }
    }
}

#[test]
fn a_cursor_that_fails_later_fails_the_command() {
    struct Failing;
    impl Server for Failing {
        fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
            match command.get_i64("getMore") {
                Ok(_) => reply(r#"{"ok":0,"code":43}"#),
                Err(_) => reply(
                    r#"{"cursor":{"firstBatch":[],"id":{"$numberLong":"7"},"ns":"test.c"},"ok":1}"#,
                ),
            }
        }
    }
    assert_eq!(Failing.run_to_the_end(&reply(r#"{"find":"c"}"#)), reply(r#"{"ok":0,"code":43}"#));
}
