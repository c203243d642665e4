//! Sockets: bound once a core, accepted, admitted, TLS spoken.
