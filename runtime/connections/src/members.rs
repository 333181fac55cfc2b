//! Fields of schemaless JSON objects by their dotted paths, where nothing else of an object is
//! read.

use tidegate_convert::Value;

use crate::fields::{self, Typed};

/// With more names than this, reading the whole object is no more work.
const MAX_NAMES: usize = 256;

/// The members of an object in which the fields of some paths may be.
pub(crate) struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    /// None: they are too many.
    pub(crate) fn of(paths: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut names = Vec::new();
        for path in paths {
            names.push(path);
            let before = |(dot, _): (usize, &str)| path.get(..dot);
            names.extend(path.match_indices('.').filter_map(before));
            if names.len() > MAX_NAMES {
                return None;
            }
        }
        names.sort_unstable();
        names.dedup();
        Some(Self(names))
    }

    /// Sorted.
    pub(crate) fn sorted(&self) -> &[&'a str] {
        &self.0
    }

    /// As [`fields::field`] of an object with the `members` of these names.
    pub(crate) fn field<'v>(&self, members: &'v [Option<Value>], path: &str) -> Option<Typed<'v>> {
        if let Some(found) = self.child(members, path) {
            return Some(found);
        }
        path.rmatch_indices('.').find_map(|(dot, _)| {
            let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
            fields::field(self.child(members, name)?, rest)
        })
    }

    fn child<'v>(&self, members: &'v [Option<Value>], name: &str) -> Option<Typed<'v>> {
        let place = self.0.binary_search(&name).ok()?;
        Some((None, members.get(place)?.as_ref()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*, sample::select};
    use tidegate_convert::{Side, converter};

    use super::*;

    /// Names with dots, without, twice, and spelled otherwise.
    fn name() -> impl Strategy<Value = &'static str> {
        select(vec![
            "a",
            "b",
            "a.b",
            "b.a",
            "a.b.c",
            "",
            "c",
            r"\u0061",
            r"a\u002eb",
            "ä",
        ])
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = select(vec![
            "1", "-0.5", "007", "null", "true", r#""x\n""#, "[]", "{}", "1e400",
        ]);
        leaf.prop_map(str::to_owned)
            .prop_recursive(4, 30, 5, |inner| {
                let member = (name(), inner.clone(), select(vec!["", " "]));
                let member =
                    member.prop_map(|(name, item, space)| format!("\"{name}\"{space}:{item}"));
                prop_oneof![
                    4 => vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(" ,"))),
                    1 => vec(inner, 0..3).prop_map(|all| format!("[{}]", all.join(","))),
                ]
            })
    }

    fn path() -> impl Strategy<Value = String> {
        let part = select(vec!["a", "b", "c", "a.b", "", "ä", "."]);
        vec(part, 1..4).prop_map(|parts| parts.join("."))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn what_is_found_is_what_the_whole_object_has(
            rows in vec((json(), select(vec!["", " ", " behind"])), 1..4),
            paths in vec(path(), 1..6),
        ) {
            let plain = BTreeMap::from([("schemas.enable".to_owned(), "false".to_owned())]);
            let json = converter("JsonConverter", &plain, Side::Value).unwrap();
            let rows: Vec<_> = rows.iter().map(|(text, end)| format!("{text}{end}")).collect();
            let (column, _) = json.decode_column(rows.iter().map(|row| Some(row.as_bytes())).collect());
            let names = Names::of(paths.iter().map(String::as_str)).unwrap();
            for (row, text) in rows.iter().enumerate() {
                let whole = column.value(row).unwrap();
                let members = column.members(row, names.sorted());
                prop_assert_eq!(members.is_some(), matches!(*whole, Value::Map(_)));
                let Some(members) = members else { continue };
                for path in &paths {
                    let long = fields::field((None, &whole), path);
                    prop_assert_eq!(names.field(&members, path), long, "{} in {}", path, text);
                }
            }
        }
    }

    #[test]
    fn too_many_names_are_not_worth_it() {
        assert!(Names::of(["a.b", "c"].into_iter()).is_some());
        assert!(Names::of([".".repeat(MAX_NAMES).as_str()].into_iter()).is_none());
    }
}
