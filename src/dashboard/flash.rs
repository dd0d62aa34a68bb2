//! Messages that outlive a redirect: in a signed cookie, for a minute (dashboard §1.2).

use ninerouter_templates::{Toast, Tone};

use crate::clock::UnixMs;
use crate::dashboard::signed;

/// Name of the cookie.
pub(super) const COOKIE: &str = "nr_flash";
const LIFE_S: i64 = 60;
/// Characters of a message.
const LONGEST: usize = 400;
/// Between the message and the way back.
const BETWEEN: char = '\u{1f}';

/// The header that leaves a message for the next page.
pub(super) fn set(toast: &Toast, now: UnixMs, is_https: bool) -> String {
    let text: String = toast.text.chars().take(LONGEST).collect();
    let mut text = format!("{}{}", letter(toast.tone), text.replace(BETWEEN, " "));
    if let Some((label, url)) = &toast.undo {
        text.push_str(&format!("{BETWEEN}{label}{BETWEEN}{url}"));
    }
    let value = signed::seal(COOKIE, &text, now + LIFE_S * 1_000);
    let secure = if is_https { "; Secure" } else { "" };
    format!(
        "{COOKIE}={value}; Path=/dashboard; Max-Age={LIFE_S}; HttpOnly; SameSite=Strict{secure}"
    )
}

/// The header that takes it back.
pub(super) fn clear() -> String {
    format!("{COOKIE}=; Path=/dashboard; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// The message in a cookie, if it is ours and not old.
pub(super) fn read(cookie: &str, now: UnixMs) -> Option<Toast> {
    let text = signed::open(COOKIE, cookie, now)?;
    let mut letters = text.chars();
    let tone = tone(letters.next()?)?;
    let mut parts = letters.as_str().split(BETWEEN).map(str::to_owned);
    let text = parts.next()?;
    Some(Toast { tone, text, undo: parts.next().zip(parts.next()) })
}

fn letter(tone: Tone) -> char {
    match tone {
        Tone::Ok => 'o',
        Tone::Warn => 'w',
        Tone::Bad => 'b',
        Tone::Info | Tone::Neutral => 'i',
    }
}

fn tone(letter: char) -> Option<Tone> {
    Some(match letter {
        'o' => Tone::Ok,
        'w' => Tone::Warn,
        'b' => Tone::Bad,
        'i' => Tone::Info,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_for_a_minute() {
        let undo = Some(("Undo".to_owned(), "/dashboard/accounts/7?enabled=true".to_owned()));
        let toast = Toast { tone: Tone::Bad, text: "a|b <i>é".to_owned(), undo };
        let header = set(&toast, 1_000, false);
        assert!(header.contains("HttpOnly") && !header.contains("Secure"));
        let sent = header.strip_prefix("nr_flash=").unwrap().split(';').next().unwrap();
        assert_eq!(read(sent, 60_999), Some(toast));
        assert_eq!(read(sent, 61_000), None);
    }
}
