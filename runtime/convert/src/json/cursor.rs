//! The tokens of JSON text, as slices of it.

use crate::{
    error::ConvertError,
    json::{MAX_DEPTH, MAX_NUMBER_DIGITS},
};

/// A position in JSON text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// Whether a number so far had leading zeros, which RFC 8259 forbids.
    pub(crate) lenient: bool,
    /// Whether a number so far had so many digits, or an exponent, that it may be too large for 64
    /// bits.
    pub(crate) is_wide: bool,
}

/// A string token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StringToken<'a> {
    /// Between the quotes, escapes as they are.
    pub(crate) inner: &'a str,
    /// Whether there are escapes.
    pub(crate) escaped: bool,
}

impl<'a> Cursor<'a> {
    /// Starts behind the byte order mark, if any. Text that is no UTF-8 ends before the first bad
    /// byte: only what follows the value may be anything.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => bytes
                .split_at_checked(error.valid_up_to())
                .and_then(|(valid, _)| std::str::from_utf8(valid).ok())
                .unwrap_or_default(),
        };
        Self {
            text,
            at: 0,
            lenient: false,
            is_wide: false,
        }
    }

    /// How much text is left.
    pub(crate) fn left(&self) -> usize {
        self.text.len() - self.at
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn bump(&mut self) {
        self.at += 1;
    }

    pub(crate) fn error<T>(&self, problem: &'static str) -> Result<T, ConvertError> {
        Err(ConvertError::Json {
            offset: self.at,
            problem,
        })
    }

    /// Refuses the nesting `depth`.
    pub(crate) fn check_depth(&self, depth: usize) -> Result<(), ConvertError> {
        if depth > MAX_DEPTH {
            Err(ConvertError::Depth)
        } else {
            Ok(())
        }
    }

    /// Skips white space; whether more text follows.
    pub(crate) fn skip_space(&mut self) -> bool {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return true;
            }
            self.at += 1;
        }
        false
    }

    /// Takes `byte` if it comes next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes white space and then `byte`.
    pub(crate) fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), ConvertError> {
        self.skip_space();
        if self.eat(byte) {
            Ok(())
        } else {
            self.error(problem)
        }
    }

    /// A member's name and the colon behind it.
    pub(crate) fn member(&mut self) -> Result<StringToken<'a>, ConvertError> {
        self.skip_space();
        let name = self.string()?;
        self.expect(b':', "expected a colon")?;
        Ok(name)
    }

    /// A string, from quote to quote.
    pub(crate) fn string(&mut self) -> Result<StringToken<'a>, ConvertError> {
        if !self.eat(b'"') {
            return self.error("expected a string");
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            // The bytes that need a look; all others, UTF-8 included, are skipped at once.
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let skip = rest
                .iter()
                .position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            self.at += skip.unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.error("control characters in strings must be escaped"),
                None => return self.error("unfinished string"),
            }
        }
        let inner = self.since(start);
        self.bump();
        Ok(StringToken { inner, escaped })
    }

    fn escape(&mut self) -> Result<(), ConvertError> {
        self.bump();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.bump(),
            Some(b'u') => {
                self.bump();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.error("expected four hexadecimal digits");
                    }
                    self.bump();
                }
            }
            _ => return self.error("unknown escape"),
        }
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    /// A number's text.
    pub(crate) fn number(&mut self) -> Result<&'a str, ConvertError> {
        let start = self.at;
        self.eat(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let mut digits = self.digits();
        if digits == 0 {
            return self.error("expected a value");
        }
        self.lenient |= leading_zero && digits > 1;
        if self.eat(b'.') {
            match self.digits() {
                0 => return self.error("expected digits behind the point"),
                more => digits += more,
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.bump();
            self.is_wide = true;
            let exponent = self.at;
            if !self.eat(b'-') {
                self.eat(b'+');
            }
            match self.digits() {
                0 => return self.error("expected digits in the exponent"),
                more => digits += more,
            }
            if self.since(exponent).parse::<i32>().is_err() {
                return self.error("exponent out of range");
            }
        }
        self.is_wide |= digits > 18;
        if digits > MAX_NUMBER_DIGITS {
            return self.error("number has more than 1000 digits");
        }
        Ok(self.since(start))
    }

    /// `true`, `false` or `null`, not followed by more of a word.
    pub(crate) fn literal(&mut self, word: &'static str) -> Result<(), ConvertError> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(after) = rest.strip_prefix(word) else {
            return self.error("expected a value");
        };
        let more = |next: char| next.is_alphanumeric() || next == '_' || next == '$';
        if after.starts_with(more) {
            return self.error("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Behind a number that is the whole text: unlike behind other values, Jackson wants white
    /// space before whatever follows.
    pub(crate) fn number_ends(&self) -> Result<(), ConvertError> {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            Some(_) => self.error("expected white space behind the number"),
        }
    }
}
