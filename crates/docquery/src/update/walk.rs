//! The walk of an update's tree over a document: it finds all changes before any is written.
//!
//! Nodes are visited in the order of their names, whatever the order of the document's fields: it decides which of
//! several errors is told, and where new fields stand.

mod checks;
mod leaf;

use std::collections::BTreeMap;

use super::array_filter::ArrayFilters;
use super::change::{Added, Change, Edit};
use super::find::{elements, find_fields, find_items, place_in_array};
use super::modifier::Parent;
use super::rename::Sources;
use super::site::Site;
use super::tree::{FieldName, Fields, Items, Node, check_compatible};
use crate::raw::Element;
use crate::{Arena, Array, Document, Error, Result, Value};

/// A walk over one document.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    arena: &'a Arena,
    array_filters: &'a ArrayFilters,
    /// What is renamed.
    sources: Sources<'a>,
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
    /// How many values of operands have been applied.
    spent: usize,
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
    /// A walk over a document with these `sources` of renames. `matched` is the place that the positional `$` stands for.
    pub(super) fn new(
        arena: &'a Arena,
        array_filters: &'a ArrayFilters,
        sources: Sources<'a>,
        matched: Option<usize>,
        purpose: Purpose,
    ) -> Self {
        let matched = matched.map(|place| arena.text(&place.to_string()));
        Self {
            arena,
            array_filters,
            sources,
            matched,
            purpose,
            path: Vec::new(),
            present: 0,
            arrays: 0,
            id_extended: false,
            spent: 0,
        }
    }

    /// What becomes of `document` by the nodes of `tree`.
    ///
    /// # Errors
    ///
    /// MongoDB's, of the first node that cannot be applied.
    pub(super) fn change(
        &mut self,
        tree: &'a Fields,
        document: Document<'a>,
    ) -> Result<Change<'a>> {
        let visits = self.visits(&[tree])?;
        self.document(visits, document)
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
        if let Some((_, nodes)) = visits.iter_mut().find(|(name, _)| *name == matched) {
            let both = [nodes.as_slice(), &positional].concat();
            check_compatible(&both, &format!("{}.{matched}", self.site()))?;
            *nodes = Nodes::Many(both);
        } else {
            let place = visits.iter().position(|(name, _)| matched < *name);
            visits.insert(place.unwrap_or(visits.len()), (matched, Nodes::Many(positional)));
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
            if let Some((place, element)) = found {
                edit.change(place, self.present(&nodes, element, Parent::Document)?);
            } else {
                let gap = Gap { value: Value::Document(document), part: name };
                if let Change::Set(value) = self.node(&nodes, Place::Absent(gap))? {
                    edit.added.push(Added::Field(name, value));
                }
            }
            self.path.pop();
        }
        Ok(edit.into_change())
    }

    /// Visits places in an array.
    fn array(&mut self, visits: Vec<(&'a str, Nodes<'a>)>, array: Array<'a>) -> Result<Change<'a>> {
        let places: Vec<_> = visits.iter().map(|(name, _)| place_in_array(name)).collect();
        let (found, mut length) = find_items(array, &places);
        let mut edit = Edit::default();
        self.arrays += 1;
        for (((name, nodes), found), place) in visits.into_iter().zip(found).zip(places) {
            self.path.push(name);
            if let (Some(element), Some(place)) = (found, place) {
                edit.change(place, self.present(&nodes, element, Parent::Array)?);
            } else {
                let gap = Gap { value: Value::Array(array), part: name };
                let change = self.node(&nodes, Place::Absent(gap))?;
                if let (Change::Set(value), Some(place)) = (change, place) {
                    self.check_padding(place, length)?;
                    length = place + 1;
                    edit.added.push(Added::At(place, value));
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
            if nodes.len() > 1 {
                check_compatible(&nodes, &self.site().to_string())?;
            }
            edit.change(place, self.present(&Nodes::Many(nodes), item, Parent::Array)?);
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

const ID: &str = "_id";
