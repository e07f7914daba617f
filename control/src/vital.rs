//! Parts that control cannot do without: the sweep, the agents' link, the look at other controls.
//!
//! One that ends by itself (it panicked, its certificate could not be renewed) would leave a control that answers and
//! ends no lease. So all of it stops, and whoever watches the process starts it again; the rows are as they were. It does
//! not know what the parts do.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs a part; its end, however it comes, is the end of all.
pub(crate) fn spawn<T: Send + 'static>(
    stop: &CancellationToken,
    part: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let end_of_all = stop.clone().drop_guard();
    tokio::spawn(async move {
        let _end_of_all = end_of_all;
        part.await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_the_end_of_all() {
        let stop = CancellationToken::new();
        let lives = spawn(&stop, stop.clone().cancelled_owned());
        assert!(!stop.is_cancelled());
        let broken = spawn(&stop, async { panic!("a part is broken") });
        lives.await.unwrap();
        assert!(stop.is_cancelled());
        assert!(broken.await.unwrap_err().is_panic());
    }
}
