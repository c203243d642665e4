//! Which route table answers for which host.
//!
//! Every named host has a table of its own, which the routes of files without `hosts` join; one
//! more table holds those alone, for all other hosts. Where every file names hosts there is no such
//! table, and another host is nobody's.

use std::collections::HashMap;

use super::matcher::Table;

/// The tables of a policy, by host.
#[derive(Debug, Default)]
pub struct Hosts {
    named: HashMap<String, Table>,
    others: Option<Table>,
}

/// No table answers for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostUnknown;

impl Hosts {
    /// These tables; names in any case, with or without the root's dot.
    pub fn new(named: impl IntoIterator<Item = (String, Table)>, others: Option<Table>) -> Self {
        let named = named
            .into_iter()
            .map(|(host, table)| (canonical(&host), table))
            .collect();
        Self { named, others }
    }

    /// The table that answers for `host`, a host name without its port, or for no host in
    /// particular.
    ///
    /// # Errors
    ///
    /// [`HostUnknown`] when none does.
    pub fn table(&self, host: Option<&str>) -> Result<&Table, HostUnknown> {
        let named = host.filter(|_| !self.named.is_empty()).and_then(|host| {
            // Most clients send the name as it is written in files.
            self.named
                .get(host)
                .or_else(|| self.named.get(&canonical(host)))
        });
        named.or(self.others.as_ref()).ok_or(HostUnknown)
    }
}

/// A host name has no case, and its last dot says nothing (RFC 9110 §4.2.3, RFC 1034 §3.1).
fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A19, A44.
    #[test]
    fn a_host_has_no_case_and_no_last_dot_and_an_unknown_one_is_nobodys() {
        let hosts = Hosts::new([("Api.Example".to_owned(), Table::build(Vec::new()))], None);
        for host in ["api.example", "API.EXAMPLE", "api.example."] {
            assert!(hosts.table(Some(host)).is_ok(), "{host}");
        }
        for host in [Some("other.example"), Some(""), None] {
            assert_eq!(hosts.table(host).err(), Some(HostUnknown));
        }
        let open = Hosts::new([], Some(Table::build(Vec::new())));
        assert!(open.table(Some("anything")).is_ok() && open.table(None).is_ok());
    }
}
