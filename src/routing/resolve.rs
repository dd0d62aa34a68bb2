//! stub
use std::sync::Arc; use std::collections::HashMap;
use crate::routing::combo::Combo; use crate::routing::target::{Target}; use crate::provider::effort::Effort; use crate::provider::catalog::Catalog;
#[derive(Debug,Default)] pub struct Names{ pub combos: HashMap<Arc<str>,Arc<Combo>>, pub aliases: Vec<(String,String)> }
impl Names { pub fn new(_c:Vec<Combo>,_a:Vec<(String,String)>)->Self{Self::default()} }
#[derive(Clone,Debug)] pub enum Resolved { Combo{combo:Arc<Combo>, effort:Option<Effort>}, Target(Target) }
#[derive(Clone,Debug,thiserror::Error)] pub enum ResolveError { #[error("x")] NotFound{id:String, near:Vec<String>} }
pub fn resolve(_id:&str,_n:&Names,_c:&Catalog,_u:Option<&str>)->Result<Resolved,ResolveError>{ Err(ResolveError::NotFound{id:String::new(),near:vec![]}) }
