//! A server of its own for each test, and the driver's client of it.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mongodb::bson::Document;
use mongodb::sync::{Client, Collection};
use tempfile::TempDir;

/// A `lockstore serve` that ends with this.
pub(crate) struct Served {
    folder: TempDir,
    server: Child,
    pub(crate) uri: String,
}

impl Served {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, uri) = serve(&folder);
        Self { folder, server, uri }
    }

    /// Kills the server, and starts the next on the same file.
    pub(crate) fn kill_and_start_anew(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        let (server, uri) = serve(&self.folder);
        assert_eq!(uri, self.uri);
        self.server = server;
    }

    /// A client by the address that the server has printed.
    pub(crate) fn client(&self) -> Client {
        Client::with_uri_str(&self.uri).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The signal that has it end cleanly, and its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let terminated = Command::new("kill").arg(self.server.id().to_string()).status().unwrap();
        assert!(terminated.success());
        self.server.wait().unwrap().code()
    }
}

/// A client of whoever listens at `socket`.
pub(crate) fn client_by(socket: &Path) -> Client {
    let socket = socket.to_str().unwrap().replace('/', "%2F");
    Client::with_uri_str(format!("mongodb://{socket}/?directConnection=true")).unwrap()
}

/// Starts a server, and gives the address that it prints when it serves.
fn serve(folder: &TempDir) -> (Child, String) {
    let program = env::var_os("LOCKSTORE").expect("LOCKSTORE names the program");
    let mut command = Command::new(program);
    command.args(["serve", "--store"]).arg(folder.path().join("jobs.redb"));
    let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut uri = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut uri).unwrap();
    let uri = uri.trim_end().to_owned();
    assert!(uri.starts_with("mongodb://%2F"), "{uri}");
    (server, uri)
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

pub(crate) fn jobs(client: &Client) -> Collection<Document> {
    client.database("factory").collection("jobs")
}
