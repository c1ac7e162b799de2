//! Answers on their way to those who asked, and what becomes of those that nobody takes.

use lockcore::{Outcome, Token};

use super::Engine;
use crate::document_locks::{LockAnswer, Release, Taken};
use crate::request::{Answer, Reply, Request, Task};
use crate::slot::Slot;
use crate::writer::Answers;

impl Engine {
    /// Delivers answers. Who is woken may use the store, so nobody sits in the seat.
    pub(super) fn deliver(&self, answers: Answers) {
        for (reply, answer) in answers {
            match reply {
                Reply::Caller(slot) => {
                    if let Err(answer) = slot.answer(answer) {
                        self.hand_on(&slot, &answer);
                    }
                }
                Reply::KeptLease(lease) => lease.answered(&answer.into()),
                Reply::Nobody => {}
            }
        }
    }

    /// A grant whose caller has given up goes to the next. One that its holder had before stays.
    pub(super) fn hand_on(&self, slot: &Slot, answer: &Answer) {
        let granted = match answer {
            Answer::Done(Outcome::Granted(granted)) | Answer::HandedOff(granted) => granted,
            Answer::DocumentLock(answer) => return self.hand_on_document(answer),
            _ => return,
        };
        if let Some((key, holder)) = slot.acquires()
            && !granted.rejoined
        {
            let (key, holder) = (key.clone(), holder.clone());
            let token = granted.token;
            self.hand_on_unheard(token, Task::HandOn { key, holder, token });
        }
    }

    /// As [`hand_on`](Self::hand_on), of a document.
    fn hand_on_document(&self, answer: &LockAnswer) {
        if let LockAnswer::Taken(Taken::Locked(lock)) = answer
            && !lock.rejoined
        {
            let give_back = lock.give_back(Release::HandOn);
            self.hand_on_unheard(give_back.token, Task::UnlockDocument(Box::new(give_back)));
        }
    }

    fn hand_on_unheard(&self, token: Token, task: Task) {
        let task = Task::HandOnUnheard { token, task: Box::new(task) };
        // Also while the store closes, which serves what is queued first.
        self.send(Request { task, reply: Reply::Nobody });
        self.background.wake();
    }
}
