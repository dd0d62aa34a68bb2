//! Style, scripts and icons: inside the binary, under names that change with their content, packed in advance.

use std::io::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use ninerouter_templates::assets::{Assets, Script};
use sha2::{Digest, Sha384};

/// Hexadecimal digits of the hash in a name.
const NAMED: usize = 16;

const JS: &str = "text/javascript; charset=utf-8";

/// A file as it is served.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Media type.
    pub content_type: &'static str,
    /// As it is.
    pub plain: Bytes,
    /// The same for `Accept-Encoding: gzip`.
    pub gzip: Bytes,
    path: String,
    integrity: String,
}

/// The files by name: before its hash, behind it, media type, content.
const FILES: [(&str, &str, &str, &[u8]); 7] = [
    ("app", "css", "text/css; charset=utf-8", include_bytes!("../../assets/app.css")),
    ("icons", "svg", "image/svg+xml", include_bytes!("../../assets/icons.svg")),
    ("app", "js", JS, include_bytes!("../../assets/app.js")),
    ("vendor/htmx", "js", JS, include_bytes!("../../assets/vendor/htmx-2.0.11.min.js")),
    ("vendor/sse", "js", JS, include_bytes!("../../assets/vendor/htmx-ext-sse-2.2.4.min.js")),
    ("live", "js", JS, include_bytes!("../../assets/live.js")),
    ("order", "js", JS, include_bytes!("../../assets/order.js")),
];

/// Made when the first page is drawn: a router that nobody looks at spends nothing on them.
static ALL: LazyLock<Vec<Asset>> = LazyLock::new(|| FILES.iter().map(asset).collect());
static NAMES: LazyLock<Assets> = LazyLock::new(names);

/// Where pages find them.
#[must_use]
pub fn urls() -> &'static Assets {
    &NAMES
}

/// The file of a path; a name of another version is none.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.path == path)
}

fn asset(file: &(&str, &str, &'static str, &'static [u8])) -> Asset {
    let (name, ending, content_type, content) = *file;
    let digest = Sha384::digest(content);
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash: String = hash.chars().take(NAMED).collect();
    Asset {
        content_type,
        plain: Bytes::from_static(content),
        gzip: packed(content).map_or_else(|| Bytes::from_static(content), Bytes::from),
        path: format!("/assets/{name}.{hash}.{ending}"),
        integrity: format!("sha384-{}", STANDARD.encode(digest)),
    }
}

/// `None` when it cannot be packed, which memory does not do.
fn packed(content: &[u8]) -> Option<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(content).ok()?;
    packer.finish().ok()
}

fn names() -> Assets {
    let url = |name: &str, ending: &str| {
        let start = format!("/assets/{name}.");
        let fits = |asset: &&Asset| asset.path.starts_with(&start) && asset.path.ends_with(ending);
        ALL.iter().find(fits)
    };
    let path = |name, ending| url(name, ending).map(|asset| asset.path.clone()).unwrap_or_default();
    let script = |name| {
        let found = url(name, ".js");
        Script {
            url: found.map(|asset| asset.path.clone()).unwrap_or_default(),
            integrity: found.map(|asset| asset.integrity.clone()).unwrap_or_default(),
        }
    };
    Assets {
        css: path("app", ".css"),
        icons: path("icons", ".svg"),
        app: script("app"),
        signed_in: ["vendor/htmx", "vendor/sse", "live", "order"].map(script).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn every_url_of_a_page_leads_to_its_file() {
        let urls = urls();
        let scripts = urls.signed_in.iter().chain([&urls.app]);
        for url in scripts.map(|script| &script.url).chain([&urls.css, &urls.icons]) {
            assert!(find(url).is_some(), "{url}");
        }
        assert!(find("/assets/app.css").is_none() && find("/assets/").is_none());
    }

    #[test]
    fn packed_and_plain_are_the_same_and_the_hash_is_of_them() {
        for asset in ALL.iter() {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&asset.gzip[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text, asset.plain, "{}", asset.path);
            assert!(asset.gzip.len() < asset.plain.len());
            let digest = STANDARD.encode(Sha384::digest(&asset.plain));
            assert_eq!(asset.integrity, format!("sha384-{digest}"));
        }
    }

    /// Dashboard §1.1.
    #[test]
    fn a_page_loads_little() {
        let of =
            |ending: &'static str| ALL.iter().filter(move |asset| asset.path.ends_with(ending));
        let plain: usize = of(".js").chain(of(".css")).map(|asset| asset.plain.len()).sum();
        assert!(plain <= 110 << 10, "{plain} bytes of script and style");
        let packed: usize = of(".js").map(|asset| asset.gzip.len()).sum();
        assert!(packed <= 30 << 10, "{packed} bytes of packed script");
    }
}
