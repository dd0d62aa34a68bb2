//! Requests that the outbound guard refused become rows, whoever was to send them.

use crate::actors::audit::Audit;
use crate::auth::audit::{Caller, Event, EventName};
use crate::net::{Blocked, DestClass, NetShared};

impl Audit {
    /// Records every request that the guard of `net` refuses from now on. To be called once, at start.
    pub fn listen_to(&self, net: &NetShared) {
        let audit = self.clone();
        net.on_blocked(move |blocked| audit.record(&caller(blocked), event(blocked)));
    }
}

/// The router itself tells; the client's request behind it is named.
fn caller(blocked: &Blocked<'_>) -> Caller {
    Caller { request_id: blocked.initiator.request_id.clone(), ..Caller::system() }
}

fn event(blocked: &Blocked<'_>) -> Event {
    let class = match blocked.class {
        DestClass::Catalog => "catalog",
        DestClass::Node => "node",
        DestClass::Override => "override",
        DestClass::Content => "content",
    };
    let event = Event::denied(EventName::OutboundBlocked)
        .with("class", class)
        .with("verdict", blocked.why.to_string())
        .with("purpose", blocked.initiator.purpose.as_str());
    let named =
        [("host", blocked.host.as_deref()), ("provider", blocked.initiator.provider.as_deref())];
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.fold(event, |event, (name, value)| event.with(name, value))
}
