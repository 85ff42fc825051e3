// @ts-check
/** One concert: when and where, what it costs, what is left, and the way into the queue. */

import { keepQueueToken, queueToken, request, signedIn } from "../api.js";
import { append, fill, h } from "../dom.js";
import { clock, prices, span, t, when } from "../strings.js";
import { go, notice, View } from "../view.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

class Concert extends View {
  #way = h("div", { class: "way" });
  #dates = h("section", {});

  async show() {
    const id = this.params.concert;
    const { data: concert } = await request("GET", `/v1/concerts/${id}`, { signal: this.signal });
    fill(
      this,
      h("p", { class: "artist" }, concert.artist),
      concert.description && h("p", { class: "description" }, concert.description),
      h(
        "dl",
        { class: "facts" },
        fact(t("concert.prices"), prices(concert.price_min, concert.price_max)),
        fact(
          t("concert.sale"),
          t("concert.sale_span", {
            opens: when(concert.sales_open_at, zoneOf(concert)),
            closes: when(concert.sales_close_at, zoneOf(concert)),
          }),
        ),
        fact(t("concert.most"), t("concert.seats", { count: concert.max_seats_per_account })),
      ),
      this.#way,
      this.#dates,
    );
    this.heading(concert.title);
    await this.#showWay(concert);
    await this.#showDates(concert);
  }

  /** @param {Schemas["ConcertDetail"]} concert */
  async #showWay(concert) {
    const queue = h("a", { href: `/concerts/${concert.id}/queue`, class: "button primary" }, t("concert.to_queue"));
    if (signedIn() && queueToken(concert.id) && (await this.#standing(concert.id)) !== "expired") {
      fill(this.#way, queue);
      return;
    }
    const opens = (Date.parse(concert.sales_open_at) - Date.now()) / 1_000;
    const early = opens > 0 && concert.draw;
    if (concert.bookable || early) {
      fill(this.#way, early && h("p", {}, t("concert.draw", { wait: span(opens) })), queue);
    } else if (opens > 0) {
      const left = h("time", { datetime: concert.sales_open_at });
      fill(this.#way, notice("info", t("concert.opens"), " ", left));
      const count = () => {
        const seconds = (Date.parse(concert.sales_open_at) - Date.now()) / 1_000;
        left.textContent = seconds < 3_600 ? clock(seconds) : span(seconds);
        if (seconds <= 0) this.#again();
      };
      count();
      void this.every(1_000, count);
    } else {
      fill(this.#way, notice("info", t(`availability.${concert.availability}`)));
    }
  }

  #again() {
    if (!this.signal.aborted) go(location.pathname, true);
  }

  /** @param {string} id */
  async #standing(id) {
    try {
      const { data } = await request("GET", "/v1/queue", { queueToken: queueToken(id), signal: this.signal });
      if (data.status === "expired") keepQueueToken(id, undefined);
      return data.status;
    } catch {
      return "expired";
    }
  }

  /** @param {Schemas["ConcertDetail"]} concert */
  async #showDates(concert) {
    const token = queueToken(concert.id);
    let left = new Map();
    if (token && signedIn()) {
      try {
        const { data } = await request("GET", `/v1/concerts/${concert.id}/performances`, {
          queueToken: token,
          query: { limit: 100 },
          signal: this.signal,
        });
        left = new Map(
          data.items.map((/** @type {Schemas["Performance"]} */ performance) => [performance.id, performance]),
        );
      } catch (error) {
        // Without admission the dates say less.
        if (this.signal.aborted) throw error;
      }
    }
    const venues = new Map(concert.venues.map((venue) => [venue.id, venue]));
    const rows = concert.dates.map((date) => {
      const venue = venues.get(date.venue_id);
      const performance = left.get(date.id);
      const past = Date.parse(date.starts_at) <= Date.now();
      return h(
        "li",
        { class: "card" },
        h("h3", {}, when(date.starts_at, venue?.time_zone)),
        h("p", {}, venue ? t("concert.venue", { name: venue.name, location: venue.location }) : ""),
        performance &&
          h("p", {}, t("concert.left", { count: performance.seats_available, total: performance.seats_total })),
        performance &&
          !performance.withdrawn &&
          !past &&
          h("p", {}, h("a", { href: `/performances/${date.id}`, class: "button" }, t("concert.choose_seats"))),
        performance?.withdrawn && h("p", { class: "state closed" }, t("concert.withdrawn")),
      );
    });
    const more = concert.performances_count - concert.dates.length;
    fill(this.#dates, h("h2", {}, t("concert.dates")), h("ul", { class: "cards" }, ...rows));
    if (more > 0) append(this.#dates, [h("p", {}, t("concert.more_dates", { count: more }))]);
    if (rows.length === 0) append(this.#dates, [h("p", {}, t("home.no_date"))]);
  }
}

/** @param {Schemas["ConcertDetail"]} concert */
function zoneOf(concert) {
  return concert.venues[0]?.time_zone;
}

/**
 * @param {string} name
 * @param {string} value
 */
function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

customElements.define("shop-concert", Concert);
