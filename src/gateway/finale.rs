//! stub
use ninerouter_dialect::ErrorKind;
use crate::gateway::reply::Refusal; use crate::routing::resolve::ResolveError; use crate::gateway::exchange::Exchange; use crate::actors::checkout::Journey; use crate::gateway::relay::Stumble;
pub fn unresolved(e:&ResolveError)->Refusal { Refusal::new(ErrorKind::NotFound, e.to_string()).code("model_not_found") }
pub fn answer(_x:&Exchange,j:Option<&Journey>,s:&[Stumble])->Refusal { Refusal::new(ErrorKind::BadGateway, format!("{j:?} {s:?}")) }
