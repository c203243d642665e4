//! How the process runs: portcullis.yaml, as written and as checked.
