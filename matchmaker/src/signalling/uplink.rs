//! A node's uplink, measured on a link that it opened for that: what comes is counted and thrown away.

use super::socket::{GOING_AWAY, Gone, NORMAL, POLICY, Socket};
use crate::state::Shared;
use nearframe_protocol::link::ToNode;
use nearframe_protocol::uplink::{ANSWERED_WITHIN, MOST_TIME, Seen, Uplink, UplinkMeter};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Measurements at once: more would measure each other, and this machine's own way.
pub(crate) const AT_ONCE: usize = 2;
/// The first byte is there a round trip after it was asked for.
const BEGINS_WITHIN: Duration = Duration::from_secs(1);
/// What comes just after the time is over is still looked at.
const SLACK: Duration = Duration::from_millis(50);

/// Measures, tells the node, and takes what is still underway; with which code the link is to close.
pub(super) async fn measure(shared: &Shared, socket: &mut Socket) -> u16 {
    let Ok(_place) = shared.uplinks.try_acquire() else {
        socket.send(&ToNode::UplinkLater).await;
        return GOING_AWAY;
    };
    match open_and_count(socket).await {
        Ok(()) => NORMAL,
        Err(Gone::Closed) => NORMAL,
        Err(Gone::Rubbish(code, message)) => {
            tracing::warn!(code, message, "rubbish while an uplink is measured");
            socket.send(&ToNode::Refused { code: code.to_owned(), message }).await;
            POLICY
        }
    }
}

async fn open_and_count(socket: &mut Socket) -> Result<(), Gone> {
    if !socket.send(&ToNode::UplinkOpen).await {
        return Err(Gone::Closed);
    }
    let uplink = count(socket).await?;
    if !socket.send(&ToNode::UplinkMeasured { uplink }).await {
        return Err(Gone::Closed);
    }
    // A node that has heard it closes; one that has not sends on for no longer than this.
    let rest = async { while socket.binary().await.is_ok() {} };
    let _ = timeout(ANSWERED_WITHIN, rest).await;
    Ok(())
}

async fn count(socket: &mut Socket) -> Result<Option<Uplink>, Gone> {
    let (mut meter, mut first) = (UplinkMeter::default(), None);
    loop {
        let left =
            first.map_or(BEGINS_WITHIN, |first: Instant| (MOST_TIME + SLACK).saturating_sub(first.elapsed()));
        let Ok(bytes) = timeout(left, socket.binary()).await else { return Ok(meter.ended()) };
        let (bytes, now) = (bytes?, Instant::now());
        let since = now.duration_since(*first.get_or_insert(now));
        if let Seen::Over(uplink) = meter.arrived(since, bytes) {
            return Ok(uplink);
        }
    }
}
