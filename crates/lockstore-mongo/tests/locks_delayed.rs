//! Writes that the network keeps, and delivers when nobody expects them any more.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, LockManager};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// A way to a member that can keep messages.
struct Network {
    port: u16,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What the next messages have to contain that are kept, and how many there are to be.
    wanted: Mutex<Option<(&'static str, usize)>>,
    messages: Mutex<Vec<Vec<u8>>>,
    member: Mutex<String>,
}

impl Network {
    fn to(member: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Kept::default());
        member.clone_into(&mut kept.member.lock().unwrap());
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), kept) = (client, Arc::clone(&shared)) else { return };
                thread::spawn(move || pass(client, &kept));
            }
        });
        Self { port, kept }
    }

    /// Keeps the next messages that have `text` in them. Whoever sends one sees its connection break.
    fn keep(&self, text: &'static str, messages: usize) {
        *self.kept.wanted.lock().unwrap() = Some((text, messages));
    }

    /// Delivers what was kept, and waits for the replies.
    fn deliver(&self) -> usize {
        let messages = std::mem::take(&mut *self.kept.messages.lock().unwrap());
        for message in &messages {
            let mut member = TcpStream::connect(&*self.kept.member.lock().unwrap()).unwrap();
            member.write_all(message).unwrap();
            read_message(&mut member).unwrap();
        }
        messages.len()
    }
}

impl Kept {
    fn takes(&self, message: &[u8]) -> bool {
        let mut wanted = self.wanted.lock().unwrap();
        let Some((text, left)) = &mut *wanted else { return false };
        let is_it = message.windows(text.len()).any(|window| window == text.as_bytes());
        if !is_it || *left == 0 {
            return false;
        }
        *left -= 1;
        self.messages.lock().unwrap().push(message.to_vec());
        true
    }
}

fn pass(mut client: TcpStream, kept: &Kept) {
    let mut member = TcpStream::connect(&*kept.member.lock().unwrap()).unwrap();
    let (mut back, mut to_client) = (member.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        // It ends when either side has gone.
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    while let Ok(message) = read_message(&mut client) {
        if kept.takes(&message) || member.write_all(&message).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = member.shutdown(Shutdown::Both);
}

fn read_message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
    message[..4].copy_from_slice(&length);
    from.read_exact(&mut message[4..])?;
    Ok(message)
}

#[test]
fn a_write_that_arrives_when_it_was_given_up_changes_nothing() {
    let (set, locks) = (ReplicaSet::shared(), new_database());
    let primary = set.primary().unwrap();
    let uri = set.uri();
    let members = uri.trim_start_matches("mongodb://").split('/').next().unwrap();
    let network = Network::to(members.split(',').nth(primary).unwrap());
    let address = format!("mongodb://127.0.0.1:{}/?directConnection=true", network.port);
    let connect = |address| ReplicaSetOptions::new().database(&locks).connect(address).unwrap();
    let (store, other) = (connect(&address), connect(&uri));

    network.keep("findAndModify", 1);
    let guard = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    guard.release().unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(!store.is_locked("k").unwrap(), "the first attempt was granted nothing");

    // The same where somebody else has the lock by the time that is found out.
    let held = other.lock("k").holder("b").acquire().unwrap();
    network.keep("findAndModify", 1);
    let refused = store.lock("k").holder("a").try_acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    held.release().unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(!store.is_locked("k").unwrap(), "nobody was granted it who has been refused");

    // The same of a release that names no grant.
    let before = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    before.leak();
    network.keep("released", 1);
    store.release_lock("k", "a").unwrap();
    assert!(!store.is_locked("k").unwrap());
    let later = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(store.is_locked("k").unwrap(), "the first attempt has released nothing");
    later.release().unwrap();
}

const PATIENCE: Duration = Duration::from_secs(30);
