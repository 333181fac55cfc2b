//! Checks JSON text without building anything.

use crate::{error::ConvertError, json::cursor::Cursor};

/// What a text turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// RFC 8259 text; can be passed on as it is.
    Strict,
    /// Jackson takes it, others do not: leading zeros, a byte order mark, something behind.
    Lenient,
    /// Nothing but white space, or `null`.
    Null,
}

/// Checks one record. `stack` is only there to be used again for the next; `is_wide` says whether
/// there are numbers that may be too large.
///
/// # Errors
/// If Jackson would refuse it.
pub(crate) fn scan(
    bytes: &[u8],
    stack: &mut Vec<bool>,
    is_wide: &mut bool,
) -> Result<Scan, ConvertError> {
    let mut cursor = Cursor::new(bytes);
    if !cursor.skip_space() {
        // Nothing is left, or nothing but bytes that are no UTF-8.
        return if bytes.iter().all(u8::is_ascii) || bytes == b"\xef\xbb\xbf" {
            Ok(Scan::Null)
        } else {
            cursor.error("not UTF-8")
        };
    }
    let first = cursor.peek();
    skip_value(&mut cursor, stack, 0)?;
    *is_wide = cursor.is_wide;
    match first {
        Some(b'n') => return Ok(Scan::Null),
        Some(b'"' | b'{' | b'[' | b't' | b'f') => {}
        _ => cursor.number_ends()?,
    }
    cursor.skip_space();
    let strict = !cursor.lenient && cursor.at() == bytes.len();
    Ok(if strict { Scan::Strict } else { Scan::Lenient })
}

/// Moves behind the value that comes next, `outer` levels deep already. No recursion: the stack
/// holds whether each open bracket is an object's.
pub(crate) fn skip_value(
    cursor: &mut Cursor<'_>,
    stack: &mut Vec<bool>,
    outer: usize,
) -> Result<(), ConvertError> {
    stack.clear();
    loop {
        cursor.skip_space();
        match cursor.peek() {
            Some(b'"') => {
                cursor.string()?;
            }
            Some(b'{') => {
                cursor.bump();
                stack.push(true);
                cursor.check_depth(outer + stack.len())?;
                cursor.skip_space();
                if !cursor.eat(b'}') {
                    cursor.member()?;
                    continue;
                }
                stack.pop();
            }
            Some(b'[') => {
                cursor.bump();
                stack.push(false);
                cursor.check_depth(outer + stack.len())?;
                cursor.skip_space();
                if !cursor.eat(b']') {
                    continue;
                }
                stack.pop();
            }
            Some(b't') => cursor.literal("true")?,
            Some(b'f') => cursor.literal("false")?,
            Some(b'n') => cursor.literal("null")?,
            _ => {
                cursor.number()?;
            }
        }
        // A value is complete: close what ends here, then look for the next one.
        loop {
            let Some(&object) = stack.last() else {
                return Ok(());
            };
            cursor.skip_space();
            if cursor.eat(b',') {
                if object {
                    cursor.member()?;
                }
                break;
            }
            if !cursor.eat(if object { b'}' } else { b']' }) {
                return cursor.error("expected a comma or a closing bracket");
            }
            stack.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Scan, ConvertError> {
        scan(text.as_bytes(), &mut Vec::new(), &mut false)
    }

    #[test]
    fn strict_text_is_told_from_what_only_jackson_takes() {
        for text in [
            "1",
            " {\"a\":[1,{},[]]} ",
            "\"\\ud83d\"",
            "-0.5e+7",
            "[true,false,null]",
        ] {
            assert_eq!(of(text), Ok(Scan::Strict), "{text}");
        }
        for text in [
            "01",
            "{\"a\":1} x",
            "\u{feff}1",
            "[1]]",
            "[-007]",
            "\"a\"\"b\"",
        ] {
            assert_eq!(of(text), Ok(Scan::Lenient), "{text}");
        }
        for text in ["", " \n", "null", "\u{feff}", " null x"] {
            assert_eq!(of(text), Ok(Scan::Null), "{text}");
        }
        let scanned = scan(b"1 \xff", &mut Vec::new(), &mut false);
        assert_eq!(scanned, Ok(Scan::Lenient));
    }

    #[test]
    fn bad_text_is_refused() {
        let bad = [
            "nope",
            "{",
            "[1,]",
            "{a:1}",
            "// c\n1",
            "NaN",
            "{\"a\":}",
            "[1 2]",
            "\"a",
            "1x",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "tru",
            "truex",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "}",
            ",",
            "{\"a\":1,}",
            "[1}",
            "1e99999999999",
        ];
        for text in bad {
            assert!(of(text).is_err(), "{text}");
        }
        for bytes in [&b"\xff\xfe"[..], b"\"\xff\"", b"[\xc3"] {
            let scanned = scan(bytes, &mut Vec::new(), &mut false);
            assert!(scanned.is_err(), "{bytes:?}");
        }
        assert!(of(&"9".repeat(1001)).is_err());
        assert_eq!(of(&"9".repeat(1000)), Ok(Scan::Strict));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(of(&nested(1000)), Ok(Scan::Strict));
        assert_eq!(of(&nested(1001)), Err(ConvertError::Depth));
        assert_eq!(of(&"{\"a\":".repeat(1_000_000)), Err(ConvertError::Depth));
    }
}
