"""An SMTP server for tests: writes down each mail as it reads it, and behaves as badly as the recipient's name asks.

The words before the first dot of a recipient's local part say what happens to mails for that recipient:

    later-N      451 to the first N, from then on accepted
    never        550 to the recipient
    relay        530 to the recipient, as if nobody had signed in
    policy       554 to the recipient, as if the server did not know its client
    content      554 to the content
    cut-before   the connection is cut at the recipient, before the content
    cut-after    the connection is cut after the content was taken, before the answer
    slow         the content is answered after an hour
    goodbye      the mail is taken, and the connection closed after the answer
    anything else is accepted

The sender `refused@…` gets 550. A mail that is taken becomes a file `NUMBER.json` in the folder.
"""

import argparse
import asyncio
import collections
import itertools
import json
import logging
import os
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

from parse import described

SLOW_SECONDS = 3600


class Handler:
    def __init__(self, folder):
        self.folder = folder
        # A server that was killed may have taken some before.
        taken = [name for name in os.listdir(folder) if name.endswith(".json")]
        self.numbers = itertools.count(len(taken))
        self.refusals = collections.Counter()

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.8 this sender is not allowed"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        behaviour = address.partition("@")[0].partition(".")[0]
        if behaviour == "never":
            return f"550 5.1.1 <{address}> is nobody here"
        if behaviour == "relay":
            return "530 5.7.0 sign in first"
        if behaviour == "policy":
            return f"554 5.7.1 <{address}>: Relay access denied"
        if behaviour == "cut-before":
            server.transport.abort()
        if behaviour.startswith("later-"):
            self.refusals[address] += 1
            if self.refusals[address] <= int(behaviour.removeprefix("later-")):
                return f"451 4.3.2 try {address} later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        behaviour = envelope.rcpt_tos[0].partition("@")[0].partition(".")[0]
        if behaviour == "content":
            return "554 5.6.0 this content is not wanted"
        if behaviour == "slow":
            await asyncio.sleep(SLOW_SECONDS)
        self.keep(server, session, envelope)
        if behaviour == "cut-after":
            server.transport.abort()
        if behaviour == "goodbye":
            # The answer is written before the loop does anything else.
            asyncio.get_running_loop().call_soon(server.transport.close)
        return "250 OK"

    def keep(self, server, session, envelope):
        mail = {
            "sender": envelope.mail_from,
            "recipients": envelope.rcpt_tos,
            "is_encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data,
            "peer_port": session.peer[1],
            **described(envelope.original_content),
        }
        path = os.path.join(self.folder, f"{next(self.numbers)}.json")
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(mail, file)
        os.rename(f"{path}.new", path)


def authenticator(user, password):
    def authenticate(server, session, envelope, mechanism, data):
        is_right = (data.login, data.password) == (user.encode(), password.encode())
        return AuthResult(success=is_right, handled=False, auth_data=user if is_right else None)

    return authenticate


async def serve(options):
    implicit = starttls = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        implicit, starttls = (context, None) if options.implicit else (None, context)
    handler = Handler(options.folder)

    def protocol():
        user, _, password = options.user.partition(":")
        return SMTP(
            handler,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=bool(user),
            auth_require_tls=False,
            auth_exclude_mechanism=options.without.split(","),
            authenticator=authenticator(user, password),
            enable_SMTPUTF8=False,
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", options.port, ssl=implicit)
    async with server:
        await server.serve_forever()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", default="", help="NAME:PASSWORD of the user who may send; without it everybody may")
    parser.add_argument("--without", default="", help="mechanisms of AUTH that are not offered, with commas")
    parser.add_argument("--certificate", help="offers STARTTLS, and takes no mail without it")
    parser.add_argument("--key")
    parser.add_argument("--implicit", action="store_true", help="speaks TLS from the first byte, and not by STARTTLS")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(parser.parse_args()))


main()
