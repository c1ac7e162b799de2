//! The options of a store, as Python gives them.

use std::time::Duration;

use lockstore_mongo::{Reads, ReplicaSetOptions};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{Class, Error};
use crate::seconds::Seconds;

/// What a store is opened with. What was not given is as usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Of a file: see [`lockstore_server::ConnectOptions`].
    pub(crate) idle_exit: Option<Duration>,
    pub(crate) start_timeout: Option<Duration>,
    /// Of a replica set: see [`ReplicaSetOptions`].
    database: Option<String>,
    session_ttl: Option<Duration>,
    waiter_ttl: Option<Duration>,
    look_again: Option<Duration>,
    write_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    patience: Option<Duration>,
    reads: Option<Reads>,
    pool_max: Option<u32>,
}

impl Options {
    /// Those that are given by name. `None` is as if it were not there.
    pub(crate) fn of(given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut options = Self::default();
        for (name, value) in given.into_iter().flatten() {
            if !value.is_none() {
                options.take(&name.extract::<String>()?, &value)?;
            }
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match name {
            "idle_exit" => self.idle_exit = Some(value.extract::<Seconds>()?.0),
            "start_timeout" => self.start_timeout = Some(value.extract::<Seconds>()?.0),
            "database" => self.database = Some(value.extract()?),
            "reads" => self.reads = Some(reads(value)?),
            "pool_max" => self.pool_max = Some(pool_max(value)?),
            _ => {
                let Some(time) = self.time_mut(name) else {
                    let message = format!("Store got an unexpected keyword argument '{name}'");
                    return Err(PyTypeError::new_err(message));
                };
                *time = Some(time_of_network(name, value)?);
            }
        }
        Ok(())
    }

    fn time_mut(&mut self, name: &str) -> Option<&mut Option<Duration>> {
        Some(match name {
            "session_ttl" => &mut self.session_ttl,
            "waiter_ttl" => &mut self.waiter_ttl,
            "look_again" => &mut self.look_again,
            "write_timeout" => &mut self.write_timeout,
            "connect_timeout" => &mut self.connect_timeout,
            "patience" => &mut self.patience,
            _ => return None,
        })
    }

    /// One that was given and is about files.
    pub(crate) fn of_files(&self) -> Option<&'static str> {
        let given = [
            ("idle_exit", self.idle_exit.is_some()),
            ("start_timeout", self.start_timeout.is_some()),
        ];
        first(&given)
    }

    /// One that was given and is about replica sets.
    pub(crate) fn of_replica_sets(&self) -> Option<&'static str> {
        let others = [
            ("database", self.database.is_some()),
            ("reads", self.reads.is_some()),
            ("pool_max", self.pool_max.is_some()),
        ];
        let times = self.times_of_network().map(|(name, time)| (name, time.is_some()));
        first(&others).or_else(|| first(&times))
    }

    /// Those that are about replica sets.
    pub(crate) fn replica_set(&self) -> ReplicaSetOptions {
        type Set<T> = fn(ReplicaSetOptions, T) -> ReplicaSetOptions;
        fn with<T>(options: ReplicaSetOptions, set: Set<T>, given: Option<T>) -> ReplicaSetOptions {
            match given {
                Some(value) => set(options, value),
                None => options,
            }
        }
        let options = ReplicaSetOptions::new();
        let options = with(options, ReplicaSetOptions::database, self.database.clone());
        let options = with(options, ReplicaSetOptions::session_ttl, self.session_ttl);
        let options = with(options, ReplicaSetOptions::waiter_ttl, self.waiter_ttl);
        let options = with(options, ReplicaSetOptions::look_again, self.look_again);
        let options = with(options, ReplicaSetOptions::write_timeout, self.write_timeout);
        let options = with(options, ReplicaSetOptions::connect_timeout, self.connect_timeout);
        let options = with(options, ReplicaSetOptions::patience, self.patience);
        let options = with(options, ReplicaSetOptions::reads, self.reads);
        with(options, ReplicaSetOptions::pool_max, self.pool_max)
    }

    /// All that were given, by name.
    pub(crate) fn given<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let given = PyDict::new(py);
        let of_files = [("idle_exit", self.idle_exit), ("start_timeout", self.start_timeout)];
        for (name, time) in of_files.into_iter().chain(self.times_of_network()) {
            if let Some(time) = time {
                given.set_item(name, time.as_secs_f64())?;
            }
        }
        if let Some(database) = &self.database {
            given.set_item("database", database)?;
        }
        if let Some(reads) = self.reads {
            let name = READS.iter().find_map(|&(name, one)| (one == reads).then_some(name));
            given.set_item("reads", name)?;
        }
        if let Some(connections) = self.pool_max {
            given.set_item("pool_max", connections)?;
        }
        Ok(given)
    }

    fn times_of_network(&self) -> [(&'static str, Option<Duration>); 6] {
        [
            ("session_ttl", self.session_ttl),
            ("waiter_ttl", self.waiter_ttl),
            ("look_again", self.look_again),
            ("write_timeout", self.write_timeout),
            ("connect_timeout", self.connect_timeout),
            ("patience", self.patience),
        ]
    }
}

fn first(given: &[(&'static str, bool)]) -> Option<&'static str> {
    given.iter().find_map(|&(name, is_given)| is_given.then_some(name))
}

fn time_of_network(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let time = value.extract::<Seconds>()?.0;
    if time.is_zero() || time > DAY {
        let shown = value.repr()?;
        return Err(invalid(format!(
            "{name} is more than 0 seconds and a day at most; this one is {shown}"
        )));
    }
    Ok(time)
}

fn reads(value: &Bound<'_, PyAny>) -> PyResult<Reads> {
    let named: String = value.extract()?;
    let found = READS.iter().find_map(|&(name, reads)| (name == named).then_some(reads));
    found.ok_or_else(|| {
        invalid(format!("reads are 'majority' or 'linearizable'; these are {named:?}"))
    })
}

fn pool_max(value: &Bound<'_, PyAny>) -> PyResult<u32> {
    let connections: i64 = value.extract()?;
    u32::try_from(connections).ok().filter(|&connections| connections > 0).ok_or_else(|| {
        invalid(format!("pool_max is 1 connection or more; this one is {connections}"))
    })
}

fn invalid(message: String) -> PyErr {
    Error::new(Class::InvalidArgument, message).into()
}

/// What may be read, by its name.
const READS: [(&str, Reads); 2] =
    [("majority", Reads::Majority), ("linearizable", Reads::Linearizable)];

/// The longest time of what is about a network.
const DAY: Duration = Duration::from_secs(24 * 3_600);
