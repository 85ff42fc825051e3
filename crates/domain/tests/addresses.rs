//! Whatever is typed, an e-mail address is safe to put into a command of SMTP and into a header field.

use boxoffice_domain::mail::{EMAIL_ADDRESS_BYTES_MAX, EmailAddress, LOCAL_PART_BYTES_MAX};
use proptest::prelude::*;

/// Texts that are often addresses, and often nearly so.
fn typed() -> impl Strategy<Value = String> {
    let part = "[a-zA-Z0-9.+_'!-]{0,70}";
    let sign = prop_oneof![8 => Just("@"), 1 => Just(""), 1 => Just("@@"), 1 => Just("\r\n@"), 1 => Just("@[")];
    let host = prop_oneof![3 => "([a-zA-Z0-9-]{1,20}\\.){1,4}[a-z]{2,10}", 1 => "\\PC{0,20}"];
    prop_oneof![4 => (part, sign, host).prop_map(|(part, sign, host)| format!("{part}{sign}{host}")), 1 => ".{0,300}"]
}

proptest! {
    #[test]
    fn an_address_is_plain_and_bounded(typed in typed()) {
        if let Ok(address) = EmailAddress::new(&typed) {
            let text = address.as_str();
            prop_assert!(text.len() <= EMAIL_ADDRESS_BYTES_MAX);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>()[],;:\\\"".contains(&byte)));
            let (local, host) = text.split_once('@').unwrap();
            prop_assert!((1..=LOCAL_PART_BYTES_MAX).contains(&local.len()));
            prop_assert!(host.contains('.') && !host.contains('@') && host == host.to_lowercase());
            prop_assert_eq!(host, address.host());
            // It is the same, read again or typed with capitals in the host.
            prop_assert_eq!(&text.parse::<EmailAddress>().unwrap(), &address);
            let shouted = format!(" {local}@{} ", host.to_uppercase());
            prop_assert_eq!(&EmailAddress::new(&shouted).unwrap(), &address);
        }
    }

    #[test]
    fn every_plain_address_is_accepted(local in "[a-z0-9]{1,20}(\\.[a-z0-9+_-]{1,20}){0,2}", host in "([a-z0-9]{1,20}\\.){1,3}[a-z]{2,10}") {
        let text = format!("{local}@{host}");
        prop_assert_eq!(String::from(EmailAddress::new(&text).unwrap()), text);
    }
}
