//! Spends a permit: sends the request to its upstream and the answer back.
