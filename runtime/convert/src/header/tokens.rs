//! The tokens of header texts: single delimiters, and what is between them.

/// Tokens of one text, and the position in them.
#[derive(Debug)]
pub(super) struct Tokens {
    tokens: Vec<String>,
    next: usize,
}

impl Tokens {
    /// A backslash takes a delimiter its meaning, and is itself dropped.
    pub(super) fn new(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut token = String::new();
        let mut escaped = false;
        for char in text.chars() {
            match char {
                '\\' => escaped = !escaped,
                ':' | ',' | '[' | ']' | '{' | '}' | '"' if !escaped => {
                    if !token.is_empty() {
                        tokens.push(std::mem::take(&mut token));
                    }
                    tokens.push(char.to_string());
                }
                other => {
                    escaped = false;
                    token.push(other);
                }
            }
        }
        if !token.is_empty() {
            tokens.push(token);
        }
        Self { tokens, next: 0 }
    }

    pub(super) fn mark(&self) -> usize {
        self.next
    }

    pub(super) fn rewind(&mut self, mark: usize) {
        self.next = mark;
    }

    pub(super) fn has_next(&self) -> bool {
        self.next < self.tokens.len()
    }

    /// The next token as it is.
    pub(super) fn take(&mut self) -> Option<&str> {
        let token = self.tokens.get(self.next)?;
        self.next += 1;
        Some(token)
    }

    /// The next `count` tokens together, if there are as many.
    pub(super) fn take_many(&mut self, count: usize) -> Option<String> {
        let tokens = self.tokens.get(self.next..self.next + count)?;
        self.next += count;
        Some(tokens.concat())
    }

    /// Takes the next token if it is exactly `expected`.
    pub(super) fn eat_exactly(&mut self, expected: &str) -> bool {
        let found = self
            .tokens
            .get(self.next)
            .is_some_and(|token| token == expected);
        self.next += usize::from(found);
        found
    }

    /// Skips tokens of white space, then takes the next one if it is `expected` but for white
    /// space.
    pub(super) fn eat(&mut self, expected: &str) -> bool {
        while self.next + 1 < self.tokens.len()
            && self
                .tokens
                .get(self.next)
                .is_some_and(|token| token.trim().is_empty())
        {
            self.next += 1;
        }
        let found = self
            .tokens
            .get(self.next)
            .is_some_and(|token| token.trim() == expected);
        self.next += usize::from(found);
        found
    }
}
