//! The id that a request carries through logs, rows and replies (endpoints §1).

use uuid::Uuid;

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The client's own id if it is harmless to repeat, else a new one.
#[must_use]
pub fn request_id(from_client: Option<&str>) -> String {
    match from_client {
        Some(id) if is_acceptable(id) => id.to_owned(),
        _ => new_id(Uuid::now_v7()),
    }
}

fn is_acceptable(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// `req_` and 26 characters, sortable like the id itself.
fn new_id(id: Uuid) -> String {
    const PREFIX: &str = "req_";
    let mut text = String::with_capacity(PREFIX.len() + 26);
    text.push_str(PREFIX);
    let bits = id.as_u128();
    for place in (0..26_u32).rev() {
        let digit = usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0);
        text.push(char::from(CROCKFORD.get(digit).copied().unwrap_or(b'0')));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e026_a_valid_id_is_repeated_and_an_invalid_one_replaced() {
        assert_eq!(request_id(Some("my-Id_1.2")), "my-Id_1.2");
        let long = "x".repeat(129);
        for bad in
            [None, Some(""), Some("a b"), Some("a\r\nset-cookie: x"), Some("é"), Some(&*long)]
        {
            let id = request_id(bad);
            assert_eq!(id.len(), 30, "{bad:?}");
            assert!(id.starts_with("req_"), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_crockford_and_keep_all_bits() {
        let id = |bits| new_id(Uuid::from_u128(bits));
        assert_eq!(id(0), format!("req_{}", "0".repeat(26)));
        assert_eq!(id(u128::MAX), format!("req_7{}", "Z".repeat(25)));
        assert_eq!(id(32), format!("req_{}10", "0".repeat(24)));
    }
}
