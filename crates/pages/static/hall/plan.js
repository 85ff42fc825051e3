// @ts-check
/**
 * Where seats are drawn. A unit is the distance of two seats in a row; the stage's front edge is around the origin, and y grows
 * away from it.
 */

/** @typedef {{ label: string, section: string, row: string, number: number, price: number, status: string }} Seat */
/** @typedef {{ seat: Seat, x: number, y: number, mark?: string }} Place */
/** @typedef {{ name: string, places: Place[], rows: Map<string, Place[]>, box: Box }} SectionPlan */
/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */
/** @typedef {{ x: number, y: number, width: number, height: number }} Stage */
/** @typedef {import("../../api").components["schemas"]["Layout"]} Layout */
/** @typedef {{ section: string, x: number, y: number, angle?: number, curvature?: number }} SectionPlace */

/** The signs of special seats. @type {Record<string, string>} */
export const MARKS = { wheelchair: "♿︎", companion: "+", restricted_view: "◐" };

/** The distance of two rows. */
const ROW = 1.15;
/** Between two sections beside and behind each other. */
const AISLE = 2.5;
/** Between the stage and the first row. */
const FRONT = 4;

/**
 * The plan of a hall: from its layout, or by a rule if it has none.
 *
 * @param {Seat[]} seats
 * @param {Layout | null | undefined} layout
 */
export function plan(seats, layout) {
  const sections = grouped(seats);
  const marks = new Map((layout?.marks ?? []).map(({ seat, mark }) => [seat, mark]));
  const placed = new Map((layout?.sections ?? []).map((section) => [section.section, section]));
  const byRule = arranged(sections.filter(({ name }) => !placed.has(name)));
  for (const section of sections) {
    const at = placed.get(section.name) ?? byRule.get(section.name);
    if (at) put(section, at);
    for (const place of section.places) place.mark = marks.get(place.seat.label);
    section.box = around(section.places);
  }
  const box = around(sections.flatMap(({ places }) => places));
  const width = Math.min(40, Math.max(8, (box.right - box.left) * 0.4));
  const drawn = layout?.stage;
  /** @type {Stage} */
  const stage = drawn
    ? { x: drawn.x, y: drawn.y, width: drawn.width, height: drawn.depth }
    : {
        x: (box.left + box.right) / 2 - width / 2,
        y: box.top - FRONT - 1,
        width,
        height: FRONT - 1,
      };
  const whole = {
    left: Math.min(box.left, stage.x),
    right: Math.max(box.right, stage.x + stage.width),
    top: Math.min(box.top, stage.y),
    bottom: Math.max(box.bottom, stage.y + stage.height),
  };
  return { sections, stage, box: whole };
}

/**
 * @param {Seat[]} seats
 * @returns {SectionPlan[]}
 */
function grouped(seats) {
  /** @type {Map<string, SectionPlan>} */
  const sections = new Map();
  for (const seat of seats) {
    let section = sections.get(seat.section);
    if (!section) {
      section = { name: seat.section, places: [], rows: new Map(), box: { left: 0, top: 0, right: 0, bottom: 0 } };
      sections.set(seat.section, section);
    }
    const place = { seat, x: 0, y: 0 };
    section.places.push(place);
    const row = section.rows.get(seat.row);
    if (row) row.push(place);
    else section.rows.set(seat.row, [place]);
  }
  return [...sections.values()];
}

/** @param {SectionPlan} section */
function size(section) {
  const width = Math.max(...[...section.rows.values()].map((row) => row.length));
  return { width, depth: section.rows.size * ROW };
}

/**
 * Puts sections into tiers in front of the stage, each about as wide as the hall is deep, the middle of each in the middle of the
 * stage. In a tier they turn a little towards the stage.
 *
 * @param {SectionPlan[]} sections
 */
function arranged(sections) {
  /** @type {Map<string, SectionPlace>} */
  const places = new Map();
  const seats = sections.reduce((sum, { places }) => sum + places.length, 0);
  const wide = Math.max(...sections.map((section) => size(section).width), Math.sqrt(seats) * 1.6);
  /** @type {SectionPlan[][]} */
  const tiers = [];
  let used = 0;
  for (const section of sections) {
    const { width } = size(section);
    if (tiers.length === 0 || used + AISLE + width > wide * 1.1) {
      tiers.push([]);
      used = -AISLE;
    }
    tiers[tiers.length - 1].push(section);
    used += AISLE + width;
  }
  let y = 0;
  for (const tier of tiers) {
    const sizes = tier.map(size);
    const total = sizes.reduce((sum, { width }) => sum + width + AISLE, -AISLE);
    // Seen from a place behind the stage, the tier is part of a circle.
    const radius = y + Math.max(20, total * 0.9);
    let x = -total / 2;
    for (const [index, section] of tier.entries()) {
      const middle = x + sizes[index].width / 2;
      const turn = tier.length > 1 ? middle / radius : 0;
      places.set(section.name, {
        section: section.name,
        x: radius * Math.sin(turn),
        y: y - radius * (1 - Math.cos(turn)),
        angle: (-turn * 180) / Math.PI,
        curvature: 1 / radius,
      });
      x += sizes[index].width + AISLE;
    }
    y += Math.max(...sizes.map(({ depth }) => depth)) + AISLE;
  }
  return places;
}

/**
 * Puts the seats of a section around the middle of its front row. With a curvature, rows are arcs around one middle in front of
 * the section; the angle, in degrees, turns the section clockwise.
 *
 * @param {SectionPlan} section
 * @param {SectionPlace} at
 */
function put(section, at) {
  const turn = ((at.angle ?? 0) * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  let depth = 0;
  for (const row of section.rows.values()) {
    for (const [index, place] of row.entries()) {
      let along = index - (row.length - 1) / 2;
      let away = depth;
      if (at.curvature) {
        const radius = 1 / at.curvature + depth;
        const bend = along / radius;
        along = radius * Math.sin(bend);
        away = depth - radius * (1 - Math.cos(bend));
      }
      place.x = at.x + along * cos - away * sin;
      place.y = at.y + along * sin + away * cos;
    }
    depth += ROW;
  }
}

/**
 * @param {Place[]} places
 * @returns {Box}
 */
function around(places) {
  const box = {
    left: Number.POSITIVE_INFINITY,
    top: Number.POSITIVE_INFINITY,
    right: Number.NEGATIVE_INFINITY,
    bottom: Number.NEGATIVE_INFINITY,
  };
  for (const { x, y } of places) {
    box.left = Math.min(box.left, x - 0.5);
    box.right = Math.max(box.right, x + 0.5);
    box.top = Math.min(box.top, y - 0.5);
    box.bottom = Math.max(box.bottom, y + 0.5);
  }
  return box;
}

/**
 * The marks that occur in a hall, in the order of their signs.
 *
 * @param {SectionPlan[]} sections
 */
export function marksOf(sections) {
  const found = new Set(sections.flatMap(({ places }) => places.map(({ mark }) => mark)));
  return Object.entries(MARKS).filter(([mark]) => found.has(mark));
}

/**
 * The free seats that are nearest to one, of the same price first.
 *
 * @param {SectionPlan[]} sections
 * @param {Place} to
 * @param {Set<string>} but
 * @param {number} count
 */
export function nearest(sections, to, but, count) {
  const free = sections
    .flatMap(({ places }) => places)
    .filter(({ seat }) => seat.status === "available" && !but.has(seat.label));
  const away = (/** @type {Place} */ place) =>
    Math.hypot(place.x - to.x, place.y - to.y) + (place.seat.price === to.seat.price ? 0 : 1_000);
  return free.sort((one, other) => away(one) - away(other)).slice(0, count);
}
