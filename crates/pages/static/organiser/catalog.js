// @ts-check
/** A catalog file: what is in it, what is wrong with its form, and in which line something stands. */

/** @typedef {Record<string, any>} Entry */
/** @typedef {{ venues: Entry[], concerts: Entry[] }} Catalog */
/** @typedef {{ pointer: string, code: string }} Wrong */

/** The text is no JSON: `what` was expected at an offset. */
export class NoJson extends Error {
  /**
   * @param {string} text
   * @param {number} offset
   * @param {"value" | "name" | "colon" | "separator" | "end" | "quote"} what
   */
  constructor(text, offset, what) {
    super(what);
    this.what = what;
    this.place = placeOf(text, offset);
  }
}

/**
 * Reads the text of a file.
 *
 * @param {string} text
 * @returns {unknown}
 */
export function readJson(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Browsers say in words of their own what is wrong, and some do not say where.
    walk(text, () => {});
    throw error;
  }
}

/**
 * Everything that is wrong with the form of a catalog, as far as the server is not needed to see it.
 *
 * @param {unknown} read
 * @returns {Wrong[]}
 */
export function check(read) {
  if (!isEntry(read)) return [{ pointer: "", code: "wrong_type" }];
  /** @type {Wrong[]} */
  const wrong = [];
  for (const name of Object.keys(read))
    if (name !== "venues" && name !== "concerts") wrong.push({ pointer: `/${escaped(name)}`, code: "unknown_field" });
  const venues = entries(read.venues, "/venues", wrong);
  const keys = new Set(venues.map(({ key }) => key));
  for (const [index, concert] of entries(read.concerts, "/concerts", wrong).entries()) {
    if (concert.performances === undefined) continue;
    const pointer = `/concerts/${index}/performances`;
    for (const [at, performance] of entries(concert.performances, pointer, wrong).entries()) {
      const { venue } = performance;
      if (venue === undefined) wrong.push({ pointer: `${pointer}/${at}`, code: "missing_field" });
      else if (!keys.has(venue)) wrong.push({ pointer: `${pointer}/${at}/venue`, code: "venue_not_in_file" });
    }
  }
  return wrong;
}

/**
 * The entries of a list, each with its own key.
 *
 * @param {unknown} list
 * @param {string} pointer
 * @param {Wrong[]} wrong
 * @returns {Entry[]}
 */
function entries(list, pointer, wrong) {
  if (!Array.isArray(list)) {
    wrong.push({ pointer, code: list === undefined ? "missing_field" : "wrong_type" });
    return [];
  }
  const keys = new Set();
  for (const [index, entry] of list.entries()) {
    if (!isEntry(entry)) wrong.push({ pointer: `${pointer}/${index}`, code: "wrong_type" });
    else if (entry.key === undefined) wrong.push({ pointer: `${pointer}/${index}`, code: "key_missing" });
    else if (typeof entry.key !== "string") wrong.push({ pointer: `${pointer}/${index}/key`, code: "wrong_type" });
    else if (keys.has(entry.key)) wrong.push({ pointer: `${pointer}/${index}/key`, code: "key_repeated" });
    else keys.add(entry.key);
  }
  return list.map((entry) => (isEntry(entry) ? entry : {}));
}

/**
 * @param {unknown} value
 * @returns {value is Entry}
 */
function isEntry(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * How many seats a venue of the file has.
 *
 * @param {Entry} venue
 */
export function seatsOf(venue) {
  const rows = list(venue.sections).flatMap((section) => list(section?.rows));
  return rows.reduce((sum, row) => sum + (Number.isFinite(row?.seats) ? row.seats : 0), 0);
}

/**
 * @param {unknown} value
 * @returns {any[]}
 */
export function list(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * Where pointers lead to in the text of a file: to the value, or to what has it if it is not there.
 *
 * @param {string} text
 * @param {string[]} pointers
 */
export function find(text, pointers) {
  const best = pointers.map(() => ({ length: -1, offset: 0 }));
  walk(text, (path, offset) => {
    for (const [index, pointer] of pointers.entries()) {
      const leads = pointer === path || pointer.startsWith(`${path}/`);
      // Of a field that is given twice, the last one counts.
      if (leads && path.length >= best[index].length) best[index] = { length: path.length, offset };
    }
  });
  return best.map(({ offset }) => placeOf(text, offset));
}

/**
 * @param {string} text
 * @param {number} offset
 */
function placeOf(text, offset) {
  const before = text.slice(0, offset).split(/\r\n|\r|\n/);
  return { line: before.length, column: before[before.length - 1].length + 1 };
}

/** @param {string} name */
function escaped(name) {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

const SPACE = /[ \t\r\n]*/y;
const QUOTE = "\u0022";
const QUOTED = /"[^"\\]*(?:\\.[^"\\]*)*"/sy;
const BARE = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/**
 * Goes through a JSON text, and tells the pointer and the offset of each value.
 *
 * @param {string} text
 * @param {(pointer: string, offset: number) => void} tell
 * @throws {NoJson}
 */
function walk(text, tell) {
  let at = 0;
  /** @param {RegExp} pattern */
  const take = (pattern) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    at += found?.length ?? 0;
    return found;
  };
  const next = () => {
    take(SPACE);
    return text[at];
  };
  const quoted = () => {
    const start = at;
    try {
      // Characters and escapes that a text cannot have are refused here.
      return JSON.parse(take(QUOTED) ?? "");
    } catch {
      throw new NoJson(text, start, "quote");
    }
  };
  /** @param {string} pointer */
  const value = (pointer) => {
    const first = next();
    tell(pointer, at);
    if (first === "{" || first === "[") {
      several(pointer, first === "{" ? "}" : "]");
    } else if (first === QUOTE) {
      quoted();
    } else if (take(BARE) === undefined) {
      throw new NoJson(text, at, "value");
    }
  };
  /**
   * @param {string} pointer
   * @param {string} end
   */
  const several = (pointer, end) => {
    at += 1;
    if (next() === end) {
      at += 1;
      return;
    }
    for (let index = 0; ; index += 1) {
      let name = String(index);
      if (end === "}") {
        if (next() !== QUOTE) throw new NoJson(text, at, "name");
        name = escaped(quoted());
        if (next() !== ":") throw new NoJson(text, at, "colon");
        at += 1;
      }
      value(`${pointer}/${name}`);
      const mark = next();
      if (mark !== "," && mark !== end) throw new NoJson(text, at, "separator");
      at += 1;
      if (mark === end) return;
    }
  };
  value("");
  if (next() !== undefined) throw new NoJson(text, at, "end");
}
