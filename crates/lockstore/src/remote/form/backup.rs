//! Why a backup was not made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, Value};

use super::code::Code;
use super::{Came, came, failure, field, nonsense, store_error};
use crate::commands::Arguments;
use crate::disk::{BackupError, DiskError};
use crate::maintenance::MaintenanceError;

pub(crate) fn reply(error: &MaintenanceError) -> RawDocumentBuf {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let sentence = error.to_string();
    match error {
        MaintenanceError::Store(error) => store_error::reply(error),
        MaintenanceError::Backup(BackupError::Store(_)) => {
            store_error::reply(&DiskError::Elsewhere { what: sentence.into() }.into())
        }
        MaintenanceError::Backup(BackupError::Exists { path: at }) => {
            failure(&sentence, Code::BackupExists, |fields| {
                fields.field(field::PATH, Value::String(&path(at)));
            })
        }
        MaintenanceError::Backup(BackupError::MissingFolder { path: at, folder }) => {
            failure(&sentence, Code::BackupMissingFolder, |fields| {
                fields.field(field::PATH, Value::String(&path(at)));
                fields.field(field::FOLDER, Value::String(&path(folder)));
            })
        }
        MaintenanceError::Backup(BackupError::Destination { path: at, source }) => {
            failure(&sentence, Code::BackupDestination, |fields| {
                fields.field(field::PATH, Value::String(&path(at)));
                fields.field(field::WHAT, Value::String(&source.to_string()));
            })
        }
    }
}

pub(crate) fn read(reply: &RawDocument) -> Result<(), MaintenanceError> {
    match came(reply)? {
        Came::Success(_) => Ok(()),
        Came::Failure(code, fields) => Err(read_failure(code, fields)),
    }
}

fn read_failure(code: Code, mut fields: Arguments<'_>) -> MaintenanceError {
    let read = match code {
        Code::BackupExists => {
            path(&mut fields, field::PATH).map(|path| BackupError::Exists { path })
        }
        Code::BackupMissingFolder => read_missing_folder(&mut fields),
        Code::BackupDestination => read_destination(&mut fields),
        _ => return store_error::read(code, fields).into(),
    };
    match read {
        Ok(error) => error.into(),
        Err(error) => nonsense(error).into(),
    }
}

fn read_missing_folder(fields: &mut Arguments<'_>) -> Result<BackupError, Error> {
    Ok(BackupError::MissingFolder {
        path: path(fields, field::PATH)?,
        folder: path(fields, field::FOLDER)?,
    })
}

fn read_destination(fields: &mut Arguments<'_>) -> Result<BackupError, Error> {
    let path = path(fields, field::PATH)?;
    let what: Arc<str> = fields.need(field::WHAT, Arguments::text)?.into();
    Ok(BackupError::Destination { path, source: DiskError::Elsewhere { what } })
}

fn path(fields: &mut Arguments<'_>, name: &str) -> Result<PathBuf, Error> {
    Ok(fields.need(name, Arguments::text)?.into())
}
