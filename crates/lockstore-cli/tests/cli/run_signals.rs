//! `lockstore run` and signals.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{DEFAULT_SIGNALS, PROGRAM, Running, Sandbox, stderr, stdout};

#[test]
fn signals_are_passed_on() {
    let sandbox = Sandbox::new();
    let signals = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::TERM, "TERM"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
    ];
    for (signal, name) in signals {
        let script = format!(
            "trap 'echo got {name}; exit 5' {name}; echo ready; while :; do sleep 0.02; done"
        );
        let run = ["run", "k", "--", "sh", "-c", &script];
        let mut run = Running::start(&mut sandbox.command_under(&DEFAULT_SIGNALS, &run));
        run.printed("ready");
        run.signal(signal);
        let output = run.ended();
        let told = (output.status.code(), stdout(&output), stderr(&output));
        assert_eq!(told, (Some(5), format!("got {name}\n"), String::new()));
    }
    assert_eq!(sandbox.ok(&["ls"]), "", "each of them released the lock");
}

#[test]
fn what_is_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--", "sh", "-c", "kill -HUP $$; kill -HUP $PPID; echo alive"];
    let nohup = ["env", "--default-signal", "--ignore-signal=HUP"];
    let output = sandbox.command_under(&nohup, &run).output().unwrap();
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(0), "alive\n"));
}

#[test]
fn a_signal_ends_the_waiting() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "somebody"]);
    for arguments in [&["run", "k", "--", "true"][..], &["acquire", "k"]] {
        let mut command = sandbox.command_under(&DEFAULT_SIGNALS, arguments);
        let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
        waiting.logged("waiting");
        waiting.signal(Signal::TERM);
        assert_eq!(waiting.ended().status.code(), Some(143));
    }
    sandbox.ok(&["release", "k", "--holder", "somebody"]);
    assert_eq!(sandbox.ok(&["ls"]), "", "and nothing is left of it");
}

#[test]
fn a_signal_ends_the_waiting_for_the_file_too() {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    for (arguments, logs) in
        [(&["run", "k", "--", "true"][..], "starting a server"), (&["acquire", "k"], "in use")]
    {
        let mut command = sandbox.command_under(&DEFAULT_SIGNALS, arguments);
        let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
        waiting.logged(logs);
        waiting.signal(Signal::TERM);
        assert_eq!(waiting.ended().status.code(), Some(143));
    }
    store.close().unwrap();
    assert_eq!(sandbox.ok(&["ls"]), "");
}

#[test]
fn wait_leaves_signals_alone() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "somebody"]);
    let mut command = sandbox.command_under(&DEFAULT_SIGNALS, &["wait", "k"]);
    let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("waiting");
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.ended().status.signal(), Some(15));
}

/// The terminal sends the signal of Ctrl-C to the program and to the command. The signal that comes after
/// it by way of the program shows that the first one was not passed on again.
#[test]
fn ctrl_c_reaches_the_command_once() {
    let sandbox = Sandbox::new();
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL, PROGRAM, "run", "k", "--", "python3", "-c", COUNTS_SIGNALS])
        .env("LOCKSTORE_PATH", sandbox.store())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(stdout(&output), "INT, USR1\n", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// Runs the program in a terminal of its own, presses Ctrl-C there, and then sends it SIGUSR1.
const TERMINAL: &str = r#"
import os, pty, signal, sys
pid, terminal = pty.fork()
if pid == 0:
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
def wait_for(text):
    global seen
    while text not in seen:
        try:
            seen += os.read(terminal, 1)
        except OSError:
            sys.exit(f"it ended with {seen!r}")
wait_for(b"ready")
os.write(terminal, b"\x03")
wait_for(b"got INT")
os.kill(pid, signal.SIGUSR1)
wait_for(b"all: ")
seen = b""
wait_for(b"\n")
print(seen.decode().strip())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Says which signals it got once it has got SIGUSR1.
const COUNTS_SIGNALS: &str = r#"
import signal, sys
got = []
def on_int(number, frame):
    got.append("INT")
    print("got INT", flush=True)
def on_usr1(number, frame):
    got.append("USR1")
    print("all: " + ", ".join(got), flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, on_int)
signal.signal(signal.SIGUSR1, on_usr1)
print("ready", flush=True)
while True:
    signal.pause()
"#;
