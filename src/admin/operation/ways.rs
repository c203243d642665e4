//! Where an operation may be asked for, and who answers it: the process, or a desk with or without the lock.

use super::Operation;

/// What is asked for on the gateway's own machine alone, by name, and why: the admin API has no
/// endpoint for it. Every other operation has exactly one.
pub const HOST_ONLY: &[(&str, &str)] = &[
    (
        "Drain",
        "it ends the server, and whoever may start it again is on its machine: a service manager, a \
         kubelet, an operator",
    ),
    ("StoreStatus", "it tells of disks, and reads all there is"),
    (
        "StoreBackup",
        "it writes a file wherever the server may, and what is in it is everybody's",
    ),
];

impl Operation {
    /// Says whether its answer holds a secret.
    pub fn makes_secret(&self) -> bool {
        matches!(
            self,
            Self::KeysCreate { .. } | Self::KeysRotate { .. } | Self::TokensIssue { .. }
        )
    }

    /// Why it is asked for on the gateway's own machine alone, if it is.
    pub fn host_only(&self) -> Option<&'static str> {
        let name = self.name();
        let mut known = HOST_ONLY.iter();
        known.find(|(only, _)| *only == name).map(|(_, why)| *why)
    }

    /// Whether it is a look at what is in memory, or at the audit trail and refusals: it is answered from a
    /// copy, or beside the connection that writes, and nobody who changes something waits for it.
    pub(in crate::admin) const fn is_look(&self) -> bool {
        matches!(
            self,
            Self::AccountsList { .. }
                | Self::AccountsShow { .. }
                | Self::KeysList { .. }
                | Self::KeysShow { .. }
                | Self::RolesList {}
                | Self::RolesShow { .. }
                | Self::GroupsList {}
                | Self::GroupsShow { .. }
                | Self::TokensList { .. }
                | Self::TokensInspect { .. }
                | Self::SigningKeysList {}
                | Self::RoutesList {}
                | Self::RoutesMatch { .. }
                | Self::RoutesOverlaps { .. }
                | Self::RoutesMatrix { .. }
                | Self::PermissionsList {}
                | Self::PermissionsWho { .. }
                | Self::AllowedList { .. }
                | Self::Explain { .. }
                | Self::DenialsList { .. }
                | Self::DenialsFollow { .. }
                | Self::DenialsExplain { .. }
                | Self::DenialsTop { .. }
                | Self::AuditList { .. }
                | Self::AuditFollow { .. }
                | Self::AuditAnchor {}
                | Self::AuditVerify { .. }
                | Self::Whoami {}
        )
    }

    /// Whether the process answers it, and not the desk.
    pub(in crate::admin) const fn is_the_process(&self) -> bool {
        matches!(
            self,
            Self::Status {}
                | Self::Reload {}
                | Self::Drain {}
                | Self::StoreStatus {}
                | Self::StoreBackup { .. }
        )
    }
}
