// @ts-check
/** Publishing: from a catalog file, or one thing after the other by hand. */

import { items, Refusal } from "../../api.js";
import { fill, h } from "../../dom.js";
import { CatalogDrop } from "../../organiser/drop.js";
import { concertForm, offer, performanceForm, venueForm, zoneList } from "../../organiser/forms.js";
import { loadPart, t } from "../../strings.js";
import { notice, View } from "../../view.js";

/** How many concerts and venues can be chosen from: the newest. */
const CHOICES_MAX = 1_000;

class Publish extends View {
  #performance = h("div", {});

  async show() {
    await loadPart("organiser");
    // Whoever may not publish learns it before filling anything in.
    await this.#showPerformance();
    const again = () => void this.#offerAgain();
    fill(
      this,
      h("p", {}, h("a", { href: "/organiser" }, t("organiser.concerts"))),
      new CatalogDrop(this.signal, again).element,
      h("h2", {}, t("organiser.by_hand")),
      zoneList(),
      part("organiser.new_venue", venueForm(again)),
      part("organiser.new_concert", concertForm(again)),
      part("organiser.new_performance", this.#performance),
    );
    this.heading(t("organiser.publish"));
  }

  /** Offers what was published just now. Where that fails, what is on the page stays as it is. */
  async #offerAgain() {
    const form = this.#performance.querySelector("form");
    try {
      if (!form) await this.#showPerformance();
      else offer(form, ...(await this.#choices()));
    } catch (refusal) {
      if (!(refusal instanceof Refusal) && !this.signal.aborted) throw refusal;
    }
  }

  /** @returns {Promise<[any[], any[]]>} the own concerts, and the venues */
  async #choices() {
    return Promise.all([this.#all("/v1/me/concerts"), this.#all("/v1/venues")]);
  }

  /** The form of a performance, with the concerts and venues that there are now. */
  async #showPerformance() {
    const [concerts, venues] = await this.#choices();
    const ready = concerts.length > 0 && venues.length > 0;
    fill(
      this.#performance,
      ready ? performanceForm(concerts, venues) : notice("info", t("organiser.concert_and_venue_first")),
    );
  }

  /** @param {string} path */
  async #all(path) {
    const all = [];
    for await (const item of items(path, { query: { limit: 100 }, signal: this.signal })) {
      all.push(item);
      if (all.length === CHOICES_MAX) break;
    }
    return all;
  }
}

/**
 * @param {string} title
 * @param {Element} inside
 */
function part(title, inside) {
  return h("details", { class: "part" }, h("summary", {}, t(title)), inside);
}

customElements.define("organiser-publish", Publish);
