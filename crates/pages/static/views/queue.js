// @ts-check
/** The waiting room: where one stands, for how long, and what to do. */

import { freshKey, keepQueueToken, pause, queueToken, Refusal, request, stream } from "../api.js";
import { fill, h } from "../dom.js";
import { has, number, span, t, when } from "../strings.js";
import { announce, ask, go, needsSignIn, notice, sentence, View } from "../view.js";

/** @typedef {import("../../api").components["schemas"]} Schemas */

/** How often a screen reader hears the place while it changes all the time, in milliseconds. */
const SAID = 20_000;

class Queue extends View {
  #concert = "";
  #said = 0;
  /** The place that was the last, for the bar. */
  #first = 0;
  /** @type {string | undefined} */
  #last;
  #box = h("section", { class: "room", "aria-live": "off" });
  #extra = h("section", { class: "meanwhile" });
  /** @type {AudioContext | undefined} */
  #sound;
  #title = "";

  async show() {
    this.#concert = this.params.concert;
    const { data: concert } = await request("GET", `/v1/concerts/${this.#concert}`, { signal: this.signal });
    this.#title = concert.title;
    fill(this, this.#box, this.#extra);
    this.heading(t("queue.title", { title: concert.title }));
    if (await this.#passedOver()) return;
    await this.#join();
    if (this.signal.aborted) return;
    this.#showExtra(concert);
    await this.#watch();
  }

  /** Whether the place that this browser knows was passed over: its holder reads so before it joins again, at the end. */
  async #passedOver() {
    const known = queueToken(this.#concert);
    if (!known) return false;
    try {
      const { data } = await request("GET", "/v1/queue", { queueToken: known, signal: this.signal });
      return data.reason === "passed_over" && this.#showStatus(data);
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.code.startsWith("queue_token")) return false;
      throw refusal;
    }
  }

  /** Takes the place that the account has, or a new one. */
  async #join() {
    try {
      const { data } = await request("POST", `/v1/concerts/${this.#concert}/queue`, {
        key: freshKey(),
        signal: this.signal,
      });
      keepQueueToken(this.#concert, data.token);
      this.#showStatus(data);
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || needsSignIn(refusal)) throw refusal;
      fill(
        this.#box,
        notice("info", sentence(refusal)),
        refusal.code === "email_not_verified" && h("p", {}, h("a", { href: "/account" }, t("queue.to_account"))),
        h("p", {}, h("a", { href: `/concerts/${this.#concert}`, class: "button" }, t("queue.back"))),
      );
      this.disconnectedCallback();
    }
  }

  /** Hears the server, and asks it where hearing does not work. */
  async #watch() {
    while (!this.signal.aborted) {
      try {
        const options = { queueToken: queueToken(this.#concert), signal: this.signal };
        for await (const { event, data } of stream("/v1/queue/events", options)) {
          this.querySelector(".away")?.remove();
          if (event === "status" && this.#showStatus(data)) return;
        }
        await pause(300 + 700 * Math.random(), this.signal);
      } catch (refusal) {
        if (this.signal.aborted) return;
        if (!(refusal instanceof Refusal) && !(refusal instanceof TypeError)) throw refusal;
        if (await this.#poll()) return;
      }
    }
  }

  /** Asks once, and waits for as long as the server says. Resolves to whether it is over. */
  async #poll() {
    try {
      const { data } = await request("GET", "/v1/queue", {
        queueToken: queueToken(this.#concert),
        signal: this.signal,
      });
      this.querySelector(".away")?.remove();
      if (this.#showStatus(data)) return true;
      await pause(1_000 * (data.poll_after_seconds ?? 5), this.signal);
    } catch (refusal) {
      if (this.signal.aborted) return true;
      if (!(refusal instanceof Refusal)) throw refusal;
      if (needsSignIn(refusal)) throw refusal;
      if (refusal.code.startsWith("queue_token")) {
        // The token is not of this place any more, so the place is asked for again.
        await this.#join();
        await pause(1_000, this.signal);
        return false;
      }
      if (!this.querySelector(".away"))
        this.#box.append(h("p", { class: "away notice warning", role: "alert" }, t("queue.away")));
      await pause(3_000, this.signal);
    }
    return false;
  }

  /**
   * @param {Schemas["QueueStatus"]} status
   * @returns {boolean} whether it is over
   */
  #showStatus(status) {
    if (status.status === "active") {
      this.#admitted();
      return true;
    }
    if (status.status === "expired") {
      keepQueueToken(this.#concert, undefined);
      // A server of a later version may have another reason.
      const reason = has(`queue.ended.${status.reason}`) ? `queue.ended.${status.reason}` : "queue.expired";
      fill(
        this.#box,
        notice("warning", t(reason)),
        h(
          "p",
          { class: "buttons" },
          (!status.reason || status.reason === "passed_over") &&
            h(
              "button",
              { type: "button", class: "primary", onclick: () => go(location.pathname, true) },
              t("queue.join_again"),
            ),
          h("a", { href: `/concerts/${this.#concert}`, class: "button" }, t("queue.back")),
        ),
      );
      fill(this.#extra);
      const over = t("queue.over");
      document.title = `${over} · ${this.#title}`;
      return true;
    }
    this.#showWaiting(status);
    return false;
  }

  /** @param {Schemas["QueueStatus"]} status */
  #showWaiting(status) {
    const { position, estimated_wait_seconds: wait, reason } = status;
    if (position === null) {
      fill(this.#box, h("p", { class: "place" }, t("queue.before_draw")));
      this.#say(t("queue.before_draw"));
      return;
    }
    const ahead = position - 1;
    this.#first = Math.max(this.#first, position);
    const place = t("queue.ahead", { count: ahead });
    const expected = has(`queue.waits.${reason}`)
      ? t(`queue.waits.${reason}`)
      : wait === null
        ? t("queue.no_estimate")
        : t("queue.wait", { wait: span(rounded(wait)) });
    const bar = h("progress", { max: this.#first, value: this.#first - ahead, "aria-label": t("queue.progress") });
    fill(
      this.#box,
      h(
        "p",
        { class: "place" },
        h("strong", {}, number(ahead)),
        " ",
        h("span", {}, t("queue.ahead_of_you", { count: ahead })),
      ),
      bar,
      h("p", { class: "expected" }, expected),
    );
    document.title = `${number(ahead)} · ${this.#title}`;
    this.#say(`${place} ${expected}`);
  }

  /**
   * Says where one stands, but not at each step.
   *
   * @param {string} text
   */
  #say(text) {
    if (text === this.#last || performance.now() - this.#said < SAID) return;
    this.#last = text;
    this.#said = performance.now();
    announce(text);
  }

  /** @param {Schemas["ConcertDetail"]} concert */
  #showExtra(concert) {
    const opens = Date.parse(concert.sales_open_at) - Date.now();
    const draw = opens > 0 ? concert.draw : null;
    const call = h("button", { type: "button", onclick: () => void this.#callMe(call) }, t("queue.call_me"));
    fill(
      this.#extra,
      h("h2", {}, t("queue.meanwhile")),
      h(
        "ul",
        {},
        h("li", {}, t("queue.stay")),
        h("li", {}, t("queue.one_place")),
        h("li", {}, t("queue.charge"), " ", h("a", { href: "/wallet", target: "_blank" }, t("nav.wallet"))),
      ),
      draw && h("p", {}, t("queue.draw_at", { time: when(concert.sales_open_at, concert.venues[0]?.time_zone) })),
      draw && h("p", { class: "hash" }, t("queue.seed_hash"), " ", h("code", {}, draw.seed_hash)),
      h(
        "p",
        { class: "buttons" },
        call,
        h(
          "button",
          { type: "button", class: "danger", onclick: () => void this.attempt(() => this.#leave()) },
          t("queue.leave"),
        ),
      ),
    );
  }

  /**
   * Sound and notifications need a gesture of the visitor.
   *
   * @param {HTMLButtonElement} button
   */
  async #callMe(button) {
    this.#sound ??= new AudioContext();
    await this.#sound.resume();
    if ("Notification" in window && Notification.permission === "default") await Notification.requestPermission();
    button.disabled = true;
    button.textContent = t("queue.will_call");
  }

  async #leave() {
    const left = await ask(
      t("queue.leave_question"),
      [h("p", {}, t("queue.leave_said"))],
      [
        ["stay", t("queue.stay_here"), "primary"],
        ["leave", t("queue.leave"), "danger"],
      ],
    );
    if (left !== "leave") return;
    await request("DELETE", "/v1/queue", { queueToken: queueToken(this.#concert) });
    keepQueueToken(this.#concert, undefined);
    go(`/concerts/${this.#concert}`, true);
  }

  #admitted() {
    const turn = t("queue.turn");
    document.title = `${turn} · ${this.#title}`;
    announce(turn);
    if (this.#sound) chime(this.#sound);
    if ("Notification" in window && Notification.permission === "granted" && document.hidden) {
      new Notification(turn, { body: this.#title, tag: this.#concert });
    }
    void this.attempt(() => this.#onward());
  }

  /** On to the seats: at once where there is one performance. */
  async #onward() {
    const { data } = await request("GET", `/v1/concerts/${this.#concert}/performances`, {
      queueToken: queueToken(this.#concert),
      query: { limit: 100 },
      signal: this.signal,
    });
    const open = data.items.filter(
      (/** @type {Schemas["Performance"]} */ performance) =>
        !performance.withdrawn && Date.parse(performance.starts_at) > Date.now(),
    );
    go(open.length === 1 ? `/performances/${open[0].id}` : `/concerts/${this.#concert}`, true);
  }
}

/**
 * An estimate is no clock: minutes, and half minutes below five.
 *
 * @param {number} seconds
 */
function rounded(seconds) {
  const step = seconds < 300 ? 30 : 60;
  return Math.max(step, Math.round(seconds / step) * step);
}

/** @param {AudioContext} sound */
function chime(sound) {
  for (const [index, frequency] of [660, 880].entries()) {
    const [tone, volume, at] = [sound.createOscillator(), sound.createGain(), sound.currentTime + 0.25 * index];
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.2, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.6);
    tone.connect(volume).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.6);
  }
}

customElements.define("shop-queue", Queue);
