//! Parts that pages are made of. One kind of part per file.

pub(crate) mod action;
pub(crate) mod badge;
pub(crate) mod code;
pub(crate) mod dialog;
pub(crate) mod empty;
pub(crate) mod field;
pub(crate) mod icon;
pub(crate) mod names;
pub(crate) mod notice;
pub(crate) mod order;
pub(crate) mod plain;
pub(crate) mod stat;
pub(crate) mod tabs;
