//! The URL of one call: base, path, query, and what of the client's query goes along.

use std::borrow::Cow;

use ninerouter_dialect::Dialect;
use url::Url;

use crate::provider::base_url::{canonical, without_overlap};
use crate::provider::catalog::Endpoint;
use crate::provider::request::{Call, ShapeCx, ShapeError};
use crate::provider::template::{Place, Unfilled, fill, is_aws_region};
use crate::provider::value::Values;

/// Query names that hold credentials: they go into headers, never into a URL.
const CREDENTIAL_NAMES: [&str; 6] =
    ["key", "api_key", "api-key", "apikey", "access_token", "token"];

/// Canonical URL, and the path template it was made from.
pub(super) fn url<'c>(
    cx: &'c ShapeCx<'_>,
    values: &Values<'c, '_>,
) -> Result<(String, Cow<'c, str>), ShapeError> {
    let path = path(cx)?;
    let base = base(cx, values, &path)?;
    let filled = fill(&path, Place::Path, &|name| values.get(name)).map_err(unfilled)?;
    let mut text = String::with_capacity(base.len() + filled.len() + 16);
    text.push_str(&base);
    text.push_str(&filled);
    let query = query(cx, values)?;
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    // the parser's output, never the text that was put together (SEC §9.2)
    let text = match is_canonical(&text) {
        true => text,
        false => Url::parse(&text).ok().ok_or(ShapeError::BadModel)?.into(),
    };
    let plain_ok = cx.provider.local || cx.provider.node || cx.provider.overridden;
    match text.split_once(':') {
        Some(("https", _)) => {}
        Some(("http", _)) if plain_ok => {}
        _ => return Err(ShapeError::Insecure(cx.provider.id.to_string())),
    }
    Ok((text, path))
}

/// True for texts that the parser gives back as they are, as nearly all are: a name or an IPv4 address in its usual
/// form, perhaps a port, and a path of harmless characters. False says nothing.
fn is_canonical(text: &str) -> bool {
    let (rest, own_port) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (None, Some(rest)) => (rest, "80"),
        (None, None) => return false,
    };
    let Some((authority, path)) = rest.split_once('/') else { return false };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    is_plain_host(host)
        && port.is_none_or(|port| {
            port != own_port && port.parse::<u16>().is_ok_and(|n| n.to_string() == port)
        })
        && !path.split('/').any(|part| matches!(part, "." | ".."))
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~:".contains(&b))
}

/// A name in lower case that means a name to everybody, or an IPv4 address.
fn is_plain_host(host: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        !label.starts_with("xn--") && !bytes.is_empty() && bytes.iter().all(plain)
    };
    // What ends in a number is an address to the parser, however it is written.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_name = last.starts_with(|c: char| c.is_ascii_lowercase()) && host.split('.').all(label);
    is_name || host.parse::<std::net::Ipv4Addr>().is_ok()
}

fn path<'c>(cx: &'c ShapeCx<'_>) -> Result<Cow<'c, str>, ShapeError> {
    let endpoint: &'c Endpoint = cx.endpoint;
    let missing = || ShapeError::NoSuchCall {
        provider: cx.provider.id.to_string(),
        endpoint: endpoint.name.clone(),
    };
    let path: Cow<'c, str> = match cx.call {
        Call::Generate => {
            let streams = endpoint.stream_path.as_deref().filter(|_| cx.stream);
            streams.unwrap_or(&endpoint.path).into()
        }
        Call::CountTokens => endpoint.count_tokens.as_deref().ok_or_else(missing)?.into(),
        Call::Compact => match (&endpoint.compact_path, &*cx.provider.id) {
            (Some(path), _) => path.into(),
            (None, "openai") if cx.dialect == Dialect::Resp => {
                format!("{}/compact", endpoint.path).into()
            }
            (None, _) => return Err(missing()),
        },
    };
    // a tuned model keeps its own collection (providers §3.14)
    if cx.dialect == Dialect::Gem && cx.upstream_model.starts_with("tunedModels/") {
        return Ok(path.replace("/models/{model}", "/{model}").into());
    }
    Ok(path)
}

/// Scheme, host and leading path. The operator's override stands before the account's own base URL.
fn base<'c>(
    cx: &'c ShapeCx<'_>,
    values: &Values<'c, '_>,
    path: &str,
) -> Result<Cow<'c, str>, ShapeError> {
    let template = cx.endpoint.base_url.as_str();
    if cx.provider.overridden && !template.contains('{') {
        return Ok(template.into());
    }
    let own = values.param("base_url").filter(|_| cx.provider.base_url_override);
    let whole = whole_placeholder(template);
    let given = match (own, whole) {
        (Some(own), _) => Some(own),
        (None, Some(name)) => {
            Some(values.param(name).ok_or_else(|| ShapeError::MissingParam(name.to_owned()))?)
        }
        (None, None) => None,
    };
    if let Some(given) = given {
        let url = canonical(&given)?;
        return Ok(without_overlap(&url, path).to_owned().into());
    }
    let aws = template.contains("{region}") && template.ends_with(".amazonaws.com");
    if aws && !values.param("region").is_some_and(|r| is_aws_region(&r)) {
        return Err(ShapeError::BadParam("region".to_owned()));
    }
    let filled = fill(template, Place::Host, &|name| values.get(name)).map_err(unfilled)?;
    if template.contains("{resource_url}") && !is_qwen_host(&filled) {
        return Err(ShapeError::BadParam("resource_url".to_owned()));
    }
    Ok(filled)
}

/// The name, when the template is one placeholder and nothing else.
fn whole_placeholder(template: &str) -> Option<&str> {
    template.strip_prefix('{')?.strip_suffix('}').filter(|name| !name.contains(['{', '}']))
}

/// Hosts a Qwen token reply may name (providers §3.7).
fn is_qwen_host(base: &str) -> bool {
    [".qwen.ai", ".aliyuncs.com"].iter().any(|end| base.ends_with(end))
}

fn unfilled(why: Unfilled) -> ShapeError {
    match why {
        Unfilled::Missing(name) => ShapeError::MissingParam(name),
        Unfilled::Unfit(name) if name == "model" => ShapeError::BadModel,
        Unfilled::Unfit(name) => ShapeError::BadParam(name),
    }
}

/// The endpoint's query, then what of the client's is neither a credential nor set already.
fn query<'c>(cx: &'c ShapeCx<'_>, values: &Values<'c, '_>) -> Result<String, ShapeError> {
    let endpoint = cx.endpoint;
    let own = match (&endpoint.stream_query, cx.stream && cx.call == Call::Generate) {
        (Some(query), true) => Some(query),
        _ => endpoint.query.as_ref(),
    };
    let own = match own {
        Some(own) => fill(own, Place::Query, &|name| values.get(name)).map_err(unfilled)?,
        None => Cow::Borrowed(""),
    };
    let as_events = streams_as_events(cx);
    let mut out = String::new();
    for pair in own.split('&').filter(|p| !p.is_empty()) {
        if cx.dialect == Dialect::Gem && pair == "alt=sse" && !as_events {
            continue;
        }
        push(&mut out, pair);
    }
    for pair in cx.client_query.unwrap_or("").split('&').filter(|p| !p.is_empty()) {
        let name = name_of(pair);
        let credential = CREDENTIAL_NAMES.iter().any(|c| c.eq_ignore_ascii_case(&name));
        // `alt` is the router's business: it decides how the reply is framed
        let framing = cx.dialect == Dialect::Gem && name == "alt";
        let set = own.split('&').any(|p| name_of(p) == name);
        if !(credential || framing || set) {
            push(&mut out, pair);
        }
    }
    Ok(out)
}

/// True when a reply streams as server-sent events. Gemini streams a JSON array unless the client
/// asks for events (endpoints §4.8).
pub(super) fn streams_as_events(cx: &ShapeCx<'_>) -> bool {
    let asked = || cx.client_query.unwrap_or("").split('&').any(|pair| pair == "alt=sse");
    cx.stream && cx.call == Call::Generate && (cx.dialect != Dialect::Gem || asked())
}

fn push(out: &mut String, pair: &str) {
    if !out.is_empty() {
        out.push('&');
    }
    out.push_str(pair);
}

/// The decoded name of a pair: `%6bey` is `key`.
fn name_of(pair: &str) -> Cow<'_, str> {
    let raw = pair.split('=').next().unwrap_or("");
    percent_encoding::percent_decode_str(raw).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_urls_need_no_parser() {
        for text in [
            "https://api.openai.com/v1/chat/completions",
            "http://127.0.0.1:8080/small/v1/messages",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5:generateContent",
        ] {
            assert!(is_canonical(text), "{text}");
        }
        for text in [
            "https://Api.example/v1",
            "https://api.example:443/v1",
            "http://127.1/v1",
            "http://0x7f.1/v1",
            "https://api.example",
            "https://api.example/a/../b",
            "https://api.example/a?b=c",
            "https://u@api.example/v1",
            "https://api.example:0080/v1",
            "ftp://api.example/v1",
        ] {
            assert!(!is_canonical(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_called_canonical_the_parser_gives_back(
            text in "https?://[a-z0-9.:%xn-]{0,12}(:[0-9]{1,5})?/[a-zA-Z0-9/._~:%-]{0,12}",
        ) {
            if is_canonical(&text) {
                let parsed = Url::parse(&text).map(String::from);
                prop_assert_eq!(parsed.as_deref(), Ok(text.as_str()));
            }
        }
    }
}
