//! Where mail goes, and who writes it.

use std::{fs, sync::Arc};

use anyhow::{Context, anyhow};
use boxoffice_application::{
    MailReader, MailSender,
    mail::{Letter, WriteMail},
};
use boxoffice_domain::{Clock, TimeZone, event_delivery::EventSink};
use boxoffice_mail::{
    MailRoute, Sender,
    templates::{Reader, Shop, written},
};

use super::Adapters;
use crate::{
    adapters::SystemClock,
    settings::{MailTarget, Settings},
};

/// The reader of the outbox that queues mail; `None` if no mail is sent.
pub(crate) fn mail_reader(settings: &Settings, adapters: &Adapters) -> Option<Arc<dyn EventSink>> {
    route(settings)?;
    let (mails, clock) = (Arc::clone(&adapters.database.mails), Arc::clone(&adapters.clock));
    Some(Arc::new(MailReader { mails, clock }))
}

/// Whether mail is sent.
pub(super) fn is_sent(settings: &Settings) -> bool {
    route(settings).is_some()
}

/// What sends the mail that waits; `None` if no mail is sent.
pub(crate) fn mail_sender(settings: &Settings, adapters: &Adapters) -> anyhow::Result<Option<MailSender>> {
    let Some(route) = route(settings) else { return Ok(None) };
    let mailer = route.mailer(authorities(settings)?.as_deref(), sender(settings)?, Arc::clone(&adapters.clock));
    Ok(Some(MailSender {
        mails: Arc::clone(&adapters.database.mails),
        mailer: mailer.context("mail cannot be sent as `mail` says")?,
        write: writer(settings)?,
        clock: Arc::clone(&adapters.clock),
    }))
}

/// Whether mail can be sent with these settings and files, and where it goes; `None` if none is sent. The mail server is not
/// asked, and no folder made.
pub(crate) fn check_mail(settings: &Settings) -> anyhow::Result<Option<String>> {
    let Some(route) = route(settings) else { return Ok(None) };
    let (sender, authorities) = (sender(settings)?, authorities(settings)?);
    drop(writer(settings)?);
    Ok(Some(match route {
        MailRoute::Folder(path) => format!("into the folder {}", path.display()),
        MailRoute::Smtp(server) => {
            let shown = format!("over {}:{}", server.host, server.port);
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
            let mailer = MailRoute::Smtp(server).mailer(authorities.as_deref(), sender, clock);
            mailer.context("mail cannot be sent as `mail` says")?;
            shown
        }
    }))
}

fn route(settings: &Settings) -> Option<MailRoute> {
    match &settings.mail {
        MailTarget::None => None,
        MailTarget::Route(route) => Some(route.clone()),
    }
}

fn sender(settings: &Settings) -> anyhow::Result<Sender> {
    settings.mail_from.clone().ok_or_else(|| anyhow!("with `mail`, set `mail_from`, the address that mail comes from"))
}

fn authorities(settings: &Settings) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = &settings.mail_ca_file else { return Ok(None) };
    let read = fs::read(path).with_context(|| format!("`mail_ca_file` cannot be read from {}", path.display()));
    read.map(Some)
}

fn writer(settings: &Settings) -> anyhow::Result<Box<WriteMail>> {
    let public_url = settings.public_url.as_ref().map(url::Url::as_str);
    let shop = Shop::new(&settings.mail_shop_name, public_url, TimeZone::default());
    let shop = shop.map_err(|error| anyhow!("`public_url` {error}"))?;
    let language = settings.mail_language;
    Ok(Box::new(move |letter: &Letter<'_>| {
        let reader = Reader {
            address: letter.to.clone(),
            name: Some(letter.name.clone()),
            language: letter.language.unwrap_or(language),
        };
        written(letter.id, &reader, &shop, letter.notice)
    }))
}
