//! Alerts: RFC 8446, section 6, and those of older versions that servers still send.

use crate::evidence::probed::Alert;

/// `close_notify`: the peer ends the connection, and nothing is wrong.
pub(super) const CLOSE_NOTIFY: u8 = 0;
const NAMES: &[(u8, &str)] = &[
    (CLOSE_NOTIFY, "close_notify"),
    (10, "unexpected_message"),
    (20, "bad_record_mac"),
    (21, "decryption_failed"),
    (22, "record_overflow"),
    (30, "decompression_failure"),
    (40, "handshake_failure"),
    (41, "no_certificate"),
    (42, "bad_certificate"),
    (43, "unsupported_certificate"),
    (44, "certificate_revoked"),
    (45, "certificate_expired"),
    (46, "certificate_unknown"),
    (47, "illegal_parameter"),
    (48, "unknown_ca"),
    (49, "access_denied"),
    (50, "decode_error"),
    (51, "decrypt_error"),
    (60, "export_restriction"),
    (70, "protocol_version"),
    (71, "insufficient_security"),
    (80, "internal_error"),
    (86, "inappropriate_fallback"),
    (90, "user_canceled"),
    (100, "no_renegotiation"),
    (109, "missing_extension"),
    (110, "unsupported_extension"),
    (111, "certificate_unobtainable"),
    (112, "unrecognized_name"),
    (113, "bad_certificate_status_response"),
    (114, "bad_certificate_hash_value"),
    (115, "unknown_psk_identity"),
    (116, "certificate_required"),
    (120, "no_application_protocol"),
    (121, "ech_required"),
];

/// With its name; an alert that no RFC names is `alert`.
pub(super) fn alert(number: u8) -> Alert {
    let name = NAMES.iter().find(|(n, _)| *n == number).map_or("alert", |(_, name)| name);
    Alert { number, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_the_names_of_the_rfc() {
        assert!(NAMES.is_sorted_by_key(|(number, _)| number));
        assert_eq!(alert(112).name, "unrecognized_name");
        assert_eq!(alert(200), Alert { number: 200, name: "alert".to_owned() });
    }
}
