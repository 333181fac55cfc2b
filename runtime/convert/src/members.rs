//! Members of the objects in a column of JSON text, without those that nobody asks for.

use crate::{
    decoded::{DecodedColumn, Form},
    json::{
        cursor::Cursor,
        node::{Node, unescaped},
        scan,
    },
    payload::read,
    value::Value,
};

impl DecodedColumn {
    /// What [`Self::value`] has of the members `names`, which are sorted, if `row` is an object in
    /// JSON text: one value a name, none where there is no such member. `None`: it is anything
    /// else.
    pub fn members(&self, row: usize, names: &[&str]) -> Option<Vec<Option<Value>>> {
        let Form::Json(_) = self.form() else {
            return None;
        };
        let mut cursor = Cursor::new(self.packed_row(row)?);
        cursor.skip_space();
        cursor.eat(b'{').then_some(())?;
        let mut found = vec![None; names.len()];
        let mut stack = Vec::new();
        cursor.skip_space();
        let mut more = !cursor.eat(b'}');
        while more {
            let name = unescaped(cursor.member().ok()?);
            let place = names.binary_search(&&*name).ok();
            match place.and_then(|place| found.get_mut(place)) {
                // As in any object, the last one wins.
                Some(member) => {
                    let node = Node::parse_next(&mut cursor, 1).ok()?;
                    *member = Some(read::schemaless(&node).ok()?);
                }
                None => scan::skip_value(&mut cursor, &mut stack, 1).ok()?,
            }
            cursor.skip_space();
            more = cursor.eat(b',');
            if !more {
                cursor.eat(b'}').then_some(())?;
            }
        }
        Some(found)
    }
}
