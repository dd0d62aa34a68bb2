//! Logs: the console as it runs, and the audit.

use ninerouter_templates::Tab;
use ninerouter_templates::Tone;
use ninerouter_templates::layout::Section;
use ninerouter_templates::logs::{
    Audit, AuditFilter, AuditRow, Console, Filter, Level, Line, audit, console, verified,
};
use ninerouter_templates::toast_fragment;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use crate::api::Body;
use crate::dashboard::assets;
use crate::dashboard::json::Read;
use crate::dashboard::show::Sight;
use crate::dashboard::stage::{self, About, Refused, Stage, bad, good};
use crate::dashboard::visit::{Content, Page, Visit};

const PATH: &str = "/dashboard/logs";
/// Lines, and rows, of a page.
const LINES: usize = 200;
const ROWS: usize = 50;
/// Minutes of another level.
const MINUTES: u8 = 15;
const LEVELS: [(&str, &str); 4] =
    [("error", "Errors"), ("warn", "Warnings"), ("info", "Info"), ("debug", "Debug")];
/// Events by group: words of the API, words.
const GROUPS: [(&str, &str); 6] = [
    ("", "Every event"),
    (
        "login_attempt,login_rate_limited,logout,logout_all,session_expired,session_invalid,password_changed,sudo_granted,sudo_failed,csrf_failed",
        "Sign-ins and sessions",
    ),
    (
        "api_key_created,api_key_updated,api_key_revoked,api_key_expired,api_auth_failed,api_key_limit,keyless_denied",
        "API keys",
    ),
    (
        "provider_account_added,provider_account_updated,provider_account_removed,provider_account_reauth_needed,oauth_started,oauth_completed,oauth_failed",
        "Accounts",
    ),
    (
        "ip_denied,host_rejected,tunnel_access_attempt,proxy_header_ignored,auth_bypass_attempt,outbound_blocked",
        "Refusals",
    ),
    (
        "settings_changed,whitelist_changed,trusted_proxies_changed,node_base_url_changed,node_policy_changed",
        "Settings",
    ),
];

pub(super) async fn show(visit: &Visit) -> Result<Page, Refused> {
    if visit.query("tab").as_deref() == Some("audit") {
        return audit_shown(visit, None).await;
    }
    let stage = Stage::set(visit).await?;
    let word = |name: &str| visit.query(name).unwrap_or_default();
    let level = LEVELS.iter().map(|(level, _)| *level).find(|level| *level == word("level"));
    let filter =
        Filter { q: word("q"), target: word("target"), level: level.unwrap_or("info").to_owned() };
    let asked = asked(&[("level", &filter.level), ("q", &filter.q), ("target", &filter.target)]);
    let cursor = word("cursor");
    let page = asked_with(&asked, &[("limit", &LINES.to_string()), ("cursor", &cursor)]);
    let list = visit.read(&format!("/api/logs?{page}")).await?;
    // The API gives the newest first; a log is read downwards.
    let lines = list.list("/data").iter().rev().map(|one| line(&stage.sight, one)).collect();
    let older = list.part("/next").as_str();
    let older = older.map(|next| {
        format!("{PATH}?{}", asked_with(&asked, &[("tab", "console"), ("cursor", next)]))
    });
    let usual = stage.settings.text("/settings/log_level");
    let levels = LEVELS.iter().map(|(level, label)| {
        let url = replaced(&filter, level);
        Tab { label: (*label).to_owned(), url, current: *level == filter.level }
    });
    let view = Console {
        csrf: visit.csrf.clone(),
        tabs: tabs("console"),
        sentence: format!(
            "The router logs from “{}” up.",
            if usual.is_empty() { "info" } else { usual }
        ),
        levels: levels.collect(),
        lines,
        older,
        download_url: format!("{PATH}/download?{asked}"),
        may_debug: true,
        filter,
    };
    // Older lines stand still: what comes now does not follow them.
    let feed = format!("shell,log&{asked}");
    let feed = if cursor.is_empty() { feed.as_str() } else { "shell" };
    let about = About { section: Section::Logs, title: "Logs", feed: Some(feed) };
    Ok(stage.page(visit, about, &console(assets::urls(), &view)))
}

fn tabs(current: &str) -> Vec<Tab> {
    let tab = |word: &str, label: &str| Tab {
        label: label.to_owned(),
        url: format!("{PATH}?tab={word}"),
        current: word == current,
    };
    vec![tab("console", "Console"), tab("audit", "Audit")]
}

fn replaced(filter: &Filter, level: &str) -> String {
    let asked = asked(&[("level", level), ("q", &filter.q), ("target", &filter.target)]);
    format!("{PATH}?tab=console&{asked}")
}

/// Members of a query that are not empty.
fn asked(members: &[(&str, &str)]) -> String {
    asked_with("", members)
}

fn asked_with(before: &str, members: &[(&str, &str)]) -> String {
    let mut query = Serializer::new(before.to_owned());
    query.extend_pairs(members.iter().filter(|(_, value)| !value.is_empty()));
    query.finish()
}

/// A line (api §5), as page and feed show it.
pub(super) fn line(sight: &Sight, object: &Value) -> Line {
    let fields = object.part("/fields").as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Line {
        at: sight.now.clock(object.int("/ts").unwrap_or_default()),
        level: Level::parse(object.text("/level")).unwrap_or(Level::Info),
        component: object.text("/component").to_owned(),
        message: sight.said(object.text("/message")),
        fields: fields.map(|(name, value)| (name.clone(), sight.said(&text(value)))).collect(),
    }
}

/// Logs in detail for a while.
pub(super) async fn detail(visit: &Visit) -> Result<Page, Refused> {
    let body = json!({"level": "debug", "minutes": MINUTES});
    let page = format!("{PATH}?tab=console&level=debug");
    match visit.ask("PATCH", "/api/logs/level", Some(&body)).await {
        Ok(_) => Ok(stage::done(visit, &page, &good(format!("Detailed for {MINUTES} minutes.")))),
        Err(refused) => Ok(refused.told(visit, &page).await),
    }
}

/// The file behind a download link.
pub(super) async fn download(visit: &Visit, route: &str) -> Result<Page, Refused> {
    let query = if visit.query.is_empty() { String::new() } else { format!("?{}", visit.query) };
    let reply = visit.call("GET", &format!("{route}{query}"), None).await;
    let status = reply.status;
    if status != 200 {
        let error = reply.into_json().unwrap_or_default().part("/error").clone();
        return Err(Refused { status, error });
    }
    let content = match reply.body {
        Body::Json(value) => {
            return Ok(
                Page::html(200, value.to_string()).header("content-type", "application/json")
            );
        }
        other => Content::Other(other),
    };
    Ok(Page { content, ..Page::empty(200) })
}

/// Looks whether anybody changed the audit's past.
pub(super) async fn verify(visit: &Visit) -> Result<Page, Refused> {
    let found = match visit.ask("POST", "/api/audit/verify", None).await {
        Ok(found) => found,
        Err(refused) => return Ok(refused.told(visit, &format!("{PATH}?tab=audit")).await),
    };
    let (tone, text) = verdict(&found);
    if !visit.hx.is_fragment {
        return audit_shown(visit, Some((tone, text))).await;
    }
    let assets = assets::urls();
    let toast = if tone == Tone::Ok { good(text.clone()) } else { bad(text.clone()) };
    let html = verified(assets, Some(&(tone, text)), true).into_string();
    Ok(Page::html(200, html + &toast_fragment(assets, &toast).into_string()))
}

fn verdict(found: &Value) -> (Tone, String) {
    let rows = found.int("/rows").unwrap_or_default();
    match found.int("/first_broken_seq") {
        _ if found.is("/ok") => (Tone::Ok, format!("The chain of {rows} rows is whole.")),
        Some(seq) => (
            Tone::Bad,
            format!(
                "Row {seq} is not as it was written: it or a row before it was changed or removed."
            ),
        ),
        None => (Tone::Bad, "Rows are missing: the chain has gaps.".to_owned()),
    }
}

async fn audit_shown(visit: &Visit, verified: Option<(Tone, String)>) -> Result<Page, Refused> {
    let stage = Stage::set(visit).await?;
    let word = |name: &str| visit.query(name).unwrap_or_default();
    let filter = AuditFilter { event: word("event"), outcome: word("outcome"), ip: word("ip") };
    let asked =
        asked(&[("event", &filter.event), ("outcome", &filter.outcome), ("ip", &filter.ip)]);
    let page = asked_with(&asked, &[("limit", &ROWS.to_string()), ("cursor", &word("cursor"))]);
    let list = visit.read(&format!("/api/audit?{page}")).await?;
    let older = list.part("/next").as_str();
    let older = older.map(|next| {
        format!("{PATH}?{}", asked_with(&asked, &[("tab", "audit"), ("cursor", next)]))
    });
    let view = Audit {
        tabs: tabs("audit"),
        sentence: "Who did what, in a chain that shows whether anybody changed it.".to_owned(),
        filter,
        events: GROUPS.iter().map(|(v, w)| ((*v).to_owned(), (*w).to_owned())).collect(),
        rows: list.list("/data").iter().map(|one| row(&stage.sight, one)).collect(),
        older,
        export_url: format!("/dashboard/audit/export?{asked}"),
        verified,
    };
    let about = About { section: Section::Logs, title: "Audit", feed: Some("shell") };
    Ok(stage.page(visit, about, &audit(assets::urls(), &view)))
}

fn row(sight: &Sight, object: &Value) -> AuditRow {
    let event = object.text("/event");
    let words = event.replace('_', " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let ip = object.text("/client_ip");
    let from = if ip.is_empty() { String::new() } else { format!(" from {ip}") };
    let times = match object.int("/count") {
        Some(count) if count > 1 => format!(", {count} times"),
        _ => String::new(),
    };
    let (tone, outcome) = match object.text("/outcome") {
        "ok" => (Tone::Ok, "done"),
        "denied" => (Tone::Warn, "denied"),
        _ => (Tone::Bad, "failed"),
    };
    let detail = object.part("/detail");
    let is_empty = detail.as_object().is_none_or(serde_json::Map::is_empty);
    let path = format!("{} {}", object.text("/method"), object.text("/path"));
    AuditRow {
        seq: object.int("/seq").unwrap_or_default(),
        at: sight.now.date(object.int("/ts_ms").unwrap_or_default()),
        sentence: format!("{first}{}{from}{times}", letters.as_str()),
        event: event.to_owned(),
        outcome: (tone, outcome.to_owned()),
        actor: object.text("/actor").to_owned(),
        ip: ip.to_owned(),
        path: path.trim().to_owned(),
        detail: if is_empty {
            String::new()
        } else {
            sight.said(&serde_json::to_string_pretty(detail).unwrap_or_default())
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_filters() {
        let filter =
            Filter { q: "a&b".to_owned(), target: String::new(), level: "info".to_owned() };
        assert_eq!(replaced(&filter, "debug"), "/dashboard/logs?tab=console&level=debug&q=a%26b");
        assert_eq!(asked_with("level=info", &[("cursor", "7")]), "level=info&cursor=7");
    }

    #[test]
    fn a_verdict_names_the_first_broken_row() {
        assert_eq!(verdict(&json!({"ok": true, "rows": 3})).0, Tone::Ok);
        assert!(verdict(&json!({"ok": false, "first_broken_seq": 7})).1.contains("Row 7"));
        assert!(verdict(&json!({"ok": false, "gaps": [[1, 2]]})).1.contains("gaps"));
    }

    /// Every word of a group is an event.
    #[test]
    fn groups_name_events_that_exist() {
        use crate::auth::audit::EventName;
        for word in
            GROUPS.iter().flat_map(|(words, _)| words.split(',')).filter(|word| !word.is_empty())
        {
            assert!(EventName::ALL.iter().any(|name| name.as_str() == word), "{word}");
        }
    }
}
