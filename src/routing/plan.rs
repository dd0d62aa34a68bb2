//! stub
use std::sync::Arc; use crate::routing::combo::Combo; use crate::routing::target::Target; use crate::routing::account::Tier; use crate::id::*; use crate::routing::resolve::*; use crate::provider::catalog::Catalog;
#[derive(Debug,Clone)] pub struct PlannedEntry { pub index:u16, pub entry_id:Option<EntryId>, pub target: Arc<Target>, pub tier: Tier, pub pin: Option<AccountId>, pub tags: Vec<String>, pub weight:u16 }
#[derive(Debug,Clone)] pub struct Plan { pub combo: Option<Arc<Combo>>, pub entries: Vec<Arc<PlannedEntry>> }
#[derive(Debug,Default)] pub struct Rotation;
pub fn plan(_r:&Resolved,_n:&Names,_c:&Catalog,_x:&mut Rotation,_s:Option<EntryId>,_e:&dyn Fn(&PlannedEntry)->bool)->Result<Plan,ResolveError>{ unreachable!() }
pub fn leaves(_r:&Resolved,_n:&Names,_c:&Catalog)->Vec<Arc<Target>>{ vec![] }
