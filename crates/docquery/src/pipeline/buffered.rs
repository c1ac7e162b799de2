//! Documents that are gone through several times: in memory, and behind that in a scratch.

use std::sync::{Arc, Mutex, PoisonError};

use bson::RawDocumentBuf;

use super::Database;
use super::scratch::{Room, Run, RunReader};
use super::sorted::stored;
use super::source::{Documents, Source};
use super::steps::Steps;
use crate::{Document, Result};

/// Documents that are taken up.
#[derive(Debug)]
pub(crate) struct Buffered<'d> {
    /// Of which stage it is.
    stage: &'static str,
    database: &'d dyn Database,
    steps: Steps,
    ready: Vec<RawDocumentBuf>,
    bytes: usize,
    bytes_max: usize,
    away: Option<(Room, Run)>,
}

/// Documents that were taken up.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    ready: Arc<[RawDocumentBuf]>,
    away: Option<(Arc<Mutex<Room>>, Run)>,
}

/// Goes through them once.
#[derive(Debug)]
struct Pass {
    ready: Arc<[RawDocumentBuf]>,
    next: usize,
    away: Option<(Arc<Mutex<Room>>, RunReader)>,
}

impl<'d> Buffered<'d> {
    pub(crate) fn new(stage: &'static str, database: &'d dyn Database) -> Self {
        let bytes_max = database.memory_bytes();
        let steps = Steps::default();
        Self { stage, database, steps, ready: Vec::new(), bytes: 0, bytes_max, away: None }
    }

    /// Takes up a document.
    pub(crate) fn push(&mut self, document: Document<'_>) -> Result<()> {
        self.steps.take(1, self.database)?;
        let document = document.to_raw();
        self.bytes += document.as_bytes().len() + size_of::<RawDocumentBuf>();
        if self.bytes <= self.bytes_max {
            self.ready.push(document);
            return Ok(());
        }
        if self.away.is_none() {
            self.away = Some((Room::new(self.stage, self.database)?, Run::default()));
        }
        if let Some((room, run)) = &mut self.away {
            run.push(&[], document.as_bytes(), room)?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Held> {
        let away = self.away.map(|(mut room, run)| {
            let run = run.finish(&mut room)?;
            Ok((Arc::new(Mutex::new(room)), run))
        });
        Ok(Held { ready: self.ready.into(), away: away.transpose()? })
    }
}

impl Held {
    /// All of them, from the first.
    pub(crate) fn documents(&self) -> Documents {
        let away = self.away.as_ref();
        let away = away.map(|(room, run)| (Arc::clone(room), run.clone().into_reader()));
        Box::new(Pass { ready: Arc::clone(&self.ready), next: 0, away })
    }
}

impl Source for Pass {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        if let Some(document) = self.ready.get(self.next) {
            self.next += 1;
            return Ok(Some(document.clone()));
        }
        let Some((room, reader)) = &mut self.away else { return Ok(None) };
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(if reader.advance(&mut room)? { Some(stored(reader.item().to_vec())?) } else { None })
    }
}
