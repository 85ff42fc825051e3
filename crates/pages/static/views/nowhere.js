// @ts-check
/** An address at which there is nothing. */

import { fill, h } from "../dom.js";
import { t } from "../strings.js";
import { View } from "../view.js";

class Nowhere extends View {
  async show() {
    fill(
      this,
      h("p", {}, t("nowhere.said")),
      h("p", {}, h("a", { href: "/", class: "button primary" }, t("nav.concerts"))),
    );
    this.heading(t("nowhere.title"));
  }
}

customElements.define("shop-nowhere", Nowhere);
