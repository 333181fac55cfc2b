//! Dates and times of day as text, in the proleptic Gregorian calendar and UTC.

use crate::decimal::Decimal;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;

/// Year, month and day of a day since the epoch.
fn civil(day: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day is the last: then 400 years have the
    // fixed length of 146097 days, and months the lengths that the 153/5 line gives.
    let shifted = i128::from(day) + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i128::from(month <= 2);
    (year as i64, month as i64, day as i64)
}

/// The day since the epoch of a date, if there is such a date.
fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era_year = shifted.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let of_era = of_era_year * 365 + of_era_year / 4 - of_era_year / 100 + of_year;
    let found = era * 146_097 + of_era - 719_468;
    (civil(found) == (year, month, day)).then_some(found)
}

/// `2026-01-31`.
pub(crate) fn date(millis: i64) -> String {
    let (year, month, day) = civil(millis.div_euclid(DAY_MS));
    // ISO 8601 wants a sign on years of more than four digits.
    let sign = if year > 9999 { "+" } else { "" };
    let width = if year < 0 { 5 } else { 4 };
    format!("{sign}{year:0width$}-{month:02}-{day:02}")
}

/// `13:14:15.123`.
pub(crate) fn time(millis: i64) -> String {
    let of_day = millis.rem_euclid(DAY_MS);
    let (seconds, millis) = (of_day / 1000, of_day % 1000);
    format!(
        "{:02}:{:02}:{:02}.{millis:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// `2026-01-31T13:14:15.123Z`.
pub(crate) fn timestamp(millis: i64) -> String {
    format!("{}T{}Z", date(millis), time(millis))
}

/// `java.util.Date.toString` in UTC: `Tue Nov 14 22:13:20 UTC 2023`.
pub(crate) fn java_date(millis: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = millis.div_euclid(DAY_MS);
    let (year, month, of_month) = civil(day);
    let pick = |names: &[&'static str], index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| names.get(index).copied())
            .unwrap_or_default()
    };
    let week_day = pick(&DAYS, day.rem_euclid(7));
    let month = pick(&MONTHS, month - 1);
    let clock = time(millis);
    let clock = clock.get(..8).unwrap_or_default();
    format!("{week_day} {month} {of_month:02} {clock} UTC {year:04}")
}

/// Milliseconds since the epoch of `2026-01-31`.
pub(crate) fn parse_date(text: &str) -> Option<i64> {
    let (before_day, day) = text.rsplit_once('-')?;
    let (year, month) = before_day.rsplit_once('-')?;
    let year_digits = year.trim_start_matches(['+', '-']);
    if !(4..=9).contains(&year_digits.len()) || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if ![year_digits, month, day].into_iter().all(digits) {
        return None;
    }
    day_of(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)?.checked_mul(DAY_MS)
}

/// Milliseconds since midnight of `13:14:15` with up to nine digits of fraction, of which
/// those below the millisecond must be zero.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let parts: Vec<i64> = clock
        .split(':')
        .map(|part| {
            let fits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if fits { part.parse().ok() } else { None }
        })
        .collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts.as_slice() else {
        return None;
    };
    if *hours > 23 || *minutes > 59 || *seconds > 59 || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let millis = Decimal::parse(&format!("0.{fraction}"))?.rescaled(3)?;
    let millis = i64::try_from(millis.unscaled()).ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

/// Milliseconds since the epoch of `2026-01-31T13:14:15.123Z`; instead of `Z`, `+01:00` or
/// `+0100`.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let zone_at = rest.rfind(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at_checked(zone_at)?;
    let offset_minutes = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign, zone) => {
            let zone = zone.replacen(':', "", 1);
            let numeric = zone.len() == 4 && zone.bytes().all(|byte| byte.is_ascii_digit());
            let zone: i64 = if numeric {
                zone.parse().ok()?
            } else {
                return None;
            };
            let minutes = zone / 100 * 60 + zone % 100;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    parse_date(date)?.checked_add(parse_time(clock)? - offset_minutes * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_both_ways() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-62_198_755_200_000, "-0001-01-01T00:00:00.000Z"),
            (253_402_300_800_000, "+10000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(millis), text);
            assert_eq!(parse_timestamp(text), Some(millis), "{text}");
        }
        assert_eq!(
            parse_timestamp("2023-11-14T23:13:20+01:00"),
            Some(1_700_000_000_000)
        );
        assert_eq!(
            parse_timestamp("2023-11-14T21:13:20.1-0100"),
            Some(1_700_000_000_100)
        );
        assert_eq!(java_date(1_700_000_000_123), "Tue Nov 14 22:13:20 UTC 2023");
        timestamp(i64::MIN);
        timestamp(i64::MAX);
    }

    #[test]
    fn impossible_texts_are_refused() {
        for bad in [
            "2023-02-29",
            "2023-13-01",
            "2023-1-01",
            "x",
            "2023-01-00",
            "99999999999-01-01",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        for bad in [
            "24:00:00",
            "1:00:00",
            "00:00",
            "00:00:00.",
            "00:00:00.0001",
            "00:60:00",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
        for bad in [
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20Zx",
            "T+",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }
}
