//! Media that the backend would have to fetch, which it does not.

use crate::resp::object::{Object, elements};

/// Whether the request gives images or files by their address. The backend takes bytes alone, so such a
/// request goes by way of the neutral form, where the caller can put the bytes in
/// ([`Prepared::wanted_media`](crate::translate::Prepared::wanted_media)).
pub fn needs_media(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    if !text.contains("image_url") && !text.contains("file_url") {
        return false;
    }
    let Some(object) = Object::parse(text) else { return false };
    object.elements("input").into_iter().filter_map(Object::parse).any(|item| {
        ["content", "output"].into_iter().filter_map(|key| item.raw(key)).any(|raw| {
            elements(raw).into_iter().filter_map(Object::parse).any(|part| {
                ["image_url", "file_url"]
                    .into_iter()
                    .filter_map(|key| part.word(key))
                    .any(|url| url.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("http")))
            })
        })
    })
}
