// @ts-check
/** Paying for seats that are held. */

import { alone, freshKey, intend, keepQueueToken, queueToken, Refusal, request } from "../api.js";
import { charge as chargePoints } from "../charging.js";
import { append, fill, h } from "../dom.js";
import { clock, points, span, t, when } from "../strings.js";
import { announce, ask, go, needsSignIn, notice, sentence, View } from "../view.js";

/** The seconds before the end at which the time that is left is read out. */
const SAID_AT = [240, 180, 120, 60, 30, 10];

/** How soon after an act a press is the second one of a double click, in milliseconds. */
const TWICE = 400;

class Checkout extends View {
  #id = "";
  #reservation = /** @type {import("../../api").components["schemas"]["Reservation"]} */ (
    /** @type {unknown} */ (undefined)
  );
  #balance = 0;
  #time = h("p", { class: "countdown", role: "timer" });
  #purse = h("section", { class: "purse" });
  #said = h("div", { "aria-live": "polite" });
  #todo = h("div", { "aria-live": "polite" });
  #busy = false;
  /** Ends the wait for a buyer who confirms a charge, when the seats are lost. */
  #waiting = new AbortController();
  #isOver = false;

  async show() {
    this.#id = this.params.reservation;
    await this.#read();
    this.#draw();
    void this.every(500, () => this.#count());
    // Another tab may have paid, or given the seats up.
    void this.every(5_000, () => this.#look());
    addEventListener("visibilitychange", () => void this.#look().catch(() => {}), { signal: this.signal });
  }

  async #read() {
    const [reservation, wallet] = await Promise.all([
      request("GET", `/v1/reservations/${this.#id}`, { signal: this.signal }),
      request("GET", "/v1/wallet", { signal: this.signal }),
    ]);
    this.#reservation = reservation.data;
    this.#balance = wallet.data.balance;
  }

  async #look() {
    if (document.hidden || this.#busy || this.#isOver) return;
    const before = `${this.#reservation.status} ${this.#balance}`;
    await this.#read();
    // What was read while the visitor acted may be older than the act.
    if (this.#busy || this.#isOver) return;
    if (before !== `${this.#reservation.status} ${this.#balance}`) this.#draw();
  }

  #draw() {
    const { status, performance, seats, total_amount: total } = this.#reservation;
    if (status !== "held") {
      this.#over(status);
      return;
    }
    const { title, venue, starts_at } = performance;
    fill(
      this,
      this.#time,
      h(
        "p",
        {},
        h("strong", {}, title),
        h("br"),
        when(starts_at, venue.time_zone),
        h("br"),
        t("concert.venue", { name: venue.name, location: venue.location }),
      ),
      h(
        "table",
        { class: "seats" },
        h("caption", {}, t("checkout.seats")),
        h(
          "thead",
          {},
          h("tr", {}, h("th", { scope: "col" }, t("checkout.seat")), h("th", { scope: "col" }, t("checkout.price"))),
        ),
        h("tbody", {}, ...seats.map((seat) => h("tr", {}, h("td", {}, seat.label), h("td", {}, points(seat.price))))),
        h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, t("checkout.total")), h("td", {}, points(total)))),
      ),
      this.#purse,
      this.#said,
      this.#todo,
    );
    this.heading(t("checkout.title"));
    this.#drawPurse();
    this.#count();
  }

  #missing() {
    return Math.max(0, this.#reservation.total_amount - this.#balance);
  }

  #drawPurse() {
    const missing = this.#missing();
    const pay = h(
      "button",
      { type: "button", class: "primary", onclick: () => void this.#act(() => this.#pay()) },
      t("checkout.pay", { count: this.#reservation.total_amount }),
    );
    const charge = h(
      "button",
      { type: "button", class: "primary", onclick: () => void this.#act(() => this.#charge(missing)) },
      t("checkout.charge", { count: missing }),
    );
    const cancel = h(
      "button",
      { type: "button", class: "danger", onclick: () => void this.#act(() => this.#giveUp()) },
      t("checkout.give_up"),
    );
    fill(
      this.#purse,
      h("p", {}, t("checkout.balance", { count: this.#balance })),
      missing > 0 && h("p", {}, t("checkout.missing", { count: missing })),
      h("p", { class: "buttons" }, missing > 0 ? charge : pay, cancel),
    );
  }

  #left() {
    return (Date.parse(this.#reservation.held_until ?? "") - Date.now()) / 1_000;
  }

  #count() {
    if (this.#isOver) return;
    const left = this.#left();
    this.#time.textContent = t("checkout.left", { time: clock(left) });
    this.#time.classList.toggle("soon", left < 60);
    const due = SAID_AT.find((seconds) => left <= seconds && left > seconds - 1);
    if (due) announce(t("checkout.time_left", { wait: span(due) }));
    if (left <= 0) this.#waiting.abort();
    if (left <= 0 && !this.#busy) {
      void this.#read()
        .catch(() => {})
        .then(() => this.#over(this.#reservation.status === "held" ? "expired" : this.#reservation.status));
    }
  }

  /**
   * One act at a time, and what it was refused for.
   *
   * @param {() => Promise<void>} act
   */
  async #act(act) {
    if (this.#busy) return;
    this.#busy = true;
    for (const button of this.#purse.querySelectorAll("button")) button.disabled = true;
    fill(this.#said);
    try {
      await act();
    } catch (refusal) {
      if (this.signal.aborted || refusal === this.#waiting.signal.reason) return;
      if (refusal instanceof Refusal && needsSignIn(refusal)) {
        go(`/sign-in?next=${encodeURIComponent(location.pathname)}`);
        return;
      }
      await this.#refused(refusal);
    } finally {
      this.#busy = false;
      if (!this.#isOver && this.#reservation.status !== "held") {
        this.#over(this.#reservation.status);
      } else if (!this.#isOver && this.isConnected) {
        this.#drawPurse();
        this.#rest();
      }
    }
  }

  /** Another button may stand where the one was that is pressed twice. */
  #rest() {
    const buttons = [...this.#purse.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    setTimeout(() => {
      for (const button of buttons) button.disabled = false;
    }, TWICE);
  }

  /** @param {unknown} refusal */
  async #refused(refusal) {
    if (!(refusal instanceof Refusal)) console.error(refusal);
    await this.#read().catch(() => {});
    if (this.#reservation.status !== "held") {
      this.#over(this.#reservation.status);
      return;
    }
    append(this.#said, [notice("warning", sentence(refusal), " ", t("checkout.nothing_lost"))]);
  }

  async #pay() {
    const concert = this.#reservation.performance.concert_id;
    const pay = (/** @type {string} */ token) =>
      intend(`pay:${this.#id}`, (key) =>
        request("POST", "/v1/payments", { body: { reservation_id: this.#id }, key, queueToken: token }),
      );
    const known = queueToken(concert);
    try {
      await pay(known ?? (await this.#joined(concert)));
    } catch (refusal) {
      const isOld = known && refusal instanceof Refusal && refusal.code.startsWith("queue_token");
      if (!isOld) throw refusal;
      await pay(await this.#joined(concert));
    }
    keepQueueToken(concert, undefined);
    this.#over("confirmed");
  }

  /**
   * The token of the place that the account has: the seats may have been held on another device, and joining again gives the
   * same place.
   *
   * @param {string} concert
   * @returns {Promise<string>}
   */
  async #joined(concert) {
    const { data } = await request("POST", `/v1/concerts/${concert}/queue`, { key: freshKey(), signal: this.signal });
    keepQueueToken(concert, data.token);
    return data.token;
  }

  /**
   * Charges what is missing, unless another tab has done so.
   *
   * @param {number} missing
   */
  async #charge(missing) {
    await alone("boxoffice-charge", async () => {
      await this.#read();
      if (this.#reservation.status !== "held" || this.#missing() !== missing) return;
      const signal = AbortSignal.any([this.signal, this.#waiting.signal]);
      const charged = await chargePoints(`charge:${this.#id}:${missing}`, missing, this.#todo, signal);
      this.#balance = charged.balance ?? this.#balance;
      await this.#read();
      announce(t("checkout.charged", { count: missing }));
    });
  }

  async #giveUp() {
    const sure = await ask(
      t("checkout.give_up_question"),
      [h("p", {}, t("checkout.give_up_said"))],
      [
        ["keep", t("checkout.keep"), "primary"],
        ["give", t("checkout.give_up"), "danger"],
      ],
    );
    if (sure !== "give") return;
    await intend(`cancel:${this.#id}`, (key) => request("POST", `/v1/reservations/${this.#id}/cancel`, { key }));
    go(`/performances/${this.#reservation.performance.id}`, true);
  }

  /** @param {string} status */
  #over(status) {
    if (this.#isOver) return;
    this.#isOver = true;
    const { performance, seats } = this.#reservation;
    const labels = seats.map((seat) => seat.label).join(", ");
    const done = status === "confirmed";
    fill(
      this,
      notice(done ? "success" : "warning", t(`checkout.over.${status}`, { seats: labels, title: performance.title })),
      !done && h("p", {}, t("checkout.nothing_paid")),
      h(
        "p",
        { class: "buttons" },
        h("a", { href: "/tickets", class: done ? "button primary" : "button" }, t("nav.tickets")),
        !done &&
          h("a", { href: `/performances/${performance.id}`, class: "button primary" }, t("checkout.choose_again")),
      ),
    );
    this.heading(t(done ? "checkout.thanks" : "checkout.over.title")).focus();
  }
}

customElements.define("shop-checkout", Checkout);
