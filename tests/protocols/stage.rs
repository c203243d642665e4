//! A gateway that speaks everything in front, and somebody who may use it.

use std::process::{Command, Output, Stdio};

use crate::harness::{Fixture, Gateway};

/// The listeners of a [`Stage`], by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// HTTP/1.1, and HTTP/2 by prior knowledge.
    Clear,
    /// Both by ALPN.
    Tls,
    /// The same, for clients that show a certificate.
    Certified,
}

/// A gateway with all of them.
pub(super) struct Stage {
    pub(super) gateway: Gateway,
    pub(super) token: String,
}

impl Stage {
    /// Starts `fixture` with the listeners, and makes the account `app` with these roles.
    pub(super) fn of(fixture: Fixture, roles: &[&str]) -> Self {
        let fixture = fixture
            .listener("http2: true")
            .tls_listener()
            .another_listener(
                "tls: { certificate: tls.crt, key: tls.key, client_roots: clients.crt, \
                 client_certificates: require }",
            );
        let files = fixture.write();
        let names = vec!["client.test".to_owned()];
        let client = rcgen::generate_simple_self_signed(names).expect("a sound name");
        files.write("clients.crt", &client.cert.pem());
        files.write("client.key", &client.signing_key.serialize_pem());
        let gateway = Gateway::start(files);
        let token = gateway.token(&gateway.account("app", roles));
        Self { gateway, token }
    }

    /// Host and port of a listener; the certificates are for `gate.test`.
    pub(super) fn at(&self, front: Front) -> String {
        self.gateway
            .address_of(&(front as u8).to_string())
            .to_string()
    }

    /// The path of a file of the gateway.
    pub(super) fn file(&self, name: &str) -> String {
        self.gateway.files().path(name).display().to_string()
    }

    /// Runs a client that finds what it needs in its environment, and must succeed; what it
    /// printed.
    pub(super) fn run(&self, front: Front, command: &mut Command) -> String {
        if front != Front::Clear {
            command.env("ROOTS", self.file("tls.crt"));
        }
        command
            .env("GATE", self.at(front))
            .env("TOKEN", &self.token)
            .env("NO_PROXY", "*")
            .env("no_proxy", "*");
        let (success, said) = said(command);
        assert!(success, "{command:?} over {front:?}:\n{said}");
        said
    }
}

/// Runs a command; whether it succeeded, and what it printed.
pub(super) fn said(command: &mut Command) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not run ({error})"));
    let text = [stdout, stderr].concat();
    (
        status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
