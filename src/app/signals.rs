//! What ends the gateway: a signal, or an operator.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns when SIGTERM or SIGINT arrives, or an operator asks for a drain. Hears the second signal
/// from then on.
pub(super) async fn until_asked(asked: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = asked.cancelled() => {}
    }
    let second = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(0);
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "it outlives every task: it ends the process"
    )]
    tokio::spawn(second);
    Ok(())
}
