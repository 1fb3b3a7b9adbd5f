//! Every record on disk carries a digest over its place and its content, so that a flipped bit, a torn
//! write or a record in the wrong place is noticed before anyone believes it. MD5 guards against
//! accidents here, not against people: whoever can write this file owns the node anyway.

use md5::{Digest, Md5};

/// Bytes of the digest in front of each record.
pub(crate) const SEAL: usize = 16;

/// Puts a digest over `place` and `content` in front of `content`.
pub(crate) fn seal(place: &str, content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL + content.len());
    sealed.extend_from_slice(&digest(place, content));
    sealed.extend_from_slice(content);
    sealed
}

/// The content of a sealed record, or what is wrong with it.
pub(crate) fn unseal<'a>(place: &str, sealed: &'a [u8]) -> Result<&'a [u8], String> {
    let Some((seal, content)) = sealed.split_at_checked(SEAL) else {
        return Err(format!("only {} bytes long", sealed.len()));
    };
    if seal == digest(place, content) {
        Ok(content)
    } else {
        Err(format!(
            "its digest does not match its {} bytes",
            content.len()
        ))
    }
}

fn digest(place: &str, content: &[u8]) -> [u8; SEAL] {
    let mut hasher = Md5::new();
    hasher.update((place.len() as u64).to_le_bytes());
    hasher.update(place.as_bytes());
    hasher.update(content);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_or_another_place_is_noticed() {
        let sealed = seal("log 7", b"content");
        assert_eq!(unseal("log 7", &sealed), Ok(&b"content"[..]));
        assert!(unseal("log 8", &sealed).is_err());
        for byte in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[byte] ^= 4;
            assert!(unseal("log 7", &flipped).is_err(), "byte {byte}");
            assert!(unseal("log 7", &sealed[..byte]).is_err(), "cut at {byte}");
        }
    }
}
