//! Mail that a server of SMTP takes.

mod connections;
mod failure;

use std::{fmt, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use boxoffice_domain::{
    Clock,
    mail::{Mail, MailError, Mailer},
};
use lettre::{
    Address,
    transport::smtp::{
        client::{AsyncSmtpConnection, Certificate, TlsParameters, TlsParametersBuilder},
        commands::{Data, Mail as MailFrom, Rcpt},
    },
};

use crate::{Encryption, Sender, SmtpServer, message};

use connections::{Connections, Endpoint};
use failure::{Stage, failed};

/// The longest that a server is asked to end a connection over which something failed.
const QUIT_MAX: Duration = Duration::from_secs(1);
/// How a certificate begins in a PEM file.
const PEM_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What bounds the work of an [`SmtpMailer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtpLimits {
    /// The most connections at a time. Further mails wait for one.
    pub connections_max: usize,
    /// The longest that one mail takes, with waiting for a connection and making one.
    pub send_max: Duration,
    /// The longest that a connection takes to be made, without TLS and greeting.
    pub connect_max: Duration,
    /// How long a connection that nothing uses may be taken for another mail.
    pub idle_max: Duration,
}

impl Default for SmtpLimits {
    /// Four connections; a minute for a mail, ten seconds to connect, and thirty in which an unused connection is taken again.
    /// RFC 5321 (section 4.5.3.2) would wait ten minutes for the last answer; a caller that tries again need not.
    fn default() -> Self {
        Self {
            connections_max: 4,
            send_max: Duration::from_mins(1),
            connect_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(30),
        }
    }
}

/// Hands mail over to a server of SMTP, over a few connections that are used again.
///
/// Refusals of the recipient and of the content by 501 and 550 to 556 are for good, unless the server says that they are
/// of its policy (`5.7.1` and such, RFC 3463, section 3.8). All others are temporary, also those with a number above 499: a
/// wrong password, a sender that is not allowed, a server that relays for others only, or one that wants TLS say nothing
/// about the mail, and the operator can mend them.
pub struct SmtpMailer {
    connections: Connections,
    sender: Sender,
    sender_address: Address,
    clock: Arc<dyn Clock>,
    limits: SmtpLimits,
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, sender, limits, .. } = self;
        let mut fields = f.debug_struct("SmtpMailer");
        fields.field("connections", connections).field("sender", sender).field("limits", limits);
        fields.finish_non_exhaustive()
    }
}

impl SmtpMailer {
    /// Prepares to send to a server. Nothing is connected before the first mail.
    ///
    /// Certificates are checked against the authorities that browsers trust, and those of `authorities`, the content of a
    /// PEM file; an error if that cannot be read.
    pub fn new(
        server: SmtpServer,
        authorities: Option<&[u8]>,
        sender: Sender,
        clock: Arc<dyn Clock>,
        limits: SmtpLimits,
    ) -> io::Result<Self> {
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::Tls | Encryption::StartTls => Some(tls_parameters(&server.host, authorities)?),
        };
        let endpoint = Endpoint::new(server, tls, sender.address.host(), limits.connect_max);
        let sender_address = message::lettre_address(&sender.address);
        let connections = Connections::new(endpoint, limits.connections_max, limits.idle_max);
        Ok(Self { connections, sender, sender_address, clock, limits })
    }

    async fn hand_over(&self, mail: &Mail, message: &[u8]) -> Result<(), MailError> {
        let mut lease = self.connections.lease().await.map_err(|(stage, error)| failed(stage, &error, mail))?;
        match converse(lease.connection(), &self.sender_address, mail, message).await {
            Ok(()) => {
                lease.give_back();
                Ok(())
            }
            Err((stage, error)) => {
                // Tells the server that nothing else follows. Its answer changes nothing.
                tokio::time::timeout(QUIT_MAX, lease.connection().abort()).await.ok();
                Err(failed(stage, &error, mail))
            }
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message::rendered(mail, &self.sender, self.clock.now());
        match tokio::time::timeout(self.limits.send_max, self.hand_over(mail, &message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(MailError::Temporary(
                format!("the server did not take the mail within {:?}", self.limits.send_max).into(),
            )),
        }
    }
}

/// Sends one mail over a connection. With an error comes what the server was asked when it happened.
async fn converse(
    connection: &mut AsyncSmtpConnection,
    sender: &Address,
    mail: &Mail,
    message: &[u8],
) -> Result<(), (Stage, lettre::transport::smtp::Error)> {
    let at = |stage| move |error| (stage, error);
    let recipient = message::lettre_address(&mail.to);
    connection.command(MailFrom::new(Some(sender.clone()), Vec::new())).await.map_err(at(Stage::Sender))?;
    connection.command(Rcpt::new(recipient, Vec::new())).await.map_err(at(Stage::Recipient))?;
    connection.command(Data).await.map_err(at(Stage::Content))?;
    connection.message(message).await.map_err(at(Stage::Content))?;
    Ok(())
}

fn tls_parameters(host: &str, authorities: Option<&[u8]>) -> io::Result<TlsParameters> {
    let mut parameters = TlsParametersBuilder::new(host.to_owned());
    if let Some(authorities) = authorities {
        if !authorities.windows(PEM_CERTIFICATE.len()).any(|window| window == PEM_CERTIFICATE) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there is no certificate of an authority in the file",
            ));
        }
        let certificate = Certificate::from_pem(authorities).map_err(io::Error::other)?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters.build().map_err(io::Error::other)
}
