//! The answer when nobody could serve (accounts §6.9), in words a person can act on.

use ninerouter_dialect::ErrorKind;

use crate::actors::checkout::{Journey, Skip, SkipReason};
use crate::gateway::exchange::Exchange;
use crate::gateway::failure::{RawAnswer, Trouble};
use crate::gateway::relay::Stumble;
use crate::gateway::reply::Refusal;
use crate::routing::classify::Class;
use crate::routing::resolve::ResolveError;
