//! What the README shows of documents in the shell is what happens.

use crate::support::{Sandbox, stderr, stdout};

const README: &str = include_str!("../../../../README.md");

#[test]
fn documents_in_the_shell_are_as_the_readme_shows_them() {
    let mut blocks = README.split("```sh\n").filter_map(|block| block.split("```").next());
    let block = blocks.find(|block| block.contains("lockstore doc")).unwrap();
    let (answers, commands): (Vec<_>, Vec<_>) = block.lines().partition(|l| l.starts_with("# "));
    assert!(commands.len() >= 5 && answers.len() >= 5, "{block}");
    let script = format!("set -e\nlockstore() {{ $LOCKSTORE \"$@\"; }}\n{}", commands.join("\n"));
    let output = Sandbox::new().shell(&script);
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
    let printed: Vec<_> = stdout(&output).lines().map(|line| format!("# {line}")).collect();
    assert_eq!(printed, answers);
}
