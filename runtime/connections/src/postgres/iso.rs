//! Dates and times of ISO 8601, to the microsecond.

/// Microseconds of a day.
pub(super) const DAY_MICROS: i64 = 86_400_000_000;
/// PostgreSQL counts from 2000-01-01; days from 1970 to there.
pub(super) const EPOCH_DAYS: i64 = 10_957;

/// Days since 1970 of a date, if there is such a date.
fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap),
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin with March end with the leap day.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719 468 days from March of the year 0 to 1970.
    Some(year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

/// Days since 1970 of `2026-01-31`. Years have four digits, or more behind a sign.
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let (rest, day) = text.rsplit_once('-')?;
    let (year, month) = rest.rsplit_once('-')?;
    let (sign, digits) = match year.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => (1, year),
    };
    if !(4..=7).contains(&digits.len()) {
        return None;
    }
    day_of(sign * number(digits)?, two(month)?, two(day)?)
}

/// Microseconds since midnight of `13:14`, `13:14:15` or `13:14:15.123456`; more digits are rounded
/// to the nearest microsecond, as the server does it.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) if clock.len() == 8 => (clock, fraction),
        Some(_) => return None,
        None => (text, "0"),
    };
    let mut parts = clock.split(':');
    let hours = two(parts.next()?)?;
    let minutes = two(parts.next()?)?;
    let seconds = parts.next().map_or(Some(0), two)?;
    let (micros, rest) = fraction.split_at_checked(6).unwrap_or((fraction, ""));
    let in_range = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    if !in_range || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let rounded = i64::from(rest.bytes().next().is_some_and(|digit| digit >= b'5'));
    let micros = number(micros)? * 10_i64.pow(6 - u32::try_from(micros.len()).ok()?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros + rounded)
}

/// Microseconds since 1970 of a date and a time with `T` or a space between; UTC, unless a zone
/// such as `+01:00` follows.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', ' '])?;
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "Z"),
    };
    let day = parse_date(date)?;
    let micros = parse_time(clock.trim_end())?;
    let zone = offset_seconds(zone)? * 1_000_000;
    day.checked_mul(DAY_MICROS)?.checked_add(micros - zone)
}

/// `Z`, `+01`, `+01:00`, `+0100`.
fn offset_seconds(zone: &str) -> Option<i64> {
    let (sign, rest) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return rest.is_empty().then_some(0),
    };
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at_checked(2)?,
        _ => rest.split_once(':')?,
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

fn two(text: &str) -> Option<i64> {
    if text.len() == 2 { number(text) } else { None }
}

fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Year, month and day of a day since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// A day since 1970 as PostgreSQL reads it.
pub(super) fn date(day: i64) -> String {
    let (date, era) = date_and_era(day);
    format!("{date}{era}")
}

/// Microseconds since 1970 as PostgreSQL reads them, in UTC.
pub(super) fn timestamp(micros: i64) -> String {
    let (date, era) = date_and_era(micros.div_euclid(DAY_MICROS));
    format!("{date} {}+00{era}", time(micros.rem_euclid(DAY_MICROS)))
}

/// Microseconds since midnight.
pub(super) fn time(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    format!(
        "{:02}:{:02}:{:02}.{:06}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        micros % 1_000_000
    )
}

fn date_and_era(day: i64) -> (String, &'static str) {
    let (year, month, day) = civil(day);
    // There is no year 0 in PostgreSQL: 1 BC is the one before 1.
    let (year, era) = if year > 0 {
        (year, "")
    } else {
        (1 - year, " BC")
    };
    (format!("{year:04}-{month:02}-{day:02}"), era)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways() {
        for day in (-800_000..800_000).step_by(37) {
            let (year, month, of_month) = civil(day);
            assert_eq!(day_of(year, month, of_month), Some(day));
        }
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-02-29"), Some(EPOCH_DAYS + 59));
        assert_eq!(parse_date("+10000-01-01"), Some(2_932_897));
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-719_163), "0001-12-31 BC");
        for bad in [
            "2023-02-29",
            "2023-13-01",
            "2023-1-01",
            "x",
            "",
            "-",
            "2023-01-00",
            "é-01-01",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_have_microseconds() {
        assert_eq!(parse_time("13:14"), Some(47_640_000_000));
        assert_eq!(parse_time("00:00:01.5"), Some(1_500_000));
        assert_eq!(parse_time("00:00:00.123456000"), Some(123_456));
        assert_eq!(parse_time("00:00:00.123456499"), Some(123_456));
        assert_eq!(parse_time("00:00:00.123456789"), Some(123_457));
        assert_eq!(parse_time("00:00:00.12345678x"), None);
        for bad in ["24:00", "1:00", "00:60", "00:00:00.", "00:00.5", "a:b"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
        assert_eq!(time(47_655_000_001), "13:14:15.000001");
    }

    #[test]
    fn timestamps_have_zones() {
        let noon = 1_700_000_000_000_000;
        for text in [
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20",
            "2023-11-14T23:13:20+01:00",
            "2023-11-14T23:13:20+01",
            "2023-11-14T21:13:20.000000-0100",
            "2023-11-14 22:13:20.000000+00",
        ] {
            assert_eq!(parse_timestamp(text), Some(noon), "{text}");
        }
        assert_eq!(timestamp(noon), "2023-11-14 22:13:20.000000+00");
        for bad in [
            "2023-11-14",
            "2023-11-14T",
            "2023-11-14T22:13:20Zx",
            "T+",
            "2023-11-14T22:13:20+1",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }
}
