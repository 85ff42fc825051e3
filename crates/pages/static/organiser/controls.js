// @ts-check
/** What the organiser of a running sale can do: each act is confirmed, after it was said what it does to people. */

import { freshKey, Refusal, request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { number, t, when } from "../strings.js";
import { announce, ask, form, notice, sentence } from "../view.js";
import { localInstant, localOf, ownZone } from "./time.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */
/** @typedef {{ concert: Schemas["ConcertDetail"], tag: string | undefined }} Known what the organiser has seen of the concert */

const TIMES = /** @type {const} */ (["sales_open_at", "sales_close_at"]);

export class Controls {
  #known;
  #availability;
  #stats;
  #again;
  #said = h("div", { "aria-live": "polite" });
  #halt = h("button", { type: "button", class: "primary", onclick: () => void this.#act(() => this.#turn()) });
  #change = h("details", {});
  element;

  /**
   * @param {Known} known
   * @param {Schemas["QueueStats"]} stats
   * @param {() => Promise<Known>} again reads the concert, after it was changed
   */
  constructor(known, stats, again) {
    this.#known = known;
    this.#availability = known.concert.availability;
    this.#stats = stats;
    this.#again = again;
    const empty = h(
      "button",
      { type: "button", class: "danger", onclick: () => void this.#act(() => this.#empty()) },
      t("organiser.empty"),
    );
    this.element = h(
      "section",
      { class: "controls" },
      h("h2", {}, t("organiser.controls")),
      this.#said,
      h("p", { class: "buttons" }, this.#halt, empty),
      h("details", {}, h("summary", {}, t("organiser.cap")), this.#cap()),
      this.#change,
    );
    this.#fillChange();
    this.show(stats);
  }

  get #path() {
    return `/v1/concerts/${this.#known.concert.id}`;
  }

  /**
   * @param {Schemas["QueueStats"]} stats
   * @param {Schemas["Availability"]} [availability]
   */
  show(stats, availability = this.#availability) {
    this.#stats = stats;
    this.#availability = availability;
    const text = t(stats.paused ? "organiser.resume" : "organiser.pause");
    if (this.#halt.textContent !== text) this.#halt.textContent = text;
  }

  /**
   * Does something, and says what it was refused for.
   *
   * @param {() => Promise<string | undefined>} act resolves to what has happened
   */
  async #act(act) {
    fill(this.#said);
    try {
      const done = await act();
      if (!done) return;
      append(this.#said, [notice("success", done)]);
      announce(done);
      this.#known = await this.#again();
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      append(this.#said, [notice("warning", sentence(refusal))]);
    }
  }

  /**
   * What happens to those who wait.
   *
   * @param {string} key
   * @param {number} [count] of how many it is true, if not of all
   */
  #waiting(key, count = this.#stats.waiting) {
    return this.#stats.waiting > 0 ? t(key, { count }) : t("organiser.nobody_waits");
  }

  /**
   * What becomes of those who wait when there is room.
   *
   * @param {string} key
   * @param {number} count for how many there is
   */
  #admitted(key, count) {
    if (this.#availability !== "available" && this.#availability !== "few")
      return t("organiser.none_now", { state: t(`availability.${this.#availability}`) });
    if (count === 0 && this.#stats.waiting > 0) return t("organiser.as_free");
    return this.#waiting(key, count);
  }

  /** Pauses, or resumes. */
  async #turn() {
    const { paused, waiting, active, max_active: most } = this.#stats;
    const room = Math.max(0, most - active);
    const wanted = paused
      ? await confirmed("organiser.resume_question", "organiser.resume", [
          this.#admitted("organiser.resume_said", Math.min(room, waiting)),
        ])
      : await confirmed("organiser.pause_question", "organiser.pause", [
          this.#waiting("organiser.pause_said"),
          active > 0 && t("organiser.pause_inside", { count: active }),
        ]);
    if (!wanted) return undefined;
    const way = paused ? "resume" : "pause";
    const { data } = await request("POST", `${this.#path}/queue/${way}`, { key: freshKey() });
    this.show(data);
    return t(paused ? "organiser.resume_done" : "organiser.pause_done");
  }

  async #empty() {
    const { active } = this.#stats;
    const said = [this.#waiting("organiser.empty_said"), active > 0 && t("organiser.empty_inside", { count: active })];
    if (!(await confirmed("organiser.empty_question", "organiser.empty", said, "danger"))) return undefined;
    // Sent again by itself, it would also end the places of those who have joined again meanwhile.
    const { data } = await request("DELETE", `${this.#path}/queue`, { once: true });
    return t("organiser.empty_done", { count: data.removed });
  }

  /** How many are admitted at once. */
  #cap() {
    return form({
      class: "form inline",
      fields: [
        {
          name: "max_active",
          label: t("organiser.max_active"),
          hint: t("organiser.max_active_hint"),
          attributes: {
            type: "number",
            min: 1,
            max: 1_000_000,
            step: 1,
            required: true,
            inputmode: "numeric",
            value: this.#stats.max_active,
          },
        },
      ],
      submit: t("organiser.change"),
      act: async ({ max_active: wanted }) => {
        const most = Number(wanted);
        const { waiting, active, paused } = this.#stats;
        const room = Math.max(0, most - active);
        const more = Math.min(room, waiting);
        const said = paused
          ? t("organiser.cap_paused")
          : room > 0
            ? this.#admitted("organiser.cap_more", more)
            : t("organiser.cap_fewer", { count: active, most: number(most) });
        if (!(await confirmed("organiser.cap_question", "organiser.cap", [said]))) return;
        await this.#patch({ max_active: most });
      },
    });
  }

  /** The times of the sale and the description, as they are. */
  #fillChange() {
    const { concert } = this.#known;
    const zone = concert.time_zone ?? ownZone();
    const before = {
      sales_open_at: localOf(concert.sales_open_at, zone),
      sales_close_at: localOf(concert.sales_close_at, zone),
      description: concert.description,
    };
    const time = (/** @type {typeof TIMES[number]} */ name) => ({
      name,
      label: t(`organiser.field.${name}`),
      hint: t("organiser.times_of", { zone }),
      attributes: { type: "datetime-local", required: true, value: before[name] },
    });
    const description = {
      name: "description",
      label: t("organiser.field.description"),
      long: true,
      attributes: { maxlength: 4_000, value: before.description },
    };
    const element = form({
      fields: [...TIMES.map(time), description],
      submit: t("organiser.change"),
      act: async (values) => {
        /** @type {Record<string, string | null>} */
        const change = {};
        // What is not touched keeps its seconds.
        for (const name of TIMES)
          if (values[name] !== before[name]) change[name] = localInstant(values[name], zone, `/${name}`);
        const description = values.description.replaceAll("\r\n", "\n");
        if (description !== before.description) change.description = description;
        if (Object.keys(change).length === 0) {
          fill(this.#said, notice("info", t("organiser.nothing_changed")));
          return;
        }
        if (!(await confirmed("organiser.change_sale_question", "organiser.change_sale", this.#does(change)))) return;
        await this.#patch(change);
        this.#fillChange();
      },
    });
    fill(this.#change, h("summary", {}, t("organiser.change_sale")), element);
  }

  /**
   * What a change does to people.
   *
   * @param {Record<string, string | null>} change
   */
  #does(change) {
    const { concert } = this.#known;
    const said = [];
    for (const name of TIMES) {
      const at = change[name];
      if (!at) continue;
      const [was, is] = [when(concert[name], concert.time_zone), when(at, concert.time_zone)];
      said.push(t("organiser.changed_from", { name: t(`organiser.field.${name}`), was, is }));
    }
    const now = Date.now();
    const later = change.sales_open_at && Date.parse(change.sales_open_at) > now;
    const isOpen = Date.parse(concert.sales_open_at) <= now;
    const ends = change.sales_close_at && Date.parse(change.sales_close_at) <= now;
    if (later && isOpen) said.push(t("organiser.opens_later_said"), this.#waiting("organiser.waiting_keep"));
    if (ends && isOpen) said.push(t("organiser.closes_now_said"), this.#waiting("organiser.waiting_lose"));
    if (change.description !== undefined) said.push(t("organiser.description_said"));
    said.push(t("organiser.seen_at_once"));
    return said;
  }

  /** @param {Record<string, unknown>} body */
  async #patch(body) {
    try {
      const { headers } = await request("PATCH", this.#path, { body, match: this.#known.tag });
      this.#known.tag = headers.get("etag") ?? undefined;
    } catch (refusal) {
      // What was seen before is shown in the history; a second press is for the concert as it is now.
      if (refusal instanceof Refusal && refusal.code === "precondition_failed") this.#known = await this.#again();
      throw refusal;
    }
    this.#known = await this.#again();
    fill(this.#said, notice("success", t("organiser.change_done")));
  }
}

/**
 * Whether the organiser wants it, knowing what it does.
 *
 * @param {string} question
 * @param {string} what the button says
 * @param {(string | false)[]} said
 * @param {"primary" | "danger"} kind
 */
async function confirmed(question, what, said, kind = "primary") {
  const answer = await ask(
    t(question),
    said.map((text) => text && h("p", {}, text)),
    [
      ["no", t("organiser.leave_it")],
      ["yes", t(what), kind],
    ],
  );
  return answer === "yes";
}
