//! Strings and numbers the way Jackson writes them, byte for byte: Kafka's keys are compared as
//! bytes, so a second spelling would be a second key.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{java_text, json::node::Node};

/// A string with its quotes. Characters beyond U+FFFF are written as two escapes, as Jackson does.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' && byte < 0xf0 {
            continue;
        }
        out.extend_from_slice(bytes.get(plain..at).unwrap_or_default());
        plain = at + 1;
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) else {
                    continue;
                };
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
                plain = at + char.len_utf8();
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
    out.push(b'"');
}

/// A base64 string with its quotes.
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// A whole number.
pub(crate) fn int(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// A float32; NaN and infinities are strings.
pub(crate) fn float32(out: &mut Vec<u8>, number: f32) {
    float(out, number.is_finite(), &java_text::float32(number));
}

/// A float64, likewise.
pub(crate) fn float64(out: &mut Vec<u8>, number: f64) {
    float(out, number.is_finite(), &java_text::float64(number));
}

fn float(out: &mut Vec<u8>, finite: bool, text: &str) {
    if finite {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, text);
    }
}

/// A tree, in RFC 8259's terms: number texts stay, but for leading zeros.
pub(crate) fn node(out: &mut Vec<u8>, tree: &Node<'_>) {
    match tree {
        Node::Missing | Node::Null => out.extend_from_slice(b"null"),
        Node::Boolean(truth) => out.extend_from_slice(truth.to_string().as_bytes()),
        Node::Number(text) => number(out, text),
        Node::String(text) => string(out, text),
        Node::Array(items) => list(out, b"[]", items, node),
        Node::Object(members) => list(out, b"{}", members, |out, (name, item)| {
            string(out, name);
            out.push(b':');
            node(out, item);
        }),
    }
}

fn number(out: &mut Vec<u8>, text: &str) {
    let (sign, digits) = text
        .strip_prefix('-')
        .map_or(("", text), |digits| ("-", digits));
    let trimmed = digits.trim_start_matches('0');
    out.extend_from_slice(sign.as_bytes());
    if !trimmed.starts_with(|next: char| next.is_ascii_digit()) {
        out.push(b'0');
    }
    out.extend_from_slice(trimmed.as_bytes());
}

/// Items between brackets, with commas.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let [open, close] = *brackets;
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_jackson_does() {
        let text = written(|out| string(out, "q\"\\\n\u{1f}\u{7f}</é中😀z"));
        assert_eq!(text, "\"q\\\"\\\\\\n\\u001F\u{7f}</é中\\uD83D\\uDE00z\"");
    }

    #[test]
    fn trees_come_out_strict() {
        let lenient = " {\"a\": [007, -00.50, 00, 0e1, 1E+2], \"a\": [-01] } junk";
        let tree = Node::parse(lenient.as_bytes()).unwrap();
        assert_eq!(written(|out| node(out, &tree)), "{\"a\":[-1]}");
        let tree = Node::parse(b"[007, -00.50, 00, 0e1, 1E+2]").unwrap();
        assert_eq!(written(|out| node(out, &tree)), "[7,-0.50,0,0e1,1E+2]");
    }
}
