//! A folder with a store in it, and the program that is run there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use lockstore::{OpenError, Store, StoreOptions};
use lockstore_server::{ConnectOptions, Server, ServerOptions};
use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for each test. The store in it is made by the first command that makes one.
pub(crate) struct Sandbox {
    folder: TempDir,
    /// Where the store is instead.
    address: Option<String>,
}

/// A program that runs, and is killed when the test fails.
pub(crate) struct Running {
    child: Child,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), address: None }
    }

    /// A sandbox whose store is a replica set.
    pub(crate) fn with_address(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..Self::new() }
    }

    /// A sandbox with an empty store.
    pub(crate) fn with_store() -> Self {
        let sandbox = Self::new();
        sandbox.open().close().unwrap();
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("locks.redb")
    }

    /// Opens the store in this process, as any other program might. A server that nobody needs any more ends before.
    pub(crate) fn open(&self) -> Store {
        let options = StoreOptions::new().restart_grace(Duration::ZERO);
        let mut opened = None;
        wait_until("the file is free", || match options.clone().open(self.store()) {
            Err(OpenError::Locked { .. }) => false,
            result => {
                opened = Some(result.unwrap());
                true
            }
        });
        opened.unwrap()
    }

    /// Works with the store by its server, as any other program might.
    pub(crate) fn connect(&self) -> Store {
        Self::options().connect(self.store()).unwrap()
    }

    fn options() -> ConnectOptions {
        let options = ConnectOptions::new().program(PROGRAM).idle_exit(Duration::from_secs(1));
        options.start_timeout(PATIENCE)
    }

    /// Serves the store in this process. The sessions of clients that live go on for ever without them.
    pub(crate) fn serve(&self) -> Server {
        let options = StoreOptions::new().session_grace(Duration::from_secs(1 << 30));
        let store = options.open(self.store()).unwrap();
        Server::start(store, self.store(), ServerOptions::new()).unwrap()
    }

    /// The process that has the store's file.
    pub(crate) fn server(&self) -> rustix::process::Pid {
        let pid = Self::options().transport(self.store()).unwrap().server_pid();
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
    }

    /// The program, with nothing of the tests' environment that matters to it.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        self.command_under(&[], arguments)
    }

    /// The program, started by another one that puts itself aside.
    pub(crate) fn command_under(
        &self,
        before: &[&str],
        arguments: &[impl AsRef<OsStr>],
    ) -> Command {
        let mut words: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
        words.push(OsStr::new(PROGRAM));
        words.extend(arguments.iter().map(AsRef::as_ref));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        self.prepare(&mut command);
        command
    }

    /// A shell script, which finds the program as `$LOCKSTORE`.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        self.prepare(&mut command);
        command.output().unwrap()
    }

    fn prepare(&self, command: &mut Command) {
        let store = self.address.as_ref().map_or_else(|| self.store().into(), OsString::from);
        command
            .current_dir(self.folder.path())
            .env("LOCKSTORE_PATH", store)
            .env("LOCKSTORE", PROGRAM)
            .env_remove("LOCKSTORE_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    pub(crate) fn output(&self, arguments: &[impl AsRef<OsStr>]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the program, which must succeed in silence; answers what it printed.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[impl AsRef<OsStr>]) -> String {
        let output = self.output(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[impl AsRef<OsStr>]) -> Value {
        serde_json::from_str(&self.ok(arguments)).unwrap()
    }

    /// Runs the program, which must exit with `code`, print nothing, and say what is wrong in one line;
    /// answers that.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, arguments: &[impl AsRef<OsStr>]) -> String {
        let output = self.output(arguments);
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &*stdout), (Some(code), ""), "{stderr}");
        let sentence = stderr.strip_prefix("lockstore: ").unwrap_or_else(|| panic!("{stderr:?}"));
        assert_eq!(sentence.matches('\n').count(), 1, "{sentence}");
        assert!(sentence.ends_with('\n') && !sentence.contains("panicked"), "{sentence}");
        sentence.trim_end().to_owned()
    }

    /// As [`Sandbox::fails`], and what it says must contain each of `words`.
    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, arguments: &[impl AsRef<OsStr>], words: &[&str]) {
        let sentence = self.fails(code, arguments);
        for word in words {
            assert!(sentence.contains(word), "{word:?} in {sentence:?}");
        }
    }

    /// Starts the program.
    pub(crate) fn start(&self, arguments: &[impl AsRef<OsStr>]) -> Running {
        Running::start(&mut self.command(arguments))
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self { child: command.stdin(Stdio::piped()).spawn().unwrap() }
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until it has printed `line`.
    #[track_caller]
    pub(crate) fn printed(&mut self, line: &str) {
        // Unbuffered: what comes behind the line is for whoever reads next.
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut read = Vec::new();
        while !read.ends_with(format!("{line}\n").as_bytes()) {
            let mut byte = [0];
            let n = stdout.read(&mut byte).unwrap();
            assert_eq!(n, 1, "it ended with {:?}", String::from_utf8_lossy(&read));
            read.push(byte[0]);
        }
    }

    /// Waits until a line of its log contains `text`.
    #[track_caller]
    pub(crate) fn logged(&mut self, text: &str) {
        let mut stderr = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended");
        }
        // Whatever it says from now on must find a reader.
        thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    }

    /// Waits until it has printed something, and reads one byte of it.
    #[track_caller]
    pub(crate) fn printed_some(&mut self) {
        self.child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    }

    /// Writes to its stdin, which stays open.
    pub(crate) fn type_in(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Its stdin, for somebody else to write to.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Lets what it runs, which reads a line, go on.
    pub(crate) fn go_on(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Output {
        drop(self.child.stdin.take());
        let read = |pipe: Option<Box<dyn Read>>| {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                pipe.read_to_end(&mut bytes).unwrap();
            }
            bytes
        };
        let stdout = self.child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        let stderr = self.child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read>);
        let (stdout, stderr) = (read(stdout), read(stderr));
        Output { status: self.child.wait().unwrap(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `is_so`, which is to come, and gives up after far longer than that takes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never came that {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What stderr of `output` says.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What stdout of `output` says.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lockstore");

/// However the tests were started, the program is to find signals as a login shell would have them.
pub(crate) const DEFAULT_SIGNALS: [&str; 2] = ["env", "--default-signal"];
