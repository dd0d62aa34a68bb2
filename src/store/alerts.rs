//! Table `alerts`: what needs the operator. A row stays when its cause is gone, so that a dismissal outlives it.

use diesel::prelude::*;

use crate::clock::UnixMs;
use crate::id::AlertId;
use crate::store::column::Cell;
use crate::store::error::StoreError;
use crate::store::schema::alerts;

const TABLE: &str = "alerts";

/// How bad it is. The words are stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something works less well than it could.
    Warn,
    /// Something does not work.
    Bad,
}

impl Severity {
    /// The word in rows and replies.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    fn from_str(text: &str) -> Option<Self> {
        [Self::Info, Self::Warn, Self::Bad].into_iter().find(|s| s.as_str() == text)
    }
}

/// What is wrong now; `kind` and `subject` together name it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cause {
    /// Which sort of trouble.
    pub kind: &'static str,
    /// What it is about: an id, a name, or empty.
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What follows from it.
    pub consequence: String,
    /// Page that helps, below `/dashboard`.
    pub link: String,
}

impl Cause {
    /// What a dismissal holds for: it is shown again when this changes.
    fn fingerprint(&self) -> String {
        [self.severity.as_str(), &self.title, &self.consequence].join("\n")
    }
}

/// An open alert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlertRow {
    /// Its id.
    pub id: AlertId,
    /// As [`Cause::kind`].
    pub kind: String,
    /// As [`Cause::subject`].
    pub subject: String,
    /// How bad.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What follows from it.
    pub consequence: String,
    /// Page that helps.
    pub link: String,
    /// Unix ms.
    pub opened_at: UnixMs,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = alerts, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Raw {
    id: String,
    kind: String,
    subject: String,
    severity: String,
    title: String,
    consequence: String,
    link: String,
    opened_at: UnixMs,
    updated_at: UnixMs,
    closed_at: Option<UnixMs>,
    dismissed_fingerprint: Option<String>,
}

impl Raw {
    fn fingerprint(&self) -> String {
        [&*self.severity, &self.title, &self.consequence].join("\n")
    }
}

/// Open alerts that were not dismissed, the worst and then the newest first.
///
/// # Errors
///
/// The database fails, or a row cannot be read.
pub fn open(conn: &mut SqliteConnection) -> Result<Vec<AlertRow>, StoreError> {
    let rows: Vec<Raw> = alerts::table
        .filter(alerts::closed_at.is_null())
        .order((alerts::opened_at.desc(), alerts::id))
        .select(Raw::as_select())
        .load(conn)?;
    let shown = rows.iter().filter(|raw| raw.dismissed_fingerprint != Some(raw.fingerprint()));
    let mut rows = shown.map(read).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.severity));
    Ok(rows)
}

/// Makes the open alerts those of `causes`. True = something changed.
///
/// # Errors
///
/// The database fails.
pub fn reconcile(
    conn: &mut SqliteConnection,
    causes: &[Cause],
    now: UnixMs,
) -> Result<bool, StoreError> {
    let stored: Vec<Raw> = alerts::table.select(Raw::as_select()).load(conn)?;
    let mut changed = false;
    for cause in causes {
        let known =
            stored.iter().find(|raw| raw.kind == cause.kind && raw.subject == cause.subject);
        match known {
            Some(raw) if raw.closed_at.is_none() && is_said(raw, cause) => {}
            Some(raw) => {
                let opened_at = if raw.closed_at.is_none() { raw.opened_at } else { now };
                // A dismissal ends with its cause.
                let dismissed = raw
                    .dismissed_fingerprint
                    .clone()
                    .filter(|seen| raw.closed_at.is_none() && *seen == cause.fingerprint());
                let new = row(raw.id.clone(), cause, opened_at, now, dismissed);
                diesel::update(alerts::table.find(&raw.id)).set(&new).execute(conn)?;
                changed = true;
            }
            None => {
                let new = row(AlertId::new().to_string(), cause, now, now, None);
                diesel::insert_into(alerts::table).values(&new).execute(conn)?;
                changed = true;
            }
        }
    }
    for raw in stored.iter().filter(|raw| raw.closed_at.is_none()) {
        if !causes.iter().any(|cause| cause.kind == raw.kind && cause.subject == raw.subject) {
            diesel::update(alerts::table.find(&raw.id))
                .set((alerts::closed_at.eq(now), alerts::updated_at.eq(now)))
                .execute(conn)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Hides an open alert until it says something else. True = there is one.
///
/// # Errors
///
/// The database fails.
pub fn dismiss(conn: &mut SqliteConnection, id: AlertId, now: UnixMs) -> Result<bool, StoreError> {
    let raw: Option<Raw> = alerts::table
        .find(id.to_string())
        .filter(alerts::closed_at.is_null())
        .select(Raw::as_select())
        .first(conn)
        .optional()?;
    let Some(raw) = raw else { return Ok(false) };
    diesel::update(alerts::table.find(&raw.id))
        .set((alerts::dismissed_fingerprint.eq(raw.fingerprint()), alerts::updated_at.eq(now)))
        .execute(conn)?;
    Ok(true)
}

/// Forgets what was closed before `before`.
///
/// # Errors
///
/// The database fails.
pub fn prune(conn: &mut SqliteConnection, before: UnixMs) -> Result<(), StoreError> {
    diesel::delete(alerts::table.filter(alerts::closed_at.lt(before))).execute(conn)?;
    Ok(())
}

fn is_said(raw: &Raw, cause: &Cause) -> bool {
    raw.fingerprint() == cause.fingerprint() && raw.link == cause.link
}

fn row(
    id: String,
    cause: &Cause,
    opened_at: UnixMs,
    now: UnixMs,
    dismissed_fingerprint: Option<String>,
) -> Raw {
    Raw {
        id,
        kind: cause.kind.to_owned(),
        subject: cause.subject.clone(),
        severity: cause.severity.as_str().to_owned(),
        title: cause.title.clone(),
        consequence: cause.consequence.clone(),
        link: cause.link.clone(),
        opened_at,
        updated_at: now,
        closed_at: None,
        dismissed_fingerprint,
    }
}

fn read(raw: &Raw) -> Result<AlertRow, StoreError> {
    let cell = Cell { table: TABLE, id: &raw.id };
    Ok(AlertRow {
        id: cell.id("id", &raw.id)?,
        severity: cell.name("severity", &raw.severity, Severity::from_str)?,
        kind: raw.kind.clone(),
        subject: raw.subject.clone(),
        title: raw.title.clone(),
        consequence: raw.consequence.clone(),
        link: raw.link.clone(),
        opened_at: raw.opened_at,
    })
}
