//! What a browser is shown when it comes back: static, without script, with nothing of the query in it (SEC-OA-2).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

/// Nothing is loaded, run, framed or sent from this page, and its address with the code in it goes nowhere.
const HEADERS: [(&str, &str); 7] = [
    ("content-type", "text/html; charset=utf-8"),
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// A page, before it is HTML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// One line.
    pub title: String,
    /// What to do now.
    pub text: String,
}

impl Page {
    fn new(status: u16, title: &str, text: impl Into<String>) -> Self {
        Self { status, title: title.to_owned(), text: text.into() }
    }

    /// The account is there.
    pub(super) fn connected(label: &str) -> Self {
        Self::new(200, "Signed in", format!("{label} is connected. You can close this page."))
    }

    /// Unknown, used, late, cancelled, of another provider: all the same to whoever asks.
    pub(super) fn no_longer_valid() -> Self {
        let title = "This sign-in link is no longer valid, start again";
        Self::new(400, title, "Start the sign-in again from NineRouter.")
    }

    /// The vendor, or the exchange, said no.
    pub(super) fn failed(why: &str) -> Self {
        Self::new(400, "Not signed in", format!("{why}. Start the sign-in again from NineRouter."))
    }

    /// The person said no.
    pub(super) fn declined() -> Self {
        Self::new(400, "You declined", "Nothing was connected. You can close this page.")
    }

    /// Another path of an opened port.
    pub(super) fn nothing() -> Self {
        Self::new(404, "Nothing here", "This port takes the answer of a sign-in, nothing else.")
    }

    /// The router is stopping, or its store fails.
    pub(super) fn unavailable() -> Self {
        let text = "The router cannot finish the sign-in now. See its log, then start again.";
        Self::new(503, "Not signed in", text)
    }

    /// As HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let (title, text) = (escaped(&self.title), escaped(&self.text));
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
             <body><h1>{title}</h1><p>{text}</p></body></html>\n"
        )
    }

    /// As a reply.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut reply = HttpResponse::build(status);
        for header in HEADERS {
            reply.insert_header(header);
        }
        reply.body(self.html())
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_oa_06_what_a_vendor_says_is_text() {
        let page = Page::failed("error: <script>alert('x')</script> & \"more\"");
        let html = page.html();
        assert!(!html.contains("<script"), "{html}");
        assert!(
            html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;")
        );
    }
}
