//! What the fuzz targets of the document language do: any filter, update, pipeline and key on any documents.

use std::cmp::Ordering;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::key::{KeyPattern, encode};
use docquery::pipeline::{Database, Documents, Output, Scratch, Workspace, documents};
use docquery::{
    Document, Environment, Filter, Pipeline, Projection, Sort, Update, Value, limits, order,
};

use crate::any_bson::AnyDocument;
use crate::any_stages::AnyStages;

/// A document: of nasty values, or whatever bytes there are.
#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Made(AnyDocument),
    Bytes(&'a [u8]),
}

impl Input<'_> {
    /// The document, if it is one that may come in.
    fn document(&self) -> Option<RawDocumentBuf> {
        let document = match self {
            Self::Made(document) => document.0.clone(),
            Self::Bytes(bytes) => RawDocumentBuf::from_bytes(bytes.to_vec()).ok()?,
        };
        limits::check_document(&document).is_ok().then_some(document)
    }
}

/// Parses any filter and asks it about any document.
///
/// # Panics
///
/// When a filter and its negation say the same.
pub fn filter(bytes: &[u8]) {
    let Ok((filter, document)) = <(Input<'_>, Input<'_>)>::arbitrary(&mut Unstructured::new(bytes))
    else {
        return;
    };
    let (Some(filter), Some(document)) = (filter.document(), document.document()) else { return };
    let environment = Environment::new(0);
    let Ok(parsed) = Filter::parse(&filter, &environment) else { return };
    let Ok(matches) = parsed.matches(&document) else { return };
    let negation = bson::rawdoc! { "$nor": [filter.clone()] };
    let negation =
        Filter::parse(&negation, &environment).expect("what can be asked can be negated");
    assert_eq!(
        negation.matches(&document),
        Ok(!matches),
        "{filter:?} and its negation on {document:?}"
    );
}

/// Parses any update and applies it to any document, or inserts by it.
///
/// # Panics
///
/// When what comes out is no document.
pub fn update(bytes: &[u8]) {
    #[derive(Arbitrary, Debug)]
    struct Case<'a> {
        filter: Input<'a>,
        update: Input<'a>,
        array_filter: Option<AnyDocument>,
        document: Input<'a>,
    }
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let (Some(filter), Some(update), Some(document)) =
        (case.filter.document(), case.update.document(), case.document.document())
    else {
        return;
    };
    let environment = Environment::new(0);
    let Ok(filter) = Filter::parse(&filter, &environment) else { return };
    let array_filters: Vec<&RawDocument> = case.array_filter.iter().map(|any| &*any.0).collect();
    let Ok(update) = Update::parse(RawBsonRef::Document(&update), &array_filters, &environment)
    else {
        return;
    };
    if let Ok(inserted) = update.upsert(&filter) {
        check_sound(&inserted);
    }
    if let Ok(Some(changed)) = update.apply(&document, &filter) {
        check_sound(&changed);
    }
}

/// Runs any pipeline, projection and sort over any documents.
///
/// # Panics
///
/// When what comes out is no document.
pub fn pipeline(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok((stages, projection)) = <(AnyStages, AnyDocument)>::arbitrary(&mut bytes) else {
        return;
    };
    let Ok(documents) = Vec::<AnyDocument>::arbitrary(&mut bytes) else { return };
    let documents: Vec<_> = documents.into_iter().map(|any| any.0).collect();
    let environment = Environment::new(0);
    if let Ok(pipeline) = Pipeline::parse(stages.stages(), &environment) {
        let database: Arc<dyn Database> = Arc::new(Other(documents.clone()));
        let mut found = pipeline.run(source(documents.clone()), &database);
        let found = std::iter::from_fn(|| found.next().ok().flatten());
        let found: Vec<_> = found.take(RESULTS_MAX).collect();
        for document in &found {
            check_sound(document);
        }
        if let Some(Output::Merge(merge)) = pipeline.output() {
            for document in found.iter().map(|document| Document::from(&**document)) {
                if let Ok(Some(filter)) = merge.filter(document) {
                    check_sound(&filter);
                }
                let _ = merge.matched(document);
            }
        }
    }
    let everything =
        Filter::parse(RawDocument::from_bytes(EMPTY).expect("a document"), &environment);
    let everything = everything.expect("a filter");
    if let Ok(projection) = Projection::parse(&projection.0, &environment) {
        for document in
            documents.iter().filter_map(|document| projection.apply(document, &everything).ok())
        {
            check_sound(&document);
        }
    }
    if let Ok(sort) = Sort::parse(&projection.0) {
        let mut keys: Vec<_> =
            documents.iter().filter_map(|document| sort.key((&**document).into()).ok()).collect();
        keys.sort();
        assert!(keys.is_sorted());
    }
}

/// Encodes any values, and makes the index keys of any document.
///
/// # Panics
///
/// When bytes do not sort as values do, or one key is the beginning of another.
pub fn key(bytes: &[u8]) {
    let Ok((a, b)) = <(Input<'_>, Input<'_>)>::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let (Some(a), Some(b)) = (a.document(), b.document()) else { return };
    if let Ok(pattern) = KeyPattern::parse(&a)
        && let Ok(keys) = pattern.keys(&b)
    {
        assert!(keys.keys.is_sorted_by(|a, b| a < b), "keys are in order, each once: {keys:?}");
    }
    let values = |document| Document::from(document).into_iter().map(|(_, value)| value);
    let values: Vec<Value<'_>> = values(&*a).chain(values(&b)).collect();
    for (a, b) in values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))) {
        let (mut key_a, mut key_b) = (Vec::new(), Vec::new());
        encode(a, &mut key_a);
        encode(b, &mut key_b);
        assert_eq!(key_a.cmp(&key_b), order::compare(a, b), "{a:?} beside {b:?}");
        let prefix = key_a.starts_with(&key_b) && order::compare(a, b) != Ordering::Equal;
        assert!(!prefix, "the key of {b:?} begins that of {a:?}");
    }
}

fn check_sound(document: &RawDocument) {
    limits::check_bson(document, limits::DEPTH_MAX + 1)
        .unwrap_or_else(|error| panic!("{error} in {:?}", document.as_bytes()));
}

/// The collection that `$lookup` finds under any name.
#[derive(Debug)]
struct Other(Vec<RawDocumentBuf>);

impl Database for Other {
    fn documents(&self, _: &str, filter: Option<&Arc<Filter>>) -> docquery::Result<Documents> {
        let matches = |document: &&RawDocumentBuf| {
            filter.is_none_or(|filter| filter.matches(document).unwrap_or(false))
        };
        let matching: Vec<_> = self.0.iter().filter(matches).cloned().collect();
        Ok(source(matching))
    }
}

impl Workspace for Other {
    fn scratch(&self) -> docquery::Result<Option<Box<dyn Scratch>>> {
        Ok(Some(Box::new(Room::default())))
    }

    /// So little that stages put away what they hold.
    fn memory_bytes(&self) -> usize {
        2_000
    }
}

/// Room that is in memory as well, and bounded.
#[derive(Debug, Default)]
struct Room(Vec<u8>);

impl Scratch for Room {
    fn append(&mut self, bytes: &[u8]) -> docquery::Result<()> {
        if self.0.len() + bytes.len() > ROOM_BYTES_MAX {
            return Err(docquery::Error::bad_value("the room is full"));
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> docquery::Result<()> {
        let offset = usize::try_from(offset).expect("it was given");
        bytes.copy_from_slice(&self.0[offset..offset + bytes.len()]);
        Ok(())
    }
}

fn source(found: Vec<RawDocumentBuf>) -> Documents {
    documents(found.into_iter().map(Ok))
}

/// How much stages may put away.
const ROOM_BYTES_MAX: usize = 16 << 20;

/// An `$unwind` may give many documents for one.
const RESULTS_MAX: usize = 1_000;

const EMPTY: &[u8] = &[5, 0, 0, 0, 0];
