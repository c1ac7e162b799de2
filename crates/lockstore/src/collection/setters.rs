//! The settings that many requests have, written once.

/// Methods of a request that has an `Asked` in the field that is named: `[asked]`, `[model.asked]`.
macro_rules! setters {
    ($place:tt => $($setter:ident),+) => {
        $(setters!(@ $place $setter);)+
    };
    (@ [$($field:ident).+] sort) => {
        /// In which order documents are taken: `{ "priority": -1, "_id": 1 }`. By default, as they are found: without an
        /// index, in the order of their insertion.
        pub fn sort(mut self, sort: impl ::serde::Serialize) -> Self {
            self.$($field).+.set_sort(&sort);
            self
        }
    };
    (@ [$($field:ident).+] projection) => {
        /// Which fields are given: `{ "state": 1 }`. By default, all.
        pub fn projection(mut self, projection: impl ::serde::Serialize) -> Self {
            self.projection = self.$($field).+.document(&projection);
            self
        }
    };
    (@ [$($field:ident).+] return_document) => {
        /// Whether the document is given as it was, which is the default, or as it is now.
        pub fn return_document(mut self, which: $crate::collection::ReturnDocument) -> Self {
            self.after = which == $crate::collection::ReturnDocument::After;
            self
        }
    };
    (@ [$($field:ident).+] hint) => {
        /// Which index must be used, by its name or its keys; `{ "$natural": 1 }` for none. By default, the best. One that
        /// is not there is an error.
        pub fn hint(mut self, hint: impl Into<$crate::collection::Hint>) -> Self {
            self.$($field).+.set_hint(hint.into());
            self
        }
    };
    (@ [$($field:ident).+] collation) => {
        /// How strings are compared: by their bytes, `{ "locale": "simple" }`, which is the default. Any other is an error.
        pub fn collation(mut self, collation: impl ::serde::Serialize) -> Self {
            self.$($field).+.set_collation(&collation);
            self
        }
    };
    (@ [$($field:ident).+] let_vars) => {
        /// Variables that expressions may use: `{ "limit": 5 }` is `$$limit` there.
        pub fn let_vars(mut self, variables: impl ::serde::Serialize) -> Self {
            self.$($field).+.set_variables(&variables);
            self
        }
    };
    (@ [$($field:ident).+] comment) => {
        /// Anything, for who reads the program. It has no effect; if the store lives elsewhere, it is in the commands.
        pub fn comment(mut self, comment: impl Into<::bson::Bson>) -> Self {
            self.$($field).+.set_comment(comment.into());
            self
        }
    };
    (@ [$($field:ident).+] max_time) => {
        /// How long it may take, from [`run`](Self::run): then it ends with the error
        /// [`MAX_TIME_MS_EXPIRED`](docquery::ErrorCode::MAX_TIME_MS_EXPIRED). Zero is no limit, and the default.
        /// What gives a cursor has this time for all the work of the cursor: while nobody asks it, none of it goes by.
        pub fn max_time(mut self, max_time: ::std::time::Duration) -> Self {
            self.$($field).+.set_max_time(max_time);
            self
        }
    };
}

pub(super) use setters;
