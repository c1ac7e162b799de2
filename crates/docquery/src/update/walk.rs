//! The walk of an update's tree over a document: it finds all changes before any is written.
//!
//! Nodes are visited in the order of their names, whatever the order of the document's fields: it decides which of
//! several errors is told, and where new fields stand.

use std::collections::BTreeMap;

use super::array_filter::ArrayFilters;
use super::change::{Added, Change, Edit};
use super::modifier::{Action, Modifier, Parent};
use super::site::Site;
use super::storage::{check_level, check_top_level_name, depth_of};
use super::tree::{FieldName, Fields, Items, Node, check_compatible};
use crate::path::Path;
use crate::raw::{Element, Elements};
use crate::{Arena, Array, Document, Error, ErrorCode, Result, Value};

/// A walk over one document.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    arena: &'a Arena,
    root: Document<'a>,
    array_filters: &'a ArrayFilters,
    /// The place in an array that the positional `$` stands for.
    matched: Option<&'a str>,
    purpose: Purpose,
    /// The way to the node that is visited.
    path: Vec<&'a str>,
    /// How many parts of the path lead through what the document has.
    present: usize,
    /// How many of them lead into arrays.
    arrays: usize,
    /// Whether a field below `_id` has been created.
    id_extended: bool,
}

/// What a document is changed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is stored already.
    Update,
    /// It is to be inserted, and will be checked as a whole.
    Insert,
}

/// The nodes for one place: mostly one. They have been found compatible.
#[derive(Clone, Debug)]
enum Nodes<'a> {
    One(&'a Node),
    Many(Vec<&'a Node>),
}

/// Where a node is applied.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    /// To a value that is there, in a document or an array.
    Present(Element<'a>, Parent),
    /// To nothing.
    Absent(Gap<'a>),
}

/// Where a path leaves the document: at a part that the last value on it does not have.
#[derive(Clone, Copy, Debug)]
struct Gap<'a> {
    value: Value<'a>,
    part: &'a str,
}

impl<'a> Walk<'a> {
    /// A walk over `root`. `matched` is the place that the positional `$` stands for.
    pub(super) fn new(
        arena: &'a Arena,
        root: Document<'a>,
        array_filters: &'a ArrayFilters,
        matched: Option<usize>,
        purpose: Purpose,
    ) -> Self {
        let matched = matched.map(|place| arena.text(&place.to_string()));
        Self {
            arena,
            root,
            array_filters,
            matched,
            purpose,
            path: Vec::new(),
            present: 0,
            arrays: 0,
            id_extended: false,
        }
    }

    /// What becomes of the fields of the document.
    ///
    /// # Errors
    ///
    /// MongoDB's, of the first node that cannot be applied.
    pub(super) fn changes(&mut self, tree: &'a Fields) -> Result<Change<'a>> {
        let visits = self.visits(&[tree])?;
        self.document(visits, self.root)
    }

    fn node(&mut self, nodes: &Nodes<'a>, place: Place<'a>) -> Result<Change<'a>> {
        let nodes = nodes.as_slice();
        match nodes.first() {
            None => Ok(Change::Keep),
            Some(Node::Leaf(modifier)) => self.leaf(modifier, place),
            Some(Node::Fields(_)) => {
                let fields = nodes.iter().filter_map(|node| match node {
                    Node::Fields(fields) => Some(fields),
                    Node::Items(_) | Node::Leaf(_) => None,
                });
                let visits = self.visits(&fields.collect::<Vec<_>>())?;
                self.fields(visits, place)
            }
            Some(Node::Items(_)) => {
                let items = nodes.iter().filter_map(|node| match node {
                    Node::Items(items) => Some(items),
                    Node::Fields(_) | Node::Leaf(_) => None,
                });
                self.items(&items.collect::<Vec<_>>(), place)
            }
        }
    }

    /// The names to be visited, in their order, with the positional `$` put to its place among them.
    fn visits(&self, fields: &[&'a Fields]) -> Result<Vec<(&'a str, Nodes<'a>)>> {
        let mut visits: Vec<(&'a str, Nodes<'a>)> = match fields {
            [one] => {
                let named = one.named.iter();
                named.map(|(name, node)| (name.as_str(), Nodes::One(node))).collect()
            }
            several => {
                let mut named: BTreeMap<&'a FieldName, Vec<&'a Node>> = BTreeMap::new();
                for (name, node) in several.iter().flat_map(|fields| &fields.named) {
                    named.entry(name).or_default().push(node);
                }
                named.into_iter().map(|(name, nodes)| (name.as_str(), Nodes::Many(nodes))).collect()
            }
        };
        let positional: Vec<&'a Node> =
            fields.iter().filter_map(|fields| fields.positional.as_deref()).collect();
        if positional.is_empty() {
            return Ok(visits);
        }
        let Some(matched) = self.matched else {
            return Err(Error::bad_value(format!(
                "the positional operator '$' behind '{}' has no place: the filter did not match by an item of an array",
                self.site()
            )));
        };
        match visits.iter_mut().find(|(name, _)| *name == matched) {
            Some((_, nodes)) => {
                for (node, other) in pairs(nodes.as_slice(), &positional) {
                    check_compatible(node, other, &format!("{}.{matched}", self.site()))?;
                }
                *nodes = Nodes::Many([nodes.as_slice(), &positional].concat());
            }
            None => {
                let place = visits.iter().position(|(name, _)| matched < *name);
                visits.insert(place.unwrap_or(visits.len()), (matched, Nodes::Many(positional)));
            }
        }
        Ok(visits)
    }

    fn fields(
        &mut self,
        visits: Vec<(&'a str, Nodes<'a>)>,
        place: Place<'a>,
    ) -> Result<Change<'a>> {
        match place {
            Place::Present(element, _) => match element.value() {
                Value::Document(document) => self.document(visits, document),
                Value::Array(array) => self.array(visits, array),
                value => self.blocked(visits, value),
            },
            Place::Absent(gap) => self.created(visits, gap),
        }
    }

    /// Visits the fields of a document.
    fn document(
        &mut self,
        visits: Vec<(&'a str, Nodes<'a>)>,
        document: Document<'a>,
    ) -> Result<Change<'a>> {
        let names: Vec<_> = visits.iter().map(|(name, _)| *name).collect();
        let found = find_fields(document, &names);
        let mut edit = Edit::default();
        for ((name, nodes), found) in visits.into_iter().zip(found) {
            self.path.push(name);
            match found {
                Some((place, element)) => {
                    let change = self.present(&nodes, element, Parent::Document)?;
                    edit.change(place, change);
                }
                None => {
                    let gap = Gap { value: Value::Document(document), part: name };
                    if let Change::Set(value) = self.node(&nodes, Place::Absent(gap))? {
                        edit.added.push(Added::Field(name, value));
                    }
                }
            }
            self.path.pop();
        }
        Ok(edit.into_change())
    }

    /// Visits places in an array.
    fn array(&mut self, visits: Vec<(&'a str, Nodes<'a>)>, array: Array<'a>) -> Result<Change<'a>> {
        let places: Vec<_> = visits.iter().map(|(name, _)| place_in_array(name)).collect();
        let (found, length) = find_items(array, &places);
        let mut length = length;
        let mut edit = Edit::default();
        self.arrays += 1;
        for (((name, nodes), found), place) in visits.into_iter().zip(found).zip(places) {
            self.path.push(name);
            match (found, place) {
                (Some(element), Some(place)) => {
                    let change = self.present(&nodes, element, Parent::Array)?;
                    edit.change(place, change);
                }
                _ => {
                    let gap = Gap { value: Value::Array(array), part: name };
                    let change = self.node(&nodes, Place::Absent(gap))?;
                    if let (Change::Set(value), Some(place)) = (change, place) {
                        self.check_padding(place, length)?;
                        length = place + 1;
                        edit.added.push(Added::At(place, value));
                    }
                }
            }
            self.path.pop();
        }
        self.arrays -= 1;
        Ok(edit.into_change())
    }

    /// Visits what `value`, which has no fields, does not have.
    fn blocked(
        &mut self,
        visits: Vec<(&'a str, Nodes<'a>)>,
        value: Value<'a>,
    ) -> Result<Change<'a>> {
        for (part, nodes) in visits {
            self.path.push(part);
            self.node(&nodes, Place::Absent(Gap { value, part }))?;
            self.path.pop();
        }
        Ok(Change::Keep)
    }

    /// Visits the fields of a document that is not there: it is created where one of them is.
    fn created(&mut self, visits: Vec<(&'a str, Nodes<'a>)>, gap: Gap<'a>) -> Result<Change<'a>> {
        let mut fields = Vec::new();
        for (name, nodes) in visits {
            self.path.push(name);
            if let Change::Set(value) = self.node(&nodes, Place::Absent(gap))? {
                fields.push((name, value));
            }
            self.path.pop();
        }
        if fields.is_empty() {
            return Ok(Change::Keep);
        }
        self.arena.document(&fields).map(Change::Set)
    }

    /// Visits the items that array filters choose.
    fn items(&mut self, items: &[&'a Items], place: Place<'a>) -> Result<Change<'a>> {
        let Place::Present(element, _) = place else {
            return Err(Error::bad_value(format!(
                "the path '{}' must exist for '$[]' and '$[identifier]' to be applied to it",
                self.site()
            )));
        };
        let Value::Array(array) = element.value() else {
            return Err(Error::bad_value(format!(
                "'$[]' and '$[identifier]' apply to arrays; '{}' has the type {}",
                self.site(),
                element.value().type_name()
            )));
        };
        let mut edit = Edit::default();
        self.arrays += 1;
        for (place, item) in elements(array).enumerate() {
            let nodes = self.chosen(items, &item)?;
            self.path.push(item.name());
            for (node, other) in pairs_within(&nodes) {
                check_compatible(node, other, &self.site().to_string())?;
            }
            let change = self.present(&Nodes::Many(nodes), item, Parent::Array)?;
            edit.change(place, change);
            self.path.pop();
        }
        self.arrays -= 1;
        Ok(edit.into_change())
    }

    /// The nodes for `item`: those for all items, and those whose filter matches it.
    fn chosen(&self, items: &[&'a Items], item: &Element<'a>) -> Result<Vec<&'a Node>> {
        let mut nodes = Vec::new();
        for (identifier, node) in items.iter().flat_map(|items| &items.0) {
            let identifier = identifier.as_str();
            if identifier.is_empty() || self.array_filters.matches(identifier, item.value())? {
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    fn present(
        &mut self,
        nodes: &Nodes<'a>,
        element: Element<'a>,
        parent: Parent,
    ) -> Result<Change<'a>> {
        self.present += 1;
        let change = self.node(nodes, Place::Present(element, parent))?;
        self.present -= 1;
        Ok(change)
    }

    fn leaf(&mut self, modifier: &'a Modifier, place: Place<'a>) -> Result<Change<'a>> {
        match (&modifier.action, place) {
            (Action::SetOnInsert(_), _) if self.purpose == Purpose::Update => Ok(Change::Keep),
            (Action::Rename(from), _) => self.rename(from, place),
            // The move itself looks at arrays on the way; what it must not move it tells.
            (Action::RenameSource, Place::Present(..)) if self.arrays > 0 => Ok(Change::Keep),
            (Action::RenameSource, Place::Present(..)) => Ok(Change::Remove),
            (action, Place::Present(element, parent)) => {
                let change = action.update(&element, parent, self.site())?;
                if !matches!(change, Change::Keep) {
                    self.check_changed(matches!(change, Change::Remove), modifier.depth)?;
                }
                Ok(change)
            }
            (action, Place::Absent(gap)) => match action.create(self.arena)? {
                Some(value) => {
                    self.check_creatable(gap)?;
                    self.check_created(modifier.depth)?;
                    Ok(Change::Set(value))
                }
                None => {
                    if action.needs_viable_path() {
                        self.check_viable(gap)?;
                    }
                    Ok(Change::Keep)
                }
            },
        }
    }

    /// Moves what is at `from` here. The node at `from` removes it there.
    fn rename(&mut self, from: &Path, place: Place<'a>) -> Result<Change<'a>> {
        let Some(source) = self.source(from)? else {
            return Ok(Change::Keep);
        };
        if self.arrays > 0 {
            return Err(Error::bad_value(format!(
                "$rename of '{from}' to '{}': the new path leads through an array",
                self.site()
            )));
        }
        match place {
            Place::Present(..) => self.check_changed(false, depth_of(source))?,
            Place::Absent(gap) => {
                self.check_creatable(gap)?;
                self.check_created(depth_of(source))?;
            }
        }
        if from.part(0) == ID {
            return Err(self.immutable(from.as_str()));
        }
        Ok(Change::Set(source))
    }

    /// What is at `from`, if there is anything.
    fn source(&self, from: &Path) -> Result<Option<Value<'a>>> {
        let (mut value, mut through_array) = (Value::Document(self.root), false);
        for (index, part) in from.parts().enumerate() {
            let place = place_in_array(part);
            let next = match (value, place) {
                (Value::Document(document), _) => document.get(part),
                (Value::Array(array), Some(place)) => {
                    through_array = true;
                    array.get(place)
                }
                (value, _) => {
                    return Err(Error::new(
                        ErrorCode::PATH_NOT_VIABLE,
                        format!(
                            "$rename of '{from}': '{}' has the type {}, and no field '{part}'",
                            from.parts().take(index).collect::<Vec<_>>().join("."),
                            value.type_name()
                        ),
                    ));
                }
            };
            if next.is_missing() {
                return Ok(None);
            }
            value = next;
        }
        if through_array {
            return Err(Error::bad_value(format!(
                "$rename of '{from}': the old path leads through an array"
            )));
        }
        Ok(Some(value))
    }

    /// Checks a change of what is there.
    fn check_changed(&self, removed: bool, depth: usize) -> Result<()> {
        if self.path.first() == Some(&ID) {
            return Err(self.immutable(&self.site().to_string()));
        }
        if removed || self.purpose == Purpose::Insert {
            return Ok(());
        }
        if let [name] = self.path[..] {
            check_top_level_name(name)?;
        }
        check_level(self.path.len(), depth)
    }

    /// Checks a new field, with all documents on the way to it that are new too.
    fn check_created(&mut self, depth: usize) -> Result<()> {
        if self.purpose == Purpose::Update {
            check_level(self.path.len(), depth)?;
            if self.present == 0 {
                check_top_level_name(self.path.first().unwrap_or(&""))?;
            }
        }
        if self.path.first() == Some(&ID) {
            if self.present > 0 || self.id_extended {
                return Err(self.immutable(&self.site().to_string()));
            }
            self.id_extended = true;
        }
        Ok(())
    }

    /// Checks that a field can be created in the last value on the path.
    fn check_creatable(&self, gap: Gap<'a>) -> Result<()> {
        let creatable = match gap.value {
            Value::Document(_) => true,
            Value::Array(_) => gap.part.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        };
        if !creatable {
            return Err(self.not_viable(gap));
        }
        if matches!(gap.value, Value::Array(_)) && place_in_array(gap.part).is_none() {
            // Its digits are more than any array has items.
            return Err(self.too_much_padding());
        }
        Ok(())
    }

    /// Checks a path that leads nowhere, for operators that create nothing.
    fn check_viable(&self, gap: Gap<'a>) -> Result<()> {
        match gap.value {
            Value::Document(_) => Ok(()),
            Value::Array(_) if place_in_array(gap.part).is_some() => Ok(()),
            _ => Err(self.not_viable(gap)),
        }
    }

    fn check_padding(&self, place: usize, length: usize) -> Result<()> {
        if place.saturating_sub(length) > PADDING_MAX {
            return Err(self.too_much_padding());
        }
        Ok(())
    }

    fn too_much_padding(&self) -> Error {
        Error::new(
            ErrorCode::CANNOT_BACKFILL_ARRAY,
            format!(
                "'{}' is more than {PADDING_MAX} places behind the end of its array",
                self.site()
            ),
        )
    }

    fn not_viable(&self, gap: Gap<'a>) -> Error {
        Error::new(
            ErrorCode::PATH_NOT_VIABLE,
            format!(
                "the path '{}' leads into a value of type {}, which has no field '{}'",
                self.site(),
                gap.value.type_name(),
                gap.part
            ),
        )
    }

    fn immutable(&self, path: &str) -> Error {
        Error::new(
            ErrorCode::IMMUTABLE_FIELD,
            format!("the update of '{path}' would change the field '{ID}', which never changes"),
        )
    }

    fn site(&self) -> Site<'_, 'a> {
        Site { arena: self.arena, path: &self.path }
    }
}

impl<'a> Nodes<'a> {
    fn as_slice(&self) -> &[&'a Node] {
        match self {
            Self::One(node) => std::slice::from_ref(node),
            Self::Many(nodes) => nodes,
        }
    }
}

fn pairs<'n, 'a>(
    a: &'n [&'a Node],
    b: &'n [&'a Node],
) -> impl Iterator<Item = (&'a Node, &'a Node)> {
    a.iter().flat_map(move |a| b.iter().map(move |b| (*a, *b)))
}

fn pairs_within<'n, 'a>(nodes: &'n [&'a Node]) -> impl Iterator<Item = (&'a Node, &'a Node)> {
    nodes.iter().enumerate().flat_map(|(index, a)| nodes[..index].iter().map(move |b| (*b, *a)))
}

/// The fields called `names`, with their places. Of several with one name it is the first.
fn find_fields<'a>(document: Document<'a>, names: &[&str]) -> Vec<Option<(usize, Element<'a>)>> {
    let mut found = vec![None; names.len()];
    // Few names are looked through for each field; many are put in the order of their bytes first.
    let mut sorted: Vec<(&[u8], usize)> = Vec::new();
    if names.len() > FEW_NAMES {
        sorted.extend(names.iter().enumerate().map(|(index, name)| (name.as_bytes(), index)));
        sorted.sort_unstable();
    }
    for (place, element) in elements_of(document.raw_bytes()).enumerate() {
        let name = element.name_bytes();
        let index = if sorted.is_empty() {
            names.iter().position(|wanted| wanted.as_bytes() == name)
        } else {
            let index = sorted.binary_search_by(|(wanted, _)| (*wanted).cmp(name));
            index.ok().map(|index| sorted[index].1)
        };
        if let Some(slot @ None) = index.map(|index| &mut found[index]) {
            *slot = Some((place, element));
        }
    }
    found
}

/// The items at `places`, and how many items there are.
fn find_items<'a>(array: Array<'a>, places: &[Option<usize>]) -> (Vec<Option<Element<'a>>>, usize) {
    let mut found = vec![None; places.len()];
    let mut wanted: Vec<(usize, usize)> = places
        .iter()
        .enumerate()
        .filter_map(|(index, place)| place.map(|place| (place, index)))
        .collect();
    wanted.sort_unstable();
    let mut wanted = wanted.into_iter().peekable();
    let mut length = 0;
    for (place, element) in elements(array).enumerate() {
        while let Some((_, index)) = wanted.next_if(|(at, _)| *at == place) {
            found[index] = Some(element);
        }
        length += 1;
    }
    (found, length)
}

fn elements(array: Array<'_>) -> Elements<'_> {
    elements_of(array.raw_bytes())
}

fn elements_of(bytes: Option<&[u8]>) -> Elements<'_> {
    Elements::of(bytes.unwrap_or_default())
}

/// The place in an array that a part of a path stands for. Unlike in filters it may have leading zeros.
fn place_in_array(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let place: u32 = if digits { part.parse().ok()? } else { return None };
    usize::try_from(place).ok()
}

const ID: &str = "_id";
/// How many nulls may be put between the end of an array and a new item.
const PADDING_MAX: usize = 1_500_000;
const FEW_NAMES: usize = 16;
