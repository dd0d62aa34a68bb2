//! Looking for what was changed: each row against its MAC and the row before, places that are missing, and the file
//! against the table (SEC-AUD-4).

use std::io;
use std::iter::Peekable;
use std::ops::ControlFlow;
use std::path::Path;

use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::store::audit::line::{self, FileLine, unhex};
use crate::store::audit::{AuditKey, AuditRow, PRUNED, each};
use crate::store::column;
use crate::store::error::StoreError;
use crate::store::schema::audit_events as events;
use crate::store::sqlite;

/// Gaps and differences that are listed; the rest is only counted in `ok`.
const MOST: usize = 100;

/// Places of the chain without a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Gap {
    /// First one missing.
    pub from: i64,
    /// Last one missing.
    pub to: i64,
}

/// A line of the file that does not fit the table, or a row the file lacks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// Place in the chain; `None` for a line that cannot be read.
    pub seq: Option<i64>,
    /// `differs`, `missing_in_file`, `missing_in_table`, `out_of_order`, `unreadable`.
    pub kind: &'static str,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Verified {
    /// Nothing was found.
    pub ok: bool,
    /// The first row that was changed, or the first place whose row is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_broken_seq: Option<i64>,
    /// Places without a row, at most 100.
    pub gaps: Vec<Gap>,
    /// Rows of the table.
    pub rows: u64,
    /// Place of the last row.
    pub last_seq: Option<i64>,
    /// MAC of the last row, as hex: to be held against the one in the operational log.
    pub last_mac: Option<String>,
    /// Where the file and the table differ, at most 100.
    pub file_differences: Vec<Difference>,
}

/// Looks through table and file. Reads both once, row by row.
///
/// # Errors
///
/// The database or the file cannot be read.
pub fn verify(
    conn: &mut SqliteConnection,
    key: &AuditKey,
    data_dir: &Path,
) -> Result<Verified, StoreError> {
    let checkpoint = newest_checkpoint(conn)?;
    let highest = sqlite::highest_audit_seq(conn)?;
    let mut walk = Walk { key, found: Verified::default(), before: checkpoint };
    let mut file = Follower {
        key,
        lines: line::lines(data_dir).peekable(),
        pruned_through: checkpoint.map_or(0, |(seq, _)| seq),
        last: None,
        found: Vec::new(),
    };
    let mut failed = None;
    each(conn, |row| {
        walk.step(&row);
        match file.meet(&row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    let mut found = walk.finish(highest);
    let differences = failed.map_or_else(|| file.end(found.last_seq), Err);
    found.file_differences =
        differences.map_err(|error| StoreError::io(&data_dir.join(super::FILE), error))?;
    found.ok = found.first_broken_seq.is_none() && found.file_differences.is_empty();
    Ok(found)
}

/// Place and MAC of the last row that was pruned.
fn newest_checkpoint(conn: &mut SqliteConnection) -> Result<Option<(i64, [u8; 32])>, StoreError> {
    let detail: Option<String> = events::table
        .filter(events::event.eq(PRUNED))
        .order(events::seq.desc())
        .select(events::detail)
        .first(conn)
        .optional()?;
    let read = |detail: String| {
        let value: Value = serde_json::from_str(&detail).ok()?;
        Some((value.get("through_seq")?.as_i64()?, unhex(value.get("mac")?.as_str()?)?))
    };
    Ok(detail.and_then(read))
}

/// Goes through the table.
struct Walk<'a> {
    key: &'a AuditKey,
    found: Verified,
    /// Place and MAC of the row before.
    before: Option<(i64, [u8; 32])>,
}

impl Walk<'_> {
    fn step(&mut self, row: &AuditRow) {
        let (seq, mac) = self.before.unwrap_or_default();
        self.missing(seq, row.seq);
        if row.prev_mac != mac || self.key.mac_of(row) != row.mac {
            self.broken(row.seq);
        }
        self.before = Some((row.seq, row.mac));
        self.found.rows += 1;
        (self.found.last_seq, self.found.last_mac) = (Some(row.seq), Some(column::hex(&row.mac)));
    }

    /// The places between two rows.
    fn missing(&mut self, before: i64, next: i64) {
        let (from, to) = (before.saturating_add(1), next.saturating_sub(1));
        if from <= to {
            self.broken(from);
            if self.found.gaps.len() < MOST {
                self.found.gaps.push(Gap { from, to });
            }
        }
    }

    fn broken(&mut self, seq: i64) {
        self.found.first_broken_seq.get_or_insert(seq);
    }

    /// The database remembers the highest place it ever gave: rows cut off at the end show.
    fn finish(mut self, highest: i64) -> Verified {
        let last = self.before.map_or(0, |(seq, _)| seq);
        self.missing(last, highest.saturating_add(1));
        self.found
    }
}

/// Goes through the file beside the table.
struct Follower<'a, I: Iterator<Item = io::Result<FileLine>>> {
    key: &'a AuditKey,
    lines: Peekable<I>,
    /// Up to here the table was pruned: the file may still hold the rows.
    pruned_through: i64,
    /// Place of the last line; `None` before the first. What the table has before it was rotated away.
    last: Option<i64>,
    found: Vec<Difference>,
}

impl<I: Iterator<Item = io::Result<FileLine>>> Follower<'_, I> {
    /// Reads the file up to the place of a row.
    fn meet(&mut self, row: &AuditRow) -> io::Result<()> {
        self.read_until(Some(row))?;
        if self.last.is_some_and(|last| last < row.seq) {
            self.tell(Some(row.seq), "missing_in_file");
            self.last = Some(row.seq);
        }
        Ok(())
    }

    /// Reads the rest of the file; `last_row` is the table's last place.
    fn end(mut self, last_row: Option<i64>) -> io::Result<Vec<Difference>> {
        self.read_until(None)?;
        if self.last.is_none() && last_row.is_some() {
            self.tell(last_row, "missing_in_file");
        }
        Ok(self.found)
    }

    fn read_until(&mut self, row: Option<&AuditRow>) -> io::Result<()> {
        while let Some(next) = self.lines.next_if(|next| match (next, row) {
            (Ok(FileLine::Row(line)), Some(row)) => line.seq <= row.seq,
            _ => true,
        }) {
            match next? {
                FileLine::Unreadable => self.tell(None, "unreadable"),
                FileLine::Row(line) => self.take(&line, row),
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &AuditRow, row: Option<&AuditRow>) {
        let seq = line.seq;
        let row = row.filter(|row| row.seq == seq);
        if self.last.is_some_and(|last| seq <= last) {
            self.tell(Some(seq), "out_of_order");
        } else if self.key.mac_of(line) != line.mac || row.is_some_and(|row| row.mac != line.mac) {
            self.tell(Some(seq), "differs");
        } else if row.is_none() && seq > self.pruned_through {
            self.tell(Some(seq), "missing_in_table");
        }
        self.last = self.last.max(Some(seq));
    }

    fn tell(&mut self, seq: Option<i64>, kind: &'static str) {
        if self.found.len() < MOST {
            self.found.push(Difference { seq, kind });
        }
    }
}
