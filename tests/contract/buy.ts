// Buys a seat with the types that openapi-typescript generates: from signing up to owning it.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

type Problem = components["schemas"]["Problem"];

const PATIENCE_MILLISECONDS = 60_000;

const baseUrl = process.env["BOXOFFICE_URL"] ?? assert.fail("BOXOFFICE_URL is not set");
const anyone = createClient<paths>({ baseUrl });

/** The body of a response, which has to be no problem. */
function good<Body>({ data, error }: { data?: Body; error?: unknown }): Body {
  assert(data !== undefined, JSON.stringify(error));
  return data;
}

async function signedIn(login_id: string, password: string) {
  const session = good(await anyone.POST("/v1/sessions", { body: { login_id, password } }));
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${session.access_token}` } });
}

const promoter = await signedIn("promoter", "promoter-password");
const [login_id, password] = [`buyer-${randomUUID()}`, "correct horse battery staple"];
good(await anyone.POST("/v1/accounts", { body: { login_id, password, name: "Haneul Kim" } }));
const buyer = await signedIn(login_id, password);

const concert = good(await anyone.GET("/v1/concerts", { params: { query: { bookable: true } } })).items[0];
assert(concert);
const ofConcert = { params: { path: { id: concert.id } } };
good(await promoter.POST("/v1/concerts/{id}/queue/pause", ofConcert));
let place = good(await buyer.POST("/v1/concerts/{id}/queue", ofConcert));
assert(place.status === "waiting" && place.position === 1, JSON.stringify(place));
good(await promoter.POST("/v1/concerts/{id}/queue/resume", ofConcert));
const header = { "Queue-Token": place.token };
for (const until = Date.now() + PATIENCE_MILLISECONDS; place.status !== "active"; ) {
  assert(Date.now() < until, JSON.stringify(place));
  await sleep(1_000 * Math.min(place.poll_after_seconds ?? 1, 1));
  place = good(await buyer.GET("/v1/queue", { params: { header } }));
}

const path = { id: concert.id };
const query = { available: true };
const performances = await buyer.GET("/v1/concerts/{id}/performances", { params: { header, path, query } });
const performance = good(performances).items[0];
assert(performance);
const seats = await buyer.GET("/v1/performances/{id}/seats", {
  params: { header, path: { id: performance.id }, query: { status: "available" } },
});
const seat = good(seats).seats[0];
assert(seat);
const keyed = () => ({ header: { ...header, "Idempotency-Key": randomUUID() } });
const wanted = { performance_id: performance.id, seats: [seat.label] };
const held = good(await buyer.POST("/v1/reservations", { params: keyed(), body: wanted }));
assert.equal(held.status, "held");

const body = { reservation_id: held.id };
const refused: Problem | undefined = (await buyer.POST("/v1/payments", { params: keyed(), body })).error;
assert(refused?.code === "insufficient_points", JSON.stringify(refused));
assert.deepEqual([refused.balance, refused.required], [0, held.total_amount]);
good(await buyer.POST("/v1/wallet/charges", { params: keyed(), body: { amount: held.total_amount } }));
const paid = good(await buyer.POST("/v1/payments", { params: keyed(), body }));
assert.deepEqual([paid.reservation.status, paid.balance_after], ["confirmed", 0]);
console.log(`bought ${paid.reservation.seats[0]?.label} of ${paid.reservation.performance.title}`);
