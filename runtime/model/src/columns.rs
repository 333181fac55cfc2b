//! Byte strings of many records in one allocation: the form in which batches cross the sandbox
//! and Kafka. See `wit/records.wit` for the guest's view of the same thing.

use serde::{Deserialize, Serialize};

/// How the bytes of a key or value are encoded; `wit/records.wit` has the table of forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Strings as UTF-8 text, bytes as they are, anything else as JSON text.
    Raw,
    /// JSON text.
    Json,
    /// RFC 8949.
    Cbor,
}

/// Why a column that came from outside is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// Another number of rows than the batch has.
    #[error("{column} has {found} rows where the batch has {rows}")]
    Rows {
        /// Which column.
        column: &'static str,
        /// Its length.
        found: usize,
        /// The batch's.
        rows: usize,
    },
    /// A length below -1.
    #[error("{column} row {row} has the negative length {length}")]
    Negative {
        /// Which column.
        column: &'static str,
        /// The row, from 0.
        row: usize,
        /// What was claimed.
        length: i32,
    },
    /// The lengths do not add up to the data.
    #[error("{column} lengths add up to {claimed} bytes but the column holds {held}")]
    Sum {
        /// Which column.
        column: &'static str,
        /// Sum of the lengths.
        claimed: u64,
        /// Bytes there are.
        held: usize,
    },
}

/// A column of byte strings: the bytes back to back, one length a row, -1 for Kafka's null.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByteColumn {
    lengths: Vec<i32>,
    data: Vec<u8>,
}

impl ByteColumn {
    /// An empty column with room for `rows` rows and `bytes` bytes.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self {
            lengths: Vec::with_capacity(rows),
            data: Vec::with_capacity(bytes),
        }
    }

    /// A column of `rows` nulls.
    pub fn nulls(rows: usize) -> Self {
        Self {
            lengths: vec![-1; rows],
            data: Vec::new(),
        }
    }

    /// Takes parts that a guest built. No lengths at all stand for `rows` nulls.
    ///
    /// # Errors
    /// If the lengths lie about rows or data; `column` names it in the error.
    pub fn checked(
        column: &'static str,
        rows: usize,
        lengths: Vec<i32>,
        data: Vec<u8>,
    ) -> Result<Self, ColumnError> {
        if lengths.is_empty() && data.is_empty() {
            return Ok(Self::nulls(rows));
        }
        if lengths.len() != rows {
            return Err(ColumnError::Rows {
                column,
                found: lengths.len(),
                rows,
            });
        }
        let mut claimed = 0u64;
        for (row, &length) in lengths.iter().enumerate() {
            match u64::try_from(length) {
                Ok(length) => claimed += length,
                Err(_) if length == -1 => {}
                Err(_) => {
                    return Err(ColumnError::Negative {
                        column,
                        row,
                        length,
                    });
                }
            }
        }
        if claimed != data.len() as u64 {
            return Err(ColumnError::Sum {
                column,
                claimed,
                held: data.len(),
            });
        }
        Ok(Self { lengths, data })
    }

    /// Appends a row; `None` is Kafka's null.
    pub fn push(&mut self, value: Option<&[u8]>) {
        match value {
            // A Kafka record is bounded far below 2 GiB; a longer one cannot come in.
            Some(bytes) => {
                self.lengths
                    .push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
                self.data.extend_from_slice(bytes);
            }
            None => self.lengths.push(-1),
        }
    }

    /// Rows from the first to the last.
    pub fn iter(&self) -> Rows<'_> {
        Rows {
            lengths: self.lengths.iter(),
            data: &self.data,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Bytes of all rows together.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// One length a row, -1 for null.
    pub fn lengths(&self) -> &[i32] {
        &self.lengths
    }

    /// The bytes of all rows, back to back.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Whether row after row is null.
    pub fn all_null(&self) -> bool {
        self.data.is_empty() && self.lengths.iter().all(|&length| length == -1)
    }

    /// A copy of the rows that `keep` accepts, in order.
    pub fn filtered(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut out = Self::with_capacity(self.len(), self.bytes());
        for (row, value) in self.iter().enumerate() {
            if keep(row) {
                out.push(value);
            }
        }
        out
    }

    /// Lengths and data, as the guest's form has them.
    pub fn into_parts(self) -> (Vec<i32>, Vec<u8>) {
        (self.lengths, self.data)
    }
}

impl<'a> FromIterator<Option<&'a [u8]>> for ByteColumn {
    fn from_iter<I: IntoIterator<Item = Option<&'a [u8]>>>(rows: I) -> Self {
        let mut out = Self::default();
        for row in rows {
            out.push(row);
        }
        out
    }
}

impl<'a> IntoIterator for &'a ByteColumn {
    type Item = Option<&'a [u8]>;
    type IntoIter = Rows<'a>;
    fn into_iter(self) -> Rows<'a> {
        self.iter()
    }
}

/// Iterator over the rows of a [`ByteColumn`].
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    lengths: std::slice::Iter<'a, i32>,
    data: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = *self.lengths.next()?;
        let Ok(length) = usize::try_from(length) else {
            return Some(None);
        };
        // Columns are checked when made, so there is always enough left.
        let (row, rest) = self
            .data
            .split_at_checked(length)
            .unwrap_or((self.data, &[]));
        self.data = rest;
        Some(Some(row))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.lengths.size_hint()
    }
}

impl ExactSizeIterator for Rows<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_pushed() {
        let rows: Vec<Option<&[u8]>> = vec![Some(b"a"), None, Some(b""), Some(b"bcd")];
        let column: ByteColumn = rows.iter().copied().collect();
        assert_eq!(column.iter().collect::<Vec<_>>(), rows);
        assert_eq!(
            column.filtered(|row| row != 0).iter().collect::<Vec<_>>(),
            rows[1..]
        );
    }

    #[test]
    fn lies_are_refused() {
        let check = |rows, lengths: &[i32], data: &[u8]| {
            ByteColumn::checked("values", rows, lengths.to_vec(), data.to_vec())
        };
        assert!(matches!(
            check(2, &[1], b"a"),
            Err(ColumnError::Rows { found: 1, .. })
        ));
        assert!(matches!(
            check(1, &[-2], b""),
            Err(ColumnError::Negative { length: -2, .. })
        ));
        assert!(matches!(
            check(1, &[3], b"a"),
            Err(ColumnError::Sum {
                claimed: 3,
                held: 1,
                ..
            })
        ));
        assert!(matches!(
            check(2, &[i32::MAX, i32::MAX], b"a"),
            Err(ColumnError::Sum { .. })
        ));
        assert!(check(3, &[], b"").unwrap().all_null());
    }
}
