//! Parameters that are not in the CIB: `lrm://` stands for the content of a file that only root may read, with
//! its digest beside it. // spec cluster §14.4

use std::path::Path;

use crate::xml::digest;

/// A secret is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unable to load CIB secrets")]
pub struct NoSecret {
    /// The parameter.
    pub param: String,
}

const REFERENCE: &str = "lrm://";

/// Replaces references by what they stand for.
pub fn resolve(secrets: &Path, rsc: &str, params: &mut [(String, String)]) -> Result<(), NoSecret> {
    for (name, value) in params.iter_mut().filter(|(_, value)| value == REFERENCE) {
        *value = read(secrets, rsc, name).ok_or_else(|| NoSecret {
            param: name.clone(),
        })?;
    }
    Ok(())
}

/// Leaves references out: for a stop, which goes on without them.
pub fn leave_out(params: &mut Vec<(String, String)>) {
    params.retain(|(_, value)| value != REFERENCE);
}

fn read(secrets: &Path, rsc: &str, param: &str) -> Option<String> {
    let safe = |name: &str| !name.contains('/') && !name.starts_with('.');
    if !safe(rsc) || !safe(param) {
        return None;
    }
    let file = secrets.join(rsc).join(param);
    let content = std::fs::read(&file).ok()?;
    let sign = std::fs::read_to_string(secrets.join(rsc).join(format!("{param}.sign"))).ok()?;
    if Some(digest::bytes(&content).as_str()) != sign.split_whitespace().next() {
        return None;
    }
    Some(
        String::from_utf8_lossy(&content)
            .trim_end_matches('\n')
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_checked_against_their_signature() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let rsc = dir.path().join("db");
        std::fs::create_dir(&rsc).expect("writable");
        std::fs::write(rsc.join("pw"), "s3cret\n").expect("writable");
        let params = || {
            vec![
                ("pw".to_owned(), "lrm://".to_owned()),
                ("a".into(), "b".into()),
            ]
        };
        let mut unsigned = params();
        assert!(resolve(dir.path(), "db", &mut unsigned).is_err());
        std::fs::write(rsc.join("pw.sign"), digest::bytes(b"s3cret\n")).expect("writable");
        let mut signed = params();
        resolve(dir.path(), "db", &mut signed).expect("signature fits");
        assert_eq!(signed[0].1, "s3cret");
        leave_out(&mut unsigned);
        assert_eq!(unsigned.len(), 1);
    }
}
