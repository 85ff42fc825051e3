// @ts-check
/** The forms by which a venue, a concert and a performance are published. */

import { intend, Refusal, request } from "../api.js";
import { append, fill, h } from "../dom.js";
import { t, when } from "../strings.js";
import { announce, form, formField, notice, sentence } from "../view.js";
import { digest } from "./digest.js";
import { isZone, localInstant, ownZone, wrong } from "./time.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */
/** @typedef {import("../view.js").FormField} FormField */

/** As many rows as a venue may have seats; the server says that more are too many. */
const ROWS_MAX = 200_001;
const NUMBER = { type: "number", min: 1, step: 1, inputmode: "numeric" };

/**
 * Publishes something once, however often the button is pressed.
 *
 * @param {HTMLFormElement} element
 * @param {string} path
 * @param {Record<string, unknown>} body
 */
async function publish(element, path, body) {
  element.querySelector(".published")?.remove();
  const { data } = await intend(`publish:${digest(JSON.stringify([path, body]))}`, (key) =>
    request("POST", path, { body, key }),
  );
  return data;
}

/**
 * A number that was entered; absent if the field is empty.
 *
 * @param {string} entered
 */
function whole(entered) {
  return entered.trim() === "" ? undefined : Number(entered);
}

/** The zones that the browser knows, to choose from. */
export function zoneList() {
  return h("datalist", { id: "zones" }, ...Intl.supportedValuesOf("timeZone").map((value) => h("option", { value })));
}

const ZONE = { list: "zones", required: true, autocapitalize: "none", spellcheck: "false" };

/**
 * What is said below a form about what was published.
 *
 * @param {HTMLFormElement} element
 * @param {...import("../dom.js").Child} said
 */
function done(element, ...said) {
  const line = h("div", { class: "published" }, notice("success", ...said));
  element.append(line);
  announce(line.textContent ?? "");
}

/**
 * @param {() => void} published
 */
export function venueForm(published) {
  const list = h("div", { class: "sections" });
  /** @type {{ element: Element, fields: FormField[] }[]} */
  let sections = [];
  const add = (name = "") => {
    const fields = [
      formField({ name: "section", label: t("organiser.section_name"), attributes: { value: name, maxlength: 255 } }),
      formField({ name: "rows", label: t("organiser.rows"), attributes: { ...NUMBER, value: 10 } }),
      formField({ name: "seats", label: t("organiser.seats_per_row"), attributes: { ...NUMBER, value: 20 } }),
    ];
    const remove = h(
      "button",
      {
        type: "button",
        onclick: () => {
          sections = sections.filter((known) => known !== section);
          section.element.remove();
          number();
        },
      },
      t("organiser.remove_section"),
    );
    const legend = h("legend", {});
    const section = { element: h("fieldset", {}, legend, ...fields.map(({ row }) => row), remove), fields };
    sections.push(section);
    append(list, [section.element]);
    number();
    return fields;
  };
  /** The server names sections by their places. */
  const number = () => {
    for (const [index, { element, fields }] of sections.entries()) {
      const at = `/sections/${index}`;
      fields[0].field.pointer = `${at}/name`;
      fields[1].field.pointer = new RegExp(`^${at}/rows(/\\d+(/name)?)?$`);
      fields[2].field.pointer = new RegExp(`^${at}/rows/\\d+/seats$`);
      fill(/** @type {Element} */ (element.querySelector("legend")), t("organiser.section_number", { at: index + 1 }));
    }
  };
  add("A");
  const more = h("button", { type: "button", onclick: () => add()[0].input.focus() }, t("organiser.add_section"));
  const element = form({
    fields: [
      { name: "name", label: t("organiser.venue_name"), attributes: { required: true, maxlength: 255 } },
      { name: "location", label: t("organiser.field.location"), attributes: { required: true, maxlength: 255 } },
      {
        name: "time_zone",
        label: t("organiser.field.time_zone"),
        hint: t("organiser.zone_hint"),
        attributes: { ...ZONE, value: ownZone() },
      },
      { name: "sections", label: "", attributes: { type: "hidden" } },
    ],
    inside: h("div", {}, list, h("p", {}, more)),
    more: () => sections.flatMap(({ fields }) => fields),
    submit: t("organiser.publish_venue"),
    act: async ({ name, location, time_zone }) => {
      const body = { name, location, time_zone, sections: sections.map(({ fields }) => expanded(fields)) };
      const venue = await publish(element, "/v1/venues", body);
      element.reset();
      done(element, t("organiser.venue_published", { name: venue.name, count: venue.capacity }));
      published();
    },
  });
  return element;
}

/**
 * A section with its rows, "1", "2" and so on.
 *
 * @param {FormField[]} fields
 */
function expanded(fields) {
  const [name, rows, seats] = fields.map(({ input }) => input.value);
  const count = Math.min(ROWS_MAX, Math.max(0, Math.floor(whole(rows) ?? 0)));
  return {
    name,
    rows: Array.from({ length: count }, (_, index) => ({ name: String(index + 1), seats: whole(seats) })),
  };
}

/**
 * @param {() => void} published
 */
export function concertForm(published) {
  const time = (/** @type {string} */ name) => ({
    name,
    label: t(`organiser.field.${name}`),
    attributes: { type: "datetime-local", required: true },
  });
  const tick = (/** @type {string} */ name) => ({
    name,
    label: t(`organiser.field.${name}`),
    hint: t(`organiser.hint.${name}`),
    attributes: { type: "checkbox" },
  });
  const element = form({
    fields: [
      { name: "title", label: t("organiser.field.title"), attributes: { required: true, maxlength: 255 } },
      { name: "artist", label: t("organiser.field.artist"), attributes: { required: true, maxlength: 255 } },
      { name: "description", label: t("organiser.field.description"), long: true, attributes: { maxlength: 4_000 } },
      {
        name: "zone",
        label: t("organiser.field.time_zone"),
        hint: t("organiser.sale_zone_hint"),
        attributes: { ...ZONE, value: ownZone() },
      },
      time("sales_open_at"),
      time("sales_close_at"),
      {
        name: "max_seats_per_account",
        label: t("organiser.field.max_seats_per_account"),
        attributes: { ...NUMBER, max: 100, value: 4 },
      },
      {
        name: "max_active",
        label: t("organiser.field.max_active"),
        hint: t("organiser.max_active_hint"),
        attributes: { ...NUMBER, max: 1_000_000, value: 500 },
      },
      tick("draw"),
      tick("holds_need_balance"),
      tick("requires_verified_email"),
    ],
    submit: t("organiser.publish_concert"),
    act: async (values) => {
      if (!isZone(values.zone)) throw wrong("/zone", "time_zone_unknown");
      const concert = await publish(element, "/v1/concerts", {
        title: values.title,
        artist: values.artist,
        description: values.description.replaceAll("\r\n", "\n"),
        sales_open_at: localInstant(values.sales_open_at, values.zone, "/sales_open_at"),
        sales_close_at: localInstant(values.sales_close_at, values.zone, "/sales_close_at"),
        max_seats_per_account: whole(values.max_seats_per_account),
        max_active: whole(values.max_active),
        draw: values.draw === "on",
        holds_need_balance: values.holds_need_balance === "on",
        requires_verified_email: values.requires_verified_email === "on",
      });
      element.reset();
      const desk = h("a", { href: `/organiser/concerts/${concert.id}` }, t("organiser.to_desk"));
      done(element, t("organiser.concert_published", { title: concert.title }), " ", desk);
      published();
    },
  });
  return element;
}

/**
 * @param {Schemas["OwnConcert"][]} concerts
 * @returns {[value: string, label: string][]}
 */
function concertChoices(concerts) {
  return concerts.map(({ id, title, artist }) => [id, `${title} · ${artist}`]);
}

/**
 * @param {Schemas["VenueSummary"][]} venues
 * @returns {[value: string, label: string][]}
 */
function venueChoices(venues) {
  return venues.map(({ id, name, location }) => [id, t("concert.venue", { name, location })]);
}

/**
 * A venue; if it cannot be read, that is said in its place.
 *
 * @param {string} id
 * @param {Element} place
 * @returns {Promise<Schemas["Venue"] | undefined>}
 */
async function readVenue(id, place) {
  try {
    return (await request("GET", `/v1/venues/${id}`)).data;
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    fill(place, notice("warning", sentence(refusal)));
    return undefined;
  }
}

/**
 * Offers what was published meanwhile in the form of a performance, and keeps what is entered.
 *
 * @param {Element} element
 * @param {Schemas["OwnConcert"][]} concerts
 * @param {Schemas["VenueSummary"][]} venues
 */
export function offer(element, concerts, venues) {
  for (const [name, choices] of /** @type {const} */ ([
    ["concert", concertChoices(concerts)],
    ["venue_id", venueChoices(venues)],
  ])) {
    const select = /** @type {HTMLSelectElement} */ (element.querySelector(`select[name=${name}]`));
    const chosen = select.value;
    fill(select, ...choices.map(([value, label]) => h("option", { value }, label)));
    select.value = chosen;
  }
}

/**
 * @param {Schemas["OwnConcert"][]} concerts
 * @param {Schemas["VenueSummary"][]} venues
 */
export function performanceForm(concerts, venues) {
  const prices = h("div", { class: "sections" });
  /** @type {FormField[]} */
  let fields = [];
  /** @type {Schemas["Venue"] | undefined} */
  let venue;
  const start = formField({
    name: "starts_at",
    label: t("organiser.field.starts_at"),
    hint: t("organiser.start_hint"),
    attributes: { type: "datetime-local", required: true },
  });
  const duration = formField({
    name: "duration_minutes",
    label: t("organiser.field.duration_minutes"),
    attributes: { ...NUMBER, max: 1_440, value: 180 },
  });
  const element = form({
    fields: [
      {
        name: "concert",
        label: t("organiser.concert"),
        choices: concertChoices(concerts),
      },
      {
        name: "venue_id",
        label: t("organiser.venue"),
        choices: venueChoices(venues),
      },
    ],
    inside: h("div", {}, start.row, duration.row, prices),
    more: () => [start, duration, ...fields],
    submit: t("organiser.publish_performance"),
    act: async (values) => {
      if (!venue || venue.id !== values.venue_id) await choose();
      if (!venue) return;
      const performance = await publish(element, `/v1/concerts/${values.concert}/performances`, {
        venue_id: venue.id,
        starts_at: localInstant(values.starts_at, venue.time_zone, "/starts_at"),
        duration_minutes: whole(values.duration_minutes),
        prices: venue.sections.map(({ name }, index) => ({ section: name, price: whole(fields[index].input.value) })),
      });
      const desk = h("a", { href: `/organiser/concerts/${values.concert}` }, t("organiser.to_desk"));
      const time = when(performance.starts_at, performance.venue.time_zone);
      done(element, t("organiser.performance_published", { time, count: performance.seats_total }), " ", desk);
    },
  });
  const select = /** @type {HTMLSelectElement} */ (element.querySelector("[name=venue_id]"));
  const choose = async () => {
    const id = select.value;
    fill(prices);
    fields = [];
    venue = undefined;
    if (!id) return;
    const chosen = await readVenue(id, prices);
    if (!chosen || select.value !== id) return;
    venue = chosen;
    fields = chosen.sections.map(({ name }, index) =>
      formField({
        name: `price-${index}`,
        label: t("organiser.price_of", { section: name }),
        pointer: new RegExp(`^/prices/${index}(/|$)`),
        attributes: { ...NUMBER, min: 0, max: 100_000_000, required: true },
      }),
    );
    start.field.hint = t("organiser.times_of", { zone: chosen.time_zone });
    start.wrong.textContent = start.field.hint;
    fill(prices, h("fieldset", {}, h("legend", {}, t("organiser.prices")), ...fields.map(({ row }) => row)));
  };
  select.addEventListener("change", () => void choose());
  void choose();
  return element;
}
