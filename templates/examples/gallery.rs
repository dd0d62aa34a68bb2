//! Writes every page and fragment with sample data into a folder, to be looked at in a browser:
//! `cargo run -p ninerouter-templates --example gallery -- /tmp/gallery`, then serve that folder and `assets/` below it.

use std::path::PathBuf;
use std::{env, fs, io};

use base64::Engine as _;
use ninerouter_templates::layout::Theme;
use sample::{Kind, Sample};
use sha2::{Digest as _, Sha384};

mod sample;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "gallery".to_owned()));
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../assets");
    let vendor = folder.join("assets/vendor");
    fs::create_dir_all(&vendor)?;
    for entry in fs::read_dir(&source)?.chain(fs::read_dir(source.join("vendor"))?) {
        let path = entry?.path();
        if let (true, Ok(below)) = (path.is_file(), path.strip_prefix(&source)) {
            fs::copy(&path, folder.join("assets").join(below))?;
        }
    }
    let integrity = |name: &str| {
        let bytes = fs::read(source.join(name)).unwrap_or_default();
        format!(
            "sha384-{}",
            base64::engine::general_purpose::STANDARD.encode(Sha384::digest(bytes))
        )
    };
    for (kind, word) in
        [(Kind::Typical, "typical"), (Kind::Empty, "empty"), (Kind::Hostile, "hostile")]
    {
        for theme in [Theme::Dark, Theme::Light] {
            let sample = Sample::new(kind, sample::assets("/assets", integrity), theme);
            for (name, page) in sample.pages() {
                let file = format!("{word}-{name}-{}.html", theme.as_str());
                fs::write(folder.join(file), page.into_string())?;
            }
            for (name, fragment) in sample.fragments() {
                fs::write(folder.join(format!("{word}-{name}.fragment")), fragment.into_string())?;
            }
        }
    }
    Ok(())
}
