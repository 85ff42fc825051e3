"""Buys a seat with the client that openapi-python-client generates: from signing up to owning it."""

import os
import time
from typing import TypeVar
from uuid import uuid4

from boxoffice_client.api.accounts import accounts_sign_in, accounts_sign_up
from boxoffice_client.api.catalog import catalog_concerts, catalog_performances, catalog_seats
from boxoffice_client.api.payments import payments_pay
from boxoffice_client.api.reservations import reservations_hold
from boxoffice_client.api.waiting_room import (
    waiting_room_join,
    waiting_room_pause,
    waiting_room_resume,
    waiting_room_status,
)
from boxoffice_client.api.wallet import wallet_charge
from boxoffice_client.client import AuthenticatedClient, Client
from boxoffice_client.models import (
    CatalogSeatsStatus,
    NewAccount,
    NewCharge,
    NewPayment,
    NewReservation,
    Problem,
    ProblemCode,
    QueueTokenStatus,
    ReservationStatus,
    SignIn,
)

URL = os.environ["BOXOFFICE_URL"]
PATIENCE_SECONDS = 60

Body = TypeVar("Body")


def good(body: Body | Problem | None) -> Body:
    """The body of a response, which has to be no problem."""
    assert body is not None and not isinstance(body, Problem), body
    return body


def signed_in(login_id: str, password: str) -> AuthenticatedClient:
    session = good(accounts_sign_in.sync(client=anyone, body=SignIn(login_id=login_id, password=password)))
    return AuthenticatedClient(base_url=URL, token=session.access_token)


anyone = Client(base_url=URL)
promoter = signed_in("promoter", "promoter-password")
login_id, password = f"buyer-{uuid4().hex}", "correct horse battery staple"
good(accounts_sign_up.sync(client=anyone, body=NewAccount(login_id=login_id, password=password, name="Haneul Kim")))
buyer = signed_in(login_id, password)

concert = good(catalog_concerts.sync(client=anyone, bookable=True)).items[0]
good(waiting_room_pause.sync(concert.id, client=promoter))
place = good(waiting_room_join.sync(concert.id, client=buyer))
assert (place.status.value, place.position) == ("waiting", 1), place
good(waiting_room_resume.sync(concert.id, client=promoter))
until = time.monotonic() + PATIENCE_SECONDS
while place.status != QueueTokenStatus.ACTIVE:
    assert time.monotonic() < until, place
    time.sleep(min(place.poll_after_seconds or 1, 1))
    place = good(waiting_room_status.sync(client=buyer, queue_token=place.token))

performance = good(catalog_performances.sync(concert.id, client=buyer, queue_token=place.token, available=True)).items[0]
seats = good(
    catalog_seats.sync(
        performance.id, client=buyer, queue_token=place.token, status=CatalogSeatsStatus.AVAILABLE
    )
).seats
wanted = NewReservation(performance_id=performance.id, seats=[seats[0].label])
held = good(reservations_hold.sync(client=buyer, queue_token=place.token, body=wanted, idempotency_key=str(uuid4())))
assert held.status == ReservationStatus.HELD, held

payment = NewPayment(reservation_id=held.id)
refused = payments_pay.sync(client=buyer, queue_token=place.token, body=payment, idempotency_key=str(uuid4()))
assert isinstance(refused, Problem) and refused.code == ProblemCode.INSUFFICIENT_POINTS, refused
assert refused.balance == 0 and refused.required == held.total_amount, refused
good(wallet_charge.sync(client=buyer, body=NewCharge(amount=held.total_amount), idempotency_key=str(uuid4())))
paid = good(payments_pay.sync(client=buyer, queue_token=place.token, body=payment, idempotency_key=str(uuid4())))
assert paid.reservation.status == ReservationStatus.CONFIRMED and paid.balance_after == 0, paid
print(f"bought {paid.reservation.seats[0].label} of {paid.reservation.performance.title}")
