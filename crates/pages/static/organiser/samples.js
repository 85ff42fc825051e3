// @ts-check
/** What the desk of a concert has seen within the last hour, which a reload keeps. */

/** @typedef {{ at: number, waiting: number, rate: number, sold: number }} Sample */

/** Where they are in the storage of the browser, before the concert. */
const PLACE = "boxoffice-desk:";
/** How far samples are apart, in milliseconds. */
const STEP = 10_000;
/** For how long they are kept. */
export const HOUR = 3_600_000;
/** From which distance on nothing is known of the time between two samples: the desk was closed. */
export const GAP = 60_000;

export class Samples {
  #place;
  /** @type {Sample[]} */
  #samples;

  /** @param {string} concert */
  constructor(concert) {
    this.#place = `${PLACE}${concert}`;
    forgetOthers(this.#place);
    this.#samples = read(this.#place);
  }

  get all() {
    return this.#samples;
  }

  /**
   * Adds what is seen now. The last sample is always the newest, those before it are a step apart.
   *
   * @param {Sample} sample
   */
  add(sample) {
    const [before, last] = [this.#samples.at(-2), this.#samples.at(-1)];
    if (last && before && last.at - before.at < STEP) this.#samples.pop();
    this.#samples.push(sample);
    this.#samples = this.#samples.filter(({ at }) => at > sample.at - HOUR);
    try {
      localStorage.setItem(this.#place, JSON.stringify(this.#samples));
    } catch {
      // Without storage the samples end with the page.
    }
  }
}

/**
 * Removes what was kept of other concerts, and is too old to be shown.
 *
 * @param {string} own
 */
function forgetOthers(own) {
  try {
    for (const place of Object.keys(localStorage))
      if (place.startsWith(PLACE) && place !== own && read(place).length === 0) localStorage.removeItem(place);
  } catch {
    // Without storage nothing was kept.
  }
}

/**
 * @param {string} place
 * @returns {Sample[]}
 */
function read(place) {
  try {
    const kept = JSON.parse(localStorage.getItem(place) ?? "[]");
    const now = Date.now();
    // A clock that was put back would hide what comes.
    return kept.filter((/** @type {Sample} */ { at }) => at > now - HOUR && at <= now);
  } catch {
    return [];
  }
}
