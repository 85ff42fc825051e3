// @ts-check
/**
 * The hall as a picture that can be moved and enlarged. What was drawn last is moved at once; it is drawn anew when the fingers
 * rest, so that 15,000 seats follow them.
 */

import { MARKS } from "./plan.js";

/** @typedef {import("./plan.js").Place} Place */
/** @typedef {ReturnType<typeof import("./plan.js").plan>} Plan */

/** How far a pointer may move and still press a seat, in pixels. */
const STILL = 8;
/** When the picture is drawn anew after it was moved, in milliseconds. */
const REST = 90;
const SCALE_MAX = 60;
/** From which size on, in pixels, seats show their numbers and marks. */
const DETAILED = 15;
/**
 * How seats look that tell how they sell: their colour, and the share of a seat that they fill.
 *
 * @type {Record<string, [colour: string, size: number]>}
 */
const SELLING = { available: ["--taken", 0.58], held: ["--tier-2", 1], sold: ["--accent", 1] };

export class HallPicture {
  #plan;
  #pressed;
  /** @type {Set<string>} */
  #chosen = new Set();
  /** @type {(place: Place) => boolean} */
  #shows = () => true;
  /** @type {Map<number, string>} */
  #tiers = new Map();
  #context;
  #kept = document.createElement("canvas");
  /** What the kept picture was drawn with. */
  #drawn = { scale: 1, x: 0, y: 0 };
  #view = { scale: 1, x: 0, y: 0 };
  #least = 1;
  /** @type {Map<number, { x: number, y: number }>} */
  #pointers = new Map();
  #moved = 0;
  #frame = 0;
  /** @type {number | undefined} */
  #rest;
  #watch;
  #over = new AbortController();
  /** @type {Record<string, string>} */
  #colours = {};
  #sells;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Plan} plan
   * @param {(place: Place) => void} pressed
   * @param {boolean} [sells] shows how the hall sells, and not what can be chosen
   */
  constructor(canvas, plan, pressed, sells = false) {
    this.canvas = canvas;
    this.#sells = sells;
    this.#plan = plan;
    this.#pressed = pressed;
    this.#context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#watch = new ResizeObserver(() => this.#resize());
    this.#watch.observe(canvas);
    const { signal } = this.#over;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw(), { signal });
  }

  end() {
    this.#over.abort();
    this.#watch.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#rest);
  }

  /**
   * @param {Set<string>} chosen
   * @param {(place: Place) => boolean} shows
   * @param {Map<number, string>} tiers the colours of prices
   */
  show(chosen, shows, tiers) {
    this.#chosen = chosen;
    this.#shows = shows;
    this.#tiers = tiers;
    this.redraw();
  }

  /** Shows the whole hall. */
  fit() {
    const { left, top, right, bottom } = this.#plan.box;
    this.#showBox({ left: left - 1, top: top - 1, right: right + 1, bottom: bottom + 1 });
    this.#least = Math.min(this.#view.scale, 4);
  }

  /** @param {import("./plan.js").Box} box */
  #showBox(box) {
    const { width, height } = this.canvas;
    if (width === 0 || height === 0) return;
    const scale = Math.min(width / (box.right - box.left), height / (box.bottom - box.top));
    this.#view = {
      scale,
      x: width / 2 - (scale * (box.left + box.right)) / 2,
      y: height / 2 - (scale * (box.top + box.bottom)) / 2,
    };
    this.redraw();
  }

  /** @param {string} name of a section */
  showSection(name) {
    const section = this.#plan.sections.find((known) => known.name === name);
    if (!section) return;
    const { left, top, right, bottom } = section.box;
    this.#showBox({ left: left - 2, top: top - 2, right: right + 2, bottom: bottom + 2 });
  }

  /** @param {number} factor */
  zoom(factor) {
    this.#zoom(factor, this.canvas.width / 2, this.canvas.height / 2);
  }

  #resize() {
    const ratio = Math.min(devicePixelRatio, 2);
    const box = this.canvas.getBoundingClientRect();
    const [width, height] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (width === 0 || (width === this.canvas.width && height === this.canvas.height)) return;
    [this.canvas.width, this.canvas.height] = [width, height];
    [this.#kept.width, this.#kept.height] = [width, height];
    this.fit();
  }

  /** @param {{ clientX: number, clientY: number }} event */
  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const ratio = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio };
  }

  /** @param {PointerEvent} event */
  #down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    if (this.#pointers.size === 0) this.#moved = 0;
    this.#pointers.set(event.pointerId, this.#at(event));
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#at(event);
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    this.#pointers.set(event.pointerId, now);
    this.#moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (others.length === 0) {
      if (this.#moved > STILL) this.#pan(now.x - before.x, now.y - before.y);
      return;
    }
    const other = others[0];
    const [from, to] = [
      Math.hypot(before.x - other.x, before.y - other.y),
      Math.hypot(now.x - other.x, now.y - other.y),
    ];
    if (from > 0) this.#zoom(to / from, (now.x + other.x) / 2, (now.y + other.y) / 2);
    this.#pan((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const at = this.#at(event);
    const alone = this.#pointers.delete(event.pointerId) && this.#pointers.size === 0;
    if (!alone || this.#moved > STILL) return;
    const place = this.#placeAt(at.x, at.y);
    if (place && this.#view.scale >= 7) this.#pressed(place);
    else this.#zoom(2.5, at.x, at.y);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const at = this.#at(event);
    this.#zoom(Math.exp(-event.deltaY / 300), at.x, at.y);
  }

  /**
   * The seat under a point; where none is drawn, the nearest within a seat.
   *
   * @param {number} x
   * @param {number} y
   */
  #placeAt(x, y) {
    const [left, top] = [(x - this.#view.x) / this.#view.scale, (y - this.#view.y) / this.#view.scale];
    let found;
    let least = 0.75;
    for (const { places, box } of this.#plan.sections) {
      if (left < box.left - 1 || left > box.right + 1 || top < box.top - 1 || top > box.bottom + 1) continue;
      for (const place of places) {
        const away = Math.hypot(place.x - left, place.y - top);
        if (away < least) [found, least] = [place, away];
      }
    }
    return found;
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  #pan(x, y) {
    this.#view.x += x;
    this.#view.y += y;
    this.#moveKept();
  }

  /**
   * @param {number} factor
   * @param {number} x
   * @param {number} y
   */
  #zoom(factor, x, y) {
    const scale = Math.min(SCALE_MAX, Math.max(this.#least, this.#view.scale * factor));
    const by = scale / this.#view.scale;
    this.#view = { scale, x: x - by * (x - this.#view.x), y: y - by * (y - this.#view.y) };
    this.#moveKept();
  }

  /** Moves what was drawn, and draws anew when it rests. */
  #moveKept() {
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.redraw(), REST);
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const by = this.#view.scale / this.#drawn.scale;
      const context = this.#context;
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      context.setTransform(by, 0, 0, by, this.#view.x - by * this.#drawn.x, this.#view.y - by * this.#drawn.y);
      context.drawImage(this.#kept, 0, 0);
    });
  }

  /** Draws the hall. */
  redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#readColours();
      const context = /** @type {CanvasRenderingContext2D} */ (this.#kept.getContext("2d"));
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, this.#kept.width, this.#kept.height);
      this.#draw(context);
      this.#drawn = { ...this.#view };
      this.#context.setTransform(1, 0, 0, 1, 0, 0);
      this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.#context.drawImage(this.#kept, 0, 0);
    });
  }

  #readColours() {
    const style = getComputedStyle(this.canvas);
    for (const name of ["--text", "--muted", "--taken", "--accent", "--surface", "--line", "--tier-2"]) {
      this.#colours[name] = style.getPropertyValue(name).trim();
    }
    for (const name of this.#tiers.values()) this.#colours[name] = style.getPropertyValue(name).trim();
  }

  /** @param {CanvasRenderingContext2D} context */
  #draw(context) {
    const { scale, x, y } = this.#view;
    const { width, height } = this.canvas;
    const detailed = scale >= DETAILED;
    const stage = this.#plan.stage;
    context.fillStyle = this.#colours["--line"];
    context.fillRect(x + scale * stage.x, y + scale * stage.y, scale * stage.width, scale * stage.height);
    const seen = this.#plan.sections.filter(
      ({ box }) =>
        x + scale * box.right > 0 &&
        x + scale * box.left < width &&
        y + scale * box.bottom > 0 &&
        y + scale * box.top < height,
    );
    /** @type {Map<string, Place[]>} */
    const drawn = new Map();
    for (const { places } of seen) {
      for (const place of places) {
        const at = { x: x + scale * place.x, y: y + scale * place.y };
        if (at.x < -scale || at.y < -scale || at.x > width + scale || at.y > height + scale) continue;
        const look = this.#look(place);
        const same = drawn.get(look);
        if (same) same.push(place);
        else drawn.set(look, [place]);
      }
    }
    for (const [look, places] of drawn) {
      if (this.#sells) this.#drawSelling(context, look, places);
      else this.#drawSeats(context, look, places, detailed);
    }
    if (!detailed) this.#nameSections(context, seen);
  }

  /**
   * How a seat looks: `chosen`, `taken`, `dim`, or the colour of its price; if it tells how it sells, its status.
   *
   * @param {Place} place
   */
  #look(place) {
    if (this.#sells) return place.seat.status;
    if (this.#chosen.has(place.seat.label)) return "chosen";
    if (place.seat.status !== "available") return "taken";
    return this.#shows(place) ? (this.#tiers.get(place.seat.price) ?? "--accent") : "dim";
  }

  /**
   * Available seats are small rings, held ones diamonds, and sold ones full squares.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {string} status
   * @param {Place[]} places
   */
  #drawSelling(context, status, places) {
    const { scale, x, y } = this.#view;
    const [colour, size] = SELLING[status] ?? SELLING.available;
    const half = scale * 0.42 * size;
    const tiny = scale < 5;
    context.beginPath();
    for (const place of places) {
      const [left, top] = [x + scale * place.x, y + scale * place.y];
      if (status === "held" && !tiny) {
        context.moveTo(left, top - half);
        context.lineTo(left + half, top);
        context.lineTo(left, top + half);
        context.lineTo(left - half, top);
        context.closePath();
      } else if (status === "available" && !tiny) {
        context.moveTo(left + half, top);
        context.arc(left, top, half, 0, 2 * Math.PI);
      } else {
        context.rect(left - half, top - half, 2 * half, 2 * half);
      }
    }
    if (status === "available" && !tiny) {
      context.strokeStyle = this.#colours[colour];
      context.lineWidth = Math.max(1, scale / 14);
      context.stroke();
    } else {
      context.fillStyle = this.#colours[colour];
      context.fill();
    }
  }

  /**
   * Free seats are round and full, taken ones a cross, and chosen ones square with a tick.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {string} look
   * @param {Place[]} places
   * @param {boolean} detailed
   */
  #drawSeats(context, look, places, detailed) {
    const { scale, x, y } = this.#view;
    const [radius, arm] = [scale * 0.4, scale * 0.26];
    context.beginPath();
    for (const place of places) {
      const [left, top] = [x + scale * place.x, y + scale * place.y];
      if (look === "taken") {
        if (scale < 5) {
          context.rect(left - arm / 2, top - arm / 2, arm, arm);
        } else {
          context.moveTo(left - arm, top - arm);
          context.lineTo(left + arm, top + arm);
          context.moveTo(left + arm, top - arm);
          context.lineTo(left - arm, top + arm);
        }
      } else if (look === "chosen" || scale < 5) {
        context.rect(left - radius, top - radius, 2 * radius, 2 * radius);
      } else {
        context.moveTo(left + radius, top);
        context.arc(left, top, radius, 0, 2 * Math.PI);
      }
    }
    if (look === "taken" && scale >= 5) {
      context.strokeStyle = this.#colours["--taken"];
      context.lineWidth = Math.max(1, scale / 10);
      context.stroke();
      return;
    }
    context.fillStyle =
      this.#colours[look === "taken" ? "--taken" : look === "dim" ? "--line" : look === "chosen" ? "--text" : look];
    context.fill();
    if (!detailed && look !== "chosen") return;
    context.fillStyle = this.#colours["--surface"];
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = `${Math.round(scale * 0.42)}px system-ui, sans-serif`;
    for (const place of places) {
      const text = look === "chosen" ? "✓" : (MARKS[place.mark ?? ""] ?? String(place.seat.number));
      context.fillText(text, x + scale * place.x, y + scale * place.y);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Plan["sections"]} sections
   */
  #nameSections(context, sections) {
    const { scale, x, y } = this.#view;
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const { name, box } of sections) {
      const size = Math.min(28 * ratio, Math.max(11 * ratio, scale * 2.2));
      const [left, top] = [x + (scale * (box.left + box.right)) / 2, y + (scale * (box.top + box.bottom)) / 2];
      context.font = `600 ${size}px system-ui, sans-serif`;
      const wide = context.measureText(name).width;
      if (wide > scale * (box.right - box.left) * 1.1) continue;
      context.fillStyle = this.#colours["--surface"];
      context.globalAlpha = 0.85;
      context.beginPath();
      context.roundRect(left - wide / 2 - size / 3, top - size * 0.7, wide + size / 1.5, size * 1.4, size / 4);
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = this.#colours["--text"];
      context.fillText(name, left, top);
    }
  }
}
