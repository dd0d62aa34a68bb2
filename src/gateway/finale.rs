//! stub
use crate::gateway::reply::Refusal; use crate::routing::resolve::ResolveError; use crate::gateway::exchange::Exchange; use crate::actors::checkout::Journey; use crate::gateway::relay::Stumble;
pub fn unresolved(_e:&ResolveError)->Refusal { unreachable!() }
pub fn answer(_x:&Exchange,_j:Option<&Journey>,_s:&[Stumble])->Refusal { unreachable!() }
