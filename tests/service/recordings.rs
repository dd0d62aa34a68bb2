//! Recorded traffic of real providers goes through the router byte for byte.
//!
//! The recordings are third-party data and not part of this repository: `NINEROUTER_FIXTURES`
//! names their folder.

use std::path::{Path, PathBuf};

use ninerouter::demo::chaos::{Chaos, Reading, Step, reply};
use serde_json::Value;

use crate::check;
use crate::support::{Dialect, Setup, for_all};

struct Recording {
    name: String,
    dialect: Dialect,
    status: u16,
    stream: bool,
    body: Vec<u8>,
    /// The recorded request, when there is one.
    request: Option<Value>,
    features: Vec<String>,
}

/// The folder of recordings; `None` when the suite is skipped.
#[expect(clippy::disallowed_methods, reason = "tests are told by the environment")]
fn folder() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("NINEROUTER_FIXTURES").map(PathBuf::from) else {
        eprintln!("skipped: NINEROUTER_FIXTURES names no folder of recorded traffic");
        return None;
    };
    assert!(folder.is_dir(), "NINEROUTER_FIXTURES is set, but there is no {}", folder.display());
    Some(folder)
}

fn recordings(folder: &Path) -> Vec<Recording> {
    let formats = [
        ("openai_chat", Dialect::Chat),
        ("openai_responses", Dialect::Resp),
        ("anthropic_messages", Dialect::Anth),
        ("gemini", Dialect::Gem),
    ];
    let mut all = Vec::new();
    for (format, dialect) in formats {
        for entry in std::fs::read_dir(folder.join(format)).unwrap() {
            let path = entry.unwrap().path();
            let json = |name: &str| -> Option<Value> {
                let bytes = std::fs::read(path.join(name)).ok()?;
                Some(serde_json::from_slice(&bytes).unwrap())
            };
            let meta = json("meta.json").unwrap();
            let stream = path.join("stream.sse").is_file();
            let body = if stream { "stream.sse" } else { "response.json" };
            all.push(Recording {
                name: format!("{format}/{}", path.file_name().unwrap().to_string_lossy()),
                dialect,
                status: meta["status"].as_u64().unwrap().try_into().unwrap(),
                stream,
                body: std::fs::read(path.join(body)).unwrap(),
                request: json("request.json"),
                features: serde_json::from_value(meta["features"].clone()).unwrap_or_default(),
            });
        }
    }
    assert!(all.len() > 50, "only {} recordings in {}", all.len(), folder.display());
    all
}

impl Recording {
    /// What the client sends: the recorded request where there is one, for our model id.
    fn client_body(&self, model: &str) -> Vec<u8> {
        let asks_usage = |request: &mut Value| {
            if self.dialect == Dialect::Chat && self.stream {
                request["stream_options"] = serde_json::json!({"include_usage": true});
            }
        };
        let mut request = self.request.clone().unwrap_or_else(|| {
            serde_json::from_str(&self.dialect.body(model, self.stream)).unwrap()
        });
        let fields = request.as_object_mut().unwrap();
        if self.dialect == Dialect::Gem {
            fields.remove("model");
        } else {
            fields.insert("model".into(), model.into());
            fields.insert("stream".into(), self.stream.into());
        }
        asks_usage(&mut request);
        serde_json::to_vec(&request).unwrap()
    }
}

#[test]
fn recorded_answers_reach_the_client_byte_for_byte() {
    let Some(folder) = folder() else { return };
    let recordings = recordings(&folder);
    for size in [usize::MAX, 7] {
        replay(&recordings, size);
    }
}

fn replay(recordings: &[Recording], size: usize) {
    let mut setup = Setup::new();
    let mut upstreams = Vec::new();
    for (at, recording) in recordings.iter().enumerate() {
        let bytes = if recording.stream {
            let chunks: Vec<_> = recording.body.chunks(size).map(reply::chunk).collect();
            [&reply::sse_head(), &chunks.concat(), reply::LAST_CHUNK].concat()
        } else {
            let kind = [("content-type", "application/json; charset=utf-8")];
            reply::whole(recording.status, &kind, &recording.body)
        };
        let chaos = Chaos::start(Reading::Whole, move |_| {
            vec![Step::Pieces { bytes: bytes.clone().into(), size: 64 * 1024 }]
        })
        .unwrap();
        let url = chaos.url(recording.dialect.base());
        setup = setup.upstream(recording.dialect, &format!("r{at}"), &url);
        upstreams.push(chaos);
    }
    let router = setup.start();
    for_all(recordings, 4, |recording| {
        let at = recordings.iter().position(|r| std::ptr::eq(r, recording)).unwrap();
        let (name, model) = (&recording.name, format!("r{at}/m"));
        let body = recording.client_body(&model);
        let got = router.post(&recording.dialect.path(&model, recording.stream), &body);
        if recording.status >= 400 {
            return judge_error(recording, &got, &upstreams[at]);
        }
        let failed = recording.features.iter().any(|f| f == "error");
        check!(got.status == 200 || failed, "{name}: {}", got.brief());
        if failed {
            // An error inside the recording may surface as a status; the account is alone.
            return Ok(());
        }
        check!(got.complete, "{name}: cut after {} bytes", got.body.len());
        check!(
            got.body == recording.body,
            "{name}: {} bytes became {}: {}",
            recording.body.len(),
            got.body.len(),
            got.brief()
        );
        Ok(())
    });
    let usage = router.wait_rows(
        recordings.len(),
        &["requested_model", "input_tokens", "output_tokens", "estimated"],
        "requests",
    );
    for_all(&usage, 1, |row| {
        let model = row["requested_model"].as_str().unwrap();
        let at: usize = model[1..].trim_end_matches("/m").parse().unwrap();
        let recording = &recordings[at];
        let told = recording.status == 200
            && !recording.features.iter().any(|f| f == "error" || f == "no_usage")
            && recorded_tokens(recording);
        check!(!told || row["estimated"] == 0, "{}: usage not seen: {row}", recording.name);
        check!(!told || row["input_tokens"].as_u64() > Some(0), "{}: {row}", recording.name);
        Ok(())
    });
}

/// Whether the recording counts the prompt; some vendors send zeros, which say nothing.
fn recorded_tokens(recording: &Recording) -> bool {
    let text = String::from_utf8_lossy(&recording.body);
    let name = match recording.dialect {
        Dialect::Chat => "\"prompt_tokens\"",
        Dialect::Resp | Dialect::Anth => "\"input_tokens\"",
        Dialect::Gem => "\"promptTokenCount\"",
    };
    text.match_indices(name).any(|(at, name)| {
        let number = text[at + name.len()..].trim_start_matches([':', ' ', '\n']);
        number.starts_with(|c: char| ('1'..='9').contains(&c))
    })
}

/// A client's own mistake comes back as recorded; refusals of our credential never look like one
/// of the client's.
fn judge_error(
    recording: &Recording,
    got: &crate::support::Reply,
    upstream: &Chaos,
) -> Result<(), String> {
    let name = &recording.name;
    check!(!upstream.requests().is_empty(), "{name}: never asked");
    match recording.status {
        400 | 422 => {
            check!(got.status == recording.status, "{name}: {}", got.brief());
            check!(got.body == recording.body, "{name}: body changed: {}", got.brief());
        }
        401 => check!(got.status == 502, "{name}: {}", got.brief()),
        404 => check!(matches!(got.status, 404 | 502), "{name}: {}", got.brief()),
        429 => check!(matches!(got.status, 429 | 503), "{name}: {}", got.brief()),
        _ => check!(got.status >= 400, "{name}: {}", got.brief()),
    }
    Ok(())
}
