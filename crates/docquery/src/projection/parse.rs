//! Reading a projection: what is included, excluded and computed.

use super::find::{FindSlice, Rewrite};
use super::tree::{Branch, Node};
use crate::expression::{self, Scope};
use crate::number::Number;
use crate::path::Path;
use crate::{Document, Environment, Error, ErrorCode, Expression, Filter, Result, Value};

/// Who projects: `find` knows more than a stage of a pipeline does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// `find`: with `$slice`, `$elemMatch` and the positional `$`.
    Find,
    /// `$project`.
    Stage,
}

/// Whether a projection names what stays or what goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What it names stays.
    Inclusion,
    /// What it names goes.
    Exclusion,
}

/// A projection, read.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) tree: Branch,
    pub(crate) kind: Kind,
    /// What is done afterwards to the document as a whole, in this order.
    pub(crate) rewrites: Vec<Rewrite>,
}

/// Reads the projection `spec`.
pub(crate) fn parse(
    spec: Document<'_>,
    environment: &Environment,
    language: Language,
) -> Result<Parsed> {
    if language == Language::Stage && spec.is_empty() {
        return Err(Error::location(51272, "a projection names at least one field"));
    }
    let mut parser = Parser {
        environment,
        scope: Scope::new(environment),
        language,
        kind: None,
        id_named: false,
        id_included: false,
        id_excluded: false,
        slices: false,
        matches: false,
        positional: false,
        metadata: false,
        rewrites: Vec::new(),
    };
    let mut tree = Branch::default();
    for (name, value) in spec {
        parser.id_named |= name == "_id" || name.starts_with("_id.");
        parser.element(name, value, &mut tree, "")?;
    }
    let kind = parser.kind.unwrap_or_else(|| parser.ambiguous_kind());
    if kind == Kind::Inclusion && !parser.id_named {
        tree.insert(&Path::new("_id"), 0, Node::Keep)?;
    }
    if kind == Kind::Exclusion && parser.id_included {
        tree.remove("_id");
    }
    tree.finish();
    Ok(Parsed { tree, kind, rewrites: parser.rewrites })
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each says what was met so far; they are independent"
)]
struct Parser<'e> {
    environment: &'e Environment,
    scope: Scope<'e>,
    language: Language,
    kind: Option<Kind>,
    /// `_id`, or a field in it, is named.
    id_named: bool,
    id_included: bool,
    id_excluded: bool,
    /// There is a `$slice` of find.
    slices: bool,
    /// There is an `$elemMatch`.
    matches: bool,
    /// There is a positional `$`.
    positional: bool,
    /// There is a `$meta`.
    metadata: bool,
    rewrites: Vec<Rewrite>,
}

impl Parser<'_> {
    /// Reads one field of a projection. It stands in `parent`, which stands at the path `prefix`.
    fn element(
        &mut self,
        name: &str,
        value: Value<'_>,
        parent: &mut Branch,
        prefix: &str,
    ) -> Result<()> {
        let positional = name.ends_with(".$");
        if positional && self.language == Language::Stage {
            let message =
                format!("'{name}': a pipeline has no positional projection, only find has");
            return Err(Error::location(31324, message));
        }
        if name.contains(".$.") {
            let message =
                format!("'{name}': the positional '$' may only stand at the end of a path");
            return Err(Error::location(31394, message));
        }
        match value {
            Value::Document(_) if positional => Err(Error::location(
                31271,
                format!("'{name}': a positional projection takes 1 or true, not an object"),
            )),
            Value::Document(inner) => self.object(name, inner, parent, prefix),
            Value::Bool(_)
            | Value::Int32(_)
            | Value::Int64(_)
            | Value::Double(_)
            | Value::Decimal(_) => match (value.is_truthy(), positional) {
                (true, false) => self.include(name, parent, prefix),
                (true, true) => self.include_positional(name, parent, prefix),
                (false, false) => self.exclude(name, parent, prefix),
                (false, true) => Err(Error::location(
                    31395,
                    format!("'{name}': a positional projection cannot be excluded"),
                )),
            },
            _ if positional => Err(Error::location(
                31308,
                format!("'{name}': a positional projection takes 1 or true, not a literal"),
            )),
            _ => self.literal(name, value, parent, prefix),
        }
    }

    fn include(&mut self, name: &str, parent: &mut Branch, prefix: &str) -> Result<()> {
        insert(parent, name, prefix, Node::Keep)?;
        if name == "_id" && prefix.is_empty() {
            self.id_included = true;
            return Ok(());
        }
        self.becomes_inclusion(name)
    }

    fn include_positional(&mut self, name: &str, parent: &mut Branch, prefix: &str) -> Result<()> {
        if self.positional {
            return Err(Error::location(31276, "a projection has at most one positional '$'"));
        }
        if self.matches {
            return Err(positional_with_match(31256));
        }
        let array = name.strip_suffix(".$").unwrap_or(name);
        if array.is_empty() {
            let message = format!("the projection of the field '{name}' is invalid");
            return Err(Error::location(5_392_900, message));
        }
        insert(parent, array, prefix, Node::Keep)?;
        self.positional = true;
        self.rewrites.push(Rewrite::Positional(Path::new(&join(prefix, array))));
        self.becomes_inclusion(name)
    }

    fn becomes_inclusion(&mut self, name: &str) -> Result<()> {
        if self.kind == Some(Kind::Exclusion) {
            return Err(Error::location(
                31253,
                format!("'{name}' cannot be included in a projection that excludes"),
            ));
        }
        self.kind = Some(Kind::Inclusion);
        Ok(())
    }

    fn exclude(&mut self, name: &str, parent: &mut Branch, prefix: &str) -> Result<()> {
        insert(parent, name, prefix, Node::Drop)?;
        if name == "_id" && prefix.is_empty() {
            self.id_excluded = true;
            return Ok(());
        }
        if self.kind == Some(Kind::Inclusion) {
            return Err(Error::location(
                31254,
                format!("'{name}' cannot be excluded in a projection that includes"),
            ));
        }
        self.kind = Some(Kind::Exclusion);
        Ok(())
    }

    fn literal(
        &mut self,
        name: &str,
        value: Value<'_>,
        parent: &mut Branch,
        prefix: &str,
    ) -> Result<()> {
        let expression = Expression::parse(value, &self.scope)?;
        insert(parent, name, prefix, Node::Compute(expression))?;
        if self.kind == Some(Kind::Exclusion) {
            return Err(Error::location(
                31310,
                format!("'{name}' cannot be computed in a projection that excludes"),
            ));
        }
        self.kind = Some(Kind::Inclusion);
        Ok(())
    }

    /// Reads an object: an expression, or a projection of the fields inside.
    fn object(
        &mut self,
        name: &str,
        object: Document<'_>,
        parent: &mut Branch,
        prefix: &str,
    ) -> Result<()> {
        let Some((first, argument)) = object.first() else {
            let message = format!("'{name}' must not be an empty object");
            return Err(Error::location(51270, message));
        };
        let path = Path::field(name)?;
        if first.starts_with('$') && object.len() == 1 {
            if self.operator(&path, object, (first, argument), parent, prefix)? {
                return Ok(());
            }
            if Path::field(first.strip_suffix(".$").unwrap_or(first)).is_err() {
                let message = format!("'{name}': there is no expression '{first}'");
                return Err(Error::location(31325, message));
            }
        }
        let depth = depth_of(prefix);
        let branch = parent.branch_at(&path, depth)?;
        let prefix = join(prefix, name);
        object.iter().try_for_each(|(name, value)| self.element(name, value, branch, &prefix))
    }

    /// Reads the object `{$operator: argument}`. False if there is no such operator.
    fn operator(
        &mut self,
        path: &Path,
        object: Document<'_>,
        (operator, argument): (&str, Value<'_>),
        parent: &mut Branch,
        prefix: &str,
    ) -> Result<bool> {
        match (operator, self.language) {
            ("$slice", Language::Find) => {
                // What cannot be find's is an expression, and fails as one: where paths collide too.
                if let Some(slice) = FindSlice::parse(argument)
                    && insert(parent, path.as_str(), prefix, Node::Keep).is_ok()
                {
                    let full = Path::new(&join(prefix, path.as_str()));
                    self.rewrites.push(Rewrite::Slice(full, slice));
                    self.slices = true;
                    return Ok(true);
                }
            }
            ("$elemMatch", Language::Find) => {
                self.elem_match(path, argument, parent, prefix)?;
                return Ok(true);
            }
            ("$elemMatch", Language::Stage) => {
                let message = "$elemMatch is no expression; find's projections have it, and $filter does the same";
                return Err(Error::new(ErrorCode::INVALID_PIPELINE_OPERATOR, message));
            }
            _ => {}
        }
        if !expression::is_operator(operator) {
            return Ok(false);
        }
        let metadata = operator == "$meta";
        if self.kind == Some(Kind::Exclusion) && !metadata {
            let message = format!(
                "'{path}' cannot be computed in a projection that excludes; only $meta can"
            );
            return Err(Error::location(31252, message));
        }
        if !metadata {
            self.kind.get_or_insert(Kind::Inclusion);
        }
        self.metadata |= metadata;
        let expression = Expression::parse(Value::Document(object), &self.scope)?;
        insert(parent, path.as_str(), prefix, Node::Compute(expression))?;
        Ok(true)
    }

    fn elem_match(
        &mut self,
        path: &Path,
        argument: Value<'_>,
        parent: &mut Branch,
        prefix: &str,
    ) -> Result<()> {
        let Value::Document(condition) = argument else {
            let message =
                format!("'{path}': $elemMatch takes an object, not {}", argument.type_name());
            return Err(Error::location(31274, message));
        };
        if self.positional {
            return Err(positional_with_match(31255));
        }
        if path.len() != 1 || !prefix.is_empty() {
            let message = format!("'{path}': $elemMatch projects top-level fields only");
            return Err(Error::location(31275, message));
        }
        let filter = Filter::parse(&elem_match_filter(path.as_str(), condition), self.environment)?;
        insert(parent, path.as_str(), prefix, Node::FirstMatch(Box::new(filter)))?;
        self.matches = true;
        Ok(())
    }

    /// What a projection is that names nothing that decides it, by the rules that grew over time.
    fn ambiguous_kind(&self) -> Kind {
        let metadata_includes = match self.language {
            Language::Find => self.id_included,
            Language::Stage => true,
        };
        let includes = if self.slices {
            self.id_included
        } else if self.matches {
            true
        } else if self.metadata {
            metadata_includes
        } else {
            self.id_included
        };
        if includes { Kind::Inclusion } else { Kind::Exclusion }
    }
}

/// `{field: {$elemMatch: condition}}`
fn elem_match_filter(field: &str, condition: Document<'_>) -> bson::RawDocumentBuf {
    let mut writer = crate::Writer::new();
    writer.open_document(field);
    writer.field("$elemMatch", Value::Document(condition));
    writer.close();
    bson::RawDocumentBuf::from_bytes(writer.finish()).unwrap_or_default()
}

fn positional_with_match(code: i32) -> Error {
    Error::location(code, "a projection has either a positional '$' or an $elemMatch, not both")
}

fn insert(parent: &mut Branch, name: &str, prefix: &str, node: Node) -> Result<()> {
    parent.insert(&Path::field(name)?, depth_of(prefix), node)
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn depth_of(prefix: &str) -> usize {
    if prefix.is_empty() { 0 } else { prefix.split('.').count() }
}

impl FindSlice {
    /// What `$slice` of find takes: a number, or `[skip, limit]`. `None` for anything else, which may be the
    /// expression `$slice`.
    fn parse(argument: Value<'_>) -> Option<Self> {
        if let Some(number) = Number::of(argument) {
            return Some(Self { skip: None, limit: saturating_i32(number) });
        }
        let mut items = argument.as_array()?.iter();
        let (skip, limit) = (Number::of(items.next()?)?, Number::of(items.next()?)?);
        let slice = Self { skip: Some(saturating_i32(skip)), limit: saturating_i32(limit) };
        (items.next().is_none() && slice.limit > 0).then_some(slice)
    }
}

fn saturating_i32(number: Number) -> i64 {
    number.saturating_i64().clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}
