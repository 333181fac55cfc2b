//! A JSON text as a tree, for schemas and for values that need converting.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
};

use crate::{
    error::ConvertError,
    json::cursor::{Cursor, StringToken},
};

/// Jackson's node types. Strings and numbers are slices of the text where they can be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node<'a> {
    /// There was no text at all (`MissingNode`), or no such member.
    Missing,
    Null,
    Boolean(bool),
    /// The number's text.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    /// No name twice: as in Jackson, the last value wins and keeps the first one's place.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// Reads the first value in `bytes`; what follows is ignored.
    ///
    /// # Errors
    /// If Jackson would refuse it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ConvertError> {
        let mut cursor = Cursor::new(bytes);
        if !cursor.skip_space() {
            return if bytes.iter().all(u8::is_ascii) || bytes == b"\xef\xbb\xbf" {
                Ok(Self::Missing)
            } else {
                cursor.error("not UTF-8")
            };
        }
        let node = value(&mut cursor, 0)?;
        if matches!(node, Self::Number(_)) {
            cursor.number_ends()?;
        }
        Ok(node)
    }

    /// Reads a text that is known to be one value, without white space around it.
    ///
    /// # Errors
    /// If it is none after all.
    pub(crate) fn parse_span(text: &'a str) -> Result<Self, ConvertError> {
        value(&mut Cursor::new(text.as_bytes()), 0)
    }

    /// The value that comes next, `depth` levels deep already.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn parse_next(cursor: &mut Cursor<'a>, depth: usize) -> Result<Self, ConvertError> {
        value(cursor, depth)
    }

    /// The member `name` of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find(|(member, _)| member == name)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Connect's name for the nearest type, for errors.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

fn value<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Node<'a>, ConvertError> {
    cursor.skip_space();
    Ok(match cursor.peek() {
        Some(b'"') => Node::String(unescaped(cursor.string()?)),
        Some(b'{') => object(cursor, depth + 1)?,
        Some(b'[') => array(cursor, depth + 1)?,
        Some(b't') => cursor.literal("true").map(|()| Node::Boolean(true))?,
        Some(b'f') => cursor.literal("false").map(|()| Node::Boolean(false))?,
        Some(b'n') => cursor.literal("null").map(|()| Node::Null)?,
        _ => Node::Number(cursor.number()?),
    })
}

fn array<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Node<'a>, ConvertError> {
    cursor.check_depth(depth)?;
    cursor.bump();
    let mut items = Vec::new();
    cursor.skip_space();
    if cursor.eat(b']') {
        return Ok(Node::Array(items));
    }
    loop {
        items.push(value(cursor, depth)?);
        cursor.skip_space();
        if !cursor.eat(b',') {
            cursor.expect(b']', "expected a comma or a closing bracket")?;
            return Ok(Node::Array(items));
        }
    }
}

fn object<'a>(cursor: &mut Cursor<'a>, depth: usize) -> Result<Node<'a>, ConvertError> {
    cursor.check_depth(depth)?;
    cursor.bump();
    let mut members = Vec::new();
    cursor.skip_space();
    if cursor.eat(b'}') {
        return Ok(Node::Object(members));
    }
    loop {
        let name = unescaped(cursor.member()?);
        members.push((name, value(cursor, depth)?));
        cursor.skip_space();
        if !cursor.eat(b',') {
            cursor.expect(b'}', "expected a comma or a closing bracket")?;
            return Ok(Node::Object(last_wins(members)));
        }
    }
}

/// Below this many members, comparing all pairs is faster than hashing.
const FEW_MEMBERS: usize = 12;

fn last_wins<'a>(members: Vec<(Cow<'a, str>, Node<'a>)>) -> Vec<(Cow<'a, str>, Node<'a>)> {
    if members.len() <= FEW_MEMBERS {
        let twice = members.iter().enumerate().any(|(index, (name, _))| {
            members
                .iter()
                .take(index)
                .any(|(earlier, _)| earlier == name)
        });
        if !twice {
            return members;
        }
    }
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::with_capacity(members.len());
    let mut kept: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(members.len());
    for (name, node) in members {
        match places.entry(name) {
            Entry::Occupied(place) => {
                if let Some((_, earlier)) = kept.get_mut(*place.get()) {
                    *earlier = node;
                }
            }
            Entry::Vacant(place) => {
                kept.push((place.key().clone(), node));
                place.insert(kept.len() - 1);
            }
        }
    }
    kept
}

/// The text that a string token stands for. Surrogates without their other half, which Java
/// keeps, become U+FFFD.
pub(crate) fn unescaped(token: StringToken<'_>) -> Cow<'_, str> {
    if !token.escaped {
        return Cow::Borrowed(token.inner);
    }
    let mut out = String::with_capacity(token.inner.len());
    let mut rest = token.inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escape.chars();
        rest = match chars.next() {
            Some('u') => code_point(chars.as_str(), &mut out),
            Some(short) => {
                out.push(match short {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    itself => itself,
                });
                chars.as_str()
            }
            None => "",
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Takes four digits, and the low half of a surrogate pair where one follows a high half.
fn code_point<'a>(text: &'a str, out: &mut String) -> &'a str {
    let unit = |text: &'a str| {
        let (digits, rest) = text.split_at_checked(4)?;
        Some((u16::from_str_radix(digits, 16).ok()?, rest))
    };
    let Some((high, rest)) = unit(text) else {
        return text;
    };
    if let Some((low, after)) = rest.strip_prefix("\\u").and_then(unit)
        && let Some(Ok(pair)) = char::decode_utf16([high, low]).next()
        && u32::from(pair) > 0xffff
    {
        out.push(pair);
        return after;
    }
    out.push(char::from_u32(u32::from(high)).unwrap_or(char::REPLACEMENT_CHARACTER));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        Node::parse(json.as_bytes())
            .unwrap()
            .as_text()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(
            text(r#""a\"\\\/\b\f\n\r\t\u0041\ud83d\ude00é""#),
            "a\"\\/\u{8}\u{c}\n\r\tA😀é"
        );
        assert_eq!(text(r#""\ud83d""#), "\u{fffd}");
        assert_eq!(text(r#""\ud83dx\ude00""#), "\u{fffd}x\u{fffd}");
        assert_eq!(text(r#""\ud83d\u0041""#), "\u{fffd}A");
    }

    #[test]
    fn the_last_of_equal_names_wins() {
        let few = Node::parse(br#"{"a":1,"b":2,"a":3}"#).unwrap();
        let three = Node::Number("3");
        assert_eq!(few.get("a"), Some(&three));
        let Node::Object(members) = few else { panic!() };
        assert_eq!(members.len(), 2);
        let many: String = (0..40).map(|n| format!("\"n{}\":{n},", n % 20)).collect();
        let many = format!("{{{many}\"z\":0}}");
        let Node::Object(members) = Node::parse(many.as_bytes()).unwrap() else {
            panic!()
        };
        assert_eq!(members.len(), 21);
        assert_eq!(members[3], ("n3".into(), Node::Number("23")));
    }

    #[test]
    fn depth_and_junk_are_treated_as_scanning_does() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        // As deep as is allowed, in tests/deep.rs.
        assert!(Node::parse(nested(100).as_bytes()).is_ok());
        assert_eq!(Node::parse(b"01 x"), Ok(Node::Number("01")));
        assert_eq!(Node::parse(b" "), Ok(Node::Missing));
        assert!(Node::parse(b"1,2").is_err());
        assert!(Node::parse(b"\xff\xfe").is_err());
        assert!(Node::parse(b"{\"a\":[1,2").is_err());
    }
}
