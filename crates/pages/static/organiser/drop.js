// @ts-check
/** A catalog file that is dropped on the page or chosen: shown first, then published. */

import { Refusal } from "../api.js";
import { append, fill, h } from "../dom.js";
import { number, t, when } from "../strings.js";
import { announce, notice, sentence, violated } from "../view.js";
import { check, find, list, NoJson, readJson, seatsOf } from "./catalog.js";
import { countOf, publish } from "./publishing.js";
import { isZone } from "./time.js";

/** @typedef {import("./catalog.js").Catalog} Catalog */

/** How large a file may be, in bytes: it is read whole. */
const BYTES_MAX = 8 * 1_024 * 1_024;
/** How many entries, and how many mistakes, are shown. */
const SHOWN_MAX = 50;
/** The zone of a venue that says none, as the server has it. */
const ZONE_UNLESS_GIVEN = "Asia/Seoul";

export class CatalogDrop {
  #signal;
  #published;
  #text = "";
  #publishing = false;
  #box = h("div", { class: "preview", "aria-live": "polite" });
  element;

  /**
   * @param {AbortSignal} signal
   * @param {() => void} published
   */
  constructor(signal, published) {
    this.#signal = signal;
    this.#published = published;
    const input = h("input", { type: "file", id: "catalog-file", accept: ".json,application/json" });
    input.addEventListener("change", () => {
      const [file] = input.files ?? [];
      // The same file can be chosen again after it was corrected.
      if (file) void this.#open(file).finally(() => fillInput(input));
    });
    const zone = h(
      "div",
      { class: "drop" },
      h("label", { for: "catalog-file" }, t("organiser.file.choose")),
      input,
      h("p", { class: "hint" }, t("organiser.file.drop")),
    );
    for (const name of ["dragenter", "dragover"])
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.add("over");
      });
    zone.addEventListener("dragleave", () => zone.classList.remove("over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const [file] = event.dataTransfer?.files ?? [];
      if (file) void this.#open(file);
    });
    this.element = h(
      "section",
      {},
      h("h2", {}, t("organiser.file.title")),
      h("p", {}, t("organiser.file.said")),
      zone,
      this.#box,
    );
  }

  /** @param {File} file */
  async #open(file) {
    // What is being published stays in sight.
    if (this.#publishing) return;
    if (file.size > BYTES_MAX) {
      fill(this.#box, notice("warning", t("organiser.file.too_large", { name: file.name })));
      return;
    }
    try {
      this.#text = await file.text();
      const read = readJson(this.#text);
      const wrong = check(read);
      if (wrong.length === 0) this.#preview(/** @type {Catalog} */ (read), file.name);
      else this.#showWrong(wrong.map(({ pointer, code }) => [pointer, violated({ pointer, code, message: "" })]));
    } catch (error) {
      if (!(error instanceof NoJson)) {
        console.warn(error);
        fill(this.#box, notice("warning", t("organiser.file.unreadable", { name: file.name })));
        return;
      }
      const { line, column } = error.place;
      const said = t(`organiser.file.json.${error.what}`);
      fill(this.#box, notice("warning", t("organiser.file.no_json", { line, column, said })));
    }
  }

  /**
   * @param {Catalog} catalog
   * @param {string} name
   */
  #preview(catalog, name) {
    const counts = countOf(catalog);
    const all = counts.venues + counts.concerts + counts.performances;
    const said = t("organiser.file.counts", {
      venues: t("organiser.file.venues", { count: counts.venues }),
      concerts: t("organiser.file.concerts", { count: counts.concerts }),
      performances: t("organiser.performances", { count: counts.performances }),
    });
    const button = h("button", { type: "button", class: "primary", disabled: all === 0 }, t("organiser.file.publish"));
    const after = h("div", { "aria-live": "polite" });
    button.addEventListener("click", () => void this.#publish(catalog, all, button, after));
    fill(
      this.#box,
      h("h3", {}, name),
      h("p", {}, said),
      table(
        ["organiser.venue", "organiser.field.location", "organiser.seats_count"],
        catalog.venues.map((venue) => [venue.name, venue.location, number(seatsOf(venue))]),
      ),
      table(
        ["organiser.concert", "concert.sale", "concert.dates"],
        catalog.concerts.map((concert) => [
          [concert.title, concert.artist].filter(Boolean).join(" · "),
          sale(concert),
          number(list(concert.performances).length),
        ]),
      ),
      table(["organiser.performance", "organiser.venue", "organiser.concert", "organiser.seats_count"], dates(catalog)),
      notice("info", t("organiser.file.only_new")),
      h("p", { class: "buttons" }, button),
      after,
    );
  }

  /**
   * @param {Catalog} catalog
   * @param {number} all
   * @param {HTMLButtonElement} button
   * @param {HTMLElement} after
   */
  async #publish(catalog, all, button, after) {
    button.disabled = true;
    this.#publishing = true;
    const bar = h("progress", { max: all, value: 0, "aria-label": t("organiser.file.progress") });
    const line = h("p", { class: "number", "aria-live": "off" });
    fill(after, bar, line);
    try {
      const result = await publish(
        catalog,
        ({ done, skipped, refused }) => {
          const over = done + skipped + refused.length;
          bar.value = over;
          line.textContent = t("organiser.file.so_far", { done: over, all });
        },
        this.#signal,
      );
      this.#showResult(result, after);
      this.#published();
    } catch (refusal) {
      if (this.#signal.aborted) return;
      if (!(refusal instanceof Refusal)) throw refusal;
      append(after, [notice("warning", sentence(refusal), " ", t("organiser.file.go_on"))]);
    } finally {
      button.disabled = false;
      this.#publishing = false;
    }
  }

  /**
   * @param {import("./publishing.js").Progress} result
   * @param {HTMLElement} after
   */
  #showResult({ done, replayed, skipped, refused }, after) {
    const parts = [
      t("organiser.file.done", { count: done - replayed }),
      replayed > 0 && t("organiser.file.were_there", { count: replayed }),
      skipped > 0 && t("organiser.file.skipped", { count: skipped }),
    ];
    const said = parts.filter(Boolean).join(" ");
    const kind = refused.length > 0 ? "info" : "success";
    fill(after, notice(kind, said, " ", h("a", { href: "/organiser" }, t("organiser.concerts"))));
    announce(said);
    /** @type {[string, string][]} */
    const wrong = refused.flatMap(({ pointer, refusal }) =>
      refusal.violations.length === 0
        ? [/** @type {[string, string]} */ ([pointer, sentence(refusal)])]
        : refusal.violations.map((violation) => {
            // What the API calls the venue of a performance has another name in a file.
            const inside = violation.pointer === "/venue_id" ? "/venue" : violation.pointer;
            return /** @type {[string, string]} */ ([`${pointer}${inside}`, violated(violation)]);
          }),
    );
    if (wrong.length > 0) append(after, this.#mistakes(wrong));
  }

  /** @param {[pointer: string, said: string][]} wrong */
  #showWrong(wrong) {
    fill(this.#box, ...this.#mistakes(wrong));
  }

  /** @param {[pointer: string, said: string][]} wrong */
  #mistakes(wrong) {
    const shown = wrong.slice(0, SHOWN_MAX);
    const places = find(
      this.#text,
      shown.map(([pointer]) => pointer),
    );
    const rows = shown.map(([pointer, said], index) => {
      const { line, column } = places[index];
      return h(
        "li",
        {},
        t("organiser.file.at", { line, column, said }),
        " ",
        h("code", {}, pointer === "" ? "/" : pointer),
      );
    });
    const more = wrong.length - rows.length;
    return [
      notice("warning", t("organiser.file.mistakes", { count: wrong.length })),
      h("ul", { class: "mistakes" }, ...rows),
      more > 0 && h("p", {}, t("organiser.file.more", { count: more })),
    ];
  }
}

/** @param {HTMLInputElement} input */
function fillInput(input) {
  input.value = "";
}

/** @param {Record<string, any>} concert */
function sale(concert) {
  const [opens, closes] = [concert.sales_open_at, concert.sales_close_at];
  // What is no time is said by the server, at its place.
  if (Number.isNaN(Date.parse(opens)) || Number.isNaN(Date.parse(closes))) return "";
  return t("concert.sale_span", { opens: when(opens, null), closes: when(closes, null) });
}

/**
 * The performances of a file, with what stands elsewhere in it.
 *
 * @param {Catalog} catalog
 */
function dates(catalog) {
  const venues = new Map(catalog.venues.map((venue) => [venue.key, venue]));
  return catalog.concerts.flatMap((concert) =>
    list(concert.performances).map((performance) => {
      const venue = venues.get(performance.venue);
      const given = venue?.time_zone ?? ZONE_UNLESS_GIVEN;
      const zone = isZone(given) ? given : null;
      const isTime = !Number.isNaN(Date.parse(performance.starts_at));
      const starts = isTime ? when(performance.starts_at, zone) : performance.starts_at;
      return [starts, venue?.name, concert.title, number(venue ? seatsOf(venue) : 0)];
    }),
  );
}

/**
 * @param {string[]} columns
 * @param {unknown[][]} rows
 */
function table(columns, rows) {
  if (rows.length === 0) return undefined;
  const more = rows.length - SHOWN_MAX;
  const label = t(columns[0]);
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...columns.map((key) => h("th", { scope: "col" }, t(key))))),
      h(
        "tbody",
        {},
        ...rows.slice(0, SHOWN_MAX).map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, String(cell ?? ""))))),
      ),
    ),
    more > 0 && h("p", { class: "hint" }, t("organiser.file.more", { count: more })),
  );
}
