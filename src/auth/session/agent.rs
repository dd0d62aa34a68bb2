//! A browser in three words, for the list of sessions.

/// `Firefox on Linux`, or the first word of a program's `User-Agent`. Letters, digits and spaces alone.
#[must_use]
pub(super) fn family(user_agent: &str) -> String {
    // Every browser names the ones it resembles: the more particular name comes first.
    const BROWSERS: [(&str, &str); 8] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Vivaldi", "Vivaldi"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox/", "Firefox"),
        ("HeadlessChrome", "Headless Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ];
    let known = |table: &[(&str, &'static str)]| {
        table.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (known(&BROWSERS), known(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, _) => {
            let word = user_agent.split(['/', ' ', '(']).next().unwrap_or_default();
            let word: String =
                word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
            if word.is_empty() { "unknown".to_owned() } else { word }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_told_apart() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36";
        for (agent, want) in [
            (chrome.to_owned(), "Chrome on Linux"),
            (format!("{chrome} Edg/131.0"), "Edge on Linux"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1"
                    .into(),
                "Safari on iOS",
            ),
            ("Mozilla/5.0 (Windows NT 10.0; rv:133.0) Firefox/133.0".into(), "Firefox on Windows"),
            ("curl/8.5.0".into(), "curl"),
            ("<script>alert(1)</script>".into(), "scriptalert"),
            (String::new(), "unknown"),
        ] {
            assert_eq!(family(&agent), want, "{agent}");
        }
    }
}
