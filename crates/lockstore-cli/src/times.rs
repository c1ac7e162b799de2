//! Lengths of time, as people write and read them.

use std::time::{Duration, SystemTime};

use lockstore::{Instant, Ttl, WallTime};

/// How long a lock is held unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Until its TTL is over.
    For(Duration),
    /// Until it is released.
    Endless,
}

/// How long to wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// So long at most. Zero tries once.
    For(Duration),
    /// For ever.
    Forever,
}

impl Lease {
    pub(crate) fn ttl(self) -> Option<Duration> {
        match self {
            Self::For(ttl) => Some(ttl),
            Self::Endless => None,
        }
    }
}

impl Patience {
    /// When it is at its end, from `now` on.
    pub(crate) fn until(self, now: Instant) -> Option<Instant> {
        match self {
            Self::For(time) => Some(now.saturating_add(time)),
            Self::Forever => None,
        }
    }
}

/// A length of time such as `90s`.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    use humantime::DurationError as E;
    match humantime::parse_duration(text) {
        Ok(time) => Ok(time),
        Err(_) if text.trim() == "0" => Ok(Duration::ZERO),
        Err(E::NumberOverflow) => Err(format!("it is beyond what can be counted; {EXPECTED}")),
        Err(E::UnknownUnit { unit, .. }) if unit.is_empty() => {
            Err(format!("it has no unit; {EXPECTED}"))
        }
        Err(_) => Err(EXPECTED.to_owned()),
    }
}

/// A TTL such as `10m`.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_time(text)?;
    Ttl::new(ttl).map_err(|error| error.to_string())?;
    Ok(ttl)
}

/// A TTL such as `10m`, or `none`.
pub(crate) fn parse_lease(text: &str) -> Result<Lease, String> {
    match text {
        "none" => Ok(Lease::Endless),
        ttl => Ok(Lease::For(parse_ttl(ttl)?)),
    }
}

/// A time to wait such as `30s`, or `forever`.
pub(crate) fn parse_patience(text: &str) -> Result<Patience, String> {
    match text {
        "forever" => Ok(Patience::Forever),
        time => Ok(Patience::For(parse_time(time)?)),
    }
}

/// As exact as people care: whole seconds, and milliseconds below one.
pub(crate) fn rough(time: Duration) -> String {
    let whole = match time.as_secs() {
        0 => Duration::from_millis(u64::from(time.subsec_millis())),
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(whole).to_string()
}

/// How long it is from `earlier` to `later`; zero when a clock was set back in between.
pub(crate) fn between(earlier: WallTime, later: WallTime) -> Duration {
    Duration::from_millis(later.as_millis().saturating_sub(earlier.as_millis()))
}

/// So long after `time`.
pub(crate) fn after(time: WallTime, length: Duration) -> WallTime {
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    WallTime::from_millis(time.as_millis().saturating_add(millis))
}

/// A point in time in RFC 3339; the last one that this can write for those beyond.
pub(crate) fn rfc3339(time: WallTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
    humantime::format_rfc3339_millis(time.to_system_time().min(last)).to_string()
}

const EXPECTED: &str = "a time is a number and a unit, such as 500ms, 90s, 10m or 1h30m";

/// 9999-12-31T23:59:59Z.
const LAST_SECOND: u64 = 253_402_300_799;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let check = |text: &str, expected: Duration| {
            assert_eq!(parse_time(text), Ok(expected), "{text:?}");
        };
        check("0", Duration::ZERO);
        check("0s", Duration::ZERO);
        check("500ms", Duration::from_millis(500));
        check("1.5s", Duration::from_millis(1_500));
        check("1h30m", Duration::from_secs(5_400));
        check("1h 30m", Duration::from_secs(5_400));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "x", "5", "-1s", "NaN", "nans", "inf", "1e3s", "s", "1 parsec", "1s-"] {
            assert!(parse_time(text).unwrap_err().ends_with(EXPECTED), "{text:?}");
        }
        let beyond = "99999999999999999999999s";
        assert!(parse_time(beyond).unwrap_err().starts_with("it is beyond"), "{beyond}");
        assert!(parse_time("18446744073709551615y").is_err());
    }

    #[test]
    fn a_ttl_has_bounds() {
        assert_eq!(parse_lease("none"), Ok(Lease::Endless));
        assert_eq!(parse_lease("1m"), Ok(Lease::For(Duration::from_secs(60))));
        assert_eq!(parse_lease("0").unwrap_err(), "a TTL must be longer than 0");
        assert!(parse_lease("11y").unwrap_err().contains("at most 3650 days"));
    }

    #[test]
    fn times_are_told_roughly() {
        assert_eq!(rough(Duration::from_millis(252_999)), "4m 12s");
        assert_eq!(rough(Duration::from_micros(12_345)), "12ms");
        assert_eq!(rough(Duration::ZERO), "0s");
    }

    #[test]
    fn a_time_beyond_the_calendar_is_its_end() {
        assert_eq!(rfc3339(WallTime::from_millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(WallTime::from_millis(u64::MAX)), "9999-12-31T23:59:59.000Z");
    }
}
