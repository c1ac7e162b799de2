//! A socket between clients and the server, which kills the server when it has answered a certain request, and keeps the answer to
//! itself: so the server ends between its commit and its reply.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use lockstore::Store;
use lockstore::bson::RawDocumentBuf;
use lockstore_server::{ConnectOptions, socket_path};
use tempfile::TempDir;

use crate::crowd::kill_servers_of;

/// A file with a server, and the socket before that.
pub(crate) struct Between {
    folder: TempDir,
    passed: Arc<Passed>,
}

/// What the connections share.
struct Passed {
    /// The store that is served.
    file: PathBuf,
    /// The next request with all of these words is the one.
    words: Mutex<Option<Vec<&'static str>>>,
    /// All requests, as they were sent.
    requests: Mutex<Vec<Vec<u8>>>,
    starting: Mutex<()>,
}

impl Between {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("before")).unwrap();
        let file = folder.path().join("jobs.redb");
        let (words, requests, starting) = (Mutex::default(), Mutex::default(), Mutex::default());
        let passed = Arc::new(Passed { file, words, requests, starting });
        let between = Self { folder, passed };
        let listener = UnixListener::bind(socket_path(between.path()).unwrap()).unwrap();
        let passed = Arc::clone(&between.passed);
        thread::spawn(move || {
            for client in listener.incoming() {
                let passed = Arc::clone(&passed);
                // Who is hung up on connects again.
                thread::spawn(move || passed.hand_on(&client.unwrap()));
            }
        });
        between
    }

    /// A client of the socket between. It starts no server.
    pub(crate) fn client(&self) -> Store {
        ConnectOptions::new().program("/nowhere").connect(self.path()).unwrap()
    }

    /// A client of the server itself, which starts one where there is none.
    pub(crate) fn direct(&self) -> Store {
        options().connect(&self.passed.file).unwrap()
    }

    /// When the server has answered the next request that has all of `words` in it, it is killed.
    pub(crate) fn kill_behind(&self, words: &[&'static str]) {
        *self.passed.words.lock().unwrap() = Some(words.to_vec());
    }

    /// Whether there was such a request.
    pub(crate) fn has_killed(&self) -> bool {
        self.passed.words.lock().unwrap().is_none()
    }

    /// Kills the server now.
    pub(crate) fn kill(&self) {
        self.passed.kill();
    }

    /// The commands with all of `words` in them that have come by so far.
    pub(crate) fn commands(&self, words: &[&str]) -> Vec<RawDocumentBuf> {
        let requests = self.passed.requests.lock().unwrap();
        let found = requests.iter().filter(|request| has_all(request, words));
        // Behind the header, the flags and the kind of section stands the command.
        found.map(|request| RawDocumentBuf::from_bytes(request[21..].to_vec()).unwrap()).collect()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("before/jobs.redb")
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.passed.kill();
    }
}

impl Passed {
    fn hand_on(&self, client: &UnixStream) {
        let server = self.connect();
        let awaited = Mutex::new(HashSet::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = self.hand_replies_on(&server, client, &awaited);
                for stream in [client, &server] {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
            let _ = self.hand_requests_on(client, &server, &awaited);
            let _ = server.shutdown(Shutdown::Both);
        });
    }

    /// Connects to the server, which is started where there is none.
    fn connect(&self) -> UnixStream {
        let _one = self.starting.lock().unwrap();
        let socket = socket_path(&self.file).unwrap();
        UnixStream::connect(&socket).unwrap_or_else(|_| {
            let started = options().transport(&self.file).unwrap();
            let stream = UnixStream::connect(&socket).unwrap();
            drop(started);
            stream
        })
    }

    fn hand_requests_on(
        &self,
        mut client: &UnixStream,
        mut server: &UnixStream,
        awaited: &Mutex<HashSet<i32>>,
    ) -> io::Result<()> {
        loop {
            let request = message(&mut client)?;
            let mut words = self.words.lock().unwrap();
            if words.take_if(|words| has_all(&request, words)).is_some() {
                awaited.lock().unwrap().insert(number(&request[4..]));
            }
            drop(words);
            self.requests.lock().unwrap().push(request.clone());
            server.write_all(&request)?;
        }
    }

    fn hand_replies_on(
        &self,
        mut server: &UnixStream,
        mut client: &UnixStream,
        awaited: &Mutex<HashSet<i32>>,
    ) -> io::Result<()> {
        loop {
            let reply = message(&mut server)?;
            if awaited.lock().unwrap().contains(&number(&reply[8..])) {
                self.kill();
                return Ok(());
            }
            client.write_all(&reply)?;
        }
    }

    fn kill(&self) {
        kill_servers_of(&self.file);
    }
}

fn options() -> ConnectOptions {
    ConnectOptions::new().program(env!("CARGO_BIN_EXE_lockstore"))
}

fn has_all(request: &[u8], words: &[&str]) -> bool {
    words.iter().all(|word| request.windows(word.len()).any(|it| it == word.as_bytes()))
}

fn message(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message)?;
    message.resize(usize::try_from(number(&message)).unwrap(), 0);
    stream.read_exact(&mut message[4..])?;
    Ok(message)
}

fn number(bytes: &[u8]) -> i32 {
    i32::from_le_bytes(bytes[..4].try_into().unwrap())
}
