// @ts-check
/** What all views have: their title, what ends with them, and what they say when something is refused. */

import { pause, Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { has, span, t } from "./strings.js";

/** A view: an element that is there while its address is shown. */
export class View extends HTMLElement {
  #ended = new AbortController();
  /** @type {Record<string, string>} what stands in the address */
  params = {};

  /** Aborts when another view is shown. */
  get signal() {
    return this.#ended.signal;
  }

  connectedCallback() {
    void this.attempt(() => this.show());
  }

  disconnectedCallback() {
    this.#ended.abort();
  }

  /** Shows the view. @returns {Promise<void>} */
  async show() {
    throw new Error("a view shows something");
  }

  /**
   * Does something that may be refused, and says so in place of the view.
   *
   * @param {() => Promise<void>} act
   */
  async attempt(act) {
    try {
      await act();
    } catch (error) {
      if (this.signal.aborted) return;
      if (error instanceof Refusal && needsSignIn(error)) {
        go(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`, true);
        return;
      }
      if (!(error instanceof Refusal)) console.error(error);
      fill(
        this,
        notice("warning", sentence(error)),
        h("p", {}, h("button", { type: "button", onclick: () => location.reload() }, t("retry"))),
      );
      this.heading(t("error.title"));
    }
  }

  /**
   * The title of the view: of the page, and its first heading, which is read out.
   *
   * @param {string} text
   * @param {...import("./dom.js").Child} beside
   */
  heading(text, ...beside) {
    document.title = `${text} · ${t("brand")}`;
    let heading = this.querySelector("h1");
    if (!heading) {
      heading = h("h1", { tabindex: "-1" });
      this.prepend(h("header", { class: "heading" }, heading, ...beside));
    }
    heading.textContent = text;
    return heading;
  }

  /**
   * Repeats something until the view ends, each time so many milliseconds after the last.
   *
   * @param {number} milliseconds
   * @param {() => void | Promise<void>} act
   */
  async every(milliseconds, act) {
    while (!this.signal.aborted) {
      try {
        await pause(milliseconds, this.signal);
        await act();
      } catch (error) {
        if (this.signal.aborted) return;
        if (!(error instanceof Refusal)) throw error;
      }
    }
  }
}

/** @param {Refusal} refusal */
export function needsSignIn(refusal) {
  return refusal.code === "unauthenticated" || refusal.code === "access_token_expired";
}

/**
 * What a refusal means, as a sentence.
 *
 * @param {unknown} error
 */
export function sentence(error) {
  if (!(error instanceof Refusal)) return t("problem.defect");
  const key = has(`problem.${error.code}`) ? `problem.${error.code}` : "problem.internal";
  const said = t(key, { ...numbers(error.problem), wait: span(error.retryAfter ?? 1) });
  // During maintenance the operator says more.
  const detail =
    error.code === "unavailable" && error.problem.maintenance === true ? String(error.problem.detail ?? "") : "";
  return detail ? `${said} ${detail}` : said;
}

/** @param {Record<string, unknown>} problem */
function numbers(problem) {
  /** @type {Record<string, string | number>} */
  const values = {};
  for (const [name, value] of Object.entries(problem)) {
    if (typeof value === "number" || typeof value === "string") values[name] = value;
    else if (Array.isArray(value) && value.every((part) => typeof part === "string")) values[name] = value.join(", ");
  }
  return values;
}

/**
 * A box that says something: `info`, `success`, `warning`.
 *
 * @param {"info" | "success" | "warning"} kind
 * @param {...import("./dom.js").Child} said
 */
export function notice(kind, ...said) {
  return h("p", { class: `notice ${kind}`, role: kind === "warning" ? "alert" : "status" }, ...said);
}

/**
 * Shows another address.
 *
 * @param {string} path
 * @param {boolean} [instead] in place of this one, which Back then skips
 */
export function go(path, instead = false) {
  document.dispatchEvent(new CustomEvent("boxoffice-go", { detail: { path, instead } }));
}

/**
 * Says something to a screen reader.
 *
 * @param {string} text
 */
export function announce(text) {
  const line = document.getElementById("announcements");
  if (line && line.textContent !== text) line.textContent = text;
}

/**
 * A form whose fields show what is wrong with them, and whose button can be pressed once at a time.
 *
 * @param {object} form
 * @param {{ name: string, label: string, pointer?: string, hint?: string, attributes?: Record<string, unknown>, choices?: [string, string][] }[]} form.fields
 * @param {string} form.submit
 * @param {(values: Record<string, string>) => Promise<void>} form.act
 * @param {string} [form.class]
 */
export function form({ fields, submit, act, class: name = "form" }) {
  const said = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "primary" }, submit);
  const rows = fields.map((field) => {
    const id = `field-${field.name}-${Math.random().toString(36).slice(2, 8)}`;
    const attributes = { id, name: field.name, "aria-describedby": `${id}-said`, ...field.attributes };
    const input = field.choices
      ? h("select", attributes, ...field.choices.map(([value, label]) => h("option", { value }, label)))
      : h("input", { type: "text", ...attributes });
    const wrong = h("span", { id: `${id}-said`, class: "hint" }, field.hint ?? "");
    return {
      field,
      input,
      wrong,
      row: h("div", { class: "field" }, h("label", { for: id }, field.label), input, wrong),
    };
  });
  const element = h(
    "form",
    { class: name, novalidate: true, onsubmit: send },
    ...rows.map((row) => row.row),
    said,
    h("div", { class: "buttons" }, button),
  );

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    fill(said);
    for (const { field, input, wrong } of rows) {
      input.removeAttribute("aria-invalid");
      wrong.className = "hint";
      wrong.textContent = field.hint ?? "";
    }
    try {
      await act(/** @type {Record<string, string>} */ (Object.fromEntries(new FormData(element))));
    } catch (error) {
      show(error);
    } finally {
      button.disabled = false;
    }
  }

  /** @param {unknown} error */
  function show(error) {
    let elsewhere = !(error instanceof Refusal) || error.violations.length === 0;
    for (const violation of error instanceof Refusal ? error.violations : []) {
      const row = rows.find(({ field }) => (field.pointer ?? `/${field.name}`) === violation.pointer);
      if (!row) {
        elsewhere = true;
        continue;
      }
      row.input.setAttribute("aria-invalid", "true");
      row.wrong.className = "hint wrong";
      row.wrong.textContent = t(
        has(`violation.${violation.code}`) ? `violation.${violation.code}` : "violation.unknown",
      );
    }
    if (elsewhere) fill(said, notice("warning", sentence(error)));
    /** @type {HTMLElement | null} */ (element.querySelector("[aria-invalid]"))?.focus();
    if (!(error instanceof Refusal)) console.error(error);
  }
  return element;
}

/**
 * Asks something that has to be confirmed. Resolves to the value of the button that was pressed, `""` for none.
 *
 * @param {string} question
 * @param {import("./dom.js").Child[]} said
 * @param {[value: string, label: string, kind?: string][]} buttons
 * @returns {Promise<string>}
 */
export function ask(question, said, buttons) {
  return new Promise((resolve) => {
    const dialog = h(
      "dialog",
      { "aria-labelledby": "question" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "question" }, question),
        ...said,
        h(
          "div",
          { class: "buttons" },
          ...buttons.map(([value, label, kind]) => h("button", { value, class: kind }, label)),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
