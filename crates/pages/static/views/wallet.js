// @ts-check
/** Points: how many there are, charging more, and what became of them. */

import { intend, Refusal, request } from "../api.js";
import { charge as chargePoints } from "../charging.js";
import { append, fill, h } from "../dom.js";
import { number, points, t, when } from "../strings.js";
import { announce, ask, form, needsSignIn, notice, sentence, View } from "../view.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

class Wallet extends View {
  #balance = h("p", { class: "balance" });
  #todo = h("div", { "aria-live": "polite" });
  #rows = h("tbody", {});
  #more = h("p", { class: "buttons" });

  async show() {
    const charge = form({
      class: "form inline",
      fields: [
        {
          name: "amount",
          label: t("wallet.amount"),
          attributes: { type: "number", min: 1, step: 1, required: true, inputmode: "numeric" },
        },
      ],
      submit: t("wallet.charge"),
      act: async ({ amount }) => {
        const wanted = Number(amount);
        await chargePoints(`charge:${wanted}`, wanted, this.#todo, this.signal);
        charge.reset();
        await this.#read();
        announce(t("checkout.charged", { count: wanted }));
      },
    });
    const column = (/** @type {string} */ name) => h("th", { scope: "col" }, t(`wallet.${name}`));
    fill(
      this,
      this.#balance,
      charge,
      this.#todo,
      h("h2", {}, t("wallet.history")),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": t("wallet.history") },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, column("when"), column("what"), column("change"), column("after"))),
          this.#rows,
        ),
      ),
      this.#more,
    );
    this.heading(t("wallet.title"));
    await this.#read();
  }

  /**
   * The button that turns what is left of a charge into money again.
   *
   * @param {Schemas["WalletEntry"]} entry
   */
  #giveBack({ kind, charge_id }) {
    if (kind !== "charge" || !charge_id) return null;
    const act = async () => {
      const sure = await ask(
        t("wallet.give_back_question"),
        [h("p", {}, t("wallet.give_back_said"))],
        [
          ["keep", t("wallet.keep"), "primary"],
          ["give", t("wallet.give_back"), "danger"],
        ],
      );
      if (sure !== "give") return;
      fill(this.#todo);
      try {
        const { data } = await intend(`refund:${charge_id}`, (key) =>
          request("POST", `/v1/wallet/charges/${charge_id}/refund`, { body: {}, key }),
        );
        announce(t("wallet.given_back", { count: data.amount }));
      } catch (refusal) {
        if (!(refusal instanceof Refusal) || needsSignIn(refusal)) throw refusal;
        fill(this.#todo, notice("warning", sentence(refusal)));
      }
      await this.#read();
    };
    return h(
      "button",
      { type: "button", class: "small", onclick: () => void this.attempt(act) },
      t("wallet.give_back"),
    );
  }

  async #read() {
    const [wallet, entries] = await Promise.all([
      request("GET", "/v1/wallet", { signal: this.signal }),
      request("GET", "/v1/wallet/entries", { query: { limit: 20 }, signal: this.signal }),
    ]);
    this.#balance.textContent = points(wallet.data.balance);
    fill(this.#rows);
    this.#add(entries.data);
  }

  /** @param {Schemas["List_WalletEntry"]} page */
  #add(page) {
    append(
      this.#rows,
      page.items.map((entry) =>
        h(
          "tr",
          {},
          h("td", {}, when(entry.created_at, null)),
          h("td", {}, t(`wallet.kind.${entry.kind}`), this.#giveBack(entry)),
          h("td", { class: "number" }, `${entry.amount > 0 ? "+" : "−"}${number(Math.abs(entry.amount))}`),
          h("td", { class: "number" }, number(entry.balance_after)),
        ),
      ),
    );
    fill(this.#more);
    if (!page.next_cursor) return;
    const next = async () => {
      const { data } = await request("GET", "/v1/wallet/entries", {
        query: { limit: 20, cursor: page.next_cursor ?? undefined },
        signal: this.signal,
      });
      this.#add(data);
    };
    append(this.#more, [h("button", { type: "button", onclick: () => void this.attempt(next) }, t("home.more"))]);
  }
}

customElements.define("shop-wallet", Wallet);
