//! stub
use std::sync::Arc; use crate::routing::combo::Combo; use crate::routing::target::Target; use crate::routing::account::Tier; use crate::id::*; use crate::routing::resolve::*; use crate::provider::catalog::Catalog;
#[derive(Debug,Clone)] pub struct PlannedEntry { pub index:u16, pub entry_id:Option<EntryId>, pub target: Arc<Target>, pub tier: Tier, pub pin: Option<AccountId>, pub tags: Vec<String>, pub weight:u16 }
#[derive(Debug,Clone)] pub struct Plan { pub combo: Option<Arc<Combo>>, pub entries: Vec<Arc<PlannedEntry>> }
#[derive(Debug,Default)] pub struct Rotation;
pub fn plan(r:&Resolved,n:&Names,c:&Catalog,_x:&mut Rotation,_s:Option<EntryId>,_e:&dyn Fn(&PlannedEntry)->bool)->Result<Plan,ResolveError>{
 let mut es=vec![]; 
 match r { Resolved::Target(t)=>es.push(Arc::new(PlannedEntry{index:0,entry_id:None,target:t.clone(),tier:t.provider.tier,pin:None,tags:vec![],weight:1})),
 Resolved::Combo{combo,..}=>{ for (i,e) in combo.entries.iter().enumerate(){ if let Ok(Resolved::Target(t))=resolve(&e.target,n,c,None){ es.push(Arc::new(PlannedEntry{index:i as u16,entry_id:Some(e.id),tier:e.tier.unwrap_or(t.provider.tier),target:t,pin:e.account_id,tags:e.tags.clone(),weight:e.weight})) } } } }
 Ok(Plan{combo:None,entries:es}) }
pub fn leaves(_r:&Resolved,_n:&Names,_c:&Catalog)->Vec<Arc<Target>>{ vec![] }
