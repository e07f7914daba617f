//! Asks an agent to take a device back and clean it, patiently.
//!
//! ```text
//!   Release ──► silence longer than RELEASE_TIMEOUT, or RELEASE_MAX in all ──► no answer
//!      ▲  └───► refused: busy, device offline ──┐
//!      └──── a moment later, as long as that lasts no longer than RELEASE_TIMEOUT; then it is the answer
//! ```
//!
//! A device that restarts, or an agent that is still at something else, says nothing about whether the device will be
//! clean: a quarantine needs an operator, a second question a second. It does not know what follows from the answer.

use std::time::Duration;

use protocol::agent::{RefusalCode, Release};
use signaling::link::call::CallError;
use signaling::link::server::Host;
use tokio::time::Instant;

use crate::domain::lease::{RELEASE_MAX, RELEASE_TIMEOUT};

/// Wait before an agent that could not clean now is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks for it, and has the last answer.
pub(super) async fn ask(host: &Host, release: Release) -> Result<(), CallError> {
    let asked = patiently(|| host.call_while(release.clone(), RELEASE_TIMEOUT, RELEASE_MAX));
    let in_all = tokio::time::timeout(RELEASE_MAX, asked).await;
    in_all.unwrap_or(Err(CallError::TimedOut))
}

/// Asks again as long as the answer is that it is not possible now.
async fn patiently<F: Future<Output = Result<(), CallError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<(), CallError> {
    let mut since = None;
    loop {
        match ask().await {
            Err(error) if passes(&error) => {
                let since = *since.get_or_insert_with(Instant::now);
                if since.elapsed() >= RELEASE_TIMEOUT {
                    return Err(error);
                }
                tracing::info!(%error, "a device cannot be cleaned yet");
                tokio::time::sleep(AGAIN).await;
            }
            answered => return answered,
        }
    }
}

/// Whether it may well be possible later.
fn passes(error: &CallError) -> bool {
    let CallError::Refused(refusal) = error else {
        return false;
    };
    matches!(refusal.code, RefusalCode::Busy | RefusalCode::DeviceOffline)
}

#[cfg(test)]
mod tests {
    use protocol::agent::Refusal;

    use super::*;

    fn refused(code: RefusalCode) -> CallError {
        let detail = String::new();
        CallError::Refused(Refusal { code, detail })
    }

    /// What comes of agents that answer so for so long, and well afterwards.
    async fn asked(code: RefusalCode, seconds: u64) -> Result<(), CallError> {
        let begin = Instant::now();
        let well = begin + Duration::from_secs(seconds);
        patiently(|| async move {
            match Instant::now() < well {
                true => Err(refused(code)),
                false => Ok(()),
            }
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_cannot_now_is_asked_again_for_as_long_as_a_release_may_take() {
        for code in [RefusalCode::Busy, RefusalCode::DeviceOffline] {
            assert!(asked(code, 59).await.is_ok(), "{code:?}");
            let given_up = asked(code, 70).await;
            assert!(
                matches!(&given_up, Err(CallError::Refused(refusal)) if refusal.code == code),
                "{given_up:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_could_not_clean_is_not_asked_again() {
        assert!(asked(RefusalCode::SetupFailed, 1).await.is_err());
    }
}
