// @ts-check
/** Reservations, and what can still be done with each. */

import { intend, request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { clock, points, t, when } from "../strings.js";
import { ask, notice, sentence, View } from "../view.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

class Tickets extends View {
  #list = h("ul", { class: "cards" });
  #more = h("p", { class: "buttons" });
  #said = h("div", { "aria-live": "polite" });

  async show() {
    fill(this, this.#said, this.#list, this.#more);
    this.heading(t("tickets.title"));
    await this.#read();
    void this.every(1_000, () => this.#count());
  }

  async #read() {
    const { data } = await request("GET", "/v1/reservations", { query: { limit: 20 }, signal: this.signal });
    fill(this.#list);
    this.#add(data);
    if (data.items.length === 0) append(this.#list, [h("li", { class: "empty" }, t("tickets.none"))]);
  }

  /** @param {Schemas["List_Reservation"]} page */
  #add(page) {
    append(
      this.#list,
      page.items.map((reservation) => this.#card(reservation)),
    );
    fill(this.#more);
    if (!page.next_cursor) return;
    const next = async () => {
      const { data } = await request("GET", "/v1/reservations", {
        query: { limit: 20, cursor: page.next_cursor ?? undefined },
        signal: this.signal,
      });
      this.#add(data);
    };
    append(this.#more, [h("button", { type: "button", onclick: () => void this.attempt(next) }, t("home.more"))]);
  }

  /** @param {Schemas["Reservation"]} reservation */
  #card(reservation) {
    const { id, status, performance, seats, total_amount: total } = reservation;
    const until = reservation.held_until;
    const held = status === "held" && until !== null && Date.parse(until) > Date.now();
    const paid = status === "confirmed";
    const cancel = h(
      "button",
      { type: "button", class: "danger", onclick: () => void this.#cancel(reservation) },
      t(paid ? "tickets.cancel" : "checkout.give_up"),
    );
    const open = performance.withdrawn || Date.parse(performance.starts_at) > Date.now();
    return h(
      "li",
      { class: "card" },
      h("h2", {}, performance.title),
      h(
        "p",
        {},
        when(performance.starts_at, performance.venue.time_zone),
        h("br"),
        t("concert.venue", { name: performance.venue.name, location: performance.venue.location }),
      ),
      h(
        "p",
        {},
        t("tickets.seats", {
          seats: seats.map((/** @type {Schemas["ReservedSeat"]} */ seat) => seat.label).join(", "),
        }),
        h("br"),
        points(total),
      ),
      h(
        "p",
        { class: `state ${status}` },
        t(`tickets.status.${status === "held" && !held ? "expired" : status}`),
        held && h("time", { datetime: until, "data-until": until }),
      ),
      performance.withdrawn && notice("info", t("concert.withdrawn")),
      (held || (paid && open)) &&
        h(
          "p",
          { class: "buttons" },
          held && h("a", { href: `/checkout/${id}`, class: "button primary" }, t("tickets.pay")),
          cancel,
        ),
    );
  }

  #count() {
    for (const shown of this.#list.querySelectorAll("time[data-until]")) {
      const left = (Date.parse(/** @type {HTMLElement} */ (shown).dataset.until ?? "") - Date.now()) / 1_000;
      shown.textContent = ` ${clock(left)}`;
      if (left <= 0) void this.#read().catch(() => {});
    }
  }

  /** @param {Schemas["Reservation"]} reservation */
  async #cancel(reservation) {
    const paid = reservation.status === "confirmed";
    const said = paid ? t("tickets.refunded", { count: reservation.total_amount }) : t("checkout.give_up_said");
    const sure = await ask(
      t(paid ? "tickets.cancel_question" : "checkout.give_up_question"),
      [h("p", {}, said)],
      [
        ["keep", t("checkout.keep"), "primary"],
        ["cancel", t(paid ? "tickets.cancel" : "checkout.give_up"), "danger"],
      ],
    );
    if (sure !== "cancel") return;
    fill(this.#said);
    try {
      await intend(`cancel:${reservation.id}`, (key) =>
        request("POST", `/v1/reservations/${reservation.id}/cancel`, { key }),
      );
      append(this.#said, [
        notice("success", t(paid ? "tickets.cancelled" : "tickets.given_up", { count: reservation.total_amount })),
      ]);
    } catch (refusal) {
      append(this.#said, [notice("warning", sentence(refusal))]);
    }
    await this.attempt(() => this.#read());
  }
}

customElements.define("shop-tickets", Tickets);
