//! `$unset`: the exclusion of the paths it names.

use crate::projection::Transformation;
use crate::{Arena, Environment, Error, Result, Value};

pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Transformation> {
    let paths = match spec {
        Value::String(path) => vec![path],
        Value::Array(array) if array.is_empty() => {
            return Err(Error::location(
                31119,
                "$unset takes a string, or an array of at least one",
            ));
        }
        Value::Array(array) => {
            let paths: Option<Vec<_>> = array.iter().map(|item| item.as_str()).collect();
            paths.ok_or_else(|| Error::location(31120, "$unset takes an array of strings only"))?
        }
        _ => {
            let message = format!("$unset takes a string or an array, not {}", spec.type_name());
            return Err(Error::location(31002, message));
        }
    };
    let arena = Arena::new();
    let fields: Vec<_> = paths.into_iter().map(|path| (path, Value::Bool(false))).collect();
    Transformation::project(arena.fields(&fields)?, environment)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson, rawdoc};

    use super::*;
    use crate::OwnedValue;

    #[track_caller]
    fn check(spec: Bson, expected: Result<(), i32>) {
        let spec = bson::RawBson::try_from(spec).unwrap();
        let spec = OwnedValue::from(spec.as_raw_bson_ref());
        let result = parse(spec.get(), &Environment::new(0));
        assert_eq!(result.map(|_| ()).map_err(|error| error.code().value()), expected, "{spec:?}");
    }

    #[test]
    fn it_takes_paths() {
        check(bson!("a"), Ok(()));
        check(bson!(["a", "b.c"]), Ok(()));
        check(bson!(["a", "a.b"]), Err(31249));
        check(bson!(["a.b", "a"]), Err(31250));
        check(bson!([]), Err(31119));
        check(bson!([1]), Err(31120));
        check(bson!(1), Err(31002));
        check(bson!("$a"), Err(16410));
        check(bson!(""), Err(40352));
    }

    #[test]
    fn fields_go_and_what_holds_them_stays() {
        let spec = OwnedValue::from(bson::raw::RawBsonRef::String("a.b"));
        let unset = parse(spec.get(), &Environment::new(0)).unwrap();
        let document = rawdoc! {"a": [{"b": 1, "c": 2}, 5], "b": 3};
        let arena = Arena::new();
        let found = unset.apply((&*document).into(), &arena).unwrap().to_raw();
        assert_eq!(found, rawdoc! {"a": [{"c": 2}, 5], "b": 3});
    }
}
