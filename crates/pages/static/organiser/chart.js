// @ts-check
/** The last hour of a sale as lines, one below the other with a common time, and as a table. */

import { append, fill, h } from "../dom.js";
import { number, t, timeOfDay } from "../strings.js";
import { GAP, HOUR } from "./samples.js";

/** @typedef {import("./samples.js").Sample} Sample */

const LINES = /** @type {const} */ (["waiting", "rate", "sold"]);
const [WIDTH, HEIGHT] = [600, 100];
/** The shortest time that is drawn, in milliseconds. */
const SPAN_MIN = 600_000;
/** How far the rows of the table are apart, in milliseconds. */
const ROW = 300_000;

export class Chart {
  #since = h("p", { class: "hint" });
  #lines = h("div", { class: "lines" });
  #rows = h("tbody", {});
  #shownRows = "";
  element;

  constructor() {
    const column = (/** @type {string} */ text) => h("th", { scope: "col" }, text);
    this.element = h(
      "section",
      { class: "chart" },
      h("h2", {}, t("organiser.last_hour")),
      this.#since,
      this.#lines,
      h(
        "details",
        {},
        h("summary", {}, t("organiser.as_table")),
        h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": t("organiser.last_hour") },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h("tr", {}, column(t("organiser.time")), ...LINES.map((line) => column(t(`organiser.line.${line}`)))),
            ),
            this.#rows,
          ),
        ),
      ),
    );
  }

  /** @param {Sample[]} samples */
  show(samples) {
    if (samples.length === 0) return;
    this.#since.textContent = t("organiser.seen_since", { time: timeOfDay(samples[0].at) });
    const to = samples[samples.length - 1].at;
    const span = Math.min(HOUR, Math.max(SPAN_MIN, to - samples[0].at));
    fill(this.#lines, ...LINES.map((line) => figure(line, samples, to, span)));
    this.#table(samples);
  }

  /** @param {Sample[]} samples */
  #table(samples) {
    /** @type {Map<number, Sample>} */
    const rows = new Map();
    for (const sample of samples) rows.set(Math.floor(sample.at / ROW), sample);
    const past = [...rows.values()].reverse();
    const key = past.map(({ at }) => timeOfDay(at)).join();
    // Rows that change under a reader would be lost again and again.
    if (key === this.#shownRows) return;
    this.#shownRows = key;
    fill(this.#rows);
    for (const sample of past) {
      const cells = LINES.map((line) => h("td", { class: "number" }, number(sample[line])));
      append(this.#rows, [h("tr", {}, h("th", { scope: "row" }, timeOfDay(sample.at)), ...cells)]);
    }
  }
}

/**
 * @param {typeof LINES[number]} line
 * @param {Sample[]} samples
 * @param {number} to the time at the right
 * @param {number} span how long before it the left is
 */
function figure(line, samples, to, span) {
  const values = samples.map((sample) => sample[line]);
  const [most, last] = [Math.max(...values), values[values.length - 1]];
  const name = t(`organiser.line.${line}`);
  const svg = element("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": t("organiser.line_said", { line: name, least: Math.min(...values), most, last }),
  });
  const under = `V${HEIGHT}`;
  for (const run of runs(samples)) {
    const points = run.map((sample) => [
      round(WIDTH * (1 - (to - sample.at) / span)),
      round(HEIGHT - 2 - ((HEIGHT - 6) * sample[line]) / Math.max(1, most)),
    ]);
    // A single sample is a line of a little width.
    if (points.length === 1) points.unshift([round(points[0][0] - 1), points[0][1]]);
    const path = `M${points.map(([x, y]) => `${x},${y}`).join("L")}`;
    svg.append(
      element("path", { class: "area", d: `${path}${under}H${points[0][0]}Z` }),
      element("path", { class: "line", d: path, "vector-effect": "non-scaling-stroke" }),
    );
  }
  return h(
    "figure",
    { class: line },
    h(
      "figcaption",
      {},
      h("span", {}, name),
      h("span", { class: "hint" }, t("organiser.at_most", { most })),
      h("strong", { class: "number" }, number(last)),
    ),
    svg,
    h(
      "p",
      { class: "axis", "aria-hidden": "true" },
      h("span", {}, timeOfDay(to - span)),
      h("span", {}, timeOfDay(to - span / 2)),
      h("span", {}, timeOfDay(to)),
    ),
  );
}

/**
 * The samples without the times that nobody has seen.
 *
 * @param {Sample[]} samples
 */
function runs(samples) {
  /** @type {Sample[][]} */
  const runs = [];
  for (const sample of samples) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last && sample.at - last.at <= GAP) run.push(sample);
    else runs.push([sample]);
  }
  return runs;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 */
function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
