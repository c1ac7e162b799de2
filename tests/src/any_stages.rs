//! Any stages of pipelines: sound ones, and what only looks like one.

use arbitrary::{Arbitrary, Result, Unstructured};
use bson::raw::CStr;
use bson::{RawDocumentBuf, cstr, rawbson, rawdoc};
use docquery::{Value, Writer};

use crate::any_bson::{DEPTH_MAX, TEXTS, finish, value};

/// An array of documents and other values, as the stages of a pipeline are.
#[derive(Clone, Debug)]
pub struct AnyStages(pub RawDocumentBuf);

impl<'a> Arbitrary<'a> for AnyStages {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let mut writer = Writer::new();
        writer.open_array("stages");
        for _ in 0..bytes.int_in_range(0..=3)? {
            if bytes.ratio(1, 3)? {
                writer.item(Value::from(&*sound_stage(bytes)?));
                continue;
            }
            writer.open_document_item();
            let (stage, options) = *bytes.choose(STAGES)?;
            if options.is_empty() || bytes.ratio(1, 4)? {
                value(bytes, &mut writer, stage, DEPTH_MAX)?;
            } else {
                writer.open_document(stage);
                for option in options {
                    if bytes.ratio(7, 8)? {
                        value(bytes, &mut writer, option, DEPTH_MAX - 1)?;
                    }
                }
                writer.close();
            }
            writer.close();
        }
        writer.close();
        Ok(Self(finish(writer)))
    }
}

impl AnyStages {
    /// The array.
    ///
    /// # Panics
    ///
    /// Never: the field was written.
    pub fn stages(&self) -> &bson::RawArray {
        self.0.get_array("stages").expect("it was written")
    }
}

/// The stages, and the options of those that have some.
const STAGES: &[(&str, &[&str])] = &[
    ("$match", &[]),
    ("$project", &[]),
    ("$set", &[]),
    ("$addFields", &[]),
    ("$unset", &[]),
    ("$sort", &[]),
    ("$limit", &[]),
    ("$skip", &[]),
    ("$count", &[]),
    ("$group", &[]),
    ("$replaceRoot", &["newRoot"]),
    ("$replaceWith", &[]),
    ("$unwind", &["path", "includeArrayIndex", "preserveNullAndEmptyArrays"]),
    ("$lookup", &["from", "localField", "foreignField", "let", "pipeline", "as"]),
    ("$sortByCount", &[]),
    ("$bucket", &["groupBy", "boundaries", "default", "output"]),
    ("$bucketAuto", &["groupBy", "buckets", "output", "granularity"]),
    ("$facet", &["a", "b"]),
    ("$unionWith", &["coll", "pipeline"]),
    (
        "$graphLookup",
        &[
            "from",
            "startWith",
            "connectFromField",
            "connectToField",
            "as",
            "maxDepth",
            "restrictSearchWithMatch",
        ],
    ),
    ("$redact", &[]),
    ("$sample", &["size"]),
    ("$setWindowFields", &["partitionBy", "sortBy", "output"]),
    ("$fill", &["partitionBy", "partitionByFields", "sortBy", "output"]),
    ("$densify", &["field", "partitionByFields", "range"]),
    ("$out", &["db", "coll"]),
    ("$merge", &["into", "on", "let", "whenMatched", "whenNotMatched"]),
    ("$documents", &[]),
    ("$collStats", &["count", "storageStats"]),
    ("$nothing", &[]),
];

/// A stage that is sound, with numbers and names of any kind: most of what is made up is refused.
fn sound_stage(bytes: &mut Unstructured<'_>) -> Result<RawDocumentBuf> {
    let (a, b) = (*bytes.choose(TEXTS)?, *bytes.choose(TEXTS)?);
    let number = i32::from(i8::arbitrary(bytes)?);
    let path = format!("${a}");
    let sort = rawdoc! { "a": if number % 2 == 0 { 1 } else { -1 } };
    let function = *bytes.choose(FUNCTIONS)?;
    let bounds = rawbson!([number.min(1), "current"]);
    let range = if bytes.ratio(1, 2)? { cstr!("range") } else { cstr!("documents") };
    Ok(match bytes.int_in_range(0..=15)? {
        0 => {
            rawdoc! { "$bucket": { "groupBy": path, "boundaries": [number, number + 3, 200], "default": b } }
        }
        1 => rawdoc! { "$bucketAuto": { "groupBy": path, "buckets": number } },
        2 => {
            let series = *bytes.choose(&["R5", "E192", "1-2-5", "POWERSOF2"])?;
            rawdoc! { "$bucketAuto": { "groupBy": path, "buckets": number, "granularity": series } }
        }
        3 => rawdoc! { "$facet": { "a": [{ "$limit": 2 }], "b": [{ "$sortByCount": path }] } },
        4 => rawdoc! { "$unionWith": { "coll": b, "pipeline": [{ "$limit": number }] } },
        5 => rawdoc! { "$graphLookup": {
            "from": "c", "startWith": path, "connectFromField": "a", "connectToField": "b", "as": "r",
        } },
        6 => rawdoc! { "$setWindowFields": {
            "partitionBy": path, "sortBy": sort, "output": { "r": { function: "$b", "window": { range: bounds } } },
        } },
        7 => rawdoc! { "$setWindowFields": { "sortBy": sort, "output": {
            "r": { "$shift": { "output": path, "by": number } }, "s": { "$rank": {} },
            "t": { "$expMovingAvg": { "input": "$b", "N": 3 } },
        } } },
        8 => rawdoc! { "$setWindowFields": { "sortBy": sort, "output": {
            "r": { "$derivative": { "input": "$b" }, "window": { "documents": [-1, 1] } }, "s": { "$integral": { "input": "$b" } },
        } } },
        9 => {
            rawdoc! { "$fill": { "sortBy": sort, "output": { "b": { "method": "linear" }, "c": { "value": path } } } }
        }
        10 => {
            rawdoc! { "$densify": { "field": "a", "range": { "step": number, "bounds": "full" } } }
        }
        11 => {
            rawdoc! { "$densify": { "field": "a", "partitionByFields": ["b"], "range": { "step": 1, "bounds": [0, number] } } }
        }
        12 => {
            rawdoc! { "$redact": { "$cond": [{ "$gt": [path, number] }, "$$DESCEND", "$$KEEP"] } }
        }
        13 => rawdoc! { "$sample": { "size": number } },
        14 => {
            rawdoc! { "$group": { "_id": path, "r": { function: "$b" }, "s": { "$push": "$$ROOT" } } }
        }
        _ => {
            rawdoc! { "$merge": { "into": "c", "on": "a", "whenMatched": [{ "$set": { "b": "$$new.b" } }] } }
        }
    })
}

/// What may stand in a window; some of them in a group too.
const FUNCTIONS: &[&CStr] = &[
    cstr!("$sum"),
    cstr!("$avg"),
    cstr!("$min"),
    cstr!("$max"),
    cstr!("$push"),
    cstr!("$addToSet"),
    cstr!("$stdDevPop"),
    cstr!("$first"),
    cstr!("$last"),
    cstr!("$locf"),
    cstr!("$linearFill"),
    cstr!("$covariancePop"),
];
