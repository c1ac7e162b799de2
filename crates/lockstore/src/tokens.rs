//! How far a store's tokens have come, and beginning higher.

use lockcore::Token;

use crate::backend::Backend;
use crate::engine::Engine;
use crate::error::{StoreError, unexpected};
use crate::request::{Answer, Task};
use crate::store::Store;

impl Store {
    /// Has all grants from now on get tokens that are `at_least` this, durably when it returns, and gives the lowest that a grant can get
    /// from now on: above all that were ever given, also of locks that nobody holds any more. With [`Token::FIRST`] it only asks that.
    ///
    /// It is for who moves from one store to another: the tokens there must not begin below those that the first has given.
    ///
    /// ```
    /// use lockstore::{Store, Token};
    ///
    /// let old = Store::in_memory()?;
    /// old.lock("job").acquire()?.release()?;
    /// let new = Store::in_memory()?;
    /// new.reserve_tokens(old.reserve_tokens(Token::FIRST)?)?;
    /// assert_eq!(new.lock("job").acquire()?.token().get(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReserveTokensError`]. Nothing has changed then.
    pub fn reserve_tokens(&self, at_least: Token) -> Result<Token, ReserveTokensError> {
        match self.backend() {
            Backend::Here(engine) => engine.reserve_tokens(at_least),
            Backend::There(remote) => remote.reserve_tokens(at_least),
        }
    }
}

impl Engine {
    pub(crate) fn reserve_tokens(&self, at_least: Token) -> Result<Token, ReserveTokensError> {
        if at_least > FIRST_MAX {
            return Err(ReserveTokensError::TooHigh { at_least, highest: FIRST_MAX });
        }
        match self.call(Task::ReserveTokens { at_least }) {
            Answer::NextToken(token) => Ok(token),
            Answer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }
}

/// Why tokens do not begin higher.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveTokensError {
    /// The store cannot begin there: in a file there must be room to count on; on a replica set tokens are its time, which nobody sets.
    #[error("tokens cannot begin at {at_least} here, but at {highest} at most")]
    TooHigh {
        /// What was asked for.
        at_least: Token,
        /// The highest that can be asked for, now.
        highest: Token,
    },
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Above it a file's tokens do not begin: there are as many left as it can count to in a century, at one a nanosecond.
const FIRST_MAX: Token = Token::new(1 << 62).expect("it is not 0");
