"""Serves localstripe on 127.0.0.1, with what it lacks for the tests of boxoffice.

localstripe itself keeps what it knows in one file of /tmp, which servers that run at once would overwrite for each other;
it refuses to list payment intents by time, which the adapter does; and it loses an event if a webhook is registered while
the event is sent.
"""

import os
import sys

from aiohttp import web
from localstripe import resources, server, webhooks

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
BOUNDS = {
    'gt': lambda created, bound: created > bound,
    'gte': lambda created, bound: created >= bound,
    'lt': lambda created, bound: created < bound,
    'lte': lambda created, bound: created <= bound,
}


def keep_data_in(folder):
    """Lets the store read and write its file in a folder."""
    os.chdir(folder)

    def open_in_folder(path, mode):
        return open(os.path.basename(path), mode)

    # The store opens its file by the built-in name.
    resources.open = open_in_folder


def list_by_time(cls, url, created=None, limit=None, starting_after=None):
    """Lists payment intents as Stripe does: by the time of their making, newest first."""
    listed = resources.List(url, limit=limit, starting_after=starting_after)
    bounds = [(BOUNDS[name], int(bound)) for name, bound in (created or {}).items()]
    found = [
        value
        for key, value in resources.store.items()
        if key.startswith(cls.object + ':') and all(holds(value.created, bound) for holds, bound in bounds)
    ]
    listed._list = list(reversed(found))
    return listed


class Webhooks(dict):
    """Webhooks that may be registered while an event is sent to those that were there."""

    def values(self):
        return list(super().values())


async def show_folder(_request):
    """Tells whose server this is."""
    return web.Response(text=FOLDER)


keep_data_in(FOLDER)
webhooks._webhooks = Webhooks()
resources.PaymentIntent._api_list_all = classmethod(list_by_time)
server.app.router.add_get('/_config/folder', show_folder)
resources.store.try_load_from_disk()
web.run_app(server.app, host='127.0.0.1', port=PORT, access_log=None, print=None)
