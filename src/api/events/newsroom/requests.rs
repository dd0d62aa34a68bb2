//! Rows of the request log: those that begin to run, those that end.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use serde_json::Value;

use crate::actors::live::channel::Channel;
use crate::actors::live::running::RunningRequest;
use crate::actors::live::topic::Topic;
use crate::api::events::rows;
use crate::store::usage::UsageRecord;

/// Rows in one event.
const BATCH: usize = 50;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Ended since the last time, the oldest first: id and row.
    finished: Vec<(String, Value)>,
    /// Told as running.
    running: HashSet<String>,
}

impl Requests {
    /// A request ended.
    pub(super) fn finished(&mut self, record: &UsageRecord) {
        self.finished.push((record.request.id.clone(), rows::finished(record)));
    }

    /// Nobody wants rows.
    pub(super) fn forget(&mut self) {
        self.finished.clear();
        self.running.clear();
    }

    /// Tells what is new. A request that began and ended in between is told once.
    pub(super) fn tell(&mut self, running: &[Arc<RunningRequest>], channel: &Channel) {
        let mut new = Vec::new();
        let mut ended = HashSet::new();
        for (id, row) in mem::take(&mut self.finished) {
            if self.running.remove(&id) {
                channel.tell(Topic::Req, Some(id.clone()), row);
            } else {
                new.push(row);
            }
            ended.insert(id);
        }
        for request in running {
            let id = &request.request_id;
            // It may have ended after its row was seen in the table.
            if !ended.contains(id) && self.running.insert(id.clone()) {
                new.push(rows::running(request));
            }
        }
        for batch in new.chunks(BATCH) {
            channel.tell(Topic::Req, None, Value::Array(batch.to_vec()));
        }
    }
}
