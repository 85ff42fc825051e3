// @ts-check
/** The concerts on sale and to come. */

import { request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { clock, days, prices, span, t } from "../strings.js";
import { announce, View } from "../view.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

const PAGE = 24;
/** How often what is left is looked up, in milliseconds. */
const LOOK = 15_000;

class Home extends View {
  #list = h("ul", { class: "cards" });
  #more = h("p", { class: "buttons" });
  #asked = new URLSearchParams(location.search);
  #wanted = 0;

  async show() {
    fill(this, this.#search(), this.#list, this.#more);
    this.heading(t("home.title"));
    await this.#find();
    void this.every(1_000, () => this.#count());
    void this.every(LOOK, () => this.#refresh());
  }

  #search() {
    const value = (/** @type {string} */ name) => this.#asked.get(name) ?? "";
    const field = (/** @type {string} */ name, /** @type {string} */ type) =>
      h(
        "label",
        {},
        t(`home.${name}`),
        h("input", { name, type, value: value(name), maxlength: type === "search" ? 100 : undefined }),
      );
    return h(
      "form",
      { class: "search", role: "search", onsubmit: (/** @type {Event} */ event) => void this.#submit(event) },
      field("q", "search"),
      field("from", "date"),
      field("to", "date"),
      h("button", { type: "submit" }, t("home.search")),
    );
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.target));
    this.#asked = new URLSearchParams();
    for (const [name, value] of data) if (String(value).trim()) this.#asked.set(name, String(value).trim());
    history.replaceState(null, "", this.#asked.size > 0 ? `/?${this.#asked}` : "/");
    await this.attempt(() => this.#find());
    announce(t("home.found", { count: this.#list.childElementCount }));
  }

  /** What is asked for: what is to come, unless days were chosen. */
  #query() {
    const from = this.#asked.get("from");
    const to = this.#asked.get("to");
    // A day ends when the next one begins, where the visitor is.
    const next = to ? new Date(`${to}T00:00`) : undefined;
    next?.setDate(next.getDate() + 1);
    return {
      q: this.#asked.get("q") ?? undefined,
      from: (from ? new Date(`${from}T00:00`) : new Date()).toISOString(),
      to: next?.toISOString(),
      sort: "starts_at",
      limit: PAGE,
    };
  }

  async #find() {
    this.#wanted += 1;
    const wanted = this.#wanted;
    const query = this.#query();
    const { data } = await request("GET", "/v1/concerts", { query, signal: this.signal });
    if (wanted !== this.#wanted) return;
    fill(this.#list);
    this.#add(data, query, wanted);
    if (data.items.length === 0) append(this.#list, [h("li", { class: "empty" }, t("home.nothing"))]);
  }

  /**
   * @param {Schemas["List_Concert"]} page
   * @param {Record<string, any>} query
   * @param {number} wanted
   */
  #add(page, query, wanted) {
    append(this.#list, page.items.map(card));
    fill(this.#more);
    if (!page.next_cursor) return;
    const next = async () => {
      const { data } = await request("GET", "/v1/concerts", {
        query: { ...query, cursor: page.next_cursor ?? undefined },
        signal: this.signal,
      });
      if (wanted === this.#wanted) this.#add(data, query, wanted);
    };
    append(this.#more, [h("button", { type: "button", onclick: () => void this.attempt(next) }, t("home.more"))]);
  }

  /** Looks again at what is left, of the first page. */
  async #refresh() {
    if (document.hidden || this.#list.childElementCount > PAGE) return;
    const wanted = this.#wanted;
    const { data } = await request("GET", "/v1/concerts", { query: this.#query(), signal: this.signal });
    if (wanted !== this.#wanted) return;
    for (const concert of data.items) {
      const shown = this.#list.querySelector(`[data-concert="${CSS.escape(concert.id)}"] .state`);
      shown?.replaceWith(state(concert));
    }
  }

  #count() {
    for (const shown of this.#list.querySelectorAll("time[data-opens]")) {
      const left = (Date.parse(/** @type {HTMLElement} */ (shown).dataset.opens ?? "") - Date.now()) / 1_000;
      shown.textContent = countdown(left);
    }
  }
}

/** @param {number} seconds */
function countdown(seconds) {
  if (seconds <= 0) return t("home.opens_now");
  return t("home.opens_in", { wait: seconds < 3_600 ? clock(seconds) : span(seconds) });
}

/** @param {Schemas["Concert"]} concert */
function card(concert) {
  return h(
    "li",
    { class: "card", "data-concert": concert.id },
    h("h2", {}, h("a", { href: `/concerts/${concert.id}` }, concert.title)),
    h("p", { class: "artist" }, concert.artist),
    h("p", {}, days(concert)),
    h("p", { class: "price" }, prices(concert.price_min, concert.price_max)),
    state(concert),
  );
}

/** @param {Schemas["Concert"]} concert */
function state(concert) {
  const opens = Date.parse(concert.sales_open_at);
  if (concert.availability === "not_yet" && opens > Date.now()) {
    const left = (opens - Date.now()) / 1_000;
    return h(
      "p",
      { class: "state not_yet" },
      h("time", { datetime: concert.sales_open_at, "data-opens": concert.sales_open_at }, countdown(left)),
    );
  }
  return h("p", { class: `state ${concert.availability}` }, t(`availability.${concert.availability}`));
}

customElements.define("shop-home", Home);
