//! Owners of mutable state: router, accounts, ledger, live events, settings.
