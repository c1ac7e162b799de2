//! The operators on dates, as expressions.

use bson::{Bson, DateTime, Timestamp, bson, doc};

use crate::expression::testing::{check, check_error};

fn date(ms: i64) -> Bson {
    Bson::DateTime(DateTime::from_millis(ms))
}

/// 2024-06-15T10:30:45.123Z
const JUNE: i64 = 1_718_447_445_123;

#[test]
fn fields() {
    let fields = [
        ("$year", 2024),
        ("$month", 6),
        ("$dayOfMonth", 15),
        ("$dayOfWeek", 7),
        ("$dayOfYear", 167),
        ("$week", 23),
        ("$hour", 10),
        ("$minute", 30),
        ("$second", 45),
        ("$millisecond", 123),
        ("$isoWeek", 24),
        ("$isoDayOfWeek", 6),
    ];
    for (operator, expected) in fields {
        check(bson!({operator: date(JUNE)}), expected);
        check(bson!({operator: [date(JUNE)]}), expected);
        check(bson!({operator: {"date": date(JUNE)}}), expected);
        check(bson!({operator: {"date": null, "timezone": "x"}}), bson!(null));
    }
    check(bson!({"$isoWeekYear": date(JUNE)}), 2024_i64);
    check(bson!({"$year": date(i64::MIN)}), -292_275_055);
    check(bson!({"$year": {"date": date(i64::MIN), "timezone": "America/New_York"}}), -292_275_055);
    check(bson!({"$hour": {"date": date(JUNE), "timezone": "Asia/Kolkata"}}), 16);
    check(bson!({"$hour": {"date": date(JUNE), "timezone": null}}), bson!(null));
    check_error(bson!({"$year": 5}), 16006);
    check_error(bson!({"$year": [date(0), date(0)]}), 40536);
    check_error(bson!({"$year": {}}), 40539);
    check_error(bson!({"$year": {"date": date(0), "x": 1}}), 40535);
    check_error(bson!({"$year": {"date": date(0), "timezone": 5}}), 40517);
    check_error(bson!({"$year": {"date": date(0), "timezone": "x"}}), 40485);
}

#[test]
fn to_parts() {
    check(
        bson!({"$dateToParts": {"date": date(JUNE), "timezone": "+01"}}),
        bson!({"year": 2024, "month": 6, "day": 15, "hour": 11, "minute": 30, "second": 45, "millisecond": 123}),
    );
    check(
        bson!({"$dateToParts": {"date": date(JUNE), "iso8601": true}}),
        bson!({"isoWeekYear": 2024, "isoWeek": 24, "isoDayOfWeek": 6, "hour": 10, "minute": 30, "second": 45,
               "millisecond": 123}),
    );
    check_error(bson!({"$dateToParts": {"date": null, "iso8601": 5}}), 40521);
    check_error(bson!({"$dateToParts": 5}), 40524);
    check_error(bson!({"$dateToParts": {"x": 5}}), 40520);
    check_error(bson!({"$dateToParts": {}}), 40522);
}

#[test]
fn from_parts() {
    let from = |parts: bson::Document| bson!({"$dateFromParts": parts});
    check(from(doc! {"year": 2024, "month": 6, "day": 15}), date(1_718_409_600_000));
    check(from(doc! {"year": 2024, "month": 13, "day": 0}), date(1_735_603_200_000));
    check(from(doc! {"year": 1970, "hour": -1, "millisecond": 5.0}), date(-3_599_995));
    check(
        from(doc! {"isoWeekYear": 2024, "isoWeek": 24, "isoDayOfWeek": 6}),
        date(1_718_409_600_000),
    );
    check(from(doc! {"year": 2024, "timezone": "America/New_York"}), date(1_704_085_200_000));
    check(from(doc! {"year": null}), bson!(null));
    check(from(doc! {"year": 10_000, "hour": null}), bson!(null));
    check_error(bson!({"$dateFromParts": 5}), 40519);
    check_error(from(doc! {"x": 5}), 40518);
    check_error(from(doc! {"month": 5}), 40516);
    check_error(from(doc! {"year": 2024, "isoWeek": 5}), 40489);
    check_error(from(doc! {"isoWeekYear": 2024, "day": 5}), 40525);
    check_error(from(doc! {"year": "x"}), 40515);
    check_error(from(doc! {"year": 2024, "month": 40_000}), 31034);
    check_error(from(doc! {"year": 0}), 40523);
    check_error(from(doc! {"isoWeekYear": 10_000}), 31095);
    check_error(from(doc! {"year": 2024, "second": i64::MAX}), 159);
}

#[test]
fn to_string() {
    let text = |format: &str, zone: &str| bson!({"$dateToString": {"date": date(JUNE), "format": format, "timezone": zone}});
    check(bson!({"$dateToString": {"date": date(JUNE)}}), "2024-06-15T10:30:45.123Z");
    check(
        bson!({"$dateToString": {"date": date(JUNE), "timezone": "Europe/Berlin"}}),
        "2024-06-15T12:30:45.123Z",
    );
    check(text("%H:%M%z", "-99:99"), "05:51-10039");
    check(bson!({"$dateToString": {"date": null, "onNull": 5}}), 5);
    check(bson!({"$dateToString": {"date": date(0), "format": null, "onNull": 5}}), bson!(null));
    check_error(bson!({"$dateToString": {"date": null, "format": 5}}), 18533);
    check_error(text("%x", "UTC"), 18536);
    check_error(text("%", "UTC"), 18535);
    check_error(text("", "x"), 40485);
    check(bson!({"$dateToString": {"date": date(i64::MAX), "format": "x%j"}}), "x229");
    check_error(bson!({"$dateToString": {"date": date(i64::MAX), "format": "x%Y"}}), 18537);
}

#[test]
fn from_string() {
    let from = |text: &str| bson!({"$dateFromString": {"dateString": text}});
    check(from("2024-06-15T10:30:45.123Z"), date(JUNE));
    check(from("2024-06-15"), date(1_718_409_600_000));
    check(
        bson!({"$dateFromString": {"dateString": "2024-06-15", "timezone": "Europe/Berlin"}}),
        date(1_718_402_400_000),
    );
    check(
        bson!({"$dateFromString": {"dateString": "15.6.2024", "format": "%d.%m.%Y"}}),
        date(1_718_409_600_000),
    );
    check(bson!({"$dateFromString": {"dateString": null, "onNull": 5}}), 5);
    check(bson!({"$dateFromString": {"dateString": "x", "onError": 6}}), 6);
    check(bson!({"$dateFromString": {"dateString": 5, "onError": 6}}), 6);
    check_error(from("x"), 241);
    check_error(from("11:30"), 241);
    check_error(bson!({"$dateFromString": {"dateString": 5}}), 241);
    check_error(
        bson!({"$dateFromString": {"dateString": "2024-06-15T00:00Z", "timezone": "+01"}}),
        241,
    );
    check_error(bson!({"$dateFromString": {"dateString": null, "format": 5}}), 40684);
    check_error(bson!({"$dateFromString": {"dateString": null, "format": "%w"}}), 18536);
    check_error(bson!({"$dateFromString": 5}), 40540);
    check_error(bson!({"$dateFromString": {"x": 5}}), 40541);
    check_error(bson!({"$dateFromString": {}}), 40542);
}

fn shifted(start: i64, unit: &str, amount: i64, zone: &str) -> Bson {
    bson!({"$dateAdd": {"startDate": date(start), "unit": unit, "amount": amount, "timezone": zone}})
}

#[test]
fn add_and_subtract() {
    // 2024-01-31T12:00Z
    let january = 1_706_702_400_000;
    check(shifted(january, "month", 1, "UTC"), date(1_709_208_000_000));
    check(shifted(january, "year", -1, "UTC"), date(1_675_166_400_000));
    check(shifted(january, "quarter", 1, "UTC"), date(1_714_478_400_000));
    check(shifted(january, "week", 1, "UTC"), date(january + 7 * 86_400_000));
    check(shifted(january, "millisecond", -1, "UTC"), date(january - 1));
    // 2024-03-10T00:00 in New York; the day has 23 hours.
    let before_summer = 1_710_046_800_000;
    check(
        shifted(before_summer, "day", 1, "America/New_York"),
        date(before_summer + 23 * 3_600_000),
    );
    check(
        shifted(before_summer, "hour", 24, "America/New_York"),
        date(before_summer + 24 * 3_600_000),
    );
    check(
        bson!({"$dateSubtract": {"startDate": date(january), "unit": "day", "amount": 1}}),
        date(january - 86_400_000),
    );
    check(bson!({"$dateAdd": {"startDate": 5, "unit": "x", "amount": null}}), bson!(null));
    // The server's seconds: of dates before 1970 with a part of a second they are one less.
    let plus_one = |start: i64, unit: &str| bson!({"$dateAdd": {"startDate": date(start), "unit": unit, "amount": 1}});
    check(plus_one(-1, "day"), date(86_398_999));
    check(plus_one(-1, "second"), date(-1));
    check(plus_one(-1000, "second"), date(0));
    check(plus_one(-1, "millisecond"), date(0));
    check_error(shifted(january, "x", 1, "UTC"), 9);
    check_error(shifted(january, "year", 1_000_000_000, "UTC"), 5_976_500);
    check_error(shifted(january, "second", i64::MAX, "UTC"), 5_976_500);
    check_error(shifted(january, "year", 500_000_000, "UTC"), 5_166_406);
    check_error(shifted(i64::MAX, "hour", 1, "UTC"), 5_166_406);
    check_error(shifted(i64::MAX, "millisecond", 1, "UTC"), 159);
    check_error(
        bson!({"$dateSubtract": {"startDate": date(0), "unit": "day", "amount": i64::MIN}}),
        6_045_000,
    );
    check_error(bson!({"$dateAdd": {"startDate": 5, "unit": "day", "amount": 1}}), 5_166_403);
    check_error(bson!({"$dateAdd": {"startDate": date(0), "unit": 5, "amount": 1}}), 5_166_404);
    check_error(
        bson!({"$dateAdd": {"startDate": date(0), "unit": "day", "amount": 1.5}}),
        5_166_405,
    );
    check_error(bson!({"$dateAdd": 5}), 5_166_400);
    check_error(bson!({"$dateAdd": {"x": 5}}), 5_166_401);
    check_error(bson!({"$dateAdd": {"startDate": date(0)}}), 5_166_402);
}

#[test]
fn difference() {
    let difference = |start: i64, end: i64, unit: &str, zone: &str| bson!({"$dateDiff": {"startDate": date(start), "endDate": date(end), "unit": unit, "timezone": zone}});
    // 2023-12-31T23:59:59.999Z and a millisecond later.
    let (old, new) = (1_704_067_199_999, 1_704_067_200_000);
    for unit in ["year", "quarter", "month", "day", "hour", "minute", "second", "millisecond"] {
        check(difference(old, new, unit, "UTC"), 1_i64);
        check(difference(new, old, unit, "UTC"), -1_i64);
    }
    check(difference(old, new, "year", "America/New_York"), 0_i64);
    check(difference(old, new, "hour", "+05:30"), 0_i64);
    // The night of 2024-03-10 in New York has an hour less.
    check(difference(1_710_046_800_000, 1_710_129_600_000, "hour", "America/New_York"), 23_i64);
    check(difference(1_710_046_800_000, 1_710_129_600_000, "day", "America/New_York"), 1_i64);
    check(difference(i64::MIN, i64::MAX, "year", "UTC"), 584_554_049_i64);
    check_error(difference(i64::MIN, i64::MAX, "millisecond", "UTC"), 5_166_308);
    // From Saturday to Sunday.
    let (saturday, sunday) = (1_718_409_600_000, 1_718_496_000_000);
    check(difference(saturday, sunday, "week", "UTC"), 1_i64);
    let from_monday = |start: &str| {
        bson!({"$dateDiff": {
            "startDate": date(saturday), "endDate": date(sunday), "unit": "week", "startOfWeek": start,
        }})
    };
    check(from_monday("Mon"), 0_i64);
    check_error(from_monday("x"), 5_439_016);
    check_error(bson!({"$dateDiff": {"startDate": 1, "endDate": 1, "unit": "day"}}), 5_166_307);
    check_error(bson!({"$dateDiff": {"startDate": 1, "endDate": 1, "unit": 5}}), 5_166_307);
    check_error(difference(0, 0, "x", "nope"), 40485);
    check_error(difference(0, 0, "x", "UTC"), 5_439_014);
    let (zero, unit) = (date(0), 5);
    check_error(
        bson!({"$dateDiff": {"startDate": zero.clone(), "endDate": zero, "unit": unit}}),
        5_439_013,
    );
    check_error(bson!({"$dateDiff": 5}), 5_166_301);
    check_error(bson!({"$dateDiff": {"x": 5}}), 5_166_302);
}

#[test]
fn truncate() {
    let truncated = |unit: &str, bin: i64, zone: &str| bson!({"$dateTrunc": {"date": date(JUNE), "unit": unit, "binSize": bin, "timezone": zone}});
    check(truncated("year", 1, "UTC"), date(1_704_067_200_000));
    check(truncated("year", 25, "UTC"), date(946_684_800_000));
    check(truncated("quarter", 1, "UTC"), date(1_711_929_600_000));
    check(truncated("month", 1, "America/New_York"), date(1_717_214_400_000));
    check(truncated("week", 1, "UTC"), date(1_717_891_200_000));
    check(truncated("day", 1, "Asia/Kolkata"), date(1_718_389_800_000));
    check(truncated("hour", 2, "UTC"), date(1_718_445_600_000));
    check(truncated("second", 10, "UTC"), date(1_718_447_440_000));
    check(
        bson!({"$dateTrunc": {"date": date(JUNE), "unit": "week", "startOfWeek": "monday"}}),
        date(1_717_977_600_000),
    );
    check_error(truncated("day", 0, "UTC"), 5_439_018);
    check_error(truncated("day", i64::MAX, "UTC"), 5_439_006);
    check_error(truncated("hour", i64::MAX, "UTC"), 5_439_002);
    check_error(bson!({"$dateTrunc": {"date": date(i64::MIN), "unit": "hour"}}), 5_439_000);
    check_error(bson!({"$dateTrunc": {"date": 5, "unit": "x"}}), 5_439_012);
    check_error(truncated("x", 0, "UTC"), 5_439_014);
    check_error(truncated("x", 0, "nope"), 40485);
    check_error(bson!({"$dateTrunc": {"date": date(0), "unit": "day", "binSize": 1.5}}), 5_439_017);
    check_error(bson!({"$dateTrunc": 5}), 5_439_007);
    check_error(bson!({"$dateTrunc": {"x": 5}}), 5_439_008);
    check_error(bson!({"$dateTrunc": {"unit": "day"}}), 5_439_009);
    check_error(bson!({"$dateTrunc": {"date": date(0)}}), 5_439_010);
}

#[test]
fn timestamps() {
    let stamp = Bson::Timestamp(Timestamp { time: 100, increment: u32::MAX });
    check(bson!({"$tsSecond": stamp.clone()}), 100_i64);
    check(bson!({"$tsIncrement": stamp}), i64::from(u32::MAX));
    check(bson!({"$tsSecond": null}), bson!(null));
    check_error(bson!({"$tsSecond": 5}), 5_687_301);
    check_error(bson!({"$tsIncrement": 5}), 5_687_302);
}

#[test]
fn no_date_is_too_far_away() {
    for ms in [i64::MIN, i64::MAX, JUNE] {
        for unit in ["year", "quarter", "month", "week", "day", "hour", "minute", "second"] {
            for amount in [i64::MIN, -292_000_000, -1, 1, 292_000_000, i64::MAX] {
                for zone in ["UTC", "+99:99", "-99:99", "America/New_York"] {
                    let expression = shifted(ms, unit, amount, zone);
                    // Whatever it gives: it gives something.
                    drop(crate::expression::testing::evaluate(&expression));
                }
            }
        }
    }
}
