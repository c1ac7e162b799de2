//! What matters to who waits for a document.

use std::collections::HashSet;

use bson::{Bson, Document, RawArray, RawBsonRef, RawDocument, doc};
use lockstore::remote::serving::document_locks::Finding;
use serde::Deserialize;

/// What somebody waits for: the document in the way, or another that comes before it by then.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Wants {
    /// The `_id` of the document in the way.
    in_the_way: Option<Bson>,
    /// The fields by which it is found, and which comes first.
    fields: Fields,
}

#[derive(Debug, PartialEq)]
enum Fields {
    /// Those of the documents' top level.
    These(HashSet<String>),
    /// Whichever there are.
    Any,
}

/// A change of a document, as the change stream tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed {
    operation_type: String,
    document_key: Option<Document>,
    /// The fields that an update has changed.
    #[serde(default)]
    fields: Vec<String>,
}

impl Default for Fields {
    fn default() -> Self {
        Self::These(HashSet::new())
    }
}

impl Wants {
    pub(super) fn new(finding: &Finding) -> Self {
        let mut fields = Fields::default();
        fields.add_filter(&finding.filter);
        for (name, _) in finding.sort.iter().flat_map(|sort| sort.iter()).flatten() {
            fields.add(name.as_str());
        }
        Self { in_the_way: None, fields }
    }

    /// Waits for that document, if it is known. Whether it is another than before.
    pub(super) fn wait_for(&mut self, in_the_way: Option<Bson>) -> bool {
        let before = std::mem::replace(&mut self.in_the_way, in_the_way);
        before != self.in_the_way
    }

    pub(super) fn is_for_the_same(&self, other: &Self) -> bool {
        self.in_the_way == other.in_the_way
    }

    /// Whether a change may be what is waited for.
    pub(super) fn matters(&self, changed: &Changed) -> bool {
        let id = changed.document_key.as_ref().and_then(|key| key.get("_id"));
        let is_it = self.in_the_way.is_none() || self.in_the_way.as_ref() == id;
        match &*changed.operation_type {
            "update" => changed.fields.iter().any(|field| {
                let root = root(field);
                (is_it && root == "lock_id") || self.fields.has(root)
            }),
            "delete" => is_it,
            _ => true,
        }
    }
}

impl Fields {
    fn has(&self, root: &str) -> bool {
        match self {
            Self::These(fields) => fields.contains(root),
            Self::Any => true,
        }
    }

    fn add(&mut self, path: &str) {
        if let Self::These(fields) = self {
            fields.insert(root(path).to_owned());
        }
    }

    fn add_filter(&mut self, filter: &RawDocument) {
        for (name, value) in filter.iter().flatten() {
            match (name.as_str(), value.as_array()) {
                ("$and" | "$or" | "$nor", Some(filters)) => self.add_filters(filters),
                ("$comment", _) => {}
                // What an expression reads is not looked for.
                (operator, _) if operator.starts_with('$') => *self = Self::Any,
                (path, _) => self.add(path),
            }
        }
    }

    fn add_filters(&mut self, filters: &RawArray) {
        for filter in filters.into_iter().flatten() {
            if let Some(filter) = filter.as_document() {
                self.add_filter(filter);
            }
        }
    }
}

impl Changed {
    /// What a change stream is to tell: the names of fields, and never their values.
    pub(super) fn pipeline() -> [Document; 1] {
        let names = |list: &str, name: &str| {
            doc! { "$map": { "input": { "$ifNull": [list, []] }, "in": name } }
        };
        let set = doc! { "$objectToArray": {
            "$ifNull": ["$updateDescription.updatedFields", { "$literal": {} }],
        } };
        let fields = doc! { "$concatArrays": [
            { "$map": { "input": set, "in": "$$this.k" } },
            names("$updateDescription.removedFields", "$$this"),
            names("$updateDescription.truncatedArrays", "$$this.field"),
        ] };
        [doc! { "$project": { "operationType": 1, "documentKey": 1, "fields": fields } }]
    }
}

/// Whether only one document can be found: the one that has this `_id`.
pub(super) fn names_one(finding: &Finding) -> bool {
    let id = finding.filter.get("_id").ok().flatten();
    let is_value = |id: RawBsonRef<'_>| id.as_document().is_none() && id.as_regex().is_none();
    finding.collation.is_none() && id.is_some_and(is_value)
}

/// The field of a document's top level that a path leads into.
fn root(path: &str) -> &str {
    path.split_once('.').map_or(path, |(root, _)| root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawDocumentBuf, rawdoc};

    fn wants(filter: RawDocumentBuf, sort: Option<RawDocumentBuf>) -> Wants {
        let finding = Finding { filter, sort, hint: None, collation: None, variables: None };
        let mut wants = Wants::new(&finding);
        wants.wait_for(Some(1.into()));
        wants
    }

    fn update(id: i32, fields: &[&str]) -> Changed {
        changed("update", id, fields)
    }

    fn changed(operation_type: &str, id: i32, fields: &[&str]) -> Changed {
        Changed {
            operation_type: operation_type.into(),
            document_key: Some(doc! { "_id": id }),
            fields: fields.iter().map(|&field| field.into()).collect(),
        }
    }

    #[test]
    fn the_progress_of_documents_and_the_locks_of_others_wake_nobody() {
        let wants = wants(
            rawdoc! { "state": "ready", "$or": [{ "worker.name": "w" }, { "$comment": "free" }] },
            Some(rawdoc! { "priority": -1 }),
        );
        for of_it in [&["lock_id", "lock_time"][..], &["state"], &["worker.name.0"], &["worker"]] {
            assert!(wants.matters(&update(1, of_it)), "{of_it:?}");
        }
        for of_another in [&["state"][..], &["n", "priority"], &["worker.since"]] {
            assert!(wants.matters(&update(2, of_another)), "{of_another:?}");
        }
        assert!(!wants.matters(&update(1, &["progress", "lock_expires_at"])));
        assert!(!wants.matters(&update(2, &["lock_id", "lock_time", "progress"])));
    }

    #[test]
    fn a_filter_names_one_document_by_its_id_and_not_by_a_condition_on_it() {
        let names_one = |filter: RawDocumentBuf, collation: Option<RawDocumentBuf>| {
            let collation = collation.map(Into::into);
            super::names_one(&Finding {
                filter,
                sort: None,
                hint: None,
                collation,
                variables: None,
            })
        };
        assert!(names_one(rawdoc! { "_id": 1, "n": 2 }, None));
        assert!(!names_one(rawdoc! { "_id": { "$gt": 1 } }, None));
        assert!(!names_one(rawdoc! { "n": 1 }, None));
        assert!(!names_one(
            rawdoc! { "_id": "a" },
            Some(rawdoc! { "locale": "en", "strength": 1 })
        ));
    }

    #[test]
    fn what_comes_and_goes_matters_and_so_does_all_where_it_is_not_known_what_is_read() {
        let mut plain = wants(rawdoc! { "n": 1 }, None);
        assert!(plain.matters(&changed("insert", 2, &[])));
        assert!(plain.matters(&changed("replace", 2, &[])));
        assert!(
            plain.matters(&changed("delete", 1, &[])) && !plain.matters(&changed("delete", 2, &[]))
        );
        plain.wait_for(None);
        assert!(plain.matters(&update(2, &["lock_id"])));
        let computed = wants(rawdoc! { "$expr": { "$gt": ["$n", 1] } }, None);
        assert!(computed.matters(&update(2, &["anything"])));
    }
}
