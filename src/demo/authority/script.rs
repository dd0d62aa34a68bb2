//! What tests make the simulated vendor do instead of answering well.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

/// A place of the vendor that can be scripted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// The token endpoint, for exchanges and refreshes.
    Token,
    /// The profile endpoint.
    Profile,
    /// The usage endpoint.
    Usage,
    /// Messages and token counts.
    Messages,
    /// Where device codes come from.
    DeviceCode,
    /// Where it is asked whether a device code was entered, and where such a sign-in is refreshed.
    DeviceToken,
}

/// Where requests to a held place wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hold {
    /// Nowhere.
    #[default]
    Off,
    /// Before anything is done.
    Request,
    /// When it is done, for example a code is spent, but before the reply.
    Reply,
}

/// What becomes of one request.
#[derive(Clone, Debug, Default)]
pub struct Scripted {
    pub(super) delay: Duration,
    pub(super) takes_effect: bool,
    pub(super) reply: Option<Fixed>,
}

#[derive(Clone, Debug)]
pub(super) struct Fixed {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Scripted {
    /// The request is answered as usual.
    #[must_use]
    pub fn genuine() -> Self {
        Self { takes_effect: true, ..Self::default() }
    }

    /// The request is answered with this and does nothing. The body is called JSON unless a header says
    /// otherwise.
    #[must_use]
    pub fn reply(status: u16, body: impl ToString) -> Self {
        let fixed = Fixed { status, headers: Vec::new(), body: body.to_string() };
        Self { reply: Some(fixed), ..Self::default() }
    }

    /// One more header of a fixed reply.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(fixed) = &mut self.reply {
            fixed.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The request is held so long before anything is done.
    #[must_use]
    pub fn delayed(mut self, by: Duration) -> Self {
        self.delay = by;
        self
    }

    /// The request does what it would do, and the reply that says so is lost.
    #[must_use]
    pub fn taking_effect(mut self) -> Self {
        self.takes_effect = true;
        self
    }
}

impl Fixed {
    pub(super) fn response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = HttpResponse::build(status);
        reply.content_type("application/json");
        for (name, value) in self.headers {
            reply.insert_header((name, value));
        }
        reply.body(self.body)
    }
}

/// The scripts of all places.
#[derive(Debug, Default)]
pub(super) struct Scripts(HashMap<Place, VecDeque<Scripted>>);

impl Scripts {
    pub(super) fn add(&mut self, place: Place, replies: impl IntoIterator<Item = Scripted>) {
        self.0.entry(place).or_default().extend(replies);
    }

    /// The script of the next request; as usual when there is none.
    pub(super) fn next(&mut self, place: Place) -> Scripted {
        let next = self.0.get_mut(&place).and_then(VecDeque::pop_front);
        next.unwrap_or_else(Scripted::genuine)
    }
}
