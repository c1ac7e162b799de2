use super::*;
use crate::client_sessions::Lsid;
use crate::documents::{CollectionId, IndexId, RecordId};
use crate::records::{
    AnswerV1, BreakRecordV1, ClientSessionRecordV1, CollectionRecordV1, FORMAT_VERSION,
    FormatRecordV1, GrantRecordV1, IdsRecordV1, IndexRecordV1, JOURNALLED_FORMAT, JournalRecordV1,
    LeaseRecordV1, ModeV1, Record, RememberedV1, SessionRecordV1, StandingV1, TokenRecordV1,
    WallRecordV1, describe_row,
};
use crate::rows::RowKey;
use lockcore::{SessionId, Token};
use proptest::prelude::*;

/// The bytes of a golden file: hexadecimal, with comments behind `#`.
fn golden(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The record is written as the file says, and the file is read as the record.
#[track_caller]
fn check<R: Record + PartialEq + std::fmt::Debug>(key: &RowKey, record: &R, text: &str) {
    let written = record.to_row(key);
    assert_eq!(hex(&written), hex(&golden(text)), "the format changed");
    assert_eq!(&R::from_row(key.as_bytes(), &golden(text)).unwrap(), record);
    let described = describe_row(R::TABLE.name(), key.as_bytes(), &written).unwrap();
    assert_eq!(described, format!("{} {key}: {record:?}", R::TABLE.name()));
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(digits).collect()
}

fn grant() -> GrantRecordV1 {
    GrantRecordV1 {
        key: "orders/7".to_owned(),
        holder: "worker-ü".to_owned(),
        mode: ModeV1::Shared,
        session: Some(5),
        granted_wall_ms: 1_700_000_000_123,
        lease: Some(LeaseRecordV1 {
            ttl_ms: 30_000,
            wall_deadline_ms: 1_700_000_030_123,
            boot_id: *b"0123456789abcdef",
            boot_deadline_ms: 86_400_000,
            graced: true,
            written_wall_ms: 1_700_000_000_124,
        }),
    }
}

fn grant_key() -> RowKey {
    RowKey::grant(Token::new(0x0102_0304).unwrap())
}

#[test]
fn the_bytes_of_every_record_hold_still() {
    let format = FormatRecordV1 {
        version: 1,
        store_id: *b"0123456789abcdef",
        created_wall_ms: 1_700_000_000_123,
    };
    let token = TokenRecordV1 { reserved_below: 4097 };
    let wall = WallRecordV1 { mark_ms: 1_700_000_000_123 };
    let held = GrantRecordV1 { mode: ModeV1::Exclusive, session: None, lease: None, ..grant() };
    let broken = BreakRecordV1 {
        key: "orders/7".to_owned(),
        holder: "worker-ü".to_owned(),
        token: 0x0102_0304,
        reason: "its machine is gone".to_owned(),
        at_wall_ms: 1_700_000_000_123,
    };
    check(&RowKey::FORMAT, &format, include_str!("../../testdata/format_v1.hex"));
    let journalled = FormatRecordV1 { version: JOURNALLED_FORMAT, ..format };
    check(&RowKey::FORMAT, &journalled, include_str!("../../testdata/format_journalled_v1.hex"));
    check(&RowKey::TOKEN, &token, include_str!("../../testdata/token_v1.hex"));
    check(&RowKey::WALL, &wall, include_str!("../../testdata/wall_v1.hex"));
    check(&grant_key(), &grant(), include_str!("../../testdata/grant_leased_v1.hex"));
    check(&grant_key(), &held, include_str!("../../testdata/grant_v1.hex"));
    check(&RowKey::audit(3), &broken, include_str!("../../testdata/break_v1.hex"));
    let session = SessionRecordV1 {
        instance: *b"fedcba9876543210",
        pid: 4711,
        started_ticks: 123_456,
        boot_id: *b"0123456789abcdef",
        pid_namespace: 4_026_531_836,
        opened_wall_ms: 1_700_000_000_123,
        standing: StandingV1::Lost { ends_boot_ms: 86_400_000 },
    };
    let key = RowKey::session(SessionId::new(0x0102_0304).unwrap());
    check(&key, &session, include_str!("../../testdata/session_v1.hex"));
    let ids = IdsRecordV1 { next_collection: 3, next_index: 7 };
    check(&RowKey::IDS, &ids, include_str!("../../testdata/ids_v1.hex"));
    let journal = JournalRecordV1 { rows_format: 2, salt: 0x0102_0304_0506_0708, applied: 9 };
    check(&RowKey::JOURNAL, &journal, include_str!("../../testdata/journal_v1.hex"));
    let newest = JournalRecordV1 { rows_format: FORMAT_VERSION, ..journal };
    check(&RowKey::JOURNAL, &newest, include_str!("../../testdata/journal_of_format_3_v1.hex"));
    let key = RowKey::collection(CollectionId::new(3));
    check(&key, &jobs(), include_str!("../../testdata/collection_v1.hex"));
}

#[test]
fn the_bytes_of_client_sessions_hold_still() {
    let key = RowKey::client_session(Lsid::new(*b"0123456789abcdef"), 2);
    assert_eq!(hex(key.as_bytes()), "3031323334353637383961626364656600000002");
    let document = || AnswerV1::Document(bson::rawdoc! { "_id": 1 }.into_bytes());
    let check = |number, remembered, text| {
        let record = ClientSessionRecordV1 { number, used_wall_ms: 1_700_000_000_123, remembered };
        check(&key, &record, text);
    };
    check(-1, RememberedV1::Opened, include_str!("../../testdata/client_session_opened_v1.hex"));
    let inserted = RememberedV1::Inserted(vec![(0, 255), (300, 300)]);
    check(5, inserted, include_str!("../../testdata/client_session_inserted_v1.hex"));
    let (upserted, image) = (AnswerV1::Nothing, Some(document()));
    let written = RememberedV1::Written { statement: 7, upserted, image };
    check(6, written, include_str!("../../testdata/client_session_written_v1.hex"));
    let replied = RememberedV1::Replied { statement: 0, reply: AnswerV1::TooLarge };
    check(7, replied, include_str!("../../testdata/client_session_replied_v1.hex"));
    let committed = RememberedV1::Committed { reply: document() };
    check(8, committed, include_str!("../../testdata/client_session_committed_v1.hex"));
}

#[test]
fn two_of_the_largest_answers_are_read_back() {
    let key = RowKey::client_session(Lsid::new([0; 16]), 0);
    let largest = || AnswerV1::Document(vec![7; ANSWER_BYTES_MAX]);
    let (upserted, image) = (largest(), Some(largest()));
    let remembered = RememberedV1::Written { statement: 0, upserted, image };
    let record = ClientSessionRecordV1 { number: 0, used_wall_ms: 0, remembered };
    let row = record.to_row(&key);
    assert_eq!(ClientSessionRecordV1::from_row(key.as_bytes(), &row).unwrap(), record);
}

fn jobs() -> CollectionRecordV1 {
    let empty = bson::rawdoc! {}.into_bytes();
    let spec = empty.clone();
    CollectionRecordV1 {
        database: "shop".to_owned(),
        name: "jobs".to_owned(),
        uuid: *b"0123456789abcdef",
        dropped: false,
        options: empty,
        indexes: vec![
            IndexRecordV1 { id: 7, spec: spec.clone(), ready: true, multikey: 0 },
            IndexRecordV1 { id: 8, spec, ready: false, multikey: 5 },
        ],
        dropped_indexes: vec![6],
    }
}

#[test]
fn the_bytes_of_documents_and_entries_hold_still() {
    let table = TableId::Documents;
    let key = RowKey::document(CollectionId::new(3), RecordId::new(9));
    let expected = golden(include_str!("../../testdata/document_v1.hex"));
    let sealed = seal(table, key.as_bytes(), bson::rawdoc! { "_id": 1 }.into_bytes());
    assert_eq!(hex(&sealed), hex(&expected));
    assert_eq!(hex(key.as_bytes()), "000000030000000000000009");
    assert_eq!(key.to_string(), "3/9");
    let described = describe_row("documents", key.as_bytes(), &sealed).unwrap();
    assert_eq!(described, "documents 3/9: 14 bytes");
    describe_row("documents", key.as_bytes(), &sealed[1..]).unwrap_err();

    let key = RowKey::entry(IndexId::new(7), b"key", RecordId::new(9));
    assert_eq!(hex(key.as_bytes()), "000000076b65790000000000000009");
    let (index, bytes, record) = RowKey::entry_of(key.as_bytes()).unwrap();
    assert_eq!((index.get(), bytes, record.get()), (7, &b"key"[..], 9));
    let described = describe_row("index_entries", key.as_bytes(), &[]).unwrap();
    assert_eq!(described, "index_entries 0x000000076b65790000000000000009");
    describe_row("index_entries", &key.as_bytes()[..11], &[]).unwrap_err();
}

/// A record of a collection may be much longer than one of a lock.
#[test]
fn a_collection_with_long_specifications_is_read_back() {
    let key = RowKey::collection(CollectionId::new(3));
    let mut record = jobs();
    record.indexes[0].spec = vec![7; COLLECTION_BYTES_MAX * 3 / 4];
    let row = record.to_row(&key);
    assert_eq!(CollectionRecordV1::from_row(key.as_bytes(), &row).unwrap(), record);
}

#[test]
fn any_change_of_a_row_is_noticed() {
    let key = grant_key();
    let row = grant().to_row(&key);
    let read = |key: &[u8], row: &[u8]| GrantRecordV1::from_row(key, row);
    for at in 0..row.len() {
        for flip in 1..=255 {
            let mut damaged = row.clone();
            damaged[at] ^= flip;
            let error = read(key.as_bytes(), &damaged).unwrap_err();
            assert!(matches!(error.reason, CodecError::Checksum { .. }), "{error}");
        }
        read(key.as_bytes(), &row[..at]).unwrap_err();
        read(key.as_bytes(), &row[at + 1..]).unwrap_err();
    }
    let longer: Vec<u8> = row.iter().copied().chain([0]).collect();
    read(key.as_bytes(), &longer).unwrap_err();
}

#[test]
fn a_row_is_not_taken_for_another() {
    let row = grant().to_row(&grant_key());
    let other = RowKey::grant(Token::FIRST);
    let error = GrantRecordV1::from_row(other.as_bytes(), &row).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("row 1 of table grants is damaged: its checksum"), "{text}");
    let error = describe_row("audit", grant_key().as_bytes(), &row).unwrap_err();
    assert!(matches!(error.reason, CodecError::Checksum { .. }), "{error}");
    let error = describe_row("locks", b"\xff", &row).unwrap_err().to_string();
    assert!(error.starts_with("row 0xff of table locks is damaged: its key is not"), "{error}");
}

/// What a checksum of ours stands behind, and is no record all the same.
#[test]
fn a_payload_that_is_no_record_is_refused() {
    let key = RowKey::WALL;
    let read = |row: Vec<u8>| WallRecordV1::from_row(key.as_bytes(), &row).unwrap_err().reason;
    let left_over = read(encode(TableId::Meta, key.as_bytes(), &(7_u64, 1_u8)));
    assert_eq!(left_over, CodecError::LeftOver { what: "wall-clock record", bytes: 1 });
    let short = read(encode(TableId::Meta, key.as_bytes(), &7_u32));
    assert!(matches!(short, CodecError::Malformed { .. }), "{short}");
    let (bytes, bytes_max) = (ROW_BYTES_MAX + 1, ROW_BYTES_MAX);
    assert_eq!(read(vec![0; bytes]), CodecError::TooLong { bytes, bytes_max });

    let key = grant_key();
    let read = |row: Vec<u8>| GrantRecordV1::from_row(key.as_bytes(), &row).unwrap_err().reason;
    // A length beyond all memory is refused before anything is allocated for it.
    let endless = read(encode(TableId::Grants, key.as_bytes(), &u64::MAX));
    assert!(matches!(endless, CodecError::Malformed { .. }), "{endless}");
    let unnamed = GrantRecordV1 { key: String::new(), ..grant() };
    let unnamed = read(encode(TableId::Grants, key.as_bytes(), &unnamed));
    let text = "its key is 0 bytes long, where 1 to 1024 bytes was expected";
    assert_eq!(unnamed.to_string(), text);
}

#[test]
fn what_stands_for_a_journal_is_no_format_of_rows() {
    let key = RowKey::JOURNAL;
    for rows_format in [0, JOURNALLED_FORMAT] {
        let record = (rows_format, 7_u64, 9_u64);
        let row = encode(TableId::Meta, key.as_bytes(), &record);
        let error = JournalRecordV1::from_row(key.as_bytes(), &row).unwrap_err().reason.to_string();
        let expected = format!("its rows_format is {rows_format}, where 1 to 3 was expected");
        assert_eq!(error, expected);
    }
}

#[test]
#[should_panic(expected = "a grant was made that cannot be read again")]
fn a_record_outside_its_bounds_is_not_written() {
    let unnamed = GrantRecordV1 { holder: String::new(), ..grant() };
    unnamed.to_row(&grant_key());
}

type Lease = (u64, u64, [u8; 16], u64, bool, u64);
type Break = (String, String, u64, String, u64);
type Grant = (String, String, u32, Option<u64>, u64, Option<Lease>);

fn grants() -> impl Strategy<Value = Grant> {
    let lease = (
        1..=1_000_000_u64,
        any::<u64>(),
        any::<[u8; 16]>(),
        0..=lockcore::Instant::MAX.millis_ceil(),
        any::<bool>(),
        any::<u64>(),
    );
    let session = prop::option::of(1..=u64::MAX);
    (".{1,200}", ".{1,200}", 0..2_u32, session, any::<u64>(), prop::option::of(lease))
}

proptest! {
    /// What is written is read back, by us and by another library that knows nothing of our structs.
    #[test]
    fn a_grant_is_read_as_it_was_written(token in 1..=u64::MAX, fields in grants()) {
        let key = RowKey::grant(Token::new(token).unwrap());
        let (name, holder, mode, session, granted_wall_ms, lease) = fields.clone();
        let record = GrantRecordV1 {
            key: name,
            holder,
            mode: if mode == 0 { ModeV1::Exclusive } else { ModeV1::Shared },
            session,
            granted_wall_ms,
            lease: lease.map(|lease| LeaseRecordV1 {
                ttl_ms: lease.0,
                wall_deadline_ms: lease.1,
                boot_id: lease.2,
                boot_deadline_ms: lease.3,
                graced: lease.4,
                written_wall_ms: lease.5,
            }),
        };
        let row = record.to_row(&key);
        prop_assert_eq!(GrantRecordV1::from_row(key.as_bytes(), &row).unwrap(), record);
        let payload = payload(TableId::Grants, key.as_bytes(), &row).unwrap();
        prop_assert_eq!(wincode::deserialize_exact::<Grant>(payload).unwrap(), fields.clone());
        prop_assert_eq!(wincode::serialize(&fields).unwrap(), payload);
    }

    #[test]
    fn a_break_is_read_as_it_was_written(
        number: u64, key in ".{1,200}", holder in ".{1,200}", token in 1..=u64::MAX,
        reason in ".{0,200}", at_wall_ms: u64,
    ) {
        let fields = (key.clone(), holder.clone(), token, reason.clone(), at_wall_ms);
        let record = BreakRecordV1 { key, holder, token, reason, at_wall_ms };
        let place = RowKey::audit(number);
        let row = record.to_row(&place);
        prop_assert_eq!(BreakRecordV1::from_row(place.as_bytes(), &row).unwrap(), record);
        let payload = payload(TableId::Audit, place.as_bytes(), &row).unwrap();
        prop_assert_eq!(wincode::deserialize_exact::<Break>(payload).unwrap(), fields);
    }

    #[test]
    fn any_bytes_are_described_or_refused(table in "meta|grants|audit|collections|documents|index_entries|client_sessions|x", key: Vec<u8>, value: Vec<u8>) {
        let _ = describe_row(&table, &key, &value);
    }

    /// As above, but behind a checksum that fits.
    #[test]
    fn any_payload_is_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let key = grant_key();
        let mut row = payload;
        let sum = checksum(TableId::Grants, key.as_bytes(), &row);
        row.extend_from_slice(&sum.to_le_bytes());
        if let Ok(record) = GrantRecordV1::from_row(key.as_bytes(), &row) {
            prop_assert_eq!(record.to_row(&key), row);
        }
    }
}
