//! Tokens that begin higher: for who moves from one store to another.

use std::time::Duration;

use lockcore::{Instant, Limits, Table};
use lockstore::{ReserveTokensError, Store, StoreError, Token};
use lockstore_tests::deployment::{on_all_files, on_all_machines};
use lockstore_tests::machine::Machine;

fn token(number: u64) -> Token {
    Token::new(number).unwrap()
}

/// The token of a new grant.
fn granted(store: &Store) -> Token {
    let guard = store.lock("k").acquire().unwrap();
    let token = guard.token();
    guard.release().unwrap();
    token
}

#[test]
fn a_table_gives_no_token_below_those_that_are_reserved() {
    let mut table = Table::new(Limits::default(), 1, Instant::ZERO);
    table.reserve_tokens(token(70));
    assert_eq!(table.next_token(), token(70));
    table.reserve_tokens(token(7));
    assert_eq!(table.next_token(), token(70), "they never go back");
}

#[test]
fn grants_get_tokens_from_where_they_are_reserved_wherever_the_store_is() {
    on_all_files(|deployment| {
        let store = deployment.in_memory();
        assert_eq!(store.reserve_tokens(Token::FIRST).unwrap(), Token::FIRST);
        assert_eq!(granted(&store), Token::FIRST);
        assert_eq!(store.reserve_tokens(Token::FIRST).unwrap(), token(2), "its lock is free again");
        let high = token(1 << 60);
        assert_eq!(store.reserve_tokens(high).unwrap(), high);
        assert_eq!(granted(&store), high);
        assert_eq!(store.reserve_tokens(token(5)).unwrap(), high.next());
        deployment.assert_sound(&store);
    });
}

#[test]
fn reserved_tokens_survive_a_kill_a_loss_of_power_and_a_close() {
    let machine = Machine::new();
    let high = token(1 << 60);
    let store = machine.open();
    store.reserve_tokens(high).unwrap();
    let killed = machine.after_kill().open();
    assert!(killed.reserve_tokens(Token::FIRST).unwrap() >= high);
    assert!(granted(&killed) >= high);
    let without_power = machine.after_power_loss(store, Duration::ZERO).open();
    assert!(granted(&without_power) >= high);
}

#[test]
fn a_clean_close_leaves_out_no_token_behind_those_that_are_reserved() {
    let machine = Machine::new();
    let high = token(1 << 60);
    let store = machine.open();
    store.reserve_tokens(high).unwrap();
    store.close().unwrap();
    assert_eq!(granted(&machine.open()), high);
}

#[test]
fn what_a_store_cannot_count_to_is_refused() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let error = store.reserve_tokens(token(u64::MAX / 2)).unwrap_err();
        let ReserveTokensError::TooHigh { at_least, highest } = error else { panic!("{error}") };
        assert_eq!(at_least, token(u64::MAX / 2));
        assert_eq!(granted(&store), Token::FIRST, "nothing has changed");
        assert_eq!(store.reserve_tokens(highest).unwrap(), highest);
        store.close().unwrap();
        assert_eq!(granted(&machine.open()), highest);
    });
}

#[test]
fn a_store_has_its_id_wherever_it_is_asked_and_a_closed_one_answers_nothing() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let id = store.id().unwrap();
        assert_ne!(Machine::on(deployment).open().id().unwrap(), id);
        store.clone().close().unwrap();
        assert!(matches!(store.id(), Err(StoreError::Closed)));
        let reserved = store.reserve_tokens(Token::FIRST);
        assert!(matches!(reserved, Err(ReserveTokensError::Store(StoreError::Closed))));
        assert_eq!(machine.open().id().unwrap(), id);
    });
}
