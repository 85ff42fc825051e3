// @ts-check
/**
 * What the pages say, in the language of the visitor: every text is in `en.json` and `ko.json`, or for a part of the pages that
 * few visitors see in a pair of files beside them, and nowhere else.
 */

/** @typedef {"en" | "ko"} Language */

const LANGUAGES = /** @type {const} */ (["en", "ko"]);
const CHOSEN = "boxoffice-language";

/** @type {Record<string, string>} */
let texts = {};
/** @type {Language} */
let language = "en";
/** @type {Map<string, Promise<void>>} */
const parts = new Map();

/** The language that is shown. */
export function shown() {
  return language;
}

/**
 * Reads the texts: of the language that the visitor has chosen, or else of the one that the server found in
 * `Accept-Language`.
 */
export async function load() {
  const stored = stowed();
  const served = /** @type {Language} */ (document.documentElement.lang);
  language = stored ?? (LANGUAGES.includes(served) ? served : "en");
  texts = await read(`${language}.json`);
  document.documentElement.lang = language;
}

/**
 * Reads the texts of a part of the pages, once.
 *
 * @param {"organiser"} part
 */
export function loadPart(part) {
  const loading = parts.get(part) ?? read(`${part}.${language}.json`).then((more) => void Object.assign(texts, more));
  parts.set(part, loading);
  loading.catch(() => parts.delete(part));
  return loading;
}

/**
 * @param {string} name
 * @returns {Promise<Record<string, string>>}
 */
async function read(name) {
  const file = await fetch(new URL(`./${name}`, import.meta.url));
  return file.json();
}

/** @returns {Language | undefined} */
function stowed() {
  try {
    return LANGUAGES.find((known) => known === localStorage.getItem(CHOSEN));
  } catch {
    return undefined;
  }
}

/**
 * Shows the pages in another language from now on.
 *
 * @param {Language} chosen
 */
export function choose(chosen) {
  try {
    localStorage.setItem(CHOSEN, chosen);
  } catch {
    // The next page is in the language of the browser again.
  }
  location.reload();
}

/**
 * A text, with values in the places of `{names}`. If there are `key.one` and `key.other`, `count` decides.
 *
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const plural =
    typeof values.count === "number" ? `${key}.${new Intl.PluralRules(language).select(values.count)}` : key;
  const text = texts[plural] ?? texts[`${key}.other`] ?? texts[key];
  if (text === undefined) throw new Error(`no text for ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/**
 * Whether there is a text.
 *
 * @param {string} key
 */
export function has(key) {
  return key in texts || `${key}.other` in texts;
}

/** @param {number} value */
export function number(value) {
  return new Intl.NumberFormat(language).format(value);
}

/** @param {number} points */
export function points(points) {
  return t("points", { count: points });
}

/**
 * A span of prices.
 *
 * @param {number | null | undefined} least
 * @param {number | null | undefined} most
 */
export function prices(least, most) {
  if (least === null || least === undefined) return t("price.unknown");
  return most === null || most === undefined || most === least ? points(least) : t("price.span", { least, most });
}

/**
 * A time where it takes place, with the visitor's own beside it if the clocks there show another one.
 *
 * @param {string} at
 * @param {string | null | undefined} zone an IANA time zone
 */
export function when(at, zone) {
  const there = time(at, zone ?? undefined);
  const here = time(at, undefined);
  return !zone || there === here ? there : t("time.both", { there, here });
}

/**
 * @param {string} at
 * @param {string | undefined} timeZone
 */
function time(at, timeZone) {
  const parts = /** @type {const} */ ({ dateStyle: "full", timeStyle: "short" });
  return new Intl.DateTimeFormat(language, { ...parts, timeZone }).format(new Date(at));
}

/**
 * The time of a day as the visitor's clock shows it.
 *
 * @param {number} at
 */
export function timeOfDay(at) {
  return new Intl.DateTimeFormat(language, { timeStyle: "short" }).format(at);
}

/**
 * A day where it takes place.
 *
 * @param {string} at
 * @param {string | null | undefined} zone
 */
export function day(at, zone) {
  const parts = /** @type {const} */ ({ year: "numeric", month: "short", day: "numeric", weekday: "short" });
  return new Intl.DateTimeFormat(language, { ...parts, timeZone: zone ?? undefined }).format(new Date(at));
}

/**
 * The days on which a concert is performed: the first and the last.
 *
 * @param {Pick<import("../api").components["schemas"]["Concert"], "first_performance_at" | "last_performance_at" | "time_zone">} concert
 */
export function days({ first_performance_at: first, last_performance_at: last, time_zone: zone }) {
  if (!first) return t("home.no_date");
  return last && first !== last
    ? t("home.dates", { first: day(first, zone), last: day(last, zone) })
    : day(first, zone);
}

/**
 * A length of time, in the two largest units that it has.
 *
 * @param {number} seconds
 */
export function span(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  /** @type {[string, number][]} */
  const units = [
    ["day", 86_400],
    ["hour", 3_600],
    ["minute", 60],
    ["second", 1],
  ];
  const first = units.findIndex(([, length]) => whole >= length);
  if (first < 0) return unit("second", 0);
  let rest = whole;
  const said = [];
  for (const [name, length] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0 || said.length === 0) said.push(unit(name, count));
  }
  return said.join(" ");
}

/**
 * @param {string} name
 * @param {number} count
 */
function unit(name, count) {
  return new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "long" }).format(count);
}

/**
 * A countdown as a clock shows it.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3_600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
