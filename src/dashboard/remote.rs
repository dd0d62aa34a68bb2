//! Remote access on the Endpoint page: ways in, and the names by which tunnels are known.

use ninerouter_templates::Snippet;
use ninerouter_templates::remote::{Guide, Remote, card};
use serde_json::Value;

use crate::dashboard::assets;
use crate::dashboard::endpoint::{ABOUT, PATH, fixed_by};
use crate::dashboard::form::{Body, entered, is_objection, objected};
use crate::dashboard::json::Read;
use crate::dashboard::stage::{self, Refused, Stage, good};
use crate::dashboard::visit::{Form, Page, Visit};

/// Port of a router that listens nowhere over TCP.
const USUAL_PORT: &str = "20128";

/// The card as it is stored.
pub(super) fn view(stage: &Stage) -> Remote {
    let hosts = stage.settings.texts("/settings/tunnel_hosts");
    let sentence = match hosts.len() {
        0 => "No tunnel is named.".to_owned(),
        1 => "1 tunnel is named.".to_owned(),
        many => format!("{many} tunnels are named."),
    };
    let mut form = entered(&Form::default(), &[]).with("tunnel_hosts", &hosts.join("\n"));
    if stage.settings.is("/settings/tunnel_dashboard_access") {
        form = form.with("tunnel_dashboard_access", "true");
    }
    let host = hosts.first().map_or("router.example.org", String::as_str);
    Remote {
        sentence,
        guides: guides(&port(&stage.status), host),
        form,
        fixed_by: fixed_by(stage.settings.part("/meta/tunnel_hosts")),
    }
}

/// Port of the first listener that has one.
fn port(status: &Value) -> String {
    let listeners = status.texts("/listeners");
    let port =
        listeners.iter().filter_map(|listener| listener.rsplit_once(':')).find_map(|(_, port)| {
            let digits = port.trim_end_matches('/');
            digits.parse::<u16>().ok().map(|port| port.to_string())
        });
    port.unwrap_or_else(|| USUAL_PORT.to_owned())
}

fn guides(port: &str, host: &str) -> Vec<Guide> {
    let guide = |title: &str, effect: &str, language: &str, code: String, end: &str| Guide {
        title: title.to_owned(),
        effect: effect.to_owned(),
        lines: Snippet { title: title.to_owned(), language: language.to_owned(), code },
        end: end.to_owned(),
    };
    vec![
        guide(
            "Cloudflare Tunnel",
            "cloudflared prints an address below trycloudflare.com that leads here. Enter its host name below, and \
             point your tool at it with an API key. A tunnel of your own account keeps its name.",
            "shell",
            format!("cloudflared tunnel --url http://127.0.0.1:{port}"),
            "It ends with the program: Ctrl-C.",
        ),
        guide(
            "Tailscale Funnel",
            "Your machine's name in the tailnet answers on the internet with a certificate of its own. Enter that \
             name below. `tailscale serve` in its place opens it to your own devices alone.",
            "shell",
            format!("tailscale funnel --bg {port}"),
            "It ends with: tailscale funnel reset",
        ),
        guide(
            "Your own domain",
            "A reverse proxy with a certificate stands before the router. The router believes what it says of its \
             callers once it is named in NINEROUTER_TRUSTED_PROXIES.",
            "Caddyfile",
            format!("{host} {{\n\treverse_proxy 127.0.0.1:{port}\n}}"),
            "Start the router with NINEROUTER_TRUSTED_PROXIES=loopback. It ends when the proxy's block is removed.",
        ),
    ]
}

/// Changes the names.
pub(super) async fn change(visit: &Visit) -> Result<Page, Refused> {
    let body =
        Body::of(&visit.form).lists(&["tunnel_hosts"]).switches(&["tunnel_dashboard_access"]);
    let refused = match visit.ask("PATCH", "/api/settings", Some(&body.json())).await {
        Ok(_) => return Ok(stage::done(visit, PATH, &good("Saved."))),
        Err(refused) if is_objection(&refused) => refused,
        Err(refused) => return Err(refused),
    };
    let stage = Stage::set(visit).await?;
    let view = Remote { form: objected(&visit.form, &[], &refused), ..view(&stage) };
    let html = card(assets::urls(), &visit.csrf, &view);
    Ok(if visit.hx.is_fragment {
        Page::html(422, html.into_string())
    } else {
        stage.page_with_status(422, visit, ABOUT, &html)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn guides_name_the_port_that_is_listened_on() {
        let of = |listeners: Value| port(&json!({"listeners": listeners}));
        assert_eq!(of(json!(["unix:/run/nr.sock", "127.0.0.1:3000"])), "3000");
        assert_eq!(of(json!(["http://[::1]:8080/"])), "8080");
        assert_eq!(of(json!([])), USUAL_PORT);
        assert!(guides("3000", "a.example").iter().all(|guide| guide.lines.code.contains("3000")));
    }
}
