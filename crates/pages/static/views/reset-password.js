// @ts-check
/** Choosing another password: asking for a mail, and with the token of one, from its link or as its code. */

import { request } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../strings.js";
import { form, notice, View } from "../view.js";

class ResetPassword extends View {
  async show() {
    const token = location.hash.slice(1);
    // The token is a secret: it stays neither in the address nor in the history.
    if (token) history.replaceState(null, "", location.pathname);
    fill(
      this,
      h(
        "div",
        { class: "narrow" },
        token ? choosing(token) : asking(),
        h("p", {}, h("a", { href: "/sign-in" }, t("sign.in"))),
      ),
    );
    this.heading(t("reset.title"));
  }
}

function asking() {
  const element = form({
    fields: [
      {
        name: "login_id",
        label: t("sign.login_id"),
        hint: t("reset.hint"),
        attributes: { autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" },
      },
    ],
    submit: t("reset.send"),
    act: async (body) => {
      await request("POST", "/v1/password-resets", { body, anonymous: true });
      element.replaceWith(notice("success", t("reset.sent")), choosing());
    },
  });
  return element;
}

/** @param {string} [token] if it is missing, it is asked for */
function choosing(token) {
  const code = {
    name: "token",
    label: t("account.email_code"),
    attributes: { autocomplete: "one-time-code", required: true, autocapitalize: "none", spellcheck: "false" },
  };
  const element = form({
    fields: [
      ...(token ? [] : [code]),
      {
        name: "password",
        label: t("account.new_password"),
        hint: t("sign.password_hint"),
        attributes: { type: "password", autocomplete: "new-password", required: true },
      },
    ],
    submit: t("account.change"),
    act: async ({ token: entered, password }) => {
      const path = `/v1/password-resets/${encodeURIComponent(token ?? entered.trim())}`;
      await request("POST", path, { body: { password }, anonymous: true });
      element.replaceWith(notice("success", t("reset.done")));
    },
  });
  return element;
}

customElements.define("shop-reset-password", ResetPassword);
