//! Newtypes for the ids of stored objects: UUIDv7, sortable by creation.

pub mod request;

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, later in order than every earlier one of this process.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The 16 bytes of the id.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(s).map(Self)
            }
        }
    };
}

id_type!(
    /// Key under which an account is stored. Never shown to clients.
    AccountId
);
id_type!(
    /// Key under which a combo is stored.
    ComboId
);
id_type!(
    /// Key under which one entry of a combo is stored.
    EntryId
);
id_type!(
    /// Key of a sign-in under way. Told to whoever began it.
    FlowId
);
id_type!(
    /// Key under which a router API key is stored. Not the key's text.
    KeyId
);
id_type!(
    /// Key of an alert.
    AlertId
);
id_type!(
    /// Key of a piece of long work.
    JobId
);
id_type!(
    /// Key under which an outbound proxy is stored.
    ProxyId
);
id_type!(
    /// Key under which a budget is stored.
    BudgetId
);
