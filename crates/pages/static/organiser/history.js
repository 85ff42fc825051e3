// @ts-check
/** What was done to a concert, by whom, and what it set. */

import { request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { has, number, t, when } from "../strings.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

/** The fields that are numbers, and those that are on or off. Titles may look like either. */
const NUMBERS = new Set(["max_seats_per_account", "max_active", "duration_minutes", "seats_count"]);
const SWITCHES = new Set([
  "draw",
  "holds_need_balance",
  "requires_verified_email",
  "paused",
  "withdrawn",
  "overlaps_allowed",
]);

export class History {
  #path;
  #own;
  #zone;
  #name;
  #signal;
  #list = h("ol", { class: "history" });
  #more = h("p", { class: "buttons" });
  /** @type {string | undefined} the newest act that is shown */
  #newest;
  element = h("section", {}, h("h2", {}, t("organiser.history")), this.#list, this.#more);

  /**
   * @param {string} concert
   * @param {string} own the id of the account
   * @param {string | null} zone of the concert
   * @param {(id: string) => string | undefined} name what a performance or a venue is called
   * @param {AbortSignal} signal
   */
  constructor(concert, own, zone, name, signal) {
    this.#path = `/v1/concerts/${concert}/history`;
    this.#own = own;
    this.#zone = zone;
    this.#name = name;
    this.#signal = signal;
  }

  /** Shows the newest acts, if there are new ones. */
  async read() {
    const page = await this.#page();
    const newest = page.items[0]?.id;
    if (newest === this.#newest && newest) return;
    this.#newest = newest;
    fill(this.#list);
    this.#add(page);
    if (page.items.length === 0) append(this.#list, [h("li", {}, t("organiser.no_history"))]);
  }

  /**
   * @param {string} [cursor]
   * @returns {Promise<Schemas["List_StaffAct"]>}
   */
  async #page(cursor) {
    return (await request("GET", this.#path, { query: { limit: 20, cursor }, signal: this.#signal })).data;
  }

  /** @param {Schemas["List_StaffAct"]} page */
  #add(page) {
    append(
      this.#list,
      page.items.map((act) => this.#act(act)),
    );
    fill(this.#more);
    const next = page.next_cursor;
    if (!next) return;
    const button = h("button", { type: "button", onclick: () => void more() }, t("home.more"));
    const more = async () => {
      button.disabled = true;
      try {
        this.#add(await this.#page(next));
      } catch {
        // The connection is spoken of above; the button can be pressed again.
        button.disabled = false;
      }
    };
    append(this.#more, [button]);
  }

  /** @param {Schemas["StaffAct"]} act */
  #act(act) {
    const changes = act.changes.map(({ field, before, after }) => {
      const name = has(`organiser.field.${field}`) ? t(`organiser.field.${field}`) : field;
      const [was, is] = [this.#value(field, before), this.#value(field, after)];
      const said = before === null ? t("organiser.set", { name, is }) : t("organiser.changed_from", { name, was, is });
      return h("li", {}, said);
    });
    return h(
      "li",
      {},
      h("strong", {}, has(`organiser.act.${act.kind}`) ? t(`organiser.act.${act.kind}`) : act.kind),
      act.subject === "performance" && ` ${this.#name(act.subject_id) ?? ""}`,
      h("br"),
      h(
        "span",
        { class: "hint" },
        this.#who(act.account_id),
        " · ",
        h("time", { datetime: act.done_at }, when(act.done_at, this.#zone)),
      ),
      changes.length > 0 && h("ul", {}, ...changes),
    );
  }

  /** @param {string | null} account */
  #who(account) {
    if (account === null) return t("organiser.by_operator");
    return account === this.#own ? t("organiser.by_you") : t("organiser.by_other", { id: account.slice(-6) });
  }

  /**
   * @param {string} field
   * @param {string | null} value
   */
  #value(field, value) {
    if (value === null) return t("organiser.nothing");
    if (SWITCHES.has(field)) return t(value === "true" ? "organiser.yes" : "organiser.no");
    if (field.endsWith("_at")) return when(value, this.#zone);
    if (field.endsWith("_id")) return this.#name(value) ?? value;
    return NUMBERS.has(field) ? number(Number(value)) : value || t("organiser.nothing");
  }
}
