//! Outbound HTTP: address verdict, guarded connector, TLS, time-outs, bounded decoding. The only maker of clients.
