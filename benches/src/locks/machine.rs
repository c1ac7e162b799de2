//! The state machine alone: deciding and applying, with nothing made durable.

use lockcore::{
    Acquire, Command, Grant, Holder, Instant, Key, Lease, Limits, Mode, Outcome, Release, Table,
    Token, Ttl, Wait,
};

use super::Scale;
use crate::measure::{Series, nanos_per_call};
use crate::random::Random;
use crate::report::{Section, count, time};
use crate::{Result, bulk};

pub(super) fn run(scale: &Scale) -> Result<Section> {
    let ttl = Ttl::new(bulk::TTL)?;
    let mut random = Random::new();
    let mut table = Table::new(Limits::default(), 7, Instant::ZERO);
    for number in 0..scale.live {
        let start = Instant::from_millis(random.below(HOUR_MS));
        let token = Token::new(number as u64 + 1).expect("tokens begin at 1");
        let grant = Grant::new(holder(number)?, token, None, 0, Some(Lease::starting(start, ttl)));
        table.restore(&Key::new(&bulk::key(number))?, Mode::Exclusive, grant)?;
    }
    let acquisitions: Vec<_> = (scale.live..scale.live + CALLS)
        .map(|number| acquisition(number, ttl))
        .collect::<Result<_>>()?;

    let (mut acquire, mut release, mut pair) =
        (Series::default(), Series::default(), Series::default());
    for round in 0..scale.rounds * ROUNDS {
        let now = Instant::from_millis(round as u64);
        let mut tokens = Vec::with_capacity(CALLS);
        let acquired = nanos_per_call(CALLS, || {
            for acquire in &acquisitions {
                tokens.push(apply(&mut table, now, &Command::Acquire(acquire.clone())));
            }
        });
        let released = nanos_per_call(CALLS, || {
            for (Acquire { key, holder, .. }, &token) in acquisitions.iter().zip(&tokens) {
                let (key, holder) = (key.clone(), holder.clone());
                apply(&mut table, now, &Command::Release(Release { key, holder, token }));
            }
        });
        acquire.push(acquired);
        release.push(released);
        pair.push(acquired + released);
    }
    assert_eq!(table.locks_len(), scale.live, "all that was acquired was released");

    let mut section = Section::new(
        format!("machine: deciding and applying among {} live locks", count(scale.live)),
        &["command", "each"],
    );
    for (what, name, series) in [
        ("acquire", "acquire_ns", acquire),
        ("release", "release_ns", release),
        ("both", "pair_ns", pair),
    ] {
        section.row([what.into(), time(series.median())]);
        section.figure(format!("machine.{name}"), series.median());
    }
    Ok(section)
}

/// Decides and applies; gives the token of what was granted.
fn apply(table: &mut Table, now: Instant, command: &Command) -> Option<Token> {
    let transition = table.decide(now, command).expect("the lock is free, and then held");
    table.apply(&transition);
    match transition.outcome {
        Outcome::Granted(granted) => Some(granted.token),
        _ => None,
    }
}

fn acquisition(number: usize, ttl: Ttl) -> Result<Acquire> {
    Ok(Acquire {
        key: Key::new(&bulk::key(number))?,
        holder: holder(number)?,
        mode: Mode::Exclusive,
        ttl: Some(ttl),
        session: None,
        wait: Wait::No,
    })
}

fn holder(number: usize) -> Result<Holder> {
    Ok(Holder::new(&bulk::holder(number))?)
}

/// How many locks are acquired, and then released.
const CALLS: usize = 1_000;
/// This takes so little time that each round has many of its own.
const ROUNDS: usize = 20;
const HOUR_MS: u64 = 60 * 60 * 1_000;
