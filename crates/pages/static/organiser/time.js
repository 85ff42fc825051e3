// @ts-check
/** What clocks show in a time zone, and which instant that is. */

import { Refusal } from "../api.js";

const DAY = 86_400_000;

/**
 * By how much the clocks of a zone are ahead of UTC at an instant, in milliseconds.
 *
 * @param {number} at
 * @param {string} timeZone
 */
function ahead(at, timeZone) {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const part = (/** @type {Intl.DateTimeFormatPartTypes} */ type) => parts.get(type) ?? 0;
  const shown = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
  return shown - Math.floor(at / 1_000) * 1_000;
}

/** @param {string} timeZone */
export function isZone(timeZone) {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone });
    return timeZone !== "";
  } catch {
    return false;
  }
}

/**
 * The instant at which the clocks of a zone show a local time, as `datetime-local` gives it. Of two instants the earlier one, when
 * clocks are put back; `undefined` if clocks skip that time, when they are put forward.
 *
 * @param {string} local
 * @param {string} timeZone
 */
export function instantOf(local, timeZone) {
  const shown = Date.parse(`${local}Z`);
  // Browsers let years of six digits be entered.
  if (Number.isNaN(shown)) return undefined;
  // Clocks change at most once in two days, so one of the differences of the day before and of the day after is right. Where
  // both are, that of the day before gives the earlier instant.
  for (const near of [shown - DAY, shown + DAY]) {
    const at = shown - ahead(near, timeZone);
    if (at + ahead(at, timeZone) === shown) return new Date(at).toISOString();
  }
  return undefined;
}

/**
 * What the clocks of a zone show at an instant, as `datetime-local` takes it.
 *
 * @param {string} at
 * @param {string} timeZone
 */
export function localOf(at, timeZone) {
  const time = Date.parse(at);
  return new Date(time + ahead(time, timeZone)).toISOString().slice(0, 16);
}

/** The zone of the visitor. */
export function ownZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/**
 * The instant of a local time that was entered, or what is wrong with it, in the words of the server.
 *
 * @param {string} local
 * @param {string} timeZone
 * @param {string} pointer where it goes
 */
export function localInstant(local, timeZone, pointer) {
  const at = instantOf(local, timeZone);
  if (!at) throw wrong(pointer, "time_skipped");
  return at;
}

/**
 * What this page finds wrong before it asks the server.
 *
 * @param {string} pointer
 * @param {string} code
 */
export function wrong(pointer, code) {
  return new Refusal("validation_failed", 422, { errors: [{ pointer, code, message: code }] });
}
