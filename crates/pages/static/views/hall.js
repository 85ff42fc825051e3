// @ts-check
/** The hall: choosing seats and holding them. */

import { intend, queueToken, Refusal, request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { HallPicture } from "../hall/canvas.js";
import { MARKS, marksOf, nearest, plan } from "../hall/plan.js";
import { points, prices, t, when } from "../strings.js";
import { announce, go, notice, sentence, View } from "../view.js";

/** @typedef {import("../hall/plan.js").Place} Place */
/** @typedef {ReturnType<typeof plan>} Plan */

/** How often the seats are looked up, in milliseconds: seats of others have to appear taken within half a second. */
const LOOK = 350;
/** The colours of prices, from the highest on. */
const TIERS = 6;

class Hall extends View {
  #id = "";
  #performance = /** @type {import("../../api").components["schemas"]["Performance"]} */ (
    /** @type {unknown} */ (undefined)
  );
  #most = 4;
  /** @type {string | undefined} */
  #token;
  /** @type {Plan | undefined} */
  #plan;
  /** @type {Map<string, Place>} */
  #places = new Map();
  /** @type {Set<string>} */
  #chosen = new Set();
  /** @type {Map<number, string>} */
  #tiers = new Map();
  /** @type {number | undefined} */
  #price;
  /** @type {string | undefined} */
  #section;
  /** @type {string | undefined} */
  #tag;
  /** @type {HallPicture | undefined} */
  #picture;
  #overview = h("tbody", {});
  #rows = h("section", { class: "rows" });
  #choice = h("section", { class: "choice", "aria-live": "polite" });
  #said = h("div", { "aria-live": "assertive" });
  #isHolding = false;
  #isOver = false;

  async show() {
    this.#id = this.params.performance;
    const concert = await this.#admitted();
    if (!concert) return;
    this.#most = concert.max_seats_per_account;
    const [map, venue] = await Promise.all([
      this.#read(),
      request("GET", `/v1/venues/${this.#performance.venue.id}`, { signal: this.signal }),
    ]);
    this.#plan = plan(map.seats, venue.data.layout);
    for (const { places } of this.#plan.sections) for (const place of places) this.#places.set(place.seat.label, place);
    this.#tiers = tiers(map.seats);
    this.#restore();
    this.#draw(concert);
    void this.every(LOOK, () => this.#look());
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.#picture?.end();
  }

  /** The concert, if this account is admitted to it. */
  async #admitted() {
    // Which concert it is, one knows only inside; so the token of each that is joined is tried.
    for (const concert of concertsJoined()) {
      try {
        const { data } = await request("GET", `/v1/performances/${this.#id}`, {
          queueToken: queueToken(concert),
          signal: this.signal,
        });
        this.#performance = data;
        this.#token = queueToken(concert);
        return (await request("GET", `/v1/concerts/${concert}`, { signal: this.signal })).data;
      } catch (refusal) {
        if (!(refusal instanceof Refusal)) throw refusal;
        if (refusal.code === "queue_token_not_active") {
          go(`/concerts/${concert}/queue`, true);
          return undefined;
        }
        if (!refusal.code.startsWith("queue_token")) throw refusal;
      }
    }
    fill(
      this,
      notice("info", t("hall.not_admitted")),
      h("p", {}, h("a", { href: "/", class: "button primary" }, t("nav.concerts"))),
    );
    this.heading(t("hall.title"));
    return undefined;
  }

  async #read() {
    const { data, headers } = await request("GET", `/v1/performances/${this.#id}/seats`, {
      queueToken: this.#token,
      signal: this.signal,
    });
    this.#tag = headers.get("etag") ?? undefined;
    return data;
  }

  /** Looks up what has changed, and says so when the admission is over. */
  async #look() {
    if (document.hidden || this.#isOver) return;
    try {
      await this.#refresh();
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || !refusal.code.startsWith("queue_token")) throw refusal;
      this.#isOver = true;
      const again = h(
        "a",
        { href: `/concerts/${this.#performance.concert_id}/queue`, class: "button" },
        t("queue.join_again"),
      );
      fill(this.#said, notice("warning", sentence(refusal)), h("p", {}, again));
    }
  }

  async #refresh() {
    const { status, data, headers } = await request("GET", `/v1/performances/${this.#id}/seats`, {
      queueToken: this.#token,
      tag: this.#tag,
      signal: this.signal,
    });
    if (status === 304) return;
    this.#tag = headers.get("etag") ?? undefined;
    const lost = [];
    let changed = false;
    for (const seat of data.seats) {
      const place = this.#places.get(seat.label);
      if (!place || (place.seat.status === seat.status && place.seat.price === seat.price)) continue;
      place.seat = seat;
      changed = true;
      if (seat.status !== "available" && this.#chosen.delete(seat.label)) lost.push(place);
    }
    if (!changed) return;
    this.#show();
    if (lost.length > 0 && !this.#isHolding) this.#showLost(lost);
  }

  /** @param {import("../../api").components["schemas"]["ConcertDetail"]} concert */
  #draw(concert) {
    const plan = /** @type {Plan} */ (this.#plan);
    const { venue, starts_at } = this.#performance;
    const canvas = h("canvas", { class: "hall", role: "img", "aria-label": t("hall.picture") });
    const column = (/** @type {string} */ name) => h("th", { scope: "col" }, t(`hall.${name}`));
    const button = (/** @type {string} */ text, /** @type {string} */ name, /** @type {() => void} */ act) =>
      h("button", { type: "button", "aria-label": t(name), title: t(name), onclick: act }, text);
    fill(
      this,
      h(
        "p",
        {},
        h("strong", {}, concert.title),
        h("br"),
        when(starts_at, venue.time_zone),
        h("br"),
        t("concert.venue", { name: venue.name, location: venue.location }),
      ),
      this.#filter(),
      h(
        "div",
        { class: "stage" },
        canvas,
        h(
          "div",
          { class: "zoom" },
          button("+", "hall.larger", () => this.#picture?.zoom(1.6)),
          button("−", "hall.smaller", () => this.#picture?.zoom(1 / 1.6)),
          button("⤢", "hall.whole", () => this.#picture?.fit()),
        ),
      ),
      h(
        "p",
        { class: "legend" },
        ...(this.#tiers.size <= TIERS
          ? [...this.#tiers].map(([price, tier]) => ofPrice(price, tier))
          : [h("span", { class: "key" }, t("hall.free"))]),
        ...["taken", "chosen"].map((name) => h("span", { class: `key ${name}` }, t(`hall.${name}`))),
        ...marksOf(plan.sections).map(([mark, sign]) =>
          h("span", {}, h("span", { "aria-hidden": "true" }, `${sign} `), t(`hall.mark.${mark}`)),
        ),
      ),
      this.#said,
      this.#choice,
      h("h2", {}, t("hall.sections")),
      h(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": t("hall.sections") },
        h(
          "table",
          { class: "overview" },
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              column("section"),
              column("left"),
              column("price"),
              h("th", {}, h("span", { class: "unseen" }, t("hall.open"))),
            ),
          ),
          this.#overview,
        ),
      ),
      this.#rows,
    );
    this.heading(t("hall.title"));
    this.#picture = new HallPicture(canvas, plan, (place) => this.#press(place));
    if (plan.sections.length === 1) this.#section = plan.sections[0].name;
    this.#show();
    this.#drawRows();
  }

  /** Chooses which price is shown. */
  #filter() {
    const all = [...this.#tiers.keys()];
    const choose = (/** @type {Event} */ event) => {
      const value = /** @type {HTMLSelectElement} */ (event.target).value;
      this.#price = value ? Number(value) : undefined;
      this.#show();
    };
    return h(
      "p",
      {},
      h(
        "label",
        {},
        t("hall.filter"),
        " ",
        h(
          "select",
          { onchange: choose },
          h("option", { value: "" }, t("hall.every_price")),
          ...all.map((price) => h("option", { value: price }, points(price))),
        ),
      ),
    );
  }

  #show() {
    this.#picture?.show(
      this.#chosen,
      ({ seat }) => this.#price === undefined || seat.price === this.#price,
      this.#tiers,
    );
    this.#drawOverview();
    this.#updateRows();
    this.#drawChoice();
  }

  #drawOverview() {
    const plan = /** @type {Plan} */ (this.#plan);
    for (const [index, section] of plan.sections.entries()) {
      const free = section.places.filter(({ seat }) => seat.status === "available");
      const shown = this.#price === undefined || section.places.some(({ seat }) => seat.price === this.#price);
      const costs = section.places.map(({ seat }) => seat.price);
      const said = [String(free.length), prices(Math.min(...costs), Math.max(...costs))];
      let row = /** @type {HTMLTableRowElement | undefined} */ (this.#overview.rows[index]);
      if (!row) {
        const open = () => this.#open(section.name);
        row = h(
          "tr",
          {},
          h("th", { scope: "row" }, section.name),
          h("td", { class: "number" }),
          h("td", {}),
          h(
            "td",
            {},
            h(
              "button",
              { type: "button", "aria-label": t("hall.open_section", { section: section.name }), onclick: open },
              t("hall.open"),
            ),
          ),
        );
        this.#overview.append(row);
      }
      row.hidden = !shown;
      row.classList.toggle("gone", free.length === 0);
      for (const [cell, text] of said.entries())
        if (row.cells[cell + 1].textContent !== text) row.cells[cell + 1].textContent = text;
    }
  }

  /** @param {string} name */
  #open(name) {
    this.#section = name;
    this.#picture?.showSection(name);
    this.#drawRows();
    /** @type {HTMLElement | null} */ (this.#rows.querySelector("h2"))?.focus();
  }

  /** The seats of a section as buttons, for keyboards and screen readers, and for who likes lists. */
  #drawRows() {
    const section = this.#plan?.sections.find(({ name }) => name === this.#section);
    fill(this.#rows);
    if (!section) return;
    append(this.#rows, [
      h("h2", { tabindex: "-1" }, t("hall.in_section", { section: section.name })),
      h("p", { class: "hint" }, t("hall.arrows")),
    ]);
    const grid = h("div", { class: "grid", onkeydown: (/** @type {KeyboardEvent} */ event) => step(event) });
    for (const [name, row] of section.rows) {
      const buttons = row.map((place) =>
        h(
          "button",
          {
            type: "button",
            class: "seat",
            "data-seat": place.seat.label,
            tabindex: "-1",
            onclick: () => this.#press(this.#places.get(place.seat.label) ?? place),
          },
          String(place.seat.number),
          place.mark && h("small", { class: "mark", "aria-hidden": "true" }, MARKS[place.mark]),
        ),
      );
      append(grid, [
        h(
          "div",
          { class: "row", role: "group", "aria-label": t("hall.row", { row: name }) },
          h("span", { "aria-hidden": "true" }, name),
          ...buttons,
        ),
      ]);
    }
    grid.querySelector("button")?.setAttribute("tabindex", "0");
    append(this.#rows, [grid]);
    this.#updateRows();
  }

  #updateRows() {
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (this.#rows.querySelectorAll("button.seat"))) {
      const place = this.#places.get(button.dataset.seat ?? "");
      if (!place) continue;
      const chosen = this.#chosen.has(place.seat.label);
      const state = chosen ? "chosen" : place.seat.status === "available" ? "free" : "taken";
      const shown = this.#price === undefined || place.seat.price === this.#price;
      const label = t("hall.seat_said", {
        seat: place.seat.label,
        price: points(place.seat.price),
        state: t(`hall.${state}`),
        mark: place.mark ? t(`hall.mark.${place.mark}`) : "",
      }).trim();
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      button.setAttribute("aria-pressed", String(chosen));
      button.setAttribute("aria-disabled", String(state === "taken"));
      button.className = `seat ${state}${shown ? "" : " dim"}`;
    }
  }

  /** @param {Place} place */
  #press(place) {
    const { label } = place.seat;
    fill(this.#said);
    if (this.#chosen.delete(label)) {
      announce(t("hall.given_back", { seat: label }));
    } else if (place.seat.status !== "available") {
      announce(t("hall.is_taken", { seat: label }));
      return;
    } else if (this.#chosen.size >= this.#most) {
      append(this.#said, [notice("warning", t("hall.enough", { count: this.#most }))]);
      return;
    } else {
      this.#chosen.add(label);
      announce(t("hall.added", { seat: label, price: points(place.seat.price) }));
    }
    this.#keep();
    this.#show();
  }

  #drawChoice() {
    const places = [...this.#chosen].flatMap((label) => this.#places.get(label) ?? []);
    const total = places.reduce((sum, { seat }) => sum + seat.price, 0);
    const chips = places.map(({ seat }) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            "aria-label": t("hall.remove", { seat: seat.label }),
            onclick: () => this.#press(/** @type {Place} */ (this.#places.get(seat.label))),
          },
          `${seat.label} ✕`,
        ),
      ),
    );
    const hold = h(
      "button",
      { type: "button", class: "primary", disabled: this.#isHolding, onclick: () => void this.#hold() },
      t("hall.hold", { count: places.length }),
    );
    fill(
      this.#choice,
      places.length > 0
        ? [h("ul", { class: "chips" }, ...chips), h("p", {}, h("strong", {}, points(total))), hold]
        : h("p", {}, t("hall.none_chosen", { count: this.#most })),
    );
  }

  async #hold() {
    if (this.#isHolding) return;
    this.#isHolding = true;
    this.#drawChoice();
    fill(this.#said);
    const seats = [...this.#chosen].sort();
    try {
      const body = { performance_id: this.#id, seats };
      const { data } = await intend(`hold:${this.#id}:${seats.join(" ")}`, (key) =>
        request("POST", "/v1/reservations", { body, key, queueToken: this.#token }),
      );
      this.#chosen.clear();
      this.#keep();
      go(`/checkout/${data.id}`);
    } catch (refusal) {
      if (this.signal.aborted) return;
      this.#isHolding = false;
      await this.#refused(refusal);
    }
  }

  /** @param {unknown} refusal */
  async #refused(refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    if (refusal.code === "seat_unavailable") {
      const lost = /** @type {string[]} */ (refusal.problem.seats ?? []).flatMap(
        (label) => this.#places.get(label) ?? [],
      );
      for (const place of lost) {
        place.seat = { ...place.seat, status: "held" };
        this.#chosen.delete(place.seat.label);
      }
      const own = /** @type {string[]} */ (refusal.problem.held_by_you ?? []);
      if (own.length > 0)
        append(this.#said, [
          notice(
            "info",
            t("hall.held_by_you", { seats: own.join(", ") }),
            " ",
            h("a", { href: "/tickets" }, t("nav.tickets")),
          ),
        ]);
      this.#show();
      this.#showLost(lost.filter(({ seat }) => !own.includes(seat.label)));
      return;
    }
    const wait =
      refusal.code === "queue_token_expired"
        ? h("p", {}, h("a", { href: "/", class: "button" }, t("nav.concerts")))
        : undefined;
    append(this.#said, [notice("warning", sentence(refusal)), wait]);
    this.#drawChoice();
  }

  /**
   * Offers the nearest free seats in place of those that others were faster for. The rest of the choice stays.
   *
   * @param {Place[]} lost
   */
  #showLost(lost) {
    const plan = this.#plan;
    if (!plan || lost.length === 0) return;
    const taken = new Set(this.#chosen);
    const offers = lost.flatMap((place) => {
      const [near] = nearest(plan.sections, place, taken, 1);
      if (near) taken.add(near.seat.label);
      return near ? [near] : [];
    });
    const take = () => {
      for (const { seat } of offers)
        if (this.#places.get(seat.label)?.seat.status === "available") this.#chosen.add(seat.label);
      fill(this.#said);
      this.#keep();
      this.#show();
    };
    fill(
      this.#said,
      notice("warning", t("hall.lost", { seats: lost.map(({ seat }) => seat.label).join(", ") })),
      offers.length > 0 &&
        h(
          "p",
          { class: "buttons" },
          h(
            "button",
            { type: "button", class: "primary", onclick: take },
            t("hall.take_nearest", { seats: offers.map(({ seat }) => seat.label).join(", ") }),
          ),
        ),
    );
    this.#keep();
  }

  /** Keeps the choice over a reload. */
  #keep() {
    sessionStorage.setItem(`boxoffice-choice:${this.#id}`, JSON.stringify([...this.#chosen]));
  }

  #restore() {
    const kept = JSON.parse(sessionStorage.getItem(`boxoffice-choice:${this.#id}`) ?? "[]");
    for (const label of kept) if (this.#places.get(label)?.seat.status === "available") this.#chosen.add(label);
  }
}

/** The concerts in whose queues this browser is. */
function concertsJoined() {
  const prefix = "boxoffice-queue:";
  return Object.keys(localStorage).flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
}

/**
 * A colour for each price, from the highest on; many prices share colours.
 *
 * @param {{ price: number }[]} seats
 */
function tiers(seats) {
  const all = [...new Set(seats.map(({ price }) => price))].sort((one, other) => other - one);
  return new Map(
    all.map((price, index) => [price, `--tier-${1 + Math.floor((index * TIERS) / Math.max(TIERS, all.length))}`]),
  );
}

/**
 * What the seats of a price look like while they are free.
 *
 * @param {number} price
 * @param {string} tier
 */
function ofPrice(price, tier) {
  const key = h("span", { class: "key" }, points(price));
  key.style.setProperty("--tier", `var(${tier})`);
  return key;
}

/**
 * Arrow keys go from seat to seat.
 *
 * @param {KeyboardEvent} event
 */
function step(event) {
  const steps = /** @type {Record<string, [number, number]>} */ ({
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
  });
  const by = steps[event.key];
  const from = event.target instanceof HTMLButtonElement ? event.target : null;
  const row = from?.closest(".row");
  if (!by || !from || !row) return;
  event.preventDefault();
  const rows = [...(row.parentElement?.querySelectorAll(".row") ?? [])];
  const next = rows[rows.indexOf(row) + by[0]];
  const seats = [...(next?.querySelectorAll("button") ?? [])];
  const at = [...row.querySelectorAll("button")].indexOf(from) + by[1];
  const to = by[0] === 0 ? seats[at] : seats[Math.min(at, seats.length - 1)];
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}

customElements.define("shop-hall", Hall);
