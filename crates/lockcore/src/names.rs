//! What names a lock, its holder, a grant and those who wait.

use core::borrow::Borrow;
use core::fmt;
use core::num::NonZeroU64;
use core::ops::Deref;

use arcstr::ArcStr;

/// Defines an opaque, bounded, non-empty string that is cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArcStr);

        impl $name {
            /// The longest one, in bytes of UTF-8.
            pub const BYTES_MAX: usize = 1024;

            /// Takes any non-empty string of at most [`Self::BYTES_MAX`] bytes, exactly as given.
            ///
            /// # Errors
            ///
            /// [`NameError`] says what is wrong with the string.
            pub fn new(name: &str) -> Result<Self, NameError> {
                Self::check(name)?;
                Ok(Self(name.into()))
            }

            /// Whether [`Self::new`] would take it, without taking it.
            ///
            /// # Errors
            ///
            /// As [`Self::new`].
            pub fn check(name: &str) -> Result<(), NameError> {
                let bytes_max = Self::BYTES_MAX;
                match name.len() {
                    0 => Err(NameError::Empty { what: $what }),
                    bytes if bytes > bytes_max => {
                        Err(NameError::TooLong { what: $what, bytes, bytes_max })
                    }
                    _ => Ok(()),
                }
            }

            /// The string itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// What is locked: any non-empty string, compared byte for byte.
    Key,
    "key"
);

name!(
    /// Who holds a lock: an opaque string chosen by the caller, compared byte for byte.
    Holder,
    "holder"
);

/// Why a string is no key or holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The string is empty.
    Empty {
        /// `"key"` or `"holder"`.
        what: &'static str,
    },
    /// The string is longer than its bound.
    TooLong {
        /// `"key"` or `"holder"`.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The longest allowed, in bytes.
        bytes_max: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { what } => write!(f, "a {what} must not be empty"),
            Self::TooLong { what, bytes, bytes_max } => {
                write!(f, "a {what} may have at most {bytes_max} bytes; this one has {bytes}")
            }
        }
    }
}

impl core::error::Error for NameError {}

/// Defines a number that names one thing of a store and is never used twice.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The first one.
            pub const FIRST: Self = Self(NonZeroU64::MIN);

            /// The one numbered `number`; none is numbered 0.
            pub const fn new(number: u64) -> Option<Self> {
                match NonZeroU64::new(number) {
                    Some(number) => Some(Self(number)),
                    None => None,
                }
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0.get()
            }

            /// The one after this.
            ///
            /// # Panics
            ///
            /// After 2^64 - 1 of them, which takes 584 years at one a nanosecond.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.checked_add(1).expect("2^64 numbers are never used up"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

number!(
    /// A fencing token: rises with every grant of the whole store, and is never used twice.
    Token
);
number!(
    /// A process's presence; locks bound to it go when it goes. Drawn from the same counter as tokens.
    SessionId
);
number!(
    /// One wait of one caller. Waiters of a lock are served in the order of these numbers.
    WaiterId
);

/// Whether a lock is held by one or by many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// One holder, and nobody beside it.
    #[default]
    Exclusive,
    /// Any number of holders, all of them shared.
    Shared,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn names_are_taken_exactly_as_given() {
        for name in ["a.1", "a.2", "x/y", "../up", " ", "\0", "🔒"] {
            assert_eq!(Key::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_outside_their_bounds_are_refused_by_name() {
        assert_eq!(Key::new("").unwrap_err().to_string(), "a key must not be empty");
        assert_eq!(Holder::new("").unwrap_err().to_string(), "a holder must not be empty");
        let long: String = core::iter::repeat_n('x', Key::BYTES_MAX + 1).collect();
        assert_eq!(
            Key::new(&long).unwrap_err().to_string(),
            "a key may have at most 1024 bytes; this one has 1025"
        );
        assert!(Key::new(&long[1..]).is_ok());
    }
}
