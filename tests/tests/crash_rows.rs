//! Rows that nobody wrote, with a checksum that is right: each number at its end.

use lockstore::OpenError;
use lockstore_tests::any_row::{AnyLease, AnyRow};
use lockstore_tests::open_bytes::open_rows;

/// A grant of `token` with `lease`.
fn grant(token: u64, lease: Option<AnyLease>) -> AnyRow<'static> {
    AnyRow::Grant { token, key: "k", holder: "h", mode: 0, session: None, lease }
}

/// A lease in which every time is `time`.
fn lease(ttl_ms: u64, time: u64, same_boot: bool) -> AnyLease {
    AnyLease {
        ttl_ms,
        wall_deadline_ms: time,
        same_boot,
        boot_deadline_ms: time,
        graced: false,
        written_wall_ms: time,
    }
}

#[track_caller]
fn refused(rows: &[AnyRow<'_>], named: &str) {
    let error = open_rows(rows).expect_err("no store of ours has written this");
    assert!(matches!(error, OpenError::Disk { .. }), "{error:?}");
    assert!(error.to_string().contains(named), "{error}");
}

#[test]
fn a_token_counter_at_its_end_is_refused() {
    refused(&[AnyRow::Token(u64::MAX)], "reserved_below");
    refused(&[AnyRow::Token(u64::MAX - 1)], "reserved_below");
    refused(&[AnyRow::Token(u64::MAX), grant(u64::MAX - 1, None)], "reserved_below");
}

#[test]
fn an_audit_number_at_its_end_is_refused() {
    let last = |number| AnyRow::Break { number, key: "k", holder: "h", token: 1, reason: "" };
    refused(&[last(u64::MAX)], "audit");
    refused(&[last(u64::MAX), last(1)], "audit");
    open_rows(&[last(0), last(u64::MAX / 2)]).expect("numbers like any other");
}

#[test]
fn a_wall_clock_mark_at_its_end_stops_nothing() {
    open_rows(&[AnyRow::Wall(u64::MAX)]).expect("a time like any other");
}

#[test]
fn leases_at_the_ends_of_time_are_leases() {
    for ttl_ms in [1, 3_650 * 24 * 60 * 60 * 1_000] {
        for time in [0, 1, u64::MAX / 1_000_000, u64::MAX / 1_000_000 + 1] {
            for same_boot in [false, true] {
                open_rows(&[grant(1, Some(lease(ttl_ms, time, same_boot)))]).unwrap_or_else(
                    |error| panic!("ttl {ttl_ms} ms, time {time}, same boot {same_boot}: {error}"),
                );
            }
        }
    }
}

#[test]
fn a_deadline_that_no_clock_comes_to_is_refused() {
    refused(&[grant(1, Some(lease(1, u64::MAX / 1_000_000 + 2, true)))], "boot_deadline_ms");
    refused(&[grant(1, Some(lease(1, u64::MAX, false)))], "boot_deadline_ms");
}

#[test]
fn grants_that_exclude_each_other_are_refused() {
    refused(&[grant(1, None), grant(2, None)], "row 2 of table grants");
}
