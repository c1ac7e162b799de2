//! A server for the tests of the runner.

use bson::raw::{RawDocument, RawDocumentBuf};

use super::{Area, Case, Server};

/// Answers `{"answer": {...}}` with the document in it, and panics of anything else.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    /// How often the database was emptied.
    pub(crate) cleared: usize,
}

impl Server for Echo {
    fn run(&mut self, command: &RawDocument) -> RawDocumentBuf {
        command.get_document("answer").expect("an answer to give").to_owned()
    }

    fn clear(&mut self) {
        self.cleared += 1;
    }
}

/// A case with these steps, each a command and the reply recorded for it.
pub(crate) fn case(id: &str, steps: &[(&str, &str)]) -> Case {
    let steps: Vec<_> = steps
        .iter()
        .map(|(command, reply)| format!(r#"{{"command":{command},"reply":{reply}}}"#))
        .collect();
    Case::parse(&format!(r#"{{"id":"{id}","steps":[{}]}}"#, steps.join(","))).expect("a case")
}

/// An area with a case of one step for each of these ids: those with `fail` in them fail.
pub(crate) fn area(name: &str, ids: &[&str]) -> Area {
    let case = |id: &&str| {
        let answered = if id.contains("fail") { 2 } else { 1 };
        case(id, &[(&format!(r#"{{"answer":{{"ok":1,"n":{answered}}}}}"#), r#"{"ok":1,"n":1}"#)])
    };
    Area { name: name.to_owned(), cases: ids.iter().map(case).collect() }
}
