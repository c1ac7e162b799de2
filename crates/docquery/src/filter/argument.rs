//! The arguments of operators that are numbers.

use super::predicate::{Predicate, Test};
use crate::expression::Scope;
use crate::number::Number;
use crate::{Arena, Document, Error, Expression, Result, Value};

/// The argument of `$size`: a whole number, not negative.
pub(super) fn parse_count(operator: &str, argument: Value<'_>) -> Result<u32> {
    let whole = Number::of(argument).and_then(Number::as_exact_i64);
    let count = whole.and_then(|whole| i32::try_from(whole).ok());
    count.and_then(|count| u32::try_from(count).ok()).ok_or_else(|| {
        Error::bad_value(format!(
            "{operator} takes a whole number from 0 to 2^31 - 1, not {argument:?}"
        ))
    })
}

/// The argument of `$mod`: a divisor and a remainder.
pub(super) fn parse_mod(argument: Value<'_>) -> Result<Test> {
    let Value::Array(list) = argument else {
        return Err(Error::bad_value(format!(
            "$mod takes an array of a divisor and a remainder, not {}",
            argument.type_name()
        )));
    };
    let mut items = list.iter();
    let (Some(divisor), Some(remainder), None) = (items.next(), items.next(), items.next()) else {
        return Err(Error::bad_value(format!(
            "$mod takes two numbers, a divisor and a remainder; there are {}",
            list.len()
        )));
    };
    let divisor = parse_whole("divisor", divisor)?;
    let remainder = parse_whole("remainder", remainder)?;
    if divisor == 0 {
        return Err(Error::bad_value("the divisor of $mod cannot be 0"));
    }
    Ok(Test::Mod { divisor, remainder })
}

fn parse_whole(role: &str, value: Value<'_>) -> Result<i64> {
    Number::of(value).and_then(Number::truncate_to_i64).ok_or_else(|| {
        Error::bad_value(format!(
            "the {role} of $mod must be a number that 64 bits hold, not {value:?}"
        ))
    })
}

/// The argument of `$alwaysTrue` and `$alwaysFalse`, which is 1.
pub(super) fn parse_flag(operator: &str, argument: Value<'_>) -> Result<()> {
    match Number::of(argument).and_then(Number::as_exact_i64) {
        Some(1) => Ok(()),
        _ => {
            Err(Error::failed_to_parse(format!("{operator} takes the number 1, not {argument:?}")))
        }
    }
}

/// The argument of `$sampleRate`: the filter lets each document pass with this probability.
pub(super) fn parse_sample_rate(argument: Value<'_>, scope: &Scope<'_>) -> Result<Predicate> {
    let Some(rate) = Number::of(argument).map(Number::to_double) else {
        return Err(Error::bad_value(format!(
            "$sampleRate takes a number, not {}",
            argument.type_name()
        )));
    };
    match rate {
        0.0 => Ok(Predicate::Always(false)),
        1.0 => Ok(Predicate::Always(true)),
        _ if (0.0..=1.0).contains(&rate) => {
            let arena = Arena::new();
            let random = arena.document(&[("$rand", Value::Document(Document::EMPTY))])?;
            let operands = arena.array(&[random, Value::Double(rate)])?;
            let less = arena.document(&[("$lt", operands)])?;
            Ok(Predicate::Expression(Expression::parse(less, scope)?))
        }
        _ => Err(Error::bad_value(format!("$sampleRate takes a number from 0 to 1, not {rate}"))),
    }
}
