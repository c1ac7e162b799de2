//! The steps of several calls of this process, taken together: one look and one write for all of them.

use std::time::Duration;

use lockcore::{Outcome, Refusal, Token};

use super::Locks;
use super::attempts::between;
use super::standing::Standing;
use super::step::{Stands, Step, Taken};
use super::turns::{Asked, Came, Place};
use crate::failure::Failure;

impl Locks {
    /// Takes a step of a call, together with those of others who are there.
    pub(super) async fn step(&self, key: &str, step: Step) -> Result<Taken, Failure> {
        self.step_from(&self.turns.stand(key), key, step).await
    }

    /// The same, of a call that stands in the line already.
    pub(super) async fn step_from(
        &self,
        place: &Place<'_>,
        key: &str,
        step: Step,
    ) -> Result<Taken, Failure> {
        let mut told = place.ask(step);
        let turn = match place.turn(&mut told).await {
            Came::Told(taken) => return *taken,
            Came::Turn(turn) => turn,
        };
        loop {
            if let Some(taken) = told.now() {
                return taken;
            }
            let mut asked = Vec::new();
            place.take(&mut asked);
            if asked.is_empty() {
                // Whoever has its turn is at it.
                drop(turn);
                return told.wait().await;
            }
            self.take_all(place, key, asked).await;
        }
    }

    /// Takes steps, and those that are asked for meanwhile if the lock has changed before they are done.
    async fn take_all(&self, place: &Place<'_>, key: &str, mut asked: Vec<Asked>) {
        let mut overtaken = 0;
        let taken = loop {
            match self.take_together(key, &asked).await {
                Err(Failure::Conflict) if overtaken < OVERTAKEN_MAX => {
                    tokio::time::sleep(between(Duration::from_millis(1), overtaken)).await;
                    overtaken += 1;
                    place.take(&mut asked);
                }
                taken => break taken,
            }
        };
        match taken {
            Ok(taken) => asked.into_iter().zip(taken).for_each(|(asked, it)| asked.tell(Ok(it))),
            Err(failure) => asked.into_iter().for_each(|asked| asked.tell(Err(failure.clone()))),
        }
    }

    async fn take_together(&self, key: &str, asked: &[Asked]) -> Result<Vec<Taken>, Failure> {
        let sessions = asked.iter().filter_map(|asked| asked.step.does.wanted_session());
        let look = self.look_at(key, sessions, self.now()).await?;
        let mut standing = Standing::new(&look)?;
        let mut decided = Vec::with_capacity(asked.len());
        let (mut rests_on_look, mut is_uncertain) = (false, false);
        for Asked { step: Step { does, is_uncertain: it_is }, .. } in asked {
            let one = does.decide(&mut standing);
            rests_on_look |= does.rests_on_look(&one);
            is_uncertain |= it_is;
            decided.push(one);
        }
        if is_uncertain {
            // An attempt that arrives later finds another state than it rests on, also where nothing else has changed.
            standing.be_written();
        } else if rests_on_look && !standing.has_changed() {
            self.confirm(&look).await?;
        }
        // Tokens of new grants are known when they are written.
        let which = |decided| token_in(decided).and_then(|token| standing.new_grant(*token));
        let new: Vec<Option<i64>> = decided.iter_mut().map(which).collect();
        let next_deadline = standing.next_deadline();
        let written = self.write(&look, standing, None).await?;
        let stands = |outcome: Outcome, step: &Step| {
            let place = match &outcome {
                Outcome::Waiting(_) => written.document.place_of(step.does.request()).unwrap_or(0),
                _ => 0,
            };
            Stands { outcome, place, next_deadline }
        };
        let each = decided.into_iter().zip(new).zip(asked);
        let taken = each.map(|((mut decided, new), asked)| {
            if let (Some(token), Some(new)) = (token_in(&mut decided), new) {
                *token = written.token(new)?;
            }
            let decided = decided.map(|outcome| stands(outcome, &asked.step));
            Ok(Taken { moment: look.moment, decided })
        });
        taken.collect()
    }
}

/// The token of the grant that is told of by what was decided.
fn token_in(decided: &mut Result<Outcome, Refusal>) -> Option<&mut Token> {
    match decided {
        Ok(Outcome::Granted(granted) | Outcome::Renewed(granted)) => Some(&mut granted.token),
        Err(Refusal::Held(by) | Refusal::HeldByOther(by)) => Some(&mut by.token),
        Err(
            Refusal::OtherToken { token }
            | Refusal::OtherMode { token, .. }
            | Refusal::OtherSession { token },
        ) => Some(token),
        _ => None,
    }
}

/// How often steps are tried again at once because the lock has changed: behind that each call goes on by itself.
const OVERTAKEN_MAX: u32 = 16;
