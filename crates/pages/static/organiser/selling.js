// @ts-check
/** The hall of a performance as it fills: a picture, and a table that says the same. */

import { request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { HallPicture } from "../hall/canvas.js";
import { plan } from "../hall/plan.js";
import { number, points, t } from "../strings.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */
/** @typedef {import("../hall/plan.js").Place} Place */

export const STATUSES = /** @type {const} */ (["available", "held", "sold"]);

export class Selling {
  #performance = "";
  /** @type {ReturnType<typeof plan> | undefined} */
  #plan;
  /** @type {Map<string, Place>} */
  #places = new Map();
  /** @type {string | undefined} */
  #tag;
  /** @type {HallPicture | undefined} */
  #picture;
  #asking = new AbortController();
  #stage = h("div", { class: "stage" });
  #pressed = h("p", { class: "hint", "aria-live": "polite" });
  #rows = h("tbody", {});
  element;

  /**
   * @param {AbortSignal} signal
   */
  constructor(signal) {
    signal.addEventListener("abort", () => {
      this.#asking.abort();
      this.#picture?.end();
    });
    const column = (/** @type {string} */ text) => h("th", { scope: "col" }, text);
    this.element = h(
      "div",
      {},
      this.#stage,
      h(
        "p",
        { class: "legend" },
        ...STATUSES.map((status) => h("span", { class: `key ${status}` }, t(`organiser.seats.${status}`))),
      ),
      this.#pressed,
      h(
        "details",
        {},
        h("summary", {}, t("organiser.as_table")),
        h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": t("hall.sections") },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                column(t("hall.section")),
                ...STATUSES.map((status) => column(t(`organiser.seats.${status}`))),
              ),
            ),
            this.#rows,
          ),
        ),
      ),
    );
  }

  /**
   * Shows a performance. Another one that is chosen before it is there is shown in its place.
   *
   * @param {Schemas["Performance"]} performance
   */
  async choose(performance) {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    this.#performance = performance.id;
    this.#picture?.end();
    this.#plan = undefined;
    const [seats, venue] = await Promise.all([
      request("GET", `/v1/performances/${performance.id}/seats`, { signal }),
      request("GET", `/v1/venues/${performance.venue.id}`, { signal }),
    ]);
    this.#tag = seats.headers.get("etag") ?? undefined;
    this.#plan = plan(seats.data.seats, venue.data.layout);
    this.#places = new Map(
      this.#plan.sections.flatMap(({ places }) => places.map((place) => [place.seat.label, place])),
    );
    const canvas = h("canvas", { class: "hall", role: "img", "aria-label": t("organiser.picture") });
    const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) =>
      h("button", { type: "button", "aria-label": t(name), title: t(name), onclick: act }, text);
    fill(
      this.#stage,
      canvas,
      h(
        "div",
        { class: "zoom" },
        button("+", "hall.larger", () => this.#picture?.zoom(1.6)),
        button("−", "hall.smaller", () => this.#picture?.zoom(1 / 1.6)),
        button("⤢", "hall.whole", () => this.#picture?.fit()),
      ),
    );
    this.#picture = new HallPicture(canvas, this.#plan, (place) => this.#press(place), true);
    fill(this.#rows);
    fill(this.#pressed);
    this.#show();
  }

  /** Looks up what has changed. */
  async look() {
    const { signal } = this.#asking;
    if (!this.#plan) return;
    const path = `/v1/performances/${this.#performance}/seats`;
    const { status, data, headers } = await request("GET", path, { tag: this.#tag, signal }).catch((error) => {
      if (signal.aborted) return { status: 304, data: undefined, headers: new Headers() };
      throw error;
    });
    if (status === 304) return;
    this.#tag = headers.get("etag") ?? undefined;
    for (const seat of data.seats) {
      const place = this.#places.get(seat.label);
      if (place) place.seat = seat;
    }
    this.#show();
  }

  #show() {
    this.#picture?.redraw();
    for (const [index, { name, places }] of (this.#plan?.sections ?? []).entries()) {
      let row = /** @type {HTMLTableRowElement | undefined} */ (this.#rows.rows[index]);
      if (!row) {
        row = h("tr", {}, h("th", { scope: "row" }, name), ...STATUSES.map(() => h("td", { class: "number" })));
        append(this.#rows, [row]);
      }
      for (const [column, status] of STATUSES.entries()) {
        const text = number(places.filter(({ seat }) => seat.status === status).length);
        if (row.cells[column + 1].textContent !== text) row.cells[column + 1].textContent = text;
      }
    }
  }

  /** @param {Place} place */
  #press({ seat, mark }) {
    this.#pressed.textContent = t("hall.seat_said", {
      seat: seat.label,
      price: points(seat.price),
      state: t(`organiser.seats.${seat.status}`),
      mark: mark ? t(`hall.mark.${mark}`) : "",
    });
  }
}
