//! One connection: HTTP/1.1 framing, header limits, progress.
