//! YAML with places: every value knows its line and column.
