//! Framing of the agent ↔ worker socket: u32 little-endian length, then one JSON object.

use anyhow::{Context, Result, bail};
use nearframe_protocol::worker::MAX_FRAME_BYTES;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads one frame; `None` when the other side closed between frames.
pub(crate) async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error).context("reading a frame's length"),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME_BYTES {
        bail!("a frame of {length} bytes is longer than the {MAX_FRAME_BYTES} allowed");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.context("reading a frame")?;
    serde_json::from_slice(&body).context("a frame that is not understood").map(Some)
}

/// Writes one frame.
pub(crate) async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> Result<()> {
    let body = serde_json::to_vec(message).context("serialising a frame")?;
    if body.len() > MAX_FRAME_BYTES {
        bail!("a frame of {} bytes is longer than the {MAX_FRAME_BYTES} allowed", body.len());
    }
    let mut bytes = Vec::with_capacity(4 + body.len());
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    stream.write_all(&bytes).await.context("writing a frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_the_stream_and_its_end_is_no_error() {
        let (mut a, mut b) = tokio::io::duplex(64);
        let writer = tokio::spawn(async move {
            for n in 0..20u32 {
                write(&mut a, &vec![n; 30]).await.unwrap();
            }
        });
        for n in 0..20u32 {
            assert_eq!(read::<Vec<u32>>(&mut b).await.unwrap(), Some(vec![n; 30]));
        }
        writer.await.unwrap();
        assert_eq!(read::<Vec<u32>>(&mut b).await.unwrap(), None);
    }

    #[tokio::test]
    async fn oversized_truncated_and_foreign_frames_are_refused() {
        let mut oversized: &[u8] = &u32::MAX.to_le_bytes();
        assert!(read::<u32>(&mut oversized).await.is_err());
        let mut truncated: &[u8] = &[9, 0, 0, 0, b'1'];
        assert!(read::<u32>(&mut truncated).await.is_err());
        let mut foreign: &[u8] = &[2, 0, 0, 0, b'{', b'x'];
        assert!(read::<u32>(&mut foreign).await.is_err());
    }
}
