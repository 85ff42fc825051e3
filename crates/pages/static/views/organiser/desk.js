// @ts-check
/** The desk of a running sale: the queue, what is sold, the hall as it fills, and what can be done. */

import { account, items, Refusal, request } from "../../api.js";
import { fill, h } from "../../dom.js";
import { Chart } from "../../organiser/chart.js";
import { Controls } from "../../organiser/controls.js";
import { History } from "../../organiser/history.js";
import { Samples } from "../../organiser/samples.js";
import { Selling, STATUSES } from "../../organiser/selling.js";
import { loadPart, number, span, t, when } from "../../strings.js";
import { notice, View } from "../../view.js";

/** @typedef {import("../../../api").components["schemas"]} Schemas */

/** How often figures are looked up, in milliseconds. */
const LOOK = 1_500;
/** How often the hall is. */
const LOOK_AT_HALL = 1_000;
/** How often the concert and its history are. */
const LOOK_AT_CONCERT = 15_000;
/** Of how many performances the sales are looked up at once; with more, they take turns. */
const SALES_AT_ONCE = 8;
const FIGURES = /** @type {const} */ (["waiting", "active", "rate", "no_shows", "oldest_wait"]);
const TOTALS = /** @type {const} */ ([...STATUSES, "revenue"]);

class Desk extends View {
  #id = "";
  #concert = /** @type {Schemas["ConcertDetail"]} */ (/** @type {unknown} */ (undefined));
  #stats = /** @type {Schemas["QueueStats"]} */ (/** @type {unknown} */ (undefined));
  /** @type {Schemas["Performance"][]} */
  #performances = [];
  /** @type {Map<string, Schemas["Sales"]>} */
  #sales = new Map();
  #next = 0;
  #state = h("p", { class: "state" });
  /** @type {Map<string, HTMLElement>} */
  #figures = new Map();
  /** @type {Map<string, HTMLTableRowElement>} */
  #rows = new Map();
  #samples = new Samples("");
  /** @type {Chart | undefined} */
  #chart;
  /** @type {Selling | undefined} */
  #selling;
  /** @type {Controls | undefined} */
  #controls;
  /** @type {History | undefined} */
  #history;

  async show() {
    await loadPart("organiser");
    this.#id = this.params.concert;
    const [stats, known, me] = await Promise.all([this.#readStats(), this.#readConcert(), account(this.signal)]);
    this.#stats = stats;
    for await (const performance of items(`/v1/concerts/${this.#id}/performances`, {
      query: { limit: 100 },
      signal: this.signal,
    }))
      this.#performances.push(performance);
    for (let begun = 0; begun < this.#performances.length; begun += SALES_AT_ONCE) await this.#readSales();
    this.#samples = new Samples(this.#id);
    this.#chart = new Chart();
    this.#selling = this.#performances.length > 0 ? new Selling(this.signal) : undefined;
    this.#controls = new Controls(known, stats, () => this.#changed());
    const name = (/** @type {string} */ id) => this.#nameOf(id);
    this.#history = new History(this.#id, me.id, this.#concert.time_zone, name, this.signal);
    this.#draw();
    this.#showAll();
    await this.#history.read();
    void this.every(LOOK, () => this.#look());
    void this.every(LOOK_AT_HALL, () => this.#lookAtHall());
    void this.every(LOOK_AT_CONCERT, () => this.#lookAtConcert());
    addEventListener("visibilitychange", () => void this.#look().catch(() => {}), { signal: this.signal });
    await this.#choose(this.#performances.find(({ starts_at }) => Date.parse(starts_at) > Date.now()));
  }

  /** @returns {Promise<Schemas["QueueStats"]>} */
  async #readStats() {
    return (await request("GET", `/v1/concerts/${this.#id}/queue/stats`, { signal: this.signal })).data;
  }

  async #readConcert() {
    const { data, headers } = await request("GET", `/v1/concerts/${this.#id}`, { signal: this.signal });
    this.#concert = data;
    return { concert: this.#concert, tag: headers.get("etag") ?? undefined };
  }

  /** Reads the sales of the performances whose turn it is. */
  async #readSales() {
    const count = Math.min(SALES_AT_ONCE, this.#performances.length);
    const turn = Array.from({ length: count }, (_, index) => {
      return this.#performances[(this.#next + index) % this.#performances.length];
    });
    this.#next += count;
    await Promise.all(
      turn.map(async ({ id }) => {
        const { data } = await request("GET", `/v1/performances/${id}/sales`, { signal: this.signal });
        this.#sales.set(id, data);
      }),
    );
  }

  /** Reads all that an own act may have changed. */
  async #changed() {
    const known = await this.#readConcert();
    this.#stats = await this.#readStats();
    this.#showAll();
    await this.#history?.read();
    return known;
  }

  async #look() {
    if (document.hidden) return;
    [this.#stats] = await Promise.all([this.#readStats(), this.#readSales()]);
    this.#showAll();
  }

  async #lookAtHall() {
    if (!document.hidden) await this.#selling?.look();
  }

  async #lookAtConcert() {
    if (document.hidden) return;
    await this.#readConcert();
    await this.#history?.read();
  }

  #draw() {
    fill(
      this,
      h(
        "p",
        {},
        h("a", { href: "/organiser" }, t("organiser.concerts")),
        " · ",
        h("a", { href: `/concerts/${this.#id}` }, t("organiser.as_buyers_see")),
      ),
      h("p", { class: "artist" }, this.#concert.artist),
      this.#state,
      h("h2", {}, t("organiser.queue")),
      this.#figuresOf(FIGURES),
      this.#controls?.element,
      h("h2", {}, t("organiser.sales")),
      this.#figuresOf(TOTALS),
      this.#table(),
      this.#chart?.element,
      this.#hall(),
      this.#history?.element,
    );
    this.heading(this.#concert.title);
  }

  /** @param {readonly string[]} names */
  #figuresOf(names) {
    const parts = names.map((name) => {
      const value = h("dd", { class: "number" });
      this.#figures.set(name, value);
      return h("div", {}, h("dt", {}, t(`organiser.figure.${name}`)), value);
    });
    return h("dl", { class: "figures" }, ...parts);
  }

  #table() {
    if (this.#performances.length === 0) return notice("info", t("organiser.no_performances"));
    for (const performance of this.#performances) {
      const cells = TOTALS.map(() => h("td", { class: "number" }));
      const withdrawn = performance.withdrawn && h("strong", { class: "state" }, " ", t("organiser.withdrawn"));
      const head = h("th", { scope: "row" }, this.#nameOf(performance.id) ?? "", withdrawn);
      this.#rows.set(performance.id, h("tr", {}, head, ...cells));
    }
    const column = (/** @type {string} */ text) => h("th", { scope: "col" }, text);
    return h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("organiser.sales") },
      h(
        "table",
        { class: "sales" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            column(t("organiser.performance")),
            ...TOTALS.map((name) => column(t(`organiser.figure.${name}`))),
          ),
        ),
        h("tbody", {}, ...this.#rows.values()),
      ),
    );
  }

  #hall() {
    if (!this.#selling) return undefined;
    const chosen = h(
      "select",
      {
        onchange: () => void this.attempt(() => this.#choose(this.#performances.find(({ id }) => id === chosen.value))),
      },
      ...this.#performances.map(({ id }) => h("option", { value: id }, this.#nameOf(id) ?? "")),
    );
    return h(
      "section",
      { class: "selling" },
      h("h2", {}, t("organiser.hall")),
      h("p", {}, h("label", {}, t("organiser.performance"), " ", chosen)),
      this.#selling.element,
    );
  }

  /** @param {Schemas["Performance"] | undefined} performance */
  async #choose(performance) {
    const shown = performance ?? this.#performances[0];
    if (!shown || !this.#selling) return;
    const select = /** @type {HTMLSelectElement | null} */ (this.querySelector(".selling select"));
    if (select) select.value = shown.id;
    try {
      await this.#selling.choose(shown);
    } catch (error) {
      // Another performance was chosen meanwhile.
      if (error instanceof Refusal || this.signal.aborted) throw error;
      if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
    }
  }

  /**
   * What a performance or a venue is called.
   *
   * @param {string} id
   */
  #nameOf(id) {
    const performance = this.#performances.find((known) => known.id === id);
    if (performance) return `${when(performance.starts_at, performance.venue.time_zone)}, ${performance.venue.name}`;
    return this.#performances.find(({ venue }) => venue.id === id)?.venue.name;
  }

  #showAll() {
    const stats = this.#stats;
    const sum = (/** @type {typeof TOTALS[number]} */ name) =>
      [...this.#sales.values()].reduce((total, sales) => total + sales[name], 0);
    const seconds = stats.oldest_wait_seconds;
    this.#set("waiting", number(stats.waiting));
    this.#set("active", t("organiser.of_at_most", { count: stats.active, most: number(stats.max_active) }));
    this.#set("rate", number(stats.admitted_per_minute));
    this.#set("no_shows", number(stats.no_shows_total));
    this.#set("oldest_wait", seconds === null ? t("organiser.nobody") : span(seconds));
    for (const name of TOTALS) this.#set(name, number(sum(name)));
    for (const [id, row] of this.#rows) {
      const sales = this.#sales.get(id);
      if (sales) for (const [index, name] of TOTALS.entries()) setText(row.cells[index + 1], number(sales[name]));
    }
    this.#showState();
    this.#controls?.show(stats, this.#concert.availability);
    this.#samples.add({ at: Date.now(), waiting: stats.waiting, rate: stats.admitted_per_minute, sold: sum("sold") });
    this.#chart?.show(this.#samples.all);
  }

  #showState() {
    const { availability, sales_open_at: opens, sales_close_at: closes, time_zone: zone } = this.#concert;
    const sale = t("concert.sale_span", { opens: when(opens, zone), closes: when(closes, zone) });
    const parts = [t(`availability.${availability}`), this.#stats.paused && t("organiser.paused"), sale];
    setText(this.#state, parts.filter(Boolean).join(" · "));
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #set(name, text) {
    const shown = this.#figures.get(name);
    if (shown) setText(shown, text);
  }
}

/**
 * What stays the same is not touched, so that it can be selected and read.
 *
 * @param {Element} shown
 * @param {string} text
 */
function setText(shown, text) {
  if (shown.textContent !== text) shown.textContent = text;
}

customElements.define("organiser-desk", Desk);
