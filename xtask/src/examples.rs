//! Runs every example of the workspace; each must end with exit code 0.

use crate::step::{Outcome, Step};

pub(crate) fn run_all() -> Outcome {
    // The whole workspace at once, so that dependencies are built as the tests will need them.
    let build = "build --workspace --examples --message-format json-render-diagnostics";
    let messages = Step::cargo("build of the examples", build).run_quietly()?;
    for program in messages.lines().filter_map(example) {
        let name = program.rsplit('/').next().unwrap_or(program);
        Step::new(format!("example {name}"), program).run()?;
    }
    Ok(())
}

/// The program named by one of cargo's messages, if it is about an example. The messages are JSON
/// in a fixed, compact form; a Linux path has nothing to unescape but quotes and backslashes,
/// which cargo's own target folders do not have.
fn example(message: &str) -> Option<&str> {
    message.contains(r#""kind":["example"]"#).then_some(())?;
    let (_, rest) = message.split_once(r#""executable":""#)?;
    let (program, _) = rest.split_once('"')?;
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_examples_that_were_linked_are_run() {
        let artifact = |kind: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"a"}},"executable":{executable},"fresh":true}}"#
            )
        };
        let linked = artifact("example", r#""/target/debug/examples/a""#);
        assert_eq!(example(&linked), Some("/target/debug/examples/a"));
        assert_eq!(example(&artifact("example", "null")), None, "a library as an example");
        assert_eq!(example(&artifact("bin", r#""/target/debug/a""#)), None);
        assert_eq!(example(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
