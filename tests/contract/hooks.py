"""Keeps schemathesis signed in as the promoter of the demo, with an active queue token."""

import os
import re
import threading
from datetime import UTC, datetime, timedelta

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

URL = os.environ["BOXOFFICE_URL"]
QUEUE_TOKEN = "Queue-Token"


class Promoter:
    """The promoter of the demo, who is in the queue of a concert on sale."""

    def __init__(self):
        self.lock = threading.Lock()
        self.access_token = self.queue_token = None

    def tokens(self):
        with self.lock:
            if self.access_token is None:
                self.sign_in()
            if self.queue_token is None:
                self.join()
            return self.access_token, self.queue_token

    def sign_in(self):
        credentials = {"login_id": "promoter", "password": "promoter-password"}
        self.access_token = ask("POST", "/v1/sessions", json=credentials)["access_token"]

    def join(self):
        """Joins the queue of a concert. Where other requests have closed all, it publishes another one."""
        concerts = [concert["id"] for concert in ask("GET", "/v1/concerts?bookable=true&limit=100")["items"]]
        for concert in [*concerts, None]:
            concert = concert or self.publish()
            try:
                self.ask("POST", f"/v1/concerts/{concert}/queue/resume")
                place = self.ask("POST", f"/v1/concerts/{concert}/queue")
            except requests.HTTPError:
                # Another request has changed the concert meanwhile.
                continue
            if place["status"] == "active":
                self.queue_token = place["token"]
                return
        raise RuntimeError("the promoter is admitted to no concert")

    def publish(self):
        now = datetime.now(UTC)
        at = lambda days: (now + timedelta(days=days)).isoformat()
        concert = {"title": "Again", "artist": "The Band", "sales_open_at": at(-1), "sales_close_at": at(7)}
        concert = self.ask("POST", "/v1/concerts", json=concert)["id"]
        sections = [{"name": "A", "rows": [{"name": "1", "seats": 20}]}]
        venue = {"name": "Hall", "location": "Seoul", "sections": sections}
        performance = {
            "venue_id": self.ask("POST", "/v1/venues", json=venue)["id"],
            "starts_at": at(7),
            "prices": [{"section": "A", "price": 1_000}],
        }
        self.ask("POST", f"/v1/concerts/{concert}/performances", json=performance)
        return concert

    def ask(self, method, path, **arguments):
        return ask(method, path, headers={"Authorization": f"Bearer {self.access_token}"}, **arguments)

    def forget(self, problem):
        """Gets new tokens for the next request, if the old ones are of no use."""
        with self.lock:
            if problem in ("unauthenticated", "access_token_expired"):
                self.access_token = None
            if problem in ("queue_token_expired", "queue_token_invalid"):
                self.queue_token = None


PROMOTER = Promoter()


def ask(method, path, **arguments):
    response = requests.request(method, URL + path, timeout=60, **arguments)
    response.raise_for_status()
    return response.json()


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    def get(self, case, context):
        return PROMOTER.tokens()[0]

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Sends the active queue token wherever the headers are to be right."""
    names = [parameter.name for parameter in case.operation.headers]
    is_wrong = case.meta is not None and case.meta.is_negative_at(ParameterLocation.HEADER)
    if QUEUE_TOKEN in names and not is_wrong:
        case.headers[QUEUE_TOKEN] = PROMOTER.tokens()[1]


@schemathesis.hook
def after_call(context, case, response):
    PROMOTER.forget(code_of(response))


def code_of(response):
    """The code of the problem; `None` if it is none."""
    if not response.headers.get("content-type", [""])[0].startswith("application/problem+json"):
        return None
    return response.json().get("code")


# Rules about several fields, about what is stored, and about the time; and those of Unicode beyond control characters.
RULES = re.compile(
    r"timestamp_range|sales_window|too_far_ahead|after_performance|in_the_past|before_sale|draw_held|draw_past|time_range"
    r"|(section|row|seat)_(repeated|missing|unknown)|venue_too_large|time_zone_unknown|cursor_of_other_list"
    r"|text_(empty|invisible_character|undefined_character|nothing_visible)|password_(common|is_login_id|is_name)|wrong_code"
)
# A cursor is what an earlier page gave, and the words of a search are counted.
RULES_OF_FIELDS = {("/cursor", "wrong_format"), ("/q", "too_many_words")}
# A URL whose host is a name of letters, digits and hyphens.
HAS_PLAIN_HOST = re.compile(r"https?://([a-z0-9-]+\.)*[a-z][a-z0-9-]*(:[0-9]{1,4})?([/?#]|$)", re.IGNORECASE)
# Rules of texts that have those of Unicode in them.
RULES_OF_TEXTS = {"seat_label", "password_character", "password_length"}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops a refusal of what the schema allows, if it names a rule that no schema can have."""
    return not (isinstance(failure, RejectedPositiveData) and names_rule_beyond_schema(case, response.json()))


def names_rule_beyond_schema(case, problem):
    # The operator sets how many seats, and a key may be that of an earlier request.
    if problem["code"] in ("too_many_seats", "idempotency_key_reused"):
        return True
    # No pattern can say which addresses are public, and which other hosts the WHATWG URL Standard allows.
    if problem["code"] == "webhook_url_refused":
        is_private = problem["detail"] == "The URL must lead to a public address."
        return is_private or not HAS_PLAIN_HOST.match(case.body["url"])
    # The links that schemathesis finds by itself lead on from an id that is `null`, too.
    if None in (case.path_parameters or {}).values():
        return True
    errors = problem.get("errors", [])
    return bool(errors) and all(
        RULES.fullmatch(error["code"])
        or (error["pointer"], error["code"]) in RULES_OF_FIELDS
        or (error["code"] in RULES_OF_TEXTS and not is_plain(text_at(case.body, error["pointer"])))
        for error in errors
    )


def text_at(body, pointer):
    for step in pointer.split("/")[1:]:
        body = body[int(step) if isinstance(body, list) else step]
    return body


def is_plain(text):
    """Whether a text has only visible ASCII characters, which every rule allows."""
    return all("!" <= character <= "~" for character in text)
