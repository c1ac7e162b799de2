//! Time zones: by name, as `America/New_York`, or by their distance from UTC, as `+05:30`.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::calendar::{CYCLE_DAYS, Moment};
use crate::{Error, Result};

/// A time zone.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    /// UTC by its name, or because no zone was given.
    Utc,
    /// Seconds ahead of UTC.
    Offset(i64),
    /// A zone with a history.
    Named(TimeZone),
}

impl Zone {
    /// The zone that is called `name`. Case matters.
    ///
    /// # Errors
    ///
    /// 40485 if there is none.
    pub(crate) fn named(name: &str) -> Result<Self> {
        if name == "UTC" {
            return Ok(Self::Utc);
        }
        if let Some(seconds) = offset_seconds(name) {
            return Ok(Self::Offset(seconds));
        }
        match ZONES.get(name) {
            Ok(zone) if zone.iana_name() == Some(name) && !zone.is_unknown() => {
                Ok(Self::Named(zone))
            }
            _ => Err(Error::location(
                40485,
                format!(
                    "unrecognized time zone identifier: \"{name}\"; allowed are the names of the Olson database and \
                     offsets like +05:30"
                ),
            )),
        }
    }

    /// Whether its clocks always show UTC.
    pub(crate) fn is_utc(&self) -> bool {
        matches!(self, Self::Utc | Self::Offset(0))
    }

    /// What a clock in the zone shows.
    pub(crate) fn moment(&self, ms: i64) -> Moment {
        Moment::at(ms, self.offset(ms.div_euclid(1000)))
    }

    /// How many seconds the zone is ahead of UTC, at a moment in seconds since the epoch.
    pub(crate) fn offset(&self, seconds: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::Offset(offset) => *offset,
            Self::Named(zone) => zone.to_offset(within_jiff(seconds)).seconds().into(),
        }
    }

    /// The moment at which clocks in the zone show `local`, both in seconds since the epoch. What they show twice means the
    /// first time west of Greenwich and the second east of it, and what they leave out is taken by the offset from before,
    /// as in the server.
    pub(crate) fn to_utc(&self, local: i64) -> i64 {
        let before = self.offset(local);
        let after = self.offset(local.saturating_sub(before));
        let left_out = self.offset(local.saturating_sub(after)) != after;
        local.saturating_sub(if left_out { before } else { after })
    }
}

/// A moment that jiff knows, in which all zones are as at `seconds`. Its years end with 9999; what comes later repeats
/// every 400 years, and before the first it knows, nothing changes.
fn within_jiff(seconds: i64) -> Timestamp {
    const YEAR_9000: i64 = 221_845_392_000;
    const CYCLE: i64 = CYCLE_DAYS * 86_400;
    let seconds =
        if seconds < YEAR_9000 { seconds } else { (seconds - YEAR_9000) % CYCLE + YEAR_9000 };
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MIN)
}

/// The seconds of `+HH`, `+HHMM` or `+HH:MM`. Any digits will do.
fn offset_seconds(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [h, hh, m, mm] = match *digits {
        [h, hh] => [h, hh, b'0', b'0'],
        [h, hh, m, mm] | [h, hh, b':', m, mm] => [h, hh, m, mm],
        _ => return None,
    };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    Some(sign * (number(h, hh)? * 3600 + number(m, mm)? * 60))
}

/// The zones that come with jiff, wherever the program runs.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_offset(zone: &str, seconds: i64, expected: i64) {
        assert_eq!(Zone::named(zone).unwrap().offset(seconds), expected, "{zone} at {seconds}");
    }

    #[test]
    fn offsets_by_name_and_number() {
        check_offset("UTC", 0, 0);
        check_offset("GMT", 0, 0);
        check_offset("EST", 0, -18_000);
        check_offset("America/New_York", 1_719_835_200, -14_400);
        check_offset("America/New_York", 1_704_110_400, -18_000);
        check_offset("+05:30", 0, 19_800);
        check_offset("-0530", 0, -19_800);
        check_offset("-99:99", 0, -(99 * 3600 + 99 * 60));
        check_offset("+03", 0, 10_800);
    }

    #[test]
    fn years_that_jiff_does_not_know() {
        let july = 1_719_835_200;
        let cycle = CYCLE_DAYS * 86_400;
        check_offset("America/New_York", july + 600_000 * cycle, -14_400);
        check_offset("America/New_York", i64::MIN / 1000, -17_762);
        let zone = Zone::named("America/New_York").unwrap();
        for second in [i64::MIN, i64::MAX] {
            zone.to_utc(second);
        }
    }

    #[test]
    fn names_are_exact() {
        for name in [
            "",
            "25:00",
            "+100:00",
            "+1",
            "+1a",
            "utc",
            "america/new_york",
            "AMERICA/NEW_YORK",
            "America/Nowhere",
            "Etc/Unknown",
            "+05:3é",
        ] {
            assert_eq!(Zone::named(name).unwrap_err().code().value(), 40485, "{name}");
        }
    }

    #[track_caller]
    fn check_local(zone: &str, local: i64, expected: i64) {
        assert_eq!(Zone::named(zone).unwrap().to_utc(local), expected);
    }

    #[test]
    fn clocks_that_are_put_forward_and_back() {
        // 2024-03-10 02:30 is left out in New York, 2024-11-03 01:30 comes twice there; 2024-10-27 02:30 does in Berlin.
        check_local("America/New_York", 1_710_037_800, 1_710_037_800 + 18_000);
        check_local("America/New_York", 1_730_597_400, 1_730_597_400 + 14_400);
        check_local("Europe/Berlin", 1_729_996_200, 1_729_996_200 - 3600);
        check_local("Europe/Berlin", 1_720_000_000, 1_720_000_000 - 7200);
        check_local("+05:30", 0, -19_800);
        check_local("Europe/Berlin", i64::MIN, i64::MIN);
    }
}
