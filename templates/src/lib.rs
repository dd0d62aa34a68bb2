//! Views of the dashboard: maud functions over view models. No I/O.
