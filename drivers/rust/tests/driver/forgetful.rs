//! A socket before the server's that hands requests on, and now and then loses the reply.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where the driver connects to.
pub(crate) struct Forgetful {
    pub(crate) path: PathBuf,
    /// The reply to the next request with these words in it is lost.
    words: Arc<Mutex<Option<Vec<&'static str>>>>,
}

impl Forgetful {
    pub(crate) fn before(server: PathBuf, path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let words = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&words);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (server, words) = (server.clone(), Arc::clone(&shared));
                // It ends when either side hangs up.
                thread::spawn(move || hand_on(&mut client.unwrap(), &server, &words));
            }
        });
        Self { path, words }
    }

    /// The next request that has all of `words` in it gets no reply, but a connection that breaks.
    pub(crate) fn lose(&self, words: &[&'static str]) {
        *self.words.lock().unwrap() = Some(words.to_vec());
    }

    /// Whether a reply was lost since.
    pub(crate) fn has_lost(&self) -> bool {
        self.words.lock().unwrap().is_none()
    }
}

fn hand_on(
    client: &mut UnixStream,
    server: &Path,
    words: &Mutex<Option<Vec<&'static str>>>,
) -> io::Result<()> {
    let mut server = UnixStream::connect(server)?;
    loop {
        let request = message(client)?;
        server.write_all(&request)?;
        let reply = message(&mut server)?;
        let mut words = words.lock().unwrap();
        let has = |word: &&str| request.windows(word.len()).any(|it| it == word.as_bytes());
        if words.take_if(|words| words.iter().all(has)).is_some() {
            return Ok(());
        }
        client.write_all(&reply)?;
    }
}

fn message(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message)?;
    let length = u32::from_le_bytes(message[..4].try_into().unwrap());
    message.resize(length.try_into().unwrap(), 0);
    stream.read_exact(&mut message[4..])?;
    Ok(message)
}
