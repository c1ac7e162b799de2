//! A correct lock store under random clients, in simulated time, which can be told to go wrong.

use std::time::Duration;

use lockstore::{Holder, Instant, Key, Mode, Token};

use crate::history::{Call, History, Moment, Operation, Outcome, Wait};
use crate::rng::Rng;

/// Nanoseconds of the store's clock between two moments of the order.
pub(super) const TICK: u64 = 1_000;

/// What goes wrong now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    GrantsWhatIsHeld,
    ReusesTheLastToken,
    LowersTheToken,
    ReadsNonsense,
    ReleasesForOthers,
    ExpiresEarly,
    LosesGrants,
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) operations: usize,
    pub(super) clients: usize,
    pub(super) keys: usize,
    /// Of 10,000 answers, so many never arrive.
    pub(super) crashes: u64,
    pub(super) bug: Option<Bug>,
}

pub(super) fn simulate(plan: &Plan) -> History {
    let mut world = World {
        rng: Rng::new(plan.seed),
        plan: plan.clone(),
        order: 1,
        next_token: 100,
        holds: vec![Vec::new(); plan.keys],
        clients: (0..plan.clients).map(|_| Client::default()).collect(),
        holders: 0,
        delayed: Vec::new(),
        operations: Vec::new(),
    };
    for client in 0..plan.clients {
        world.new_holder(client);
    }
    while world.operations.len() < plan.operations || world.clients.iter().any(Client::is_busy) {
        world.step();
    }
    History::new(world.operations)
}

struct World {
    plan: Plan,
    rng: Rng,
    order: u64,
    next_token: u64,
    holds: Vec<Vec<Hold>>,
    clients: Vec<Client>,
    holders: u32,
    /// Operations whose client is gone, which may still happen.
    delayed: Vec<usize>,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
struct Hold {
    holder: Holder,
    token: Token,
    mode: Mode,
    ends: Option<Instant>,
}

#[derive(Default)]
struct Client {
    holder: Option<Holder>,
    asked: Option<usize>,
    answer: Option<Outcome>,
    /// Grants that it believes to hold.
    grants: Vec<(usize, Token)>,
}

impl Client {
    fn is_busy(&self) -> bool {
        self.asked.is_some()
    }
}

impl World {
    fn step(&mut self) {
        self.order += 1;
        if !self.delayed.is_empty() && self.rng.chance(1) {
            let index = self.rng.index_below(self.delayed.len());
            let number = self.delayed.swap_remove(index);
            self.happen(number);
        }
        self.expire();
        let client = self.rng.index_below(self.clients.len());
        match (self.clients[client].asked, &self.clients[client].answer) {
            (None, _) if self.operations.len() < self.plan.operations => self.ask(client),
            (None, _) => {}
            (Some(_), _) if self.rng.below(10_000) < self.plan.crashes => self.crash(client),
            (Some(number), None) => self.clients[client].answer = self.happen(number),
            (Some(number), Some(_)) => self.answer(client, number),
        }
    }

    fn now(&self) -> Moment {
        Moment { order: self.order, at: Instant::from_nanos(self.order * TICK) }
    }

    fn new_holder(&mut self, client: usize) {
        let name = format!("h{}", self.holders);
        self.holders += 1;
        self.clients[client].holder = Some(Holder::new(&name).unwrap());
    }

    fn ask(&mut self, client: usize) {
        let held = self.clients[client].grants.last().copied();
        let key = self.rng.index_below(self.plan.keys);
        let ttl = self.rng.chance(8).then(|| self.duration(200));
        let (key, call) = match (self.rng.below(16), held) {
            (0..6, Some((key, token))) => {
                let token = self.rng.chance(12).then_some(token);
                (key, Call::Release { token })
            }
            (6..8, Some((key, token))) => {
                let token = self.rng.chance(12).then_some(token);
                (key, Call::Renew { token, ttl })
            }
            (8, Some((key, token))) => (key, Call::Break { token }),
            (9, _) => (key, Call::IsLocked),
            (10, _) => (key, Call::IsHolder),
            (11, _) => (key, Call::Inspect),
            _ => {
                let mode = if self.rng.chance(5) { Mode::Shared } else { Mode::Exclusive };
                let wait =
                    if self.rng.chance(4) { Wait::No } else { Wait::For(self.duration(400)) };
                (key, Call::Acquire { mode, ttl, wait })
            }
        };
        let holder = self.clients[client].holder.clone().unwrap();
        self.clients[client].asked = Some(self.operations.len());
        self.record(client, key, holder, call);
    }

    fn record(&mut self, client: usize, key: usize, holder: Holder, call: Call) {
        self.operations.push(Operation {
            client: u32::try_from(client).unwrap(),
            key: Key::new(&format!("k{key}")).unwrap(),
            holder,
            call,
            invoked: self.now(),
            returned: None,
            outcome: Outcome::Unknown,
        });
    }

    fn duration(&mut self, ticks: u64) -> Duration {
        Duration::from_nanos((1 + self.rng.below(ticks)) * TICK)
    }

    fn answer(&mut self, client: usize, number: usize) {
        let answer = self.clients[client].answer.take().unwrap();
        let key = key_of(&self.operations[number]);
        let grants = &mut self.clients[client].grants;
        match (&answer, self.operations[number].call) {
            (Outcome::Granted { token, .. }, _) => {
                grants.retain(|grant| grant.1 != *token);
                grants.push((key, *token));
            }
            (Outcome::Released | Outcome::Broken | Outcome::NotHeld, _) => {
                grants.retain(|grant| grant.0 != key);
            }
            _ => {}
        }
        self.clients[client].asked = None;
        self.operations[number].returned = Some(self.now());
        self.operations[number].outcome = answer;
    }

    /// The client dies: its operation, and the end of its session, may happen later.
    fn crash(&mut self, client: usize) {
        let number = self.clients[client].asked.take().unwrap();
        let happened = self.clients[client].answer.take().is_some();
        if !happened && !matches!(self.operations[number].call, Call::Acquire { .. }) {
            self.delayed.push(number);
        }
        let holder = self.clients[client].holder.clone().unwrap();
        let mut keys: Vec<usize> =
            self.clients[client].grants.drain(..).map(|grant| grant.0).collect();
        keys.push(key_of(&self.operations[number]));
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.delayed.push(self.operations.len());
            self.record(client, key, holder.clone(), Call::Release { token: None });
        }
        self.new_holder(client);
    }

    /// Does what an operation asks for; none when it has to wait.
    fn happen(&mut self, number: usize) -> Option<Outcome> {
        let operation = self.operations[number].clone();
        let key = key_of(&operation);
        let now = self.now().at;
        let holder = &operation.holder;
        let own = |hold: &Hold, token: Option<Token>| {
            hold.holder == *holder && token.is_none_or(|token| token == hold.token)
        };
        Some(match operation.call {
            Call::Acquire { mode, ttl, wait } => {
                return self.acquire(key, holder, (mode, ttl, wait), operation.invoked.at);
            }
            Call::Release { token } => {
                let before = self.holds[key].len();
                self.holds[key].retain(|hold| !own(hold, token));
                if self.holds[key].len() < before || self.goes_wrong(Bug::ReleasesForOthers) {
                    Outcome::Released
                } else {
                    Outcome::NotHeld
                }
            }
            Call::Renew { token, ttl } => {
                match self.holds[key].iter_mut().find(|hold| own(hold, token)) {
                    Some(hold) => {
                        hold.ends = ttl.map(|ttl| now.saturating_add(ttl));
                        let valid_until = ttl.map(|ttl| operation.invoked.at.saturating_add(ttl));
                        Outcome::Renewed { valid_until }
                    }
                    None => Outcome::NotHeld,
                }
            }
            Call::Break { token } => {
                let before = self.holds[key].len();
                self.holds[key].retain(|hold| hold.token != token);
                if self.holds[key].len() < before { Outcome::Broken } else { Outcome::NotHeld }
            }
            Call::IsLocked => {
                let wrong = self.goes_wrong(Bug::ReadsNonsense);
                Outcome::Locked(self.holds[key].is_empty() == wrong)
            }
            Call::IsHolder => Outcome::Holding(self.holds[key].iter().any(|hold| own(hold, None))),
            Call::Inspect | Call::Watch => {
                let holds = self.holds[key].iter();
                Outcome::Holders(holds.map(|hold| (hold.holder.clone(), hold.token)).collect())
            }
        })
    }

    fn acquire(
        &mut self,
        key: usize,
        holder: &Holder,
        (mode, ttl, wait): (Mode, Option<Duration>, Wait),
        invoked: Instant,
    ) -> Option<Outcome> {
        let now = self.now().at;
        let ends = ttl.map(|ttl| now.saturating_add(ttl));
        let valid_until = ttl.map(|ttl| invoked.saturating_add(ttl));
        let wrong = self.goes_wrong(Bug::GrantsWhatIsHeld);
        if let Some(hold) = self.holds[key].iter_mut().find(|hold| hold.holder == *holder) {
            if hold.mode != mode {
                return Some(Outcome::Failed);
            }
            hold.ends = ends;
            return Some(Outcome::Granted { token: hold.token, valid_until });
        }
        let mut holds = self.holds[key].iter();
        let free = holds.all(|hold| hold.mode == Mode::Shared && mode == Mode::Shared);
        if free || wrong {
            let token = self.new_token();
            self.holds[key].push(Hold { holder: holder.clone(), token, mode, ends });
            return Some(Outcome::Granted { token, valid_until });
        }
        match wait {
            Wait::No => Some(Outcome::Refused),
            Wait::For(patience) => {
                (now >= invoked.saturating_add(patience)).then_some(Outcome::TimedOut)
            }
            Wait::Forever => None,
        }
    }

    fn new_token(&mut self) -> Token {
        self.next_token += 2;
        let number = if self.goes_wrong(Bug::ReusesTheLastToken) {
            self.next_token - 2
        } else if self.goes_wrong(Bug::LowersTheToken) {
            // Odd ones are otherwise not given.
            self.next_token - 41
        } else {
            self.next_token
        };
        Token::new(number).unwrap()
    }

    fn expire(&mut self) {
        let now = self.now().at;
        let key = self.rng.index_below(self.plan.keys);
        let early = if self.goes_wrong(Bug::ExpiresEarly) { 50 * TICK } else { 0 };
        let late = now.saturating_add(Duration::from_nanos(early));
        self.holds[key].retain(|hold| hold.ends.is_none_or(|ends| ends > late));
        if self.goes_wrong(Bug::LosesGrants) {
            self.holds[key].pop();
        }
    }

    fn goes_wrong(&mut self, bug: Bug) -> bool {
        // What is wrong now may have been right a moment ago, or is rarely asked for: so more often.
        let one_in =
            if matches!(bug, Bug::ReadsNonsense | Bug::ReleasesForOthers) { 5 } else { 100 };
        self.plan.bug == Some(bug) && self.rng.below(one_in) == 0
    }
}

fn key_of(operation: &Operation) -> usize {
    operation.key[1..].parse().unwrap()
}
