//! Columns of byte strings: bytes back to back, one length a row, -1 for null.

use crate::bindings::records::ByteColumn;

/// The length that means Kafka's null.
const NULL: i32 = -1;

/// A column under construction. Rows without a value cost nothing until the first with one.
#[derive(Clone, Debug, Default)]
pub(crate) struct ColumnBuilder {
    lengths: Vec<i32>,
    data: Vec<u8>,
}

impl ColumnBuilder {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self {
            lengths: Vec::with_capacity(rows),
            data: Vec::with_capacity(bytes),
        }
    }

    /// Sets the value of row `row`, the last one or a new one; rows between are null.
    #[inline]
    pub(crate) fn set(&mut self, row: usize, bytes: &[u8]) {
        if self.lengths.len() > row {
            self.unset(row);
        }
        self.lengths.resize(row, NULL);
        // A row longer than 2 GiB cannot exist in a 32-bit guest next to its batch.
        self.lengths
            .push(i32::try_from(bytes.len()).unwrap_or(NULL));
        self.data.extend_from_slice(bytes);
    }

    fn unset(&mut self, row: usize) {
        let dropped: usize = self
            .lengths
            .drain(row..)
            .map(|n| usize::try_from(n).unwrap_or(0))
            .sum();
        self.data.truncate(self.data.len().saturating_sub(dropped));
    }

    pub(crate) fn bytes(&self) -> usize {
        self.data.len()
    }

    /// The finished column of `rows` rows; empty if every row is null.
    pub(crate) fn finish(mut self, rows: usize) -> ByteColumn {
        if !self.lengths.is_empty() {
            self.lengths.resize(rows, NULL);
        }
        ByteColumn {
            lengths: self.lengths,
            data: self.data,
        }
    }
}

/// Walks over a column that came from the host. A column that ends early reads as nulls.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    lengths: std::slice::Iter<'a, i32>,
    data: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(column: &'a ByteColumn) -> Self {
        Self {
            lengths: column.lengths.iter(),
            data: &column.data,
        }
    }

    #[inline]
    pub(crate) fn step(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(*self.lengths.next()?).ok()?;
        let (bytes, rest) = self.data.split_at_checked(length)?;
        self.data = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_between_are_null_and_a_second_set_replaces() {
        let mut builder = ColumnBuilder::default();
        builder.set(2, b"abc");
        builder.set(2, b"de");
        builder.set(3, b"");
        let column = builder.finish(5);
        assert_eq!(column.lengths, [-1, -1, 2, 0, -1]);
        assert_eq!(column.data, b"de");
        let mut cursor = Cursor::new(&column);
        let rows: Vec<_> = (0..6).map(|_| cursor.step()).collect();
        assert_eq!(
            rows,
            [None, None, Some(&b"de"[..]), Some(&b""[..]), None, None]
        );
    }

    #[test]
    fn a_column_without_values_stays_empty() {
        assert!(ColumnBuilder::default().finish(3).lengths.is_empty());
    }
}
