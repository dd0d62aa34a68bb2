"""A laboratory for real coding tools: scripted upstreams of four dialects, a router, and the tools themselves."""
