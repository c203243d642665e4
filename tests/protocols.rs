//! Real clients in front and real servers behind, in every protocol the gateway speaks.
//!
//! Each script asserts what its own library sees; here stands what must have arrived behind.
//! Messages byte by byte, and what is wrong about them, are for `conformance`.

mod balancers;
mod clients;
mod grpc;
mod revoked;
mod stage;
mod upstreams;
mod websocket;
