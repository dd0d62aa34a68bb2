//! Wire formats of LLM APIs: splicing, SSE framing, usage arithmetic. No I/O, no clock.
