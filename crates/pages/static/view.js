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
  /** Whether the visitor comes from another view. */
  arrives = false;

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
      // A reader of the screen begins at the heading of a view that was gone to.
      if (this.arrives) requestAnimationFrame(() => heading?.focus());
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
 * @typedef {object} FieldOfForm
 * @property {string} name
 * @property {string} label
 * @property {string | RegExp} [pointer] what the server calls it, if that is not its name
 * @property {string} [hint]
 * @property {boolean} [long] has several lines
 * @property {Record<string, unknown>} [attributes]
 * @property {[value: string, label: string][]} [choices]
 */

/** @typedef {ReturnType<typeof formField>} FormField */

/**
 * A field with its label, and room for what is wrong with it.
 *
 * @param {FieldOfForm} field
 */
export function formField(field) {
  const id = `field-${field.name}-${Math.random().toString(36).slice(2, 8)}`;
  const attributes = { id, name: field.name, "aria-describedby": `${id}-said`, ...field.attributes };
  const input = field.choices
    ? h("select", attributes, ...field.choices.map(([value, label]) => h("option", { value }, label)))
    : field.long
      ? h("textarea", { rows: 5, ...attributes })
      : h("input", { type: "text", ...attributes });
  // Resetting the form brings back what was in it, and does not empty it.
  if (!(input instanceof HTMLSelectElement)) input.defaultValue = input.value;
  const wrong = h("span", { id: `${id}-said`, class: "hint" }, field.hint ?? "");
  const label = h("label", { for: id }, field.label);
  const ticked = field.attributes?.type === "checkbox";
  const row = ticked
    ? h("div", { class: "field tick" }, input, label, wrong)
    : h("div", { class: "field" }, label, input, wrong);
  return { field, input, wrong, row };
}

/**
 * A form whose fields show what is wrong with them, and whose button can be pressed once at a time.
 *
 * @param {object} form
 * @param {FieldOfForm[]} form.fields
 * @param {string} form.submit
 * @param {(values: Record<string, string>) => Promise<void>} form.act
 * @param {string} [form.class]
 * @param {Element} [form.inside] what is below the fields
 * @param {() => FormField[]} [form.more] the fields that are in it
 */
export function form({ fields, submit, act, class: name = "form", inside, more = () => [] }) {
  const said = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "submit", class: "primary" }, submit);
  const fixed = fields.map(formField);
  const element = h(
    "form",
    { class: name, novalidate: true, onsubmit: send },
    ...fixed.map((row) => row.row),
    inside,
    said,
    h("div", { class: "buttons" }, button),
  );

  /** @param {SubmitEvent} event */
  async function send(event) {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    fill(said);
    for (const { field, input, wrong } of [...fixed, ...more()]) {
      input.removeAttribute("aria-invalid");
      wrong.className = "hint";
      wrong.textContent = field.hint ?? "";
    }
    try {
      refuseMissing();
      await act(/** @type {Record<string, string>} */ (Object.fromEntries(new FormData(element))));
    } catch (error) {
      show(error);
    } finally {
      button.disabled = false;
      // A button that is disabled loses the focus.
      if (document.activeElement === document.body && element.isConnected) button.focus();
    }
  }

  /** What is missing is said of all fields at once, before the server is asked. */
  function refuseMissing() {
    const missing = [...fixed, ...more()].filter(({ input }) => input.required && input.value.trim() === "");
    if (missing.length === 0) return;
    for (const { input, wrong } of missing) mark(input, wrong, t("violation.missing_field"));
    throw new Refusal("validation_failed", 422);
  }

  /**
   * @param {Element} input
   * @param {Element} wrong
   * @param {string} text
   */
  function mark(input, wrong, text) {
    input.setAttribute("aria-invalid", "true");
    wrong.className = "hint wrong";
    wrong.textContent = text;
  }

  /** @param {unknown} error */
  function show(error) {
    let elsewhere = !(error instanceof Refusal) || error.violations.length === 0;
    for (const violation of error instanceof Refusal ? error.violations : []) {
      const row = [...fixed, ...more()].find(({ field }) => isAt(field, violation.pointer));
      if (!row) {
        elsewhere = true;
        continue;
      }
      mark(row.input, row.wrong, violated(violation));
    }
    if (elsewhere) fill(said, notice("warning", sentence(error)));
    /** @type {HTMLElement | null} */ (element.querySelector("[aria-invalid]"))?.focus();
    if (!(error instanceof Refusal)) console.error(error);
  }
  return element;
}

/**
 * @param {FieldOfForm} field
 * @param {string} pointer
 */
function isAt(field, pointer) {
  return field.pointer instanceof RegExp
    ? field.pointer.test(pointer)
    : (field.pointer ?? `/${field.name}`) === pointer;
}

/**
 * What is wrong, as a sentence.
 *
 * @param {import("./api.js").Violation} violation
 */
export function violated({ code }) {
  return t(has(`violation.${code}`) ? `violation.${code}` : "violation.unknown");
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
