//! What others read in what the gateway lets through.
//!
//! Elsewhere the gateway is held against models of careless readers; here, against the readers
//! themselves: whole servers behind it, and parsers on the bytes it sends.

mod heads;
mod parsers;
mod readings;
mod routes;
