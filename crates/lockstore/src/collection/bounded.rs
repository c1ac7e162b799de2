//! Writing values of any depth with a stack that has an end.
//!
//! A value is written by recursion, and a document that a program was sent may be nested as deeply as it likes. Here every level is
//! counted on the way to the real serializer, which otherwise sees exactly what it would have seen.

use std::cell::Cell;
use std::fmt::Display;

use serde::ser::{
    Error, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// A value that is written down to a certain depth.
#[derive(Debug)]
pub(super) struct Bounded<'v, V: ?Sized> {
    value: &'v V,
    levels: Levels<'v>,
}

/// How many levels there may be yet, and whether there were more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels<'l> {
    left: usize,
    exceeded: &'l Cell<bool>,
}

/// A serializer, or what it has become for the inside of an array or a document, and the levels that may be in it.
#[derive(Debug)]
struct Counted<'l, S> {
    inner: S,
    levels: Levels<'l>,
}

impl<'v, V: ?Sized> Bounded<'v, V> {
    /// The value, with `levels` at most; `exceeded` is set if it has more, and writing it fails.
    pub(super) fn new(value: &'v V, levels: usize, exceeded: &'v Cell<bool>) -> Self {
        Self { value, levels: Levels { left: levels, exceeded } }
    }
}

impl<V: Serialize + ?Sized> Serialize for Bounded<'_, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Counted { inner: serializer, levels: self.levels })
    }
}

impl<'l> Levels<'l> {
    fn of<'v, V: ?Sized>(self, value: &'v V) -> Bounded<'v, V>
    where
        'l: 'v,
    {
        Bounded { value, levels: self }
    }

    /// One level further in.
    fn enter<E: Error>(self) -> Result<Self, E> {
        let Some(left) = self.left.checked_sub(1) else {
            self.exceeded.set(true);
            return Err(E::custom("the value is nested too deeply"));
        };
        Ok(Self { left, ..self })
    }
}

/// What is no array and no document, and goes through.
macro_rules! scalars {
    ($($method:ident($type:ty)),+) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })+
    };
}

/// What is an array or a document, or a variant that holds one.
macro_rules! compounds {
    ($($method:ident($($argument:ident: $type:ty),*) -> $compound:ident),+) => {
        $(fn $method(self, $($argument: $type),*) -> Result<Self::$compound, S::Error> {
            let levels = self.levels.enter()?;
            Ok(Counted { inner: self.inner.$method($($argument),*)?, levels })
        })+
    };
}

impl<'l, S: Serializer> Serializer for Counted<'l, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Counted<'l, S::SerializeSeq>;
    type SerializeTuple = Counted<'l, S::SerializeTuple>;
    type SerializeTupleStruct = Counted<'l, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Counted<'l, S::SerializeTupleVariant>;
    type SerializeMap = Counted<'l, S::SerializeMap>;
    type SerializeStruct = Counted<'l, S::SerializeStruct>;
    type SerializeStructVariant = Counted<'l, S::SerializeStructVariant>;

    scalars! {
        serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
        serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
        serialize_u128(u128), serialize_f32(f32), serialize_f64(f64), serialize_char(char),
        serialize_str(&str), serialize_bytes(&[u8]), serialize_unit_struct(&'static str)
    }

    compounds! {
        serialize_seq(len: Option<usize>) -> SerializeSeq,
        serialize_tuple(len: usize) -> SerializeTuple,
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct,
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeTupleVariant,
        serialize_map(len: Option<usize>) -> SerializeMap,
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct,
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> SerializeStructVariant
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<V: Serialize + ?Sized>(self, value: &V) -> Result<S::Ok, S::Error> {
        self.inner.serialize_some(&self.levels.of(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<V: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &V,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_newtype_struct(name, &self.levels.of(value))
    }

    fn serialize_newtype_variant<V: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &V,
    ) -> Result<S::Ok, S::Error> {
        let levels = self.levels.enter()?;
        self.inner.serialize_newtype_variant(name, index, variant, &levels.of(value))
    }

    fn collect_str<V: Display + ?Sized>(self, value: &V) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// What an array or a document does with its items: `items` are values alone, and `fields` have names.
macro_rules! inside {
    (items $($of:ident::$method:ident),+) => {
        $(impl<S: $of> $of for Counted<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), S::Error> {
                self.inner.$method(&self.levels.of(value))
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })+
    };
    (fields $($of:ident),+) => {
        $(impl<S: $of> $of for Counted<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<V: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &V,
            ) -> Result<(), S::Error> {
                self.inner.serialize_field(name, &self.levels.of(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), S::Error> {
                self.inner.skip_field(name)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        })+
    };
}

inside! {
    items SerializeSeq::serialize_element, SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field, SerializeTupleVariant::serialize_field
}

inside! { fields SerializeStruct, SerializeStructVariant }

impl<S: SerializeMap> SerializeMap for Counted<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<K: Serialize + ?Sized>(&mut self, key: &K) -> Result<(), S::Error> {
        self.inner.serialize_key(&self.levels.of(key))
    }

    fn serialize_value<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), S::Error> {
        self.inner.serialize_value(&self.levels.of(value))
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> Result<(), S::Error> {
        self.inner.serialize_entry(&self.levels.of(key), &self.levels.of(value))
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}
