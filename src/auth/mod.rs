//! Who may call: API keys, client address, host check, limits.
