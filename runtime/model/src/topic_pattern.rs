//! `topics.regex`: written for Java, matched by librdkafka with the C library's POSIX extended expressions,
//! in which `\d` is a `d` and a group that is not captured an error. So the expression is parsed here and
//! written anew in what both know.
//!
//! Only whole names of topics are matched, and they have 65 characters: a class becomes those of them that
//! are in it. How greedy a repetition is says nothing about whether the whole matches.

use regex_lite::Regex;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::names::MAX_TOPIC_NAME_BYTES;

/// Of what the C library would have to compile, repetitions written out: it takes memory for each, and an
/// expression comes from whoever may create a connector.
const MAX_SIZE: usize = 10_000;
/// In no topic's name, and so in none that matches.
const NEVER: &str = "/";

/// An expression over whole names of topics.
#[derive(Debug, Clone)]
pub struct TopicPattern {
    posix: String,
    compiled: Regex,
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.posix == other.posix
    }
}

impl Eq for TopicPattern {}

impl TopicPattern {
    /// Parses what stands in a configuration.
    ///
    /// # Errors
    /// What is wrong with it, or what of Java's expressions is not available.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('\0') {
            return Err("it holds a NUL character".to_owned());
        }
        let parsed = ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build()
            .parse(text)
            .map_err(|e| reason(&e))?;
        if size(&parsed) > MAX_SIZE {
            return Err("it is too large with its repetitions written out".to_owned());
        }
        let mut posix = String::from("^(");
        write(&parsed, &mut posix)?;
        posix.push_str(")$");
        let compiled = Regex::new(&posix).map_err(|e| e.to_string())?;
        Ok(Self { posix, compiled })
    }

    /// Whether the whole name matches.
    pub fn is_match(&self, topic: &str) -> bool {
        self.compiled.is_match(topic)
    }

    /// For librdkafka's subscription, which takes a name that begins with `^` for an expression.
    pub fn as_subscription(&self) -> &str {
        &self.posix
    }
}

fn reason(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(e) => e.kind().to_string(),
        regex_syntax::Error::Translate(e) => e.kind().to_string(),
        other => other.to_string(),
    }
}

/// How many steps it has with its repetitions written out.
fn size(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(size).fold(0, usize::saturating_add)
        }
    }
}

fn write(hir: &Hir, out: &mut String) -> Result<(), String> {
    match hir.kind() {
        HirKind::Empty => out.push_str("()"),
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| match byte {
            b'.' => out.push_str("[.]"),
            byte if is_of_topics(*byte) => out.push(char::from(*byte)),
            _ => out.push_str(NEVER),
        }),
        HirKind::Class(class) => write_class(class, out),
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => out.push('^'),
        HirKind::Look(Look::End | Look::EndLF | Look::EndCRLF) => out.push('$'),
        HirKind::Look(_) => return Err("word boundaries are not available here".to_owned()),
        HirKind::Repetition(repetition) => write_repetition(repetition, out)?,
        HirKind::Capture(capture) => write_group(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                match part.kind() {
                    HirKind::Alternation(_) => write_group(part, out)?,
                    _ => write(part, out)?,
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
    }
    Ok(())
}

fn write_group(hir: &Hir, out: &mut String) -> Result<(), String> {
    out.push('(');
    write(hir, out)?;
    out.push(')');
    Ok(())
}

fn write_repetition(repetition: &Repetition, out: &mut String) -> Result<(), String> {
    // No name is longer, and the C library has a bound of its own for these numbers.
    let longest = u32::try_from(MAX_TOPIC_NAME_BYTES).unwrap_or(u32::MAX);
    if repetition.min > longest && repetition.sub.properties().minimum_len() > Some(0) {
        out.push_str(NEVER);
        return Ok(());
    }
    write_group(&repetition.sub, out)?;
    let min = repetition.min.min(longest);
    match (min, repetition.max.filter(|max| *max <= longest)) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (min, None) => out.push_str(&format!("{{{min},}}")),
        (min, Some(max)) if min == max => out.push_str(&format!("{{{min}}}")),
        (min, Some(max)) => out.push_str(&format!("{{{min},{max}}}")),
    }
    Ok(())
}

fn write_class(class: &Class, out: &mut String) {
    let contains = |byte: u8| match class {
        Class::Unicode(class) => {
            let character = char::from(byte);
            class
                .iter()
                .any(|r| (r.start()..=r.end()).contains(&character))
        }
        Class::Bytes(class) => class.iter().any(|r| (r.start()..=r.end()).contains(&byte)),
    };
    let all: Vec<u8> = (0..=u8::MAX).filter(|byte| is_of_topics(*byte)).collect();
    let wanted: Vec<u8> = all.iter().copied().filter(|byte| contains(*byte)).collect();
    if wanted == all {
        out.push('.');
        return;
    }
    if wanted.is_empty() {
        out.push_str(NEVER);
        return;
    }
    out.push('[');
    // A hyphen is itself at the end only.
    let (hyphens, others): (Vec<u8>, Vec<u8>) = wanted.into_iter().partition(|b| *b == b'-');
    others
        .into_iter()
        .chain(hyphens)
        .for_each(|byte| out.push(char::from(byte)));
    out.push(']');
}

fn is_of_topics(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn posix(text: &str) -> String {
        TopicPattern::parse(text).unwrap().posix
    }

    #[test]
    fn what_java_and_the_c_library_read_differently_is_written_anew() {
        assert_eq!(posix(r"orders-\d+"), "^(orders-([0123456789])+)$");
        assert_eq!(posix("(?:a|bc)x"), "^((a|bc)x)$");
        assert_eq!(posix(r"db\.public\..*"), "^(db[.]public[.](.)*)$");
        assert_eq!(posix("a{2,3}?"), "^((a){2,3})$");
        assert_eq!(posix("^all$"), "^(^all$)$");
        assert_eq!(posix("(?i)a-b"), "^([Aa]-[Bb])$");
        assert_eq!(posix("a|"), "^(a|())$");
        assert_eq!(posix("a b"), "^(a/b)$");
        assert_eq!(posix("[^a-zA-Z0-9]"), "^([._-])$");
        assert_eq!(posix("[[:digit:]]"), "^([0123456789])$");
        assert_eq!(posix("x{300}"), "^(/)$");
    }

    #[test]
    fn what_is_not_available_is_named() {
        let problem = |text: &str| TopicPattern::parse(text).unwrap_err();
        assert!(problem("[").contains("unclosed"), "{}", problem("["));
        assert!(problem("(?!internal-).*").contains("look-around"));
        assert!(problem(r"(a)\1").contains("backreferences"));
        assert!(problem(r"\bx").contains("word boundaries"));
        assert!(problem("((a{200}){200}){200}").contains("too large"));
        assert!(problem("a\0").contains("NUL"));
    }

    const PIECES: [&str; 22] = [
        "a",
        "b",
        r"\.",
        "-",
        "_",
        r"\d",
        r"\w",
        r"\W",
        r"\S",
        ".*",
        ".+?",
        "[^a-c_]",
        "[a-c.]",
        "(ab|c)",
        "(?:a|)",
        "x{0,3}",
        "b+?",
        "c?",
        "(a|b)*",
        "[[:digit:]]{2}",
        "|",
        "(?i:B)",
    ];

    proptest! {
        #[test]
        fn it_matches_what_the_expression_matches(
            pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 1..6),
            topic in "[abBcx0._-]{1,5}",
        ) {
            let text = pieces.concat();
            let expected = Regex::new(&format!("^(?:{text})$")).unwrap().is_match(&topic);
            let pattern = TopicPattern::parse(&text).unwrap();
            prop_assert_eq!(pattern.is_match(&topic), expected, "{}", pattern.posix);
        }
    }
}
