//! Requests: images, documents and sound (T102–T107).

use ninerouter_dialect::Dialect::{self, Anth, Chat, Gem, Resp};
use ninerouter_dialect::translate::{NoSignatures, PrepareCx, RequestTranslator};
use serde_json::{Value, json};

use crate::pipeline::{plain, refused, sent, turns};

const PIXEL: &str = "iVBORw0KGgo=";
const PDF: &str = "JVBERi0xLjQ=";
const SOUND: &str = "UklGRiQAAABXQVZF";

fn saying(dialect: Dialect, part: Value) -> Value {
    let key = if dialect == Gem { "parts" } else { "content" };
    turns(dialect, json!([{"role": "user", key: [part]}]))
}

/// The first part of the first turn upstream.
fn first(client: Dialect, target: Dialect, part: Value) -> Value {
    let mut got = sent(client, &plain(target), &saying(client, part));
    let key = if target == Gem { "parts" } else { "content" };
    got[target.turns_key()][0][key][0].take()
}

/// The same medium as each dialect writes it; `None` = it cannot.
fn same_everywhere(forms: &[(Dialect, Option<Value>)]) {
    for (from, given) in forms {
        let Some(given) = given else { continue };
        for (to, want) in forms {
            if let Some(want) = want {
                assert_eq!(first(*from, *to, given.clone()), *want, "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn t102_images_keep_their_bytes() {
    let url = format!("data:image/png;base64,{PIXEL}");
    same_everywhere(&[
        (Chat, Some(json!({"type": "image_url", "image_url": {"url": url}}))),
        (Resp, Some(json!({"type": "input_image", "image_url": url}))),
        (
            Anth,
            Some(json!({"type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})),
        ),
        (Gem, Some(json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}}))),
    ]);
}

#[test]
fn t103_loose_data_urls_are_read() {
    for (url, mime, data) in [
        ("data:image/jpg;charset=utf-8;base64,/9j/", "image/jpeg", "/9j/"),
        ("data:;base64,iVBORw0KGgo=", "image/png", PIXEL),
        ("data:image/png;base64,iVBO\nRw0K Ggo=", "image/png", PIXEL),
    ] {
        let source = json!({"type": "base64", "media_type": mime, "data": data});
        for given in [json!({"url": url}), json!(url)] {
            let got = first(Chat, Anth, json!({"type": "image_url", "image_url": given}));
            assert_eq!(got["source"], source, "{url}");
        }
    }
}

#[test]
fn t104_addresses_go_or_are_fetched() {
    let url = "https://example.org/a.png";
    let part = json!({"type": "image_url", "image_url": {"url": url}});
    let got = first(Chat, Anth, part.clone());
    assert_eq!(got["source"], json!({"type": "url", "url": url}));

    let body = saying(Chat, part).to_string();
    let translator = RequestTranslator::decode(Chat, body.as_bytes()).unwrap();
    let cx = PrepareCx { signatures: &NoSignatures, now: 0, estimated_input: 0 };
    let mut prepared = translator.prepare(&plain(Gem), &cx).unwrap();
    let wanted = prepared.wanted_media();
    assert_eq!(wanted.iter().map(|wanted| &*wanted.url).collect::<Vec<_>>(), [url]);
    prepared.provide_media(url, "image/png", &PIXEL.into());
    let got: Value = serde_json::from_slice(&prepared.encode().unwrap().body).unwrap();
    let want = json!({"inlineData": {"mimeType": "image/png", "data": PIXEL}});
    assert_eq!(got["contents"][0]["parts"][0], want);
    // What Google can read itself is left to it.
    for uri in ["gs://bucket/a.png", "https://www.youtube.com/watch?v=abc"] {
        let body = saying(Gem, json!({"fileData": {"fileUri": uri, "mimeType": "image/png"}}));
        let translator = RequestTranslator::decode(Gem, body.to_string().as_bytes()).unwrap();
        assert!(translator.prepare(&plain(Gem), &cx).unwrap().wanted_media().is_empty(), "{uri}");
    }
}

#[test]
fn t105_documents_in_each_dialect() {
    let url = format!("data:application/pdf;base64,{PDF}");
    let chat = json!({"type": "file", "file": {"file_data": url, "filename": "a.pdf"}});
    assert_eq!(first(Chat, Chat, chat.clone()), chat);
    assert_eq!(
        first(Chat, Resp, chat.clone()),
        json!({"type": "input_file", "file_data": url, "filename": "a.pdf"})
    );
    let got = first(Chat, Anth, chat.clone());
    assert_eq!(got["type"], "document");
    assert_eq!(
        got["source"],
        json!({"type": "base64", "media_type": "application/pdf", "data": PDF})
    );
    let inline = json!({"inlineData": {"mimeType": "application/pdf", "data": PDF}});
    assert_eq!(first(Chat, Gem, chat), inline);
    // From the others, without a name where none is known.
    let document = json!({"type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}});
    for (from, given) in [
        (Resp, json!({"type": "input_file", "file_data": url, "filename": "a.pdf"})),
        (Anth, document),
        (Gem, inline.clone()),
    ] {
        assert_eq!(first(from, Gem, given.clone()), inline, "{from:?}");
        let got = first(from, Chat, given.clone());
        assert_eq!((&got["type"], &got["file"]["file_data"]), (&json!("file"), &json!(url)));
        assert_eq!(first(from, Resp, given)["file_data"], url, "{from:?}");
    }
    // R50: what a document holds decides, not what it is called.
    let image = format!("data:image/png;base64,{PIXEL}");
    let got = first(Resp, Anth, json!({"type": "input_file", "file_data": image, "filename": "a"}));
    assert_eq!(got["type"], "image");
    let got = first(Gem, Anth, inline);
    assert_eq!(got["type"], "document");
}

#[test]
fn t106_sound_in_each_dialect() {
    for (format, mime) in [("wav", "audio/wav"), ("mp3", "audio/mp3")] {
        let chat = json!({"type": "input_audio", "input_audio": {"data": SOUND, "format": format}});
        let gemini = json!({"inlineData": {"mimeType": mime, "data": SOUND}});
        assert_eq!(first(Chat, Gem, chat.clone()), gemini);
        assert_eq!(first(Gem, Chat, gemini.clone()), chat);
        assert_eq!(first(Chat, Resp, chat.clone()), chat);
        for (from, part) in [(Chat, &chat), (Resp, &chat), (Gem, &gemini)] {
            let message = refused(from, &plain(Anth), &saying(from, part.clone()));
            assert!(message.contains("audio"), "{message}");
        }
    }
}

#[test]
fn t107_models_without_vision() {
    let url = format!("data:image/png;base64,{PIXEL}");
    let body = saying(Chat, json!({"type": "image_url", "image_url": {"url": url}}));
    for dialect in [Chat, Resp, Anth, Gem] {
        let mut target = plain(dialect);
        target.caps.vision = Some(false);
        let got = sent(Chat, &target, &body).to_string();
        assert!(got.contains("[image omitted: model has no vision]") && !got.contains(PIXEL));
    }
}
