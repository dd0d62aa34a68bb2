//! Where a browser comes back after it agreed: this router's port, one opened for it, or a page of the vendor.

/// A place a vendor accepts as `redirect_uri`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Redirect {
    /// A port of the computer the browser runs on.
    Loopback(Loopback),
    /// A page of the vendor that shows the code, to be pasted.
    Page(&'static str),
}

/// `http://localhost:<port><path>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Loopback {
    /// As registered.
    pub path: &'static str,
    /// The registered port; where any will do, the one that is opened when the router's own cannot serve.
    pub port: u16,
    /// The vendor does not look at the port.
    pub any_port: bool,
}

/// What the surroundings allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// Port of this router on plain-http loopback, when it listens there.
    pub own_port: Option<u16>,
    /// The browser runs on the router's computer, as far as anybody knows.
    pub here: bool,
    /// A port can be opened for it (not inside a container).
    pub may_listen: bool,
}

/// The way that was chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// As it goes out.
    pub redirect_uri: String,
    /// Name of the mode (accounts §1.1).
    pub mode: &'static str,
    /// The port that has to be opened for it.
    pub listen: Option<u16>,
}

impl Redirect {
    /// The way through this place.
    #[must_use]
    pub fn way(self, reach: Reach) -> Way {
        match self {
            Self::Page(url) => {
                Way { redirect_uri: url.to_owned(), mode: "hosted_page", listen: None }
            }
            Self::Loopback(Loopback { path, port, any_port }) => {
                let own = reach.own_port.filter(|_| any_port);
                let mode = if any_port { "loopback_path" } else { "loopback_fixed" };
                let redirect_uri = format!("http://localhost:{}{path}", own.unwrap_or(port));
                let opened = own.is_none() && reach.may_listen;
                Way { redirect_uri, mode, listen: opened.then_some(port) }
            }
        }
    }
}

/// The places in the order in which they are tried: a browser here can come back by itself, one elsewhere is shown a
/// code to copy. Where there is no such page, the address it ends up at is pasted.
#[must_use]
pub fn ordered(redirects: &[Redirect], reach: Reach) -> Vec<Redirect> {
    let comes_back = |redirect: &&Redirect| matches!(redirect, Redirect::Loopback(_));
    let (back, shown): (Vec<&Redirect>, Vec<&Redirect>) = redirects.iter().partition(comes_back);
    // In a container nobody can reach a port that only its loopback has.
    let can_come_back = reach.here && (reach.own_port.is_some() || reach.may_listen);
    let order =
        if can_come_back { back.into_iter().chain(shown) } else { shown.into_iter().chain(back) };
    order.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Redirect =
        Redirect::Loopback(Loopback { path: "/callback", port: 54_545, any_port: true });
    const FIXED: Redirect =
        Redirect::Loopback(Loopback { path: "/auth/callback", port: 1_455, any_port: false });
    const PAGE: Redirect = Redirect::Page("https://vendor.example/code");

    fn first(redirects: &[Redirect], own_port: Option<u16>, here: bool, may_listen: bool) -> Way {
        let reach = Reach { own_port, here, may_listen };
        ordered(redirects, reach)[0].way(reach)
    }

    #[test]
    fn a_browser_here_comes_back_by_itself_and_one_elsewhere_sees_a_code() {
        let way = first(&[ANY, PAGE], Some(20_128), true, true);
        assert_eq!(way.redirect_uri, "http://localhost:20128/callback");
        assert_eq!((way.mode, way.listen), ("loopback_path", None));
        let way = first(&[ANY, PAGE], None, true, true);
        assert_eq!(way.redirect_uri, "http://localhost:54545/callback");
        assert_eq!(way.listen, Some(54_545));
        for (here, may_listen, own) in [(false, true, Some(20_128)), (true, false, None)] {
            let way = first(&[ANY, PAGE], own, here, may_listen);
            assert_eq!(way.redirect_uri, "https://vendor.example/code");
            assert_eq!((way.mode, way.listen), ("hosted_page", None));
        }
    }

    #[test]
    fn a_registered_port_is_not_replaced_by_the_routers_own() {
        let way = first(&[FIXED], Some(20_128), true, true);
        assert_eq!(way.redirect_uri, "http://localhost:1455/auth/callback");
        assert_eq!((way.mode, way.listen), ("loopback_fixed", Some(1_455)));
        let way = first(&[FIXED], Some(20_128), false, true);
        assert_eq!(way.listen, Some(1_455), "a tunnel may lead there");
        assert_eq!(first(&[FIXED], None, false, false).listen, None, "paste alone");
    }
}
