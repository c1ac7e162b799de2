//! The server is killed again and again while several processes work.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::crowd::Crowd;

/// 100 kills take a minute; where `LOCKSTORE_KILLS` names another number, it is that.
#[test]
fn a_server_that_is_killed_loses_nothing_and_does_nothing_twice() {
    let kills = std::env::var("LOCKSTORE_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let mut crowd = Crowd::start(4);
    for kill in 0..kills {
        crowd.wait_for_progress();
        // Moments that are spread over what a commit and a restart take.
        thread::sleep(Duration::from_micros(kill * 7_919 % 20_000));
        signal("KILL", crowd.server());
    }
    crowd.wait_for_progress();
    crowd.stop_and_check();
}

pub(crate) fn signal(name: &str, pid: u32) {
    let killed = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(killed.unwrap().success(), "there is a process {pid}");
}

/// Neither a server nor a client that is stopped (SIGSTOP) is dead, and nobody takes it for that.
#[test]
fn a_server_that_is_stopped_for_a_while_delays_everybody_and_loses_nothing() {
    let mut crowd = Crowd::start(3);
    for _ in 0..5 {
        crowd.wait_for_progress();
        let server = crowd.server();
        signal("STOP", server);
        thread::sleep(Duration::from_millis(300));
        signal("CONT", server);
    }
    for turn in 0..6 {
        crowd.wait_for_progress();
        let client = crowd.clients[turn % crowd.clients.len()].pid();
        signal("STOP", client);
        thread::sleep(Duration::from_millis(200));
        signal("CONT", client);
    }
    crowd.wait_for_progress();
    crowd.stop_and_check();
}
