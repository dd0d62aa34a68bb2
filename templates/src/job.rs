//! Long work: how far it is, and what came of its pieces.

use maud::{Markup, html};

use crate::part::action::{Look, post};
use crate::part::badge::{Tone, badge};

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// What it does: `Add 12 keys to GLM`.
    pub title: String,
    /// How it stands.
    pub state: State,
    /// Pieces done of how many; `None` = the number isn't known.
    pub done: Option<(u32, u32)>,
    /// `37 of 120 · 3 failed · about 40 s left`.
    pub progress: String,
    /// Pieces that are told one by one, failed ones first.
    pub items: Vec<Item>,
}

/// How a job stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Waits for another one.
    Queued,
    /// At work.
    Running,
    /// Finishes what it has begun.
    Cancelling,
    /// Over.
    Done,
    /// Over, with failures that matter.
    Failed,
    /// Ended before its time.
    Cancelled,
}

impl State {
    /// Of `state` of the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "queued" => Self::Queued,
            "running" => Self::Running,
            "cancelling" => Self::Cancelling,
            "done" => Self::Done,
            "failed" => Self::Failed,
            "cancelled" => Self::Cancelled,
            _ => return None,
        })
    }

    fn badge(self) -> (Tone, &'static str) {
        match self {
            Self::Queued => (Tone::Neutral, "Waiting"),
            Self::Running => (Tone::Info, "Running"),
            Self::Cancelling => (Tone::Warn, "Ending"),
            Self::Done => (Tone::Ok, "Done"),
            Self::Failed => (Tone::Bad, "Failed"),
            Self::Cancelled => (Tone::Neutral, "Cancelled"),
        }
    }
}

/// A piece of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// `Ok`, `Bad`, or `Neutral` while it waits.
    pub tone: Tone,
    /// In a word: `done`, `failed`, `waits`.
    pub word: String,
    /// Why, or a note; may be empty.
    pub message: String,
}

/// Event `job-<id>`: the job's card.
#[must_use]
pub fn card(job: &Job) -> Markup {
    let id = format!("job-{}", job.id);
    let (tone, word) = job.state.badge();
    html! {
        section.card id=(id) sse-swap=(id) hx-swap="outerHTML" aria-labelledby={ (id) "-t" } {
            header {
                h2 id={ (id) "-t" } { (job.title) }
                div.actions {
                    (badge(tone, word))
                    @if matches!(job.state, State::Queued | State::Running) {
                        (post(&html! { "Cancel" }, &format!("/dashboard/jobs/{}/cancel", job.id), Look::Quiet))
                    }
                }
            }
            @if let Some((done, total)) = job.done {
                progress max=(total) value=(done) aria-label=(job.title) {}
            }
            p.faint { (job.progress) }
            @if !job.items.is_empty() {
                details open[job.state == State::Failed] {
                    summary { (job.items.len()) " in detail" }
                    ul.rows {
                        @for item in &job.items {
                            li {
                                div.t { b { (item.name) } @if !item.message.is_empty() { span { (item.message) } } }
                                (badge(item.tone, &item.word))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Cards of several jobs, newest first: the handler puts them before the content of the page that starts such work, also
/// when there is none.
#[must_use]
pub fn cards(jobs: &[Job]) -> Markup {
    html! { div #jobs.stack-v { @for job in jobs { (card(job)) } } }
}

/// The content of a page below the cards of its jobs.
#[must_use]
pub fn below(jobs: &[Job], content: &Markup) -> Markup {
    html! { (cards(jobs)) (content) }
}

/// A job that has just been started, out of band: on top of the page's others.
#[must_use]
pub fn started(job: &Job) -> Markup {
    html! { div hx-swap-oob="afterbegin:#jobs" { (card(job)) } }
}
