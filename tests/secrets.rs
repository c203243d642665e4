//! A secret is shown once, to whoever made it, and not by accident of a type (E28).

use portcullis::audit::ChainKey;
use portcullis::store::Pepper;
use portcullis::words::Secret;

/// Does not compile where a type has one of the traits: then two impls would give it a name.
macro_rules! never {
    ($($kind:ty: $($word:path),+;)+) => {$($(
        const _: fn() = || {
            trait Named<T> {
                fn name() {}
            }
            struct HasIt;
            impl<T: ?Sized> Named<()> for T {}
            impl<T: ?Sized + $word> Named<HasIt> for T {}
            let _ = <$kind as Named<_>>::name;
        };
    )+)+};
}

#[test]
fn e28_what_is_secret_is_neither_shown_nor_written_nor_copied() {
    never! {
        Secret: std::fmt::Display, serde::Serialize, Clone, AsRef<str>, std::ops::Deref, Into<String>;
        Pepper: std::fmt::Display, serde::Serialize, Clone, AsRef<[u8]>, std::ops::Deref;
        ChainKey: std::fmt::Display, serde::Serialize, AsRef<[u8]>, std::ops::Deref;
    }
    // Wiped when it is dropped, which takes a drop.
    assert!(std::mem::needs_drop::<Secret>() && std::mem::needs_drop::<Pepper>());
    assert!(std::mem::needs_drop::<ChainKey>());
}
