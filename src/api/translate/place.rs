//! Where a pasted text stops being JSON.

use serde::de::IgnoredAny;

use super::Fault;

/// The first fault of a JSON text, with its line and column.
pub(super) fn of_json(text: &str) -> Option<Fault> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    Some(fault(&error, error.line(), error.column()))
}

/// The first fault of the JSON in a stream of server-sent events, with its line and column in the whole text. An event
/// of several `data` lines is read as one text, as a client would.
pub(super) fn of_events(text: &str) -> Option<Fault> {
    let mut event: Vec<(usize, usize, &str)> = Vec::new();
    let mut line_number = 0;
    for line in text.split('\n') {
        line_number += 1;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            if let Some(fault) = of_event(&event) {
                return Some(fault);
            }
            event.clear();
        } else if let Some(rest) = line.strip_prefix("data:") {
            let data = rest.strip_prefix(' ').unwrap_or(rest);
            event.push((line_number, line.len() - data.len(), data));
        }
    }
    of_event(&event)
}

fn of_event(event: &[(usize, usize, &str)]) -> Option<Fault> {
    let lines: Vec<&str> = event.iter().map(|(_, _, data)| *data).collect();
    let data = lines.join("\n");
    if data.trim().is_empty() || data.trim() == "[DONE]" {
        return None;
    }
    let error = serde_json::from_str::<IgnoredAny>(&data).err()?;
    let (line, before, _) = event.get(error.line().saturating_sub(1)).or(event.last())?;
    Some(fault(&error, *line, before + error.column()))
}

fn fault(error: &serde_json::Error, line: usize, column: usize) -> Fault {
    // The parser's text ends with a place of its own, which is that of the event alone.
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or_default();
    Fault {
        message: format!("this is not valid JSON: {what}"),
        field: None,
        at: Some((line, column)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_that_of_the_whole_text() {
        let at = |text: &str| of_json(text).map(|fault| fault.at.unwrap());
        assert_eq!(at("{\"a\": 1}"), None);
        assert_eq!(at("{\"a\": 1,\n  b: 2}"), Some((2, 3)));
        assert_eq!(at("{\"a\": "), Some((1, 6)));
        assert_eq!(at(""), Some((1, 0)));
        let fault = of_json("{\"a\" 1}").unwrap();
        assert_eq!(fault.message, "this is not valid JSON: expected `:`");
    }

    #[test]
    fn events_are_read_one_by_one() {
        let good = "event: x\ndata: {\"a\":1}\n\n: comment\ndata: [DONE]\n\n";
        assert!(of_events(good).is_none());
        let at = |text: &str| of_events(text).and_then(|fault| fault.at);
        assert_eq!(at(&format!("{good}data: {{\"a\" 1}}\n\n")), Some((7, 12)));
        assert_eq!(at("data:{\"a\":\r\ndata:  oops}\r\n\r\n"), Some((2, 8)));
        assert_eq!(at("data: {\"a\":1"), Some((1, 12)), "the last event needs no empty line");
    }
}
