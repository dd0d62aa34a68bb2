//! The live feed of pages: the events of the API, each drawn by the function that drew its part of the page
//! (dashboard §1.3).

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use ninerouter_templates::Markup;
use ninerouter_templates::assets::Assets;
use ninerouter_templates::logs::lines as log_lines;
use ninerouter_templates::moment::Now;
use ninerouter_templates::{
    account, account_page, combo, job, layout, overview, providers, request,
};

use crate::api::Body;
use crate::api::events::{Event, Told, Topic};
use crate::clock::Clock;
use crate::dashboard::account::page_of;
use crate::dashboard::json::Read;
use crate::dashboard::show::{
    Sight, account as shown_account, alert, combo as shown_combo, figures, job as shown_job,
    provider as shown_provider, provider_names, request as shown_request,
};
use crate::dashboard::stage::{Refused, shell_status, zone};
use crate::dashboard::visit::{Content, Page, Visit};
use crate::dashboard::{assets, connect, logs, names};

/// How an account is drawn on the page that listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum View {
    Card,
    Row,
    Page,
}

impl View {
    /// Of the member `view` of the feed's query.
    fn of(word: Option<&str>) -> Self {
        match word {
            Some("row") => Self::Row,
            Some("page") => Self::Page,
            _ => Self::Card,
        }
    }
}

/// Draws events for one feed.
#[derive(Debug)]
struct Painter {
    assets: &'static Assets,
    clock: Clock,
    sight: Sight,
    view: View,
    /// Requests of the last day by provider, as they were when the feed was opened.
    days: HashMap<String, i64>,
    /// Figures of the last day by combo, from the same moment.
    combo_days: HashMap<String, String>,
}

/// `GET /dashboard/live`.
pub(super) async fn feed(visit: &Visit) -> Result<Page, Refused> {
    let settings = visit.read("/api/settings").await?;
    let providers = visit.read("/api/providers?filter=connected&limit=500").await?;
    let last = visit.last_event_id.as_deref();
    let feed = visit.api.page_feed(&visit.query, last, &visit.caller).map_err(|error| Refused {
        status: error.status,
        error: error.to_json(&visit.request_id).get("error").cloned().unwrap_or_default(),
    })?;
    let now = Now { unix_ms: visit.now_ms(), zone: zone(&settings) };
    let hidden = names::hidden(visit, &settings).await?;
    let sight = Sight { now, providers: provider_names(&providers), hidden };
    let table = visit.read("/api/usage/table?by=provider&period=24h&limit=500").await?;
    let mut painter = Painter {
        assets: assets::urls(),
        clock: visit.api.clock().clone(),
        sight,
        view: View::of(visit.query("view").as_deref()),
        days: shown_provider::days(&table),
        combo_days: shown_combo::days(&visit.read(shown_combo::DAYS).await?),
    };
    let hello = stream::iter([Bytes::from_static(b": open\n\n")]);
    let parts = feed.filter_map(move |told| std::future::ready(painter.written(&told)));
    let body = Body::Stream {
        content_type: "text/event-stream",
        name: None,
        parts: Box::pin(hello.chain(parts)),
    };
    let page = Page { content: Content::Other(body), ..Page::empty(200) };
    // A reverse proxy must not gather events.
    Ok(page.header("x-accel-buffering", "no"))
}

impl Painter {
    /// As it goes over the wire; `None` = this page shows nothing of it.
    fn written(&mut self, told: &Told) -> Option<Bytes> {
        let text = match told {
            Told::Ping => ": ping\n\n".to_owned(),
            Told::Resync(id) => format!("id: {id}\nevent: resync\ndata:\n\n"),
            Told::Event(event) => {
                let html = self.draw(event)?.into_string();
                format!("id: {}\nevent: {}\n{}\n", event.id, event.name(), data(&html))
            }
        };
        Some(Bytes::from(text))
    }

    fn draw(&mut self, event: &Event) -> Option<Markup> {
        self.sight.now.unix_ms = self.clock.now_ms();
        if let (Topic::Acct, Some(hidden)) = (event.topic, &mut self.sight.hidden) {
            hidden.learn(&event.data);
        }
        let sight = &self.sight;
        let data = &event.data;
        let members = data.as_array().map(Vec::as_slice).unwrap_or_default();
        Some(match event.topic {
            Topic::Shell => layout::shell_fragment(&shell_status(data)),
            Topic::Alerts => overview::alerts(self.assets, &alert::alerts(sight, members)),
            Topic::Stats => overview::stats(&figures::stats(data, figures::period(None))),
            Topic::Inflight => {
                let running: Vec<_> =
                    members.iter().map(|one| shown_request::running(sight, one)).collect();
                request::running(&running)
            }
            Topic::Acct => {
                let account = shown_account::account(sight, data);
                match self.view {
                    View::Card => account::card(self.assets, &account),
                    View::Row => account::row(self.assets, &account),
                    View::Page => account_page::state(self.assets, &page_of(sight, data)),
                }
            }
            // The newest first: that is how they go into the table.
            Topic::Req if event.object.is_none() => {
                let rows: Vec<_> =
                    members.iter().rev().map(|row| shown_request::row(sight, row)).collect();
                request::rows(&rows)
            }
            Topic::Req => request::rows(&[shown_request::row(sight, data)]),
            Topic::Prov => providers::tile(&shown_provider::tile(data, &self.days)),
            Topic::Combo => {
                combo::row(self.assets, &shown_combo::row(sight, data, &self.combo_days))
            }
            Topic::Log => {
                let lines: Vec<_> = members.iter().map(|one| logs::line(sight, one)).collect();
                log_lines(&lines)
            }
            Topic::Connect => connect::drawn(data, sight.provider(data.text("/provider"))),
            Topic::Job => job::card(&shown_job::job(sight, data)),
            Topic::Quota => return None,
        })
    }
}

/// The field `data` of an event: a line for each line of the text.
fn data(html: &str) -> String {
    // A lone CR ends a line for a browser; in HTML it can be written otherwise.
    let html = html.replace('\r', "&#13;");
    html.split('\n').map(|line| format!("data: {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_lines_stays_one_event() {
        assert_eq!(
            data("<p>a\r\nid: 7\n\n</p>"),
            "data: <p>a&#13;\ndata: id: 7\ndata: \ndata: </p>\n"
        );
    }
}
