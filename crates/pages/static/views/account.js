// @ts-check
/** The account: its password, its e-mail address, its sessions, its second factor, a copy of all that is stored, and its end. */

import { account, Refusal, request, signOut } from "../api.js";
import { append, fill, h } from "../dom.js";
import { t, when } from "../strings.js";
import { announce, ask, form, go, notice, View } from "../view.js";

class AccountView extends View {
  #sessions = h("ul", { class: "plain" });

  async show() {
    const me = await account(this.signal);
    const staff = me.role !== "customer";
    fill(
      this,
      h(
        "dl",
        { class: "facts" },
        ...[
          ["login_id", me.login_id],
          ["name", me.name],
          ["role", t(`role.${me.role}`)],
          ["since", when(me.created_at, null)],
        ].map(([name, value]) => h("div", {}, h("dt", {}, t(`account.${name}`)), h("dd", {}, value))),
      ),
      part("account.password", password()),
      part("account.email", h("p", {}, t("account.email_said")), email(me), language(me)),
      part(
        "account.sessions",
        this.#sessions,
        h(
          "p",
          {},
          h(
            "button",
            { type: "button", onclick: () => void this.attempt(() => this.#endOthers()) },
            t("account.end_others"),
          ),
        ),
      ),
      staff && part("account.second_factor", secondFactor()),
      part(
        "account.copy",
        h("p", {}, t("account.copy_said")),
        h("p", {}, h("button", { type: "button", onclick: () => void this.attempt(copy) }, t("account.copy_get"))),
      ),
      part("account.erase", h("p", {}, t("account.erase_said")), erase()),
    );
    this.heading(t("account.title"));
    await this.#readSessions();
  }

  async #readSessions() {
    const { data } = await request("GET", "/v1/me/sessions", { signal: this.signal });
    fill(
      this.#sessions,
      ...data.items.map((/** @type {import("../../api").components["schemas"]["SessionOfAccount"]} */ session) =>
        h(
          "li",
          {},
          h(
            "span",
            {},
            session.client ?? t("account.unknown_client"),
            h("br"),
            h("small", {}, t("account.last_used", { time: when(session.last_used_at, null) })),
          ),
          session.current
            ? h("strong", {}, t("account.this_session"))
            : h(
                "button",
                { type: "button", onclick: () => void this.attempt(() => this.#end(session.id)) },
                t("account.end"),
              ),
        ),
      ),
    );
  }

  /** @param {string} id */
  async #end(id) {
    await request("DELETE", `/v1/me/sessions/${id}`);
    await this.#readSessions();
  }

  async #endOthers() {
    await request("DELETE", "/v1/me/sessions");
    await this.#readSessions();
    announce(t("account.ended"));
  }
}

/**
 * @param {string} title
 * @param {...import("../dom.js").Child} inside
 */
function part(title, ...inside) {
  return h("section", {}, h("h2", {}, t(title)), ...inside);
}

const CURRENT = { type: "password", autocomplete: "current-password", required: true };

function password() {
  const element = form({
    fields: [
      { name: "current_password", label: t("account.current_password"), attributes: CURRENT },
      {
        name: "new_password",
        label: t("account.new_password"),
        hint: t("sign.password_hint"),
        attributes: { type: "password", autocomplete: "new-password", required: true },
      },
    ],
    submit: t("account.change"),
    act: async (values) => {
      await request("PUT", "/v1/me/password", { body: values });
      element.reset();
      element.append(notice("success", t("account.changed")));
    },
  });
  return element;
}

/** @typedef {import("../../api").components["schemas"]["OwnAccount"]} Me */

/**
 * Verifying an address, or removing it.
 *
 * @param {Me} me
 */
function email(me) {
  const box = h("div", {});
  const said = (/** @type {string | null} */ address) =>
    h("p", {}, address ? t("account.email_is", { address }) : t("account.email_none"));
  const begin = () => {
    const element = form({
      fields: [
        {
          name: "email",
          label: t("account.email_address"),
          attributes: { type: "email", autocomplete: "email", required: true, maxlength: 254 },
        },
        { name: "password", label: t("account.current_password"), attributes: CURRENT },
      ],
      submit: t("account.email_send"),
      act: async (body) => {
        await request("POST", "/v1/me/email", { body });
        fill(box, notice("success", t("account.email_sent", { address: body.email })), verify(body.email), begin());
      },
    });
    return element;
  };
  const verify = (/** @type {string} */ address) =>
    form({
      fields: [
        {
          name: "code",
          label: t("account.email_code"),
          attributes: { inputmode: "numeric", autocomplete: "one-time-code", required: true },
        },
      ],
      submit: t("account.email_verify"),
      act: async (body) => {
        await request("POST", "/v1/me/email/verify", { body });
        fill(box, notice("success", t("account.email_verified")), said(address), begin(), remove());
      },
    });
  const remove = () =>
    form({
      fields: [{ name: "password", label: t("account.current_password"), attributes: CURRENT }],
      submit: t("account.email_remove"),
      act: async (body) => {
        await request("DELETE", "/v1/me/email", { body });
        fill(box, notice("success", t("account.email_removed")), begin());
      },
    });
  append(box, [said(me.email), me.email_pending && verify(me.email_pending), begin(), me.email && remove()]);
  return box;
}

/**
 * The language of mail.
 *
 * @param {Me} me
 */
function language(me) {
  const element = form({
    fields: [
      {
        name: "language",
        label: t("account.mail_language"),
        choices: [
          ["en", t("language.en")],
          ["ko", t("language.ko")],
        ],
      },
    ],
    submit: t("account.mail_language_set"),
    act: async (body) => {
      await request("PATCH", "/v1/me", { body });
      announce(t("account.mail_language_saved"));
    },
  });
  const select = /** @type {HTMLSelectElement} */ (element.querySelector("select"));
  select.value = me.language;
  return element;
}

/** Setting the second factor up, or removing it. */
function secondFactor() {
  const box = h("div", {});
  const begin = form({
    fields: [{ name: "password", label: t("account.current_password"), attributes: CURRENT }],
    submit: t("account.second_factor_begin"),
    act: async (body) => {
      const { data } = await request("POST", "/v1/me/totp", { body });
      fill(
        box,
        h("p", {}, t("account.second_factor_scan")),
        h("p", {}, h("code", {}, data.secret)),
        h("p", {}, h("a", { href: data.url }, t("account.second_factor_open"))),
        confirm(),
      );
    },
  });
  const confirm = () =>
    form({
      fields: [
        {
          name: "code",
          label: t("sign.code"),
          attributes: { inputmode: "numeric", autocomplete: "one-time-code", required: true },
        },
      ],
      submit: t("account.second_factor_confirm"),
      act: async (body) => {
        const { data } = await request("POST", "/v1/me/totp/confirm", { body });
        fill(
          box,
          notice("success", t("account.recovery_said")),
          h(
            "ul",
            { class: "codes" },
            ...data.recovery_codes.map((/** @type {string} */ code) => h("li", {}, h("code", {}, code))),
          ),
        );
      },
    });
  const remove = form({
    fields: [{ name: "password", label: t("account.current_password"), attributes: CURRENT }],
    submit: t("account.second_factor_remove"),
    act: async (body) => {
      await request("DELETE", "/v1/me/totp", { body });
      fill(box, notice("success", t("account.second_factor_removed")));
    },
  });
  append(box, [begin, remove]);
  return box;
}

/** Saves everything that is stored as a file. */
async function copy() {
  const { data } = await request("GET", "/v1/me/export");
  const url = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: "application/json" }));
  const link = h("a", { href: url, download: "boxoffice-export.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function erase() {
  return form({
    fields: [{ name: "password", label: t("account.current_password"), attributes: CURRENT }],
    submit: t("account.erase_do"),
    act: async (body) => {
      const sure = await ask(
        t("account.erase_question"),
        [h("p", {}, t("account.erase_said"))],
        [
          ["keep", t("account.keep"), "primary"],
          ["erase", t("account.erase_do"), "danger"],
        ],
      );
      if (sure !== "erase") return;
      await request("DELETE", "/v1/me", { body });
      await signOut().catch((refusal) => {
        // The session went with the account.
        if (!(refusal instanceof Refusal)) throw refusal;
      });
      go("/");
    },
  });
}

customElements.define("shop-account", AccountView);
