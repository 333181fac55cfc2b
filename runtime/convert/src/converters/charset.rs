//! The character sets of `converter.encoding` that are supported: those that every Java has.

use std::borrow::Cow;

/// A character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Latin1,
    Ascii,
    /// Reads either byte order, writes big-endian with a byte order mark.
    Utf16,
    Utf16Be,
    Utf16Le,
}

impl Charset {
    /// All names, for the error about others.
    pub(crate) const NAMES: &'static str =
        "UTF-8, ISO-8859-1, US-ASCII, UTF-16, UTF-16BE or UTF-16LE";

    /// By Java's names and common aliases, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" => Self::Utf8,
            "ISO-8859-1" | "ISO8859_1" | "ISO8859-1" | "ISO_8859-1" | "ISO_8859_1" | "LATIN1"
            | "L1" => Self::Latin1,
            "US-ASCII" | "ASCII" | "ISO646-US" => Self::Ascii,
            "UTF-16" | "UTF16" | "UTF_16" => Self::Utf16,
            "UTF-16BE" | "UTF_16BE" => Self::Utf16Be,
            "UTF-16LE" | "UTF_16LE" => Self::Utf16Le,
            _ => return None,
        })
    }

    /// The text of `bytes`; what is no text becomes U+FFFD, as in Java.
    pub(crate) fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(bytes),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Ascii => {
                let char = |byte: &u8| {
                    if byte.is_ascii() {
                        char::from(*byte)
                    } else {
                        char::REPLACEMENT_CHARACTER
                    }
                };
                bytes.iter().map(char).collect()
            }
            Self::Utf16Be => utf16(bytes, u16::from_be_bytes),
            Self::Utf16Le => utf16(bytes, u16::from_le_bytes),
            Self::Utf16 => match bytes.split_at_checked(2) {
                Some((b"\xff\xfe", rest)) => utf16(rest, u16::from_le_bytes),
                Some((b"\xfe\xff", rest)) => utf16(rest, u16::from_be_bytes),
                _ => utf16(bytes, u16::from_be_bytes),
            },
        }
    }

    /// The bytes of `text`; `?` for characters that the set does not have, as in Java.
    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        let below = |limit: u32| {
            let byte = |char: char| {
                u8::try_from(u32::from(char))
                    .ok()
                    .filter(|byte| u32::from(*byte) < limit)
            };
            text.chars()
                .map(|char| byte(char).unwrap_or(b'?'))
                .collect()
        };
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 => below(0x100),
            Self::Ascii => below(0x80),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            // Java writes no byte order mark before nothing.
            Self::Utf16 if text.is_empty() => Vec::new(),
            Self::Utf16 => {
                let units = std::iter::once(0xfeff).chain(text.encode_utf16());
                units.flat_map(u16::to_be_bytes).collect()
            }
        }
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, str> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut text: String = char::decode_utf16(units)
        .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_go_both_ways() {
        for name in ["utf8", "latin1", "UTF-16", "UTF-16BE", "UTF-16LE"] {
            let charset = Charset::named(name).unwrap();
            assert_eq!(charset.decode(&charset.encode("aé")), "aé", "{name}");
        }
        assert_eq!(Charset::Ascii.encode("é"), b"?");
        assert_eq!(Charset::Latin1.encode("é中"), b"\xe9?");
        assert_eq!(Charset::Utf16.encode("a"), b"\xfe\xff\0a");
        assert_eq!(Charset::Utf16.decode(b"\xff\xfea\0b"), "a\u{fffd}");
        assert_eq!(Charset::Utf8.decode(b"a\xff"), "a\u{fffd}");
        assert_eq!(Charset::named("nope"), None);
    }
}
