//! A denial becomes a problem document.
