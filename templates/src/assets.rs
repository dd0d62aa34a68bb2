//! Where the browser finds style, script and icons: names with a hash, passed in by whoever serves them.

/// URLs of everything a page loads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assets {
    /// Style sheet, `/assets/app.<hash>.css`.
    pub css: String,
    /// Sprite, `/assets/icons.<hash>.svg`; one icon is `<url>#<name>`.
    pub icons: String,
    /// Own script that every page loads, `assets/app.js`. It comes first: htmx needs its trusted-types policy.
    pub app: Script,
    /// Scripts of pages behind the sign-in, in this order: htmx, its SSE extension, `live.js`, `order.js`.
    pub signed_in: Vec<Script>,
}

/// One script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// Its URL.
    pub url: String,
    /// `sha384-…` of its bytes (SEC-CSP-2).
    pub integrity: String,
}
