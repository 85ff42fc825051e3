//! Whom mail is from.

use std::str::FromStr;

use boxoffice_domain::mail::EmailAddress;

/// Whom mail is from: the shop's address, and the name beside it.
///
/// ```
/// use boxoffice_mail::Sender;
/// let sender: Sender = "Boxoffice <tickets@example.org>".parse()?;
/// assert_eq!((sender.name.as_deref(), sender.address.as_str()), (Some("Boxoffice"), "tickets@example.org"));
/// assert_eq!("tickets@example.org".parse::<Sender>()?.name, None);
/// # Ok::<(), boxoffice_mail::InvalidSender>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address. Its host is also the right side of each `Message-ID`.
    pub address: EmailAddress,
    /// The name beside it.
    pub name: Option<String>,
}

/// The text does not say whom mail is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address such as tickets@example.org, or a name and an address: Boxoffice <tickets@example.org>")]
pub struct InvalidSender;

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = match text.trim().strip_suffix('>') {
            Some(text) => text.rsplit_once('<').ok_or(InvalidSender)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        let address = EmailAddress::new(address).map_err(|_| InvalidSender)?;
        Ok(Self { address, name: (!name.is_empty()).then(|| name.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        let read = |text: &str| text.parse::<Sender>().map(|sender| (sender.name, sender.address.to_string()));
        let named = |name: &str| Ok((Some(name.to_owned()), "a@example.org".to_owned()));
        assert_eq!(read("  \"Kim, Tickets\" <a@example.org> "), named("Kim, Tickets"));
        assert_eq!(read("박스오피스<a@example.org>"), named("박스오피스"));
        assert_eq!(read(" a@example.org"), Ok((None, "a@example.org".to_owned())));
        assert_eq!(read("<a@example.org>"), Ok((None, "a@example.org".to_owned())));
        for bad in ["", "Boxoffice", "Boxoffice <>", "a@example.org>", "Boxoffice <a@localhost>", "<a@example.org> b"] {
            assert_eq!(read(bad), Err(InvalidSender), "{bad}");
        }
    }
}
