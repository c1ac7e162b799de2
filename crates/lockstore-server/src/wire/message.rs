//! `OP_MSG`: a command in one document, and sequences of documents that belong into it.

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf};

use super::{Header, OP_MSG, WireError, assemble, split_array, split_document, split_name};

/// A command.
#[derive(Debug)]
pub(crate) struct Message {
    /// The body, with the sequences as arrays behind its own fields.
    pub(crate) command: RawDocumentBuf,
    /// The client does not wait for a reply.
    pub(crate) more_to_come: bool,
}

/// The parts of a message.
#[derive(Default)]
struct Sections<'b> {
    body: Option<&'b RawDocument>,
    sequences: Vec<(&'b str, RawArrayBuf)>,
}

impl Message {
    pub(super) fn parse(header: &Header, mut bytes: Vec<u8>) -> Result<Self, WireError> {
        let (flags, _) = split_array(&bytes).ok_or(WireError::Malformed("it has no flags"))?;
        let flags = u32::from_le_bytes(flags);
        if flags & REQUIRED & !(CHECKSUM_PRESENT | MORE_TO_COME) != 0 {
            return Err(WireError::Malformed(
                "it has flags that must be understood and are not known",
            ));
        }
        if flags & CHECKSUM_PRESENT != 0 {
            check_checksum(header, &mut bytes)?;
        }
        let sections = Sections::parse(&bytes[FLAGS_LEN..])?;
        let more_to_come = flags & MORE_TO_COME != 0;
        Ok(Self { command: sections.join()?, more_to_come })
    }

    /// A command or a reply as bytes.
    pub(crate) fn of(request_id: i32, response_to: i32, document: &RawDocument) -> Vec<u8> {
        let before = [0, 0, 0, 0, BODY];
        assemble(OP_MSG, request_id, response_to, &[&before, document.as_bytes()])
    }
}

impl<'b> Sections<'b> {
    fn parse(mut bytes: &'b [u8]) -> Result<Self, WireError> {
        let mut sections = Self::default();
        while let Some((kind, rest)) = bytes.split_first() {
            bytes = match *kind {
                BODY => sections.take_body(rest)?,
                SEQUENCE => sections.take_sequence(rest)?,
                _ => return Err(WireError::Malformed("it has a section of an unknown kind")),
            };
        }
        Ok(sections)
    }

    fn take_body(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], WireError> {
        let (body, rest) =
            split_document(bytes).ok_or(WireError::Malformed("its body is no document"))?;
        if self.body.replace(raw(body)?).is_some() {
            return Err(WireError::Malformed("it has two bodies"));
        }
        Ok(rest)
    }

    fn take_sequence(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], WireError> {
        let malformed =
            || WireError::Malformed("a sequence of documents is longer or shorter than it says");
        let (length, _) = split_array(bytes).ok_or_else(malformed)?;
        let length = usize::try_from(i32::from_le_bytes(length)).map_err(|_| malformed())?;
        let (sequence, rest) = bytes.split_at_checked(length).ok_or_else(malformed)?;
        let sequence = sequence.get(size_of::<i32>()..).ok_or_else(malformed)?;
        let (name, mut left) = split_name(sequence).ok_or_else(malformed)?;
        let mut documents = RawArrayBuf::new();
        while !left.is_empty() {
            let (document, behind) = split_document(left).ok_or_else(malformed)?;
            documents.push(raw(document)?.to_owned());
            left = behind;
        }
        self.sequences.push((name, documents));
        Ok(rest)
    }

    /// The command as one document.
    fn join(self) -> Result<RawDocumentBuf, WireError> {
        let body = self.body.ok_or(WireError::Malformed("it has no body"))?;
        let mut command = body.to_owned();
        for (name, documents) in self.sequences {
            let name = <&bson::raw::CStr>::try_from(name)
                .map_err(|_| WireError::Malformed("the name of a sequence is none"))?;
            command.append(name, documents);
        }
        Ok(command)
    }
}

/// A document whose length was checked. What is in it is checked before it is used as a command.
fn raw(bytes: &[u8]) -> Result<&RawDocument, WireError> {
    RawDocument::from_bytes(bytes)
        .map_err(|_| WireError::Malformed("a document does not end where it says"))
}

/// Checks the checksum at the end, and takes it off. It counts the header too.
fn check_checksum(header: &Header, bytes: &mut Vec<u8>) -> Result<(), WireError> {
    let Some(at) = bytes.len().checked_sub(size_of::<u32>()).filter(|at| *at >= FLAGS_LEN) else {
        return Err(WireError::Malformed("it has no room for its checksum"));
    };
    let found = bytes.split_off(at);
    let (found, _) = split_array(&found).expect("it was split off so long");
    let found = u32::from_le_bytes(found);
    let expected = crc32c::crc32c_append(crc32c::crc32c(&header.received), bytes);
    if found == expected { Ok(()) } else { Err(WireError::Checksum { found, expected }) }
}

const FLAGS_LEN: usize = 4;
const CHECKSUM_PRESENT: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// The flags that a receiver must know, or refuse.
const REQUIRED: u32 = 0xffff;

const BODY: u8 = 0;
const SEQUENCE: u8 = 1;
