// @ts-check
/** Charging points: once for each wish, also while the buyer has to act. */

import { intend, pause, request } from "./api.js";
import { fill, h } from "./dom.js";
import { t } from "./strings.js";
import { notice } from "./view.js";

/** How long to wait between two looks at a charge whose buyer acts, in milliseconds. */
const LOOK = 2_000;

/** @typedef {import("../api").components["schemas"]["Charge"]} Charge */

/**
 * Charges points, and waits while the buyer acts or the payment service decides. Repeated under its key, the request tells
 * how the charge stands.
 *
 * @param {string} wish what the charge is for, by a name that survives a reload
 * @param {number} amount
 * @param {HTMLElement} place where it is shown what the buyer has to do
 * @param {AbortSignal} signal
 * @returns {Promise<Charge>}
 */
export async function charge(wish, amount, place, signal) {
  try {
    return await intend(wish, async (key) => {
      for (;;) {
        const { data } = await request("POST", "/v1/wallet/charges", { body: { amount }, key, signal });
        if (data.status !== "requires_action" && data.status !== "pending") return data;
        if (!place.hasChildNodes()) fill(place, todo(data));
        await pause(LOOK, signal);
      }
    });
  } finally {
    fill(place);
  }
}

/** @param {Charge} data */
function todo({ action }) {
  if (!action) return notice("info", t("charging.wait"));
  const link = action.redirect_url && { href: action.redirect_url, target: "_blank", rel: "noopener" };
  return notice("info", t("charging.act"), " ", link ? h("a", link, t("charging.open")) : "");
}
