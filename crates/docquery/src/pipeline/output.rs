//! `$out` and `$merge`: where the documents go. The stages are read here; whoever runs the pipeline writes.

use bson::RawDocumentBuf;

use crate::expression::{Context, Scope, check_bound_name};
use crate::key::encode;
use crate::path::Path;
use crate::{
    Arena, Document, Environment, Error, ErrorCode, Expression, OwnedValue, Result, Update, Value,
    Writer, nested,
};

/// Where the documents of a pipeline go.
#[derive(Clone, Debug)]
pub enum Output {
    /// `$out`: they take the place of all that is in the collection.
    Replace(Target),
    /// `$merge`: each goes to the document that it belongs to.
    Merge(Box<Merge>),
}

/// The collection that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its database; `None` for that of the pipeline.
    pub database: Option<Box<str>>,
    /// Its name in the database.
    pub collection: Box<str>,
}

/// `$merge`, parsed.
#[derive(Clone, Debug)]
pub struct Merge {
    target: Target,
    on: Vec<Path>,
    matched: WhenMatched,
    not_matched: WhenNotMatched,
    environment: Environment,
}

/// What becomes of a document that is there already.
#[derive(Clone, Debug)]
enum WhenMatched {
    Replace,
    KeepExisting,
    Merge,
    Fail,
    /// The stages, and the variables that they may use besides `$$new`.
    Pipeline(OwnedValue, Vec<(Box<str>, Expression)>),
}

/// What is done with a document for which nothing is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenNotMatched {
    /// It is inserted.
    Insert,
    /// It is left out.
    Discard,
    /// It is an error.
    Fail,
}

/// What is to be done with a document for which something is there.
#[derive(Clone, Debug)]
pub enum Matched {
    /// The one that is there is changed.
    Update(Box<Update>),
    /// The one that is there stays.
    Keep,
    /// It is an error.
    Fail,
}

impl Output {
    /// Reads `$out`.
    pub(crate) fn parse_out(spec: Value<'_>) -> Result<Self> {
        let target = match spec {
            Value::String(collection) => Target { database: None, collection: collection.into() },
            Value::Document(spec) => {
                let (Value::String(database), Value::String(collection), 2) =
                    (spec.get("db"), spec.get("coll"), spec.len())
                else {
                    let message =
                        "the object of $out has exactly the fields db and coll, two strings";
                    return Err(Error::location(16994, message));
                };
                Target { database: Some(database.into()), collection: collection.into() }
            }
            _ => {
                let message = format!("$out takes a string or an object, not {}", spec.type_name());
                return Err(Error::location(16990, message));
            }
        };
        if target.collection.is_empty() {
            let message = "the collection of $out has no name";
            return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message));
        }
        if target.collection.starts_with("system.") {
            let message = format!("$out cannot write '{}'", target.collection);
            return Err(Error::location(17385, message));
        }
        Ok(Self::Replace(target))
    }

    /// The collection that is written.
    pub fn target(&self) -> &Target {
        match self {
            Self::Replace(target) => target,
            Self::Merge(merge) => &merge.target,
        }
    }
}

impl Merge {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let mut merge = Self {
            target: Target { database: None, collection: Box::default() },
            on: vec![Path::new("_id")],
            matched: WhenMatched::Merge,
            not_matched: WhenNotMatched::Insert,
            environment: environment.clone(),
        };
        match spec {
            Value::String(collection) => merge.target.collection = collection.into(),
            Value::Document(spec) => merge.read(spec)?,
            _ => {
                return Err(Error::type_mismatch(format!(
                    "$merge takes a string or an object, not {}",
                    spec.type_name()
                )));
            }
        }
        if merge.target.collection.is_empty() {
            let message = "the collection of $merge has no name";
            return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message));
        }
        let can_be = match merge.matched {
            WhenMatched::KeepExisting | WhenMatched::Fail => {
                merge.not_matched == WhenNotMatched::Insert
            }
            WhenMatched::Replace | WhenMatched::Merge | WhenMatched::Pipeline(..) => true,
        };
        if !can_be {
            let message = "whenMatched 'keepExisting' and 'fail' of $merge go with whenNotMatched 'insert' only";
            return Err(Error::location(51181, message));
        }
        Ok(merge)
    }

    fn read(&mut self, spec: Document<'_>) -> Result<()> {
        let (mut into, mut variables) = (false, None);
        for (name, value) in spec {
            match (name, value) {
                ("into", value) => {
                    self.target = parse_into(value)?;
                    into = true;
                }
                ("on", value) => self.on = parse_on(value)?,
                ("let", Value::Document(fields)) => variables = Some(fields),
                ("let", _) => {
                    let message = format!("let of $merge is an object, not {}", value.type_name());
                    return Err(Error::type_mismatch(message));
                }
                ("whenMatched", value) => self.matched = parse_matched(value)?,
                ("whenNotMatched", value) => self.not_matched = parse_not_matched(value)?,
                _ => {
                    let message = format!(
                        "$merge has no option '{name}'; it takes into, on, let, whenMatched, whenNotMatched"
                    );
                    return Err(Error::location(40415, message));
                }
            }
        }
        if !into {
            return Err(Error::location(40414, "$merge needs the option into"));
        }
        if let Some(variables) = variables {
            let WhenMatched::Pipeline(_, known) = &mut self.matched else {
                let message = "$merge takes let only with a pipeline as whenMatched";
                return Err(Error::location(51199, message));
            };
            let scope = Scope::new(&self.environment);
            for (name, value) in variables {
                check_bound_name(name)?;
                if name == "new" && value.as_str() != Some("$$ROOT") {
                    let message = "let of $merge gives 'new' no other value than $$ROOT";
                    return Err(Error::location(51273, message));
                }
                known.push((name.into(), Expression::parse(value, &scope)?));
            }
        }
        Ok(())
    }

    /// The fields by which documents belong together: a unique index of the target has exactly these.
    pub fn on(&self) -> impl ExactSizeIterator<Item = &str> {
        self.on.iter().map(Path::as_str)
    }

    /// What tells to which document `document` belongs: it is the same for those that belong to the same. `None` if it has no
    /// `_id` yet, so that it belongs to none.
    pub fn key(&self, document: Document<'_>) -> Option<Vec<u8>> {
        let mut key = Vec::new();
        for path in &self.on {
            let value = nested::get(document, path);
            if value.is_missing() && path.as_str() == "_id" {
                return None;
            }
            encode(value, &mut key);
        }
        Some(key)
    }

    /// What is done with documents for which nothing is there.
    pub fn not_matched(&self) -> WhenNotMatched {
        self.not_matched
    }

    /// The filter for the document that `document` belongs to; `None` if it has no `_id` yet, so that it belongs to none.
    ///
    /// # Errors
    ///
    /// 51132 and 51185 for what no document is found by: null, nothing, or an array.
    pub fn filter(&self, document: Document<'_>) -> Result<Option<RawDocumentBuf>> {
        let mut writer = Writer::new();
        for path in &self.on {
            let value = nested::get(document, path);
            if value.is_missing() && path.as_str() == "_id" {
                return Ok(None);
            }
            let problem = match value {
                value if value.is_nullish() => 51132,
                Value::Array(_) => 51185,
                _ => {
                    writer.open_document(path.as_str());
                    writer.field("$eq", value);
                    writer.close();
                    continue;
                }
            };
            let message = format!(
                "the field '{}' of $merge cannot be missing, null or an array",
                path.as_str()
            );
            return Err(Error::location(problem, message));
        }
        super::buffer(writer).map(Some)
    }

    /// What is done with the document that `document` belongs to.
    ///
    /// # Errors
    ///
    /// The stages are none that an update may have, or a variable cannot be computed.
    pub fn matched(&self, document: Document<'_>) -> Result<Matched> {
        let merged;
        let stages = match &self.matched {
            WhenMatched::KeepExisting => return Ok(Matched::Keep),
            WhenMatched::Fail => return Ok(Matched::Fail),
            WhenMatched::Replace => {
                let update = bson::RawBson::Document(document.to_raw());
                let update = Update::parse(update.as_raw_bson_ref(), &[], &self.environment)?;
                return Ok(Matched::Update(Box::new(update)));
            }
            WhenMatched::Merge => {
                merged = merging()?;
                merged.get()
            }
            WhenMatched::Pipeline(stages, _) => stages.get(),
        };
        let mut environment = self.environment.clone();
        let arena = Arena::new();
        environment.define("new", Value::Document(document));
        if let WhenMatched::Pipeline(_, variables) = &self.matched {
            let context = Context::new(&arena, Value::Document(document));
            for (name, expression) in variables {
                environment.define(name, expression.evaluate(context)?);
            }
        }
        let mut writer = Writer::new();
        writer.field("u", stages);
        let written = super::buffer(writer)?;
        let update = written
            .get("u")
            .ok()
            .flatten()
            .ok_or_else(|| Error::bad_value("whenMatched of $merge is an array of stages"))?;
        Ok(Matched::Update(Box::new(Update::parse(update, &[], &environment)?)))
    }
}

/// `[{$replaceWith: {$mergeObjects: ["$$ROOT", "$$new"]}}]`
fn merging() -> Result<OwnedValue> {
    let arena = Arena::new();
    let both = arena.array(&[Value::String("$$ROOT"), Value::String("$$new")])?;
    let merged = arena.document(&[("$mergeObjects", both)])?;
    let stage = arena.document(&[("$replaceWith", merged)])?;
    Ok(arena.array(&[stage])?.into())
}

fn parse_into(value: Value<'_>) -> Result<Target> {
    match value {
        Value::String(collection) => Ok(Target { database: None, collection: collection.into() }),
        Value::Document(into) => match (into.get("db"), into.get("coll")) {
            (database, Value::String(collection)) if !collection.is_empty() => {
                let database = database.as_str().map(Into::into);
                Ok(Target { database, collection: collection.into() })
            }
            _ => Err(Error::location(5_786_801, "into of $merge needs a coll that is not empty")),
        },
        _ => {
            let message =
                format!("into of $merge is a string or an object, not {}", value.type_name());
            Err(Error::location(51178, message))
        }
    }
}

fn parse_on(value: Value<'_>) -> Result<Vec<Path>> {
    let wrong = |value: Value<'_>| {
        let message =
            format!("on of $merge is a string or an array of strings, not {}", value.type_name());
        Error::location(51186, message)
    };
    let fields: Vec<_> = match value {
        Value::String(field) => vec![field],
        Value::Array(fields) => {
            let fields = fields.iter().map(|field| field.as_str().ok_or_else(|| wrong(field)));
            fields.collect::<Result<_>>()?
        }
        other => return Err(wrong(other)),
    };
    if fields.is_empty() {
        return Err(Error::location(51187, "on of $merge names at least one field"));
    }
    for (index, field) in fields.iter().enumerate() {
        if fields[..index].contains(field) {
            let message = format!("on of $merge names '{field}' twice");
            return Err(Error::location(31465, message));
        }
    }
    fields.into_iter().map(Path::field).collect()
}

fn parse_matched(value: Value<'_>) -> Result<WhenMatched> {
    Ok(match value {
        Value::Array(_) => WhenMatched::Pipeline(value.into(), Vec::new()),
        Value::String("replace") => WhenMatched::Replace,
        Value::String("keepExisting") => WhenMatched::KeepExisting,
        Value::String("merge") => WhenMatched::Merge,
        Value::String("fail") => WhenMatched::Fail,
        Value::String(other) => {
            return Err(Error::bad_value(format!(
                "whenMatched of $merge is replace, keepExisting, merge, fail or a pipeline, not '{other}'"
            )));
        }
        _ => {
            let message =
                format!("whenMatched of $merge is a string or an array, not {}", value.type_name());
            return Err(Error::location(51191, message));
        }
    })
}

fn parse_not_matched(value: Value<'_>) -> Result<WhenNotMatched> {
    match value {
        Value::String("insert") => Ok(WhenNotMatched::Insert),
        Value::String("discard") => Ok(WhenNotMatched::Discard),
        Value::String("fail") => Ok(WhenNotMatched::Fail),
        Value::String(other) => Err(Error::bad_value(format!(
            "whenNotMatched of $merge is insert, discard or fail, not '{other}'"
        ))),
        _ => Err(Error::type_mismatch(format!(
            "whenNotMatched of $merge is a string, not {}",
            value.type_name()
        ))),
    }
}
