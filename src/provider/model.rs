//! One model of a catalog entry: limits, capabilities, reasoning dialect, price.

use serde::{Deserialize, Serialize};

pub use ninerouter_dialect::profile::Think;

use crate::provider::effort::Levels;
use crate::provider::price::Price;
use crate::provider::transport::Wire;

/// What a model is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// Text generation.
    #[default]
    Chat,
    /// Vectors.
    Embedding,
    /// Pictures.
    Image,
    /// Films.
    Video,
    /// Speech from text.
    Tts,
    /// Text from speech.
    Stt,
    /// Ordering of documents.
    Rerank,
}

/// One thing a model can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// Sees images.
    Vision,
    /// Reads PDF documents.
    Pdf,
    /// Hears audio.
    AudioIn,
    /// Sees video.
    VideoIn,
    /// Calls tools.
    Tools,
    /// Reasons before it answers.
    Thinking,
    /// The vendor offers a web search tool.
    Search,
    /// Draws.
    ImageOut,
    /// Edits images.
    ImageEdit,
    /// Speaks.
    AudioOut,
    /// Makes video.
    VideoOut,
}

impl Cap {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Vision,
        Self::Pdf,
        Self::AudioIn,
        Self::VideoIn,
        Self::Tools,
        Self::Thinking,
        Self::Search,
        Self::ImageOut,
        Self::ImageEdit,
        Self::AudioOut,
        Self::VideoOut,
    ];

    fn bit(self) -> u16 {
        match self {
            Self::Vision => 1,
            Self::Pdf => 1 << 1,
            Self::AudioIn => 1 << 2,
            Self::VideoIn => 1 << 3,
            Self::Tools => 1 << 4,
            Self::Thinking => 1 << 5,
            Self::Search => 1 << 6,
            Self::ImageOut => 1 << 7,
            Self::ImageEdit => 1 << 8,
            Self::AudioOut => 1 << 9,
            Self::VideoOut => 1 << 10,
        }
    }
}

/// Set of [`Cap`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "Vec<Cap>")]
pub struct Caps(u16);

impl Caps {
    /// What the set holds, in the order of the words.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        Cap::ALL.into_iter().filter(move |cap| self.has(*cap))
    }

    /// True when the set holds `cap`.
    #[must_use]
    pub fn has(self, cap: Cap) -> bool {
        self.0 & cap.bit() != 0
    }
}

impl From<Vec<Cap>> for Caps {
    fn from(caps: Vec<Cap>) -> Self {
        Self(caps.into_iter().fold(0, |bits, cap| bits | cap.bit()))
    }
}

/// Where a catalog price comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceOrigin {
    /// Vendor's list price.
    List,
    /// An estimate.
    Peer,
}

/// One model of a provider.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct Model {
    /// As the client writes it after the prefix.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Id sent upstream when it differs; may end in `(level)`.
    pub upstream: Option<String>,
    /// What it is for.
    #[serde(default)]
    pub kind: ModelKind,
    /// Largest prompt in tokens.
    pub ctx: Option<u32>,
    /// Largest output in tokens.
    pub out: Option<u32>,
    /// Embedding dimensions.
    pub dims: Option<u32>,
    /// What it can do.
    #[serde(default)]
    pub caps: Caps,
    /// How it is told to reason.
    pub think: Option<Think>,
    /// Efforts it accepts, when known.
    pub levels: Option<Levels>,
    /// False when reasoning cannot be switched off.
    #[serde(default = "yes")]
    pub think_off: bool,
    /// Wires it may use, preferred first; empty = any of the provider.
    #[serde(default)]
    pub wires: Vec<Wire>,
    /// Fixed endpoint by name.
    pub endpoint: Option<String>,
    /// Price per million tokens.
    pub price: Option<Price>,
    /// Where the price comes from.
    pub price_src: Option<PriceOrigin>,
    /// False when the operator hid it from the lists; requests for it are served all the same.
    #[serde(skip, default = "yes")]
    pub listed: bool,
    /// Added or changed by the operator: what it says outranks the upstream's own list.
    #[serde(skip)]
    pub by_operator: bool,
}

impl Model {
    /// A model of which nothing but the id is known.
    pub(super) fn bare(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: id.to_owned(),
            upstream: None,
            kind: ModelKind::Chat,
            ctx: None,
            out: None,
            dims: None,
            caps: Caps::default(),
            think: None,
            levels: None,
            think_off: true,
            wires: Vec::new(),
            endpoint: None,
            price: None,
            price_src: None,
            listed: true,
            by_operator: false,
        }
    }
}

fn yes() -> bool {
    true
}

/// Defaults for models that no entry lists, by name.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct ModelPattern {
    /// Pattern of ids, `*` for any run.
    #[serde(rename = "match")]
    pub pattern: String,
    /// Largest prompt in tokens.
    pub ctx: Option<u32>,
    /// Largest output in tokens.
    pub out: Option<u32>,
    /// What such models can do.
    #[serde(default)]
    pub caps: Caps,
    /// How they are told to reason.
    pub think: Option<Think>,
}

/// What is known of a model, from its entry or by its name.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ModelFacts<'a> {
    /// What it is for.
    pub kind: ModelKind,
    /// Largest prompt in tokens.
    pub ctx: Option<u32>,
    /// Largest output in tokens.
    pub out: Option<u32>,
    /// What it can do.
    pub caps: Caps,
    /// How it is told to reason.
    pub think: Option<Think>,
    /// Efforts it accepts, when known.
    pub levels: Option<&'a Levels>,
    /// False when reasoning cannot be switched off.
    pub think_off: bool,
    /// True when the catalog lists the model, false when its name only matches a pattern.
    pub listed: bool,
}

impl<'a> From<&'a Model> for ModelFacts<'a> {
    fn from(model: &'a Model) -> Self {
        Self {
            kind: model.kind,
            ctx: model.ctx,
            out: model.out,
            caps: model.caps,
            think: model.think,
            levels: model.levels.as_ref(),
            think_off: model.think_off,
            listed: true,
        }
    }
}

impl From<&ModelPattern> for ModelFacts<'static> {
    fn from(pattern: &ModelPattern) -> Self {
        Self {
            kind: ModelKind::Chat,
            ctx: pattern.ctx,
            out: pattern.out,
            caps: pattern.caps,
            think: pattern.think,
            levels: None,
            think_off: true,
            listed: false,
        }
    }
}
