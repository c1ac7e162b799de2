//! The places of a path's next parts in a document or an array, all found in one walk over it.

use crate::raw::{Element, Elements};
use crate::{Array, Document};

/// The fields called `names`, with their places. Of several with one name it is the first.
pub(super) fn find_fields<'a>(
    document: Document<'a>,
    names: &[&str],
) -> Vec<Option<(usize, Element<'a>)>> {
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
pub(super) fn find_items<'a>(
    array: Array<'a>,
    places: &[Option<usize>],
) -> (Vec<Option<Element<'a>>>, usize) {
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

/// The items of `array`.
pub(super) fn elements(array: Array<'_>) -> Elements<'_> {
    elements_of(array.raw_bytes())
}

fn elements_of(bytes: Option<&[u8]>) -> Elements<'_> {
    Elements::of(bytes.unwrap_or_default())
}

/// The place in an array that a part of a path stands for. Unlike in filters it may have leading zeros.
pub(super) fn place_in_array(part: &str) -> Option<usize> {
    let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let place: u32 = if digits { part.parse().ok()? } else { return None };
    usize::try_from(place).ok()
}

const FEW_NAMES: usize = 16;
