// @ts-check
/** The concerts of a promoter, or for an admin all: how each sells, and the way to its desk. */

import { request } from "../../api.js";
import { append, fill, h } from "../../dom.js";
import { days, loadPart, number, t, when } from "../../strings.js";
import { View } from "../../view.js";

/** @typedef {import("../../../api").components["schemas"]} Schemas */

class OwnConcerts extends View {
  #list = h("ul", { class: "cards" });
  #more = h("p", { class: "buttons" });

  async show() {
    await loadPart("organiser");
    const first = await this.#read();
    fill(
      this,
      h("p", {}, h("a", { href: "/organiser/publish", class: "button primary" }, t("organiser.publish"))),
      this.#list,
      this.#more,
    );
    this.heading(t("organiser.concerts"));
    this.#add(first);
    if (first.items.length === 0) append(this.#list, [h("li", { class: "empty" }, t("organiser.no_concerts"))]);
  }

  /**
   * @param {string} [cursor]
   * @returns {Promise<Schemas["List_OwnConcert"]>}
   */
  async #read(cursor) {
    const { data } = await request("GET", "/v1/me/concerts", { query: { limit: 24, cursor }, signal: this.signal });
    return data;
  }

  /** @param {Schemas["List_OwnConcert"]} page */
  #add(page) {
    append(this.#list, page.items.map(card));
    fill(this.#more);
    const next = page.next_cursor;
    if (!next) return;
    const more = async () => this.#add(await this.#read(next));
    append(this.#more, [h("button", { type: "button", onclick: () => void this.attempt(more) }, t("home.more"))]);
  }
}

/** @param {Schemas["OwnConcert"]} concert */
function card(concert) {
  return h(
    "li",
    { class: "card" },
    h("h2", {}, h("a", { href: `/organiser/concerts/${concert.id}` }, concert.title)),
    h("p", { class: "artist" }, concert.artist),
    h(
      "p",
      { class: `state ${concert.availability}` },
      t(`availability.${concert.availability}`),
      concert.paused && h("strong", { class: "paused" }, t("organiser.paused")),
    ),
    h("p", {}, t("organiser.performances", { count: concert.performances_count }), h("br"), days(concert)),
    h(
      "p",
      {},
      t("organiser.set", {
        name: t("organiser.field.sales_open_at"),
        is: when(concert.sales_open_at, concert.time_zone),
      }),
      h("br"),
      t("organiser.set", {
        name: t("organiser.field.sales_close_at"),
        is: when(concert.sales_close_at, concert.time_zone),
      }),
    ),
    h("p", {}, t("organiser.at_once", { most: number(concert.max_active) })),
  );
}

customElements.define("organiser-concerts", OwnConcerts);
