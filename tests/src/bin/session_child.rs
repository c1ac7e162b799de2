//! A client of a server that is killed or stopped: `session_child SOCKET INSTANCE [OPEN] [inherit]`.
//!
//! It says who it is, where `INSTANCE` is a number below 256, opens so many sessions, and prints the numbers of those that it was given back
//! and of those that it has opened, a line each. Then it does nothing, until it is killed or its standard input ends. With `inherit`, a
//! child of its own keeps its connection open, also when it is killed.

use std::io::{Read, stdin};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use bson::rawdoc;
use lockstore::presence::Process;
use lockstore_server::Client;
use lockstore_tests::presence::{hello, sessions_in};

fn main() {
    let mut args = std::env::args().skip(1);
    let socket = args.next().expect("the path of a socket");
    let instance = args.next().and_then(|text| text.parse().ok()).expect("a number below 256");
    let open: u32 = args.next().map_or(0, |text| text.parse().expect("how many sessions"));
    let mut client = Client::connect(socket).expect("somebody listens");
    let own = Process::current().expect("there is a /proc");
    let reply = client.run_command(&hello(instance, own)).expect("the server answers");
    for session in sessions_in(&reply).expect("it is believed") {
        println!("{session}");
    }
    for _ in 0..open {
        let command = rawdoc! { "lockSessionOpen": 1, "$db": "admin" };
        let reply = client.run_command(&command).expect("the server answers");
        println!("{}", reply.get_i64("session").expect("it is opened"));
    }
    let inherits = args.next().is_some();
    let heir = inherits.then(|| {
        let inherited = client.as_fd().try_clone_to_owned().expect("it can be had twice");
        let heir = Command::new("cat").stdin(inherited).stdout(Stdio::null()).spawn();
        heir.expect("there is a cat")
    });
    println!("ready");
    stdin().read_to_end(&mut Vec::new()).expect("its parent is there, or not");
    drop((client, heir));
}
