//! Dashboard handlers: read, view model, template.
