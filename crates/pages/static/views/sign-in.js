// @ts-check
/** Signing in, and making an account. */

import { intend, Refusal, request, signIn } from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../strings.js";
import { form, go, View } from "../view.js";

class SignIn extends View {
  async show() {
    const next = safe(new URLSearchParams(location.search).get("next"));
    const other = this.params.way === "in" ? "up" : "in";
    const to = next === "/" ? "" : `?next=${encodeURIComponent(next)}`;
    fill(
      this,
      h(
        "div",
        { class: "narrow" },
        this.params.way === "in" ? signingIn(next) : signingUp(next),
        this.params.way === "in" && h("p", {}, h("a", { href: "/reset-password" }, t("sign.forgot"))),
        h("p", {}, t(`sign.${other}_instead`), " ", h("a", { href: `/sign-${other}${to}` }, t(`sign.${other}`))),
      ),
    );
    this.heading(t(`sign.${this.params.way}`));
  }
}

/**
 * Where to go afterwards: an address of this shop.
 *
 * @param {string | null} next
 */
function safe(next) {
  return next && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** @param {string} next */
function signingIn(next) {
  const login = {
    name: "login_id",
    label: t("sign.login_id"),
    attributes: { autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" },
  };
  const password = {
    name: "password",
    label: t("sign.password"),
    attributes: { type: "password", autocomplete: "current-password", required: true },
  };
  const code = {
    name: "code",
    label: t("sign.code"),
    hint: t("sign.code_hint"),
    attributes: { autocomplete: "one-time-code", inputmode: "numeric" },
  };
  /** @param {{ name: string, label: string }[]} fields */
  const make = (fields) => {
    const element = form({
      fields,
      submit: t("sign.in"),
      act: async (values) => {
        try {
          await signIn(values.login_id, values.password, values.code?.trim());
        } catch (refusal) {
          // Only accounts with a second factor are asked for its code.
          if (refusal instanceof Refusal && refusal.code === "second_factor_required" && !values.code) {
            const asking = make([login, password, code]);
            element.replaceWith(asking);
            const inputs = asking.querySelectorAll("input");
            [inputs[0].value, inputs[1].value] = [values.login_id, values.password];
            inputs[2].focus();
            return;
          }
          throw refusal;
        }
        go(next, true);
      },
    });
    return element;
  };
  return make([login, password]);
}

/** @param {string} next */
function signingUp(next) {
  return form({
    fields: [
      {
        name: "login_id",
        label: t("sign.login_id"),
        hint: t("sign.login_id_hint"),
        attributes: { autocomplete: "username", required: true, autocapitalize: "none", spellcheck: "false" },
      },
      { name: "name", label: t("sign.name"), attributes: { autocomplete: "name", required: true } },
      {
        name: "password",
        label: t("sign.password"),
        hint: t("sign.password_hint"),
        attributes: { type: "password", autocomplete: "new-password", required: true },
      },
    ],
    submit: t("sign.up"),
    act: async (values) => {
      await intend(`sign-up:${values.login_id}`, (key) =>
        request("POST", "/v1/accounts", { body: values, key, anonymous: true }),
      );
      await signIn(values.login_id, values.password);
      go(next, true);
    },
  });
}

customElements.define("shop-sign-in", SignIn);
