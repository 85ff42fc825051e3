// @ts-check
/** Charging points: once for each wish, also while the buyer has to act. */

import { intend, pause, request } from "./api.js";
import { fill, h } from "./dom.js";
import { t } from "./strings.js";
import { notice } from "./view.js";

/** How long to wait between two looks at a charge whose buyer acts, in milliseconds. */
const LOOK = 2_000;
/** After how many looks the gateway is asked; then after twice as many, and so on up to the most. */
const ASK_AFTER = 2;
const ASK_AFTER_MOST = 16;

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
      for (let looks = ASK_AFTER; ; looks = Math.min(2 * looks, ASK_AFTER_MOST)) {
        const { data } = await request("POST", "/v1/wallet/charges", { body: { amount }, key, signal });
        if (!isOpen(data)) return data;
        fill(place, todo(data));
        await decided(data.id, looks, signal);
      }
    });
  } finally {
    fill(place);
  }
}

/** @param {Charge} charge */
function isOpen({ status }) {
  return status === "requires_action" || status === "pending";
}

/**
 * Waits until a charge is decided, or has been looked at so often. Looking asks the server alone.
 *
 * @param {string} id
 * @param {number} looks
 * @param {AbortSignal} signal
 */
async function decided(id, looks, signal) {
  for (let look = 0; look < looks; look += 1) {
    await pause(LOOK, signal);
    const { data } = await request("GET", `/v1/wallet/charges/${id}`, { signal });
    if (!isOpen(data)) return;
  }
}

/** @param {Charge} data */
function todo({ action }) {
  if (!action) return notice("info", t("charging.wait"));
  const link = action.redirect_url && { href: action.redirect_url, target: "_blank", rel: "noopener" };
  if (!link) return notice("warning", t("charging.elsewhere"));
  return notice("info", t("charging.act"), " ", h("a", link, t("charging.open")));
}
