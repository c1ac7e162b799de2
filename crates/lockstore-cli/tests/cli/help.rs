//! `--help`, `--version` and completions.

use crate::support::Sandbox;

const COMMANDS: [&str; 17] = [
    "run",
    "acquire",
    "release",
    "renew",
    "wait",
    "ls",
    "show",
    "sessions",
    "break",
    "audit",
    "doc",
    "check",
    "stats",
    "backup",
    "compact",
    "migrate",
    "completions",
];

#[test]
fn every_command_has_help_with_examples() {
    let sandbox = Sandbox::new();
    let help = sandbox.ok(&["--help"]);
    for words in ["Examples:", "Exit codes:", "LOCKSTORE_PATH", "first come, first served"] {
        assert!(help.contains(words), "{words:?} in {help}");
    }
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
        let of_command = sandbox.ok(&[command, "--help"]);
        assert!(of_command.contains("Examples:\n"), "{of_command}");
        let (_, examples) = of_command.split_once("Examples:\n").unwrap();
        assert!(examples.contains(&format!("lockstore {command}")), "{examples}");
        let widest = examples.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "it is wrapped in a terminal of 80 columns: {examples}");
        assert_eq!(of_command, sandbox.ok(&["help", command]));
    }
    let run = sandbox.ok(&["run", "--help"]);
    for words in
        ["LOCKSTORE_TOKEN", "121", "122", "123", "First come, first served", "SIGKILL", "Ctrl-C"]
    {
        assert!(run.contains(words), "{words:?} in {run}");
    }
}

#[test]
fn every_command_about_documents_has_help_with_examples() {
    let sandbox = Sandbox::new();
    let help = sandbox.ok(&["doc", "--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let commands: Vec<_> = commands.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(commands.len(), 18, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let of_command = sandbox.ok(&["doc", command, "--help"]);
        let (_, examples) = of_command.split_once("Examples:\n").unwrap();
        assert!(
            examples.contains(&format!("lockstore doc {command} shop."))
                || command == "collections"
        );
        let widest = examples.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "it is wrapped in a terminal of 80 columns: {examples}");
        assert!(of_command.contains("Exit codes:"), "{of_command}");
    }
}

#[test]
fn the_version_is_told() {
    let version = format!("lockstore {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Sandbox::new().ok(&["--version"]), version);
}

#[test]
fn shells_get_completions() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.ok(&["completions", shell]);
        assert!(script.contains("lockstore") && script.len() > 1_000);
    }
    sandbox.fails_with(2, &["completions", "tcsh"], &["tcsh", "bash"]);
}
