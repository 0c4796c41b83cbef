//! The signalling socket.

use crate::play::Event;
use crate::way::Way;
use anyhow::{Context, Result};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use nearframe_protocol::signal::{FromPage, MAX_SIGNAL_BYTES};
use nearframe_protocol::{VersionOffer, api::CreatedSession};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

type Socket = WebSocketStream<Box<dyn crate::way::Stream>>;

/// An open socket; what it hears becomes events.
pub(crate) struct Signal(SplitSink<Socket, Message>);

impl Signal {
    pub(crate) async fn open(
        way: &dyn Way,
        created: &CreatedSession,
        events: mpsc::Sender<Event>,
    ) -> Result<Self> {
        let stream = way.dial().await.context("unreachable")?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_SIGNAL_BYTES))
            .max_frame_size(Some(MAX_SIGNAL_BYTES));
        let address = way.socket_address(&created.signal_path);
        let (socket, _) =
            client_async_with_config(address, stream, Some(config)).await.context("no_signalling")?;
        let (sink, mut stream) = socket.split();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Message::Text(text) = message else { continue };
                let Ok(message) = serde_json::from_str(&text) else { continue };
                if events.send(Event::Signal(Box::new(message))).await.is_err() {
                    return;
                }
            }
            let _ = events.send(Event::SignalGone).await;
        });
        let mut signal = Self(sink);
        let hello = FromPage::Hello { versions: VersionOffer::current(), ticket: created.ticket.clone() };
        signal.say(&hello).await?;
        Ok(signal)
    }

    pub(crate) async fn say(&mut self, message: &FromPage) -> Result<()> {
        let text = serde_json::to_string(message).context("writing a signal")?;
        self.0.send(Message::Text(text.into())).await.context("no_signalling")
    }
}
