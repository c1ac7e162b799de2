//! Who has a file locked, to name it in an error.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

/// The process that locked `file`, as far as `/proc/locks` tells. The answer is for people: it may
/// be out of date by the time they read it.
pub(super) fn pid_of_locker(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    // The kernel lists the locks piece by piece, and skips some when others are released meanwhile.
    (0..READS_MAX).find_map(|_| {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        pid_in(&locks, metadata.dev(), metadata.ino())
    })
}

/// The name of the program that a process runs, of which the kernel keeps 15 bytes.
pub(super) fn program_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Looks for a lock of the inode, by preference one on the same device: some file systems (btrfs,
/// overlays) have one device number for `stat` and another for `/proc/locks`.
fn pid_in(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let device = (major(device), minor(device));
    let of_inode = || locks.lines().filter_map(parse).filter(|lock| lock.inode == inode);
    of_inode().find(|lock| lock.device == device).or_else(|| of_inode().next()).map(|lock| lock.pid)
}

struct Lock {
    pid: u32,
    device: (u32, u32),
    inode: u64,
}

/// A line of `/proc/locks` such as `1: FLOCK  ADVISORY  WRITE 708 fd:01:28311556 0 EOF`. `None` for one
/// that names no process: waiters (`1: -> ...`), and locks of an open file (`OFDLCK`), whose process
/// reads -1. redb takes a lock of each of the kinds FLOCK and OFDLCK, so one line always has a process.
fn parse(line: &str) -> Option<Lock> {
    let mut words = line.split_whitespace().skip(4);
    let pid = words.next()?.parse().ok()?;
    let mut place = words.next()?.splitn(3, ':');
    let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
    let device = (hex()?, hex()?);
    let inode = place.next()?.parse().ok()?;
    Some(Lock { pid, device, inode })
}

const READS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::makedev;

    const LOCKS: &str = "\
1: OFDLCK ADVISORY  WRITE -1 fd:01:42 4611686018427388928 EOF
1: -> FLOCK  ADVISORY  WRITE 6 fd:01:42 0 EOF
2: FLOCK  ADVISORY  WRITE 5 00:2a:42 0 EOF
3: FLOCK  ADVISORY  WRITE 7 fd:01:42 0 EOF
4: POSIX  ADVISORY  READ 8 fd:01:43 128 128
5: LEASE  ACTIVE    BREAKING
nonsense
";

    #[test]
    fn the_locker_is_found_by_device_and_inode() {
        assert_eq!(pid_in(LOCKS, makedev(0xfd, 1), 42), Some(7));
        assert_eq!(pid_in(LOCKS, makedev(0xfd, 1), 43), Some(8));
        assert_eq!(pid_in(LOCKS, makedev(0xfd, 1), 44), None);
    }

    #[test]
    fn the_inode_is_enough_where_the_device_has_two_numbers() {
        assert_eq!(pid_in(LOCKS, makedev(0x31, 0), 43), Some(8));
    }
}
