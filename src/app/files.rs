//! Whether the files that the settings name can be used.
//!
//! `serve` asks before it starts anything, `check` without starting anything, so both say the same,
//! and say everything at once. Not here: ports, the lock of the store, and whatever else only a start
//! can find out.

use std::sync::Arc;

use crate::admin;
use crate::forward::pool::upstreams;
use crate::listener::Door;
use crate::pem::{self, Unusable};
use crate::settings::{Settings, UpstreamTls};
use crate::words::{Fault, Faults, Place};

/// Looks at every file that the settings name besides the policies.
///
/// # Errors
///
/// Every file that cannot be used, where the settings name it.
pub fn usable(settings: &Settings) -> Result<(), Faults> {
    let mut faults = Faults::default();
    let admin = settings.admin.as_ref().map(admin::http::listener);
    for listener in settings.listeners.iter().chain(&admin) {
        let tls = listener.tls.as_ref();
        let client = tls.and_then(|tls| tls.client.as_ref());
        // Each by itself, then all together: what is wrong with one hides nothing of another.
        let found = [
            tls.and_then(|tls| pem::certificates(&tls.certificate).err()),
            tls.and_then(|tls| pem::private_key(&tls.key).err()),
            client.and_then(|client| pem::roots(&client.roots).err()),
            Door::open(Arc::new(listener.clone())).err(),
        ];
        let whole = || Place::whole(&*settings.file);
        for unusable in found.into_iter().flatten() {
            faults.push(fault(settings, &unusable, whole));
        }
    }
    for upstream in settings.upstreams.values() {
        let begins = || settings.place_of_upstream(&upstream.name);
        let each = upstream.tls.iter().flat_map(each_of);
        let together = upstreams::Shared::new(upstream).err();
        for unusable in each.chain(together) {
            faults.push(fault(settings, &unusable, begins));
        }
    }
    for (path, error) in admin::look(settings) {
        faults.push(Fault::new(settings.place_of(&path), error.message));
    }
    faults.into_result(())
}

fn each_of(tls: &UpstreamTls) -> impl Iterator<Item = Unusable> {
    let roots = tls.roots.as_ref().and_then(|path| pem::roots(path).err());
    let identity = tls.identity.as_ref();
    let chain = identity.and_then(|(chain, _)| pem::certificates(chain).err());
    let key = identity.and_then(|(_, key)| pem::private_key(key).err());
    roots.into_iter().chain(chain).chain(key)
}

/// What is wrong where the settings name it; `otherwise` if it is no file.
pub(super) fn fault(
    settings: &Settings,
    unusable: &Unusable,
    otherwise: impl FnOnce() -> Place,
) -> Fault {
    let place = unusable.file.as_deref().map(|file| settings.place_of(file));
    Fault::new(place.unwrap_or_else(otherwise), unusable.to_string())
}
