//! Images, documents, sound and video: where the bytes are, and which kinds an answer may hold.

use super::Str;

/// Where the bytes of a medium are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaSource {
    /// In the body. The base64 is the standard alphabet without white space, and is never decoded
    /// merely to be encoded again.
    Base64 {
        /// The media type, lower case, without parameters.
        mime: Str,
        /// The bytes, base64.
        data: Str,
    },
    /// At an address that the upstream, or the router's guarded fetcher, reads.
    Url(Str),
    /// Uploaded to one provider; means nothing to another.
    FileId {
        /// The dialect of the provider that holds the file.
        dialect: crate::Dialect,
        /// Its id there.
        id: Str,
    },
    /// Google's file addresses: `gs://…`, Files API, YouTube.
    FileUri {
        /// The address.
        uri: Str,
        /// The media type, where the source gave one.
        mime: Option<Str>,
    },
    /// Plain text (a document that needs no encoding).
    Text(Str),
}

/// A kind of output that the client asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Modality {
    /// Text.
    Text,
    /// Images.
    Image,
    /// Sound.
    Audio,
}
