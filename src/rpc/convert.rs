//! Typed requests to frames and back.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tonic::Status;

use super::wire::Frame;

/// A typed message as a frame.
pub(super) fn frame(message: &impl Serialize) -> Frame {
    Frame {
        body: serde_json::to_vec(message).expect("our own types have no map with odd keys"),
        data: Bytes::new(),
    }
}

/// Raw bytes as a frame.
pub(super) fn raw(data: Vec<u8>) -> Frame {
    Frame {
        body: Vec::new(),
        data: data.into(),
    }
}

/// The typed message in a frame.
pub(super) fn message<T: DeserializeOwned>(frame: &Frame) -> Result<T, Status> {
    serde_json::from_slice(&frame.body).map_err(|e| {
        Status::invalid_argument(format!(
            "not understood ({e}): do both ends have the same version?"
        ))
    })
}
