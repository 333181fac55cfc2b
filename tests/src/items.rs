//! Records with numbers, and what text does to careless code: quotes, other alphabets, nothing.

use serde_json::{Value, json};

/// The text of the item with this number; none is a null.
pub fn name(id: usize) -> Option<String> {
    match id % 6 {
        0 => Some(format!("plain {id}")),
        1 => Some(format!("Grüße 🎈 漢字 {id}")),
        2 => Some(format!("\"quoted\" 'twice' \\ {id}; DROP TABLE items; --")),
        3 => Some(String::new()),
        4 => Some(format!("tab\tline\nend {id}")),
        _ => None,
    }
}

/// The item as a JSON object.
pub fn item(id: usize) -> Value {
    json!({"id": id, "name": name(id), "price": id as f64 / 4.0, "is_even": id.is_multiple_of(2)})
}

/// The items with these numbers, as texts.
pub fn items(ids: std::ops::Range<usize>) -> impl Iterator<Item = String> {
    ids.map(|id| item(id).to_string())
}

/// What is in a table of items.
#[derive(Debug, Default)]
pub struct ItemCount {
    /// How often each number was seen.
    seen: Vec<u32>,
    /// Numbers with another text than [`name`].
    pub wrong: Vec<usize>,
}

impl ItemCount {
    /// Of rows of number and text, for `expected` items.
    pub fn of(expected: usize, rows: impl IntoIterator<Item = (usize, Option<String>)>) -> Self {
        let mut count = Self {
            seen: vec![0; expected],
            wrong: Vec::new(),
        };
        for (id, text) in rows {
            match count.seen.get_mut(id) {
                Some(seen) if text == name(id) => *seen += 1,
                _ => count.wrong.push(id),
            }
        }
        count
    }

    /// How many are missing.
    pub fn missing(&self) -> usize {
        self.seen.iter().filter(|seen| **seen == 0).count()
    }

    /// How many are there more than once.
    pub fn doubled(&self) -> usize {
        self.seen.iter().filter(|seen| **seen > 1).count()
    }

    /// Panics unless each is there once, as it was sent.
    #[track_caller]
    pub fn assert_exact(&self) {
        assert_eq!(
            (
                self.missing(),
                self.doubled(),
                &self.wrong[..self.wrong.len().min(5)]
            ),
            (0, 0, &[][..]),
            "missing, doubled, wrong"
        );
    }
}
