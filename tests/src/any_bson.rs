//! BSON as a fuzzer makes it: documents of nasty values, under names that MongoDB's language gives a meaning.

use arbitrary::{Arbitrary, Result, Unstructured};
use bson::RawDocumentBuf;
use docquery::{Decimal, Value, Writer};

/// A document of any content. Sound: what is damaged is made of plain bytes.
#[derive(Clone, Debug)]
pub struct AnyDocument(pub RawDocumentBuf);

impl<'a> Arbitrary<'a> for AnyDocument {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut writer = Writer::new();
        fields(bytes, &mut writer, DEPTH_MAX)?;
        Ok(Self(finish(writer)))
    }
}

pub(crate) fn finish(writer: Writer) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document")
}

fn fields(bytes: &mut Unstructured<'_>, writer: &mut Writer, depth: u32) -> Result<()> {
    for _ in 0..bytes.int_in_range(0..=4)? {
        let names = if bytes.ratio(1, 2)? { FIELDS } else { OPERATORS };
        let name = bytes.choose(names)?;
        value(bytes, writer, name, depth)?;
    }
    Ok(())
}

/// Writes a field `name`, with any value.
pub(crate) fn value(
    bytes: &mut Unstructured<'_>,
    writer: &mut Writer,
    name: &str,
    depth: u32,
) -> Result<()> {
    match bytes.int_in_range(0..=9)? {
        0..=2 if depth > 0 => {
            writer.open_document(name);
            fields(bytes, writer, depth - 1)?;
            writer.close();
        }
        3..=4 if depth > 0 => {
            writer.open_array(name);
            for index in 0..bytes.int_in_range(0..=4)? {
                value(bytes, writer, &index.to_string(), depth - 1)?;
            }
            writer.close();
        }
        5 => writer.field(name, Value::String(bytes.choose(TEXTS)?)),
        _ => scalar(bytes, writer, name)?,
    }
    Ok(())
}

fn scalar(bytes: &mut Unstructured<'_>, writer: &mut Writer, name: &str) -> Result<()> {
    let id: [u8; 12] = *b"a12bytelongs";
    let scalar = match bytes.int_in_range(0..=19)? {
        0 => Value::Null,
        1 => Value::Bool(bool::arbitrary(bytes)?),
        2..=5 => Value::Int32(i32::from(i8::arbitrary(bytes)?)),
        6 => Value::Int32(*bytes.choose(&[i32::MIN, i32::MAX, -1, 0, 1])?),
        7 => Value::Int64(*bytes.choose(&[
            i64::MIN,
            i64::MAX,
            (1 << 53) + 1,
            i64::from(i32::MAX) + 1,
            0,
        ])?),
        8 => Value::Int64(i64::arbitrary(bytes)?),
        9 => Value::Double(f64::arbitrary(bytes)?),
        10 => Value::Double(*bytes.choose(&[
            0.0,
            -0.0,
            0.1,
            1.5,
            f64::NAN,
            f64::INFINITY,
            f64::MAX,
            f64::MIN_POSITIVE,
        ])?),
        11 => Value::Decimal(Decimal::from_bytes(&<[u8; 16]>::arbitrary(bytes)?)),
        12 => Value::Decimal(bytes.choose(DECIMALS)?.parse().expect("a decimal")),
        13 => Value::DateTime(*bytes.choose(&[
            0,
            i64::MIN,
            i64::MAX,
            1_700_000_000_123,
            -1,
            253_402_300_800_000,
        ])?),
        14 => Value::Timestamp(u64::arbitrary(bytes)?),
        15 => Value::ObjectId(&id),
        16 => Value::Binary { subtype: u8::arbitrary(bytes)? & 0x87, bytes: b"\x00\x01\xff" },
        17 => Value::Regex {
            pattern: bytes.choose(PATTERNS)?,
            options: bytes.choose(&["", "i", "mx", "s", "q"])?,
        },
        18 => *bytes.choose(&[
            Value::MinKey,
            Value::MaxKey,
            Value::Undefined,
            Value::JavaScript("f"),
            Value::Symbol("a"),
        ])?,
        _ => Value::String(text(bytes)?),
    };
    writer.field(name, scalar);
    Ok(())
}

fn text<'a>(bytes: &mut Unstructured<'a>) -> Result<&'a str> {
    let length = bytes.int_in_range(0..=8)?;
    Ok(std::str::from_utf8(bytes.bytes(length)?).unwrap_or("\u{1F980}"))
}

/// Deep enough for every operator inside another, shallow enough to be explored.
pub(crate) const DEPTH_MAX: u32 = 5;

const FIELDS: &[&str] = &[
    "a",
    "b",
    "c",
    "_id",
    "a.b",
    "a.0",
    "a.0.b",
    "a.$",
    "a.$[]",
    "a.$[x]",
    "x",
    "x.b",
    "0",
    "a.b.c",
    "",
    "a.",
    ".a",
    "a..b",
    "$",
    "if",
    "then",
    "else",
    "in",
    "vars",
    "input",
    "as",
    "cond",
    "k",
    "v",
    "branches",
    "case",
    "default",
    "to",
    "onError",
    "onNull",
    "date",
    "format",
    "timezone",
    "unit",
    "from",
    "localField",
    "foreignField",
    "pipeline",
    "let",
    "path",
    "newRoot",
    "initialValue",
    "includeArrayIndex",
    "preserveNullAndEmptyArrays",
    "regex",
    "options",
    "find",
    "replacement",
    "chars",
    "n",
    "output",
    "sortBy",
];

const OPERATORS: &[&str] = &[
    "$eq",
    "$ne",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$and",
    "$or",
    "$nor",
    "$not",
    "$exists",
    "$type",
    "$mod",
    "$regex",
    "$options",
    "$expr",
    "$all",
    "$elemMatch",
    "$size",
    "$bitsAllSet",
    "$bitsAnyClear",
    "$comment",
    "$set",
    "$unset",
    "$inc",
    "$mul",
    "$min",
    "$max",
    "$rename",
    "$setOnInsert",
    "$currentDate",
    "$push",
    "$each",
    "$position",
    "$slice",
    "$sort",
    "$addToSet",
    "$pop",
    "$pull",
    "$pullAll",
    "$bit",
    "$literal",
    "$cond",
    "$ifNull",
    "$switch",
    "$let",
    "$map",
    "$filter",
    "$reduce",
    "$mergeObjects",
    "$add",
    "$subtract",
    "$multiply",
    "$divide",
    "$abs",
    "$round",
    "$trunc",
    "$concat",
    "$toLower",
    "$substrCP",
    "$split",
    "$trim",
    "$arrayElemAt",
    "$range",
    "$zip",
    "$concatArrays",
    "$setUnion",
    "$convert",
    "$toString",
    "$toInt",
    "$toDate",
    "$toDecimal",
    "$dateToString",
    "$dateFromString",
    "$dateAdd",
    "$dateDiff",
    "$dateTrunc",
    "$regexMatch",
    "$regexFindAll",
    "$replaceAll",
    "$sum",
    "$avg",
    "$first",
    "$last",
    "$addToSet",
    "$objectToArray",
    "$arrayToObject",
    "$getField",
    "$setField",
    "$indexOfArray",
    "$reverseArray",
    "$sortArray",
    "$pow",
    "$sqrt",
    "$ln",
    "$type",
    "$isNumber",
    "$strcasecmp",
    "$year",
    "$nothing",
];

pub(crate) const TEXTS: &[&str] = &[
    "$a",
    "$a.b",
    "$$ROOT",
    "$$NOW",
    "$$x",
    "$$this",
    "$$value",
    "$$REMOVE",
    "a",
    "abc",
    "%Y-%m-%d",
    "UTC",
    "Europe/Berlin",
    "+02:30",
    "day",
    "date",
    "int",
    "2024-02-30",
    "2024-02-29T12:00:00Z",
    "0",
    "1e400",
    "$",
    "$$",
    "$.",
    "\u{e9}\u{1F980}",
];

const PATTERNS: &[&str] = &[
    "^a",
    "a.*b$",
    "(a+)+$",
    "(?>a|ab)c",
    "(?<=a)b",
    "[",
    "a{1000}{1000}",
    "\\Z",
    "(?i)A",
    "(?R)",
    "\\pL",
    "(*LIMIT_MATCH=9)a",
];

const DECIMALS: &[&str] = &[
    "0",
    "-0",
    "0E+6000",
    "0.1",
    "1.00",
    "NaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "9.999999999999999999999999999999999E+6144",
    "1E-6176",
    "9223372036854775807",
    "9223372036854775807.5",
    "9007199254740993",
];
