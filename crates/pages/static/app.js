// @ts-check
/** Which view is shown at which address, and what is around all of them. */

import * as api from "./api.js";
import { append, fill, h, icon } from "./dom.js";
import * as strings from "./strings.js";
import { announce, go } from "./view.js";

/** @type {[pattern: RegExp, element: string, module: () => Promise<unknown>][]} */
const VIEWS = [
  [/^\/$/, "shop-home", () => import("./views/home.js")],
  [/^\/concerts\/(?<concert>[^/]+)$/, "shop-concert", () => import("./views/concert.js")],
  [/^\/concerts\/(?<concert>[^/]+)\/queue$/, "shop-queue", () => import("./views/queue.js")],
  [/^\/performances\/(?<performance>[^/]+)$/, "shop-hall", () => import("./views/hall.js")],
  [/^\/checkout\/(?<reservation>[^/]+)$/, "shop-checkout", () => import("./views/checkout.js")],
  [/^\/tickets$/, "shop-tickets", () => import("./views/tickets.js")],
  [/^\/wallet$/, "shop-wallet", () => import("./views/wallet.js")],
  [/^\/account$/, "shop-account", () => import("./views/account.js")],
  [/^\/sign-(?<way>in|up)$/, "shop-sign-in", () => import("./views/sign-in.js")],
  [/^\/reset-password$/, "shop-reset-password", () => import("./views/reset-password.js")],
  [/^\/organiser$/, "organiser-concerts", () => import("./views/organiser/concerts.js")],
  [/^\/organiser\/publish$/, "organiser-publish", () => import("./views/organiser/publish.js")],
  [/^\/organiser\/concerts\/(?<concert>[^/]+)$/, "organiser-desk", () => import("./views/organiser/desk.js")],
];

const { t } = strings;
let shows = 0;
let asksRole = false;

/** The view of the address: what is in the address, the name of its element, and how its module is loaded. */
function current() {
  const match = VIEWS.map(
    ([pattern, ...view]) => /** @type {const} */ ([pattern.exec(location.pathname), ...view]),
  ).find(([found]) => found);
  return match ?? /** @type {const} */ ([null, "shop-nowhere", () => import("./views/nowhere.js")]);
}

/**
 * Shows the view of the address.
 *
 * @param {boolean} [arrives] whether the visitor goes there from another view
 */
async function show(arrives = false) {
  shows += 1;
  const number = shows;
  const [found, name, module] = current();
  await module();
  if (number !== shows) return;
  const view = /** @type {import("./view.js").View} */ (document.createElement(name));
  view.params = { ...found?.groups };
  view.arrives = arrives;
  const main = /** @type {HTMLElement} */ (document.getElementById("main"));
  main.replaceChildren(view);
  markCurrent();
}

/** Marks the link to what is shown. */
function markCurrent() {
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === location.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/**
 * @param {string} path
 * @param {boolean} instead
 */
function visit(path, instead) {
  if (instead) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  window.scrollTo(0, 0);
  announce("");
  void show(true);
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.getAttribute("href")?.startsWith("#")) return;
  event.preventDefault();
  visit(link.pathname + link.search, false);
});
document.addEventListener("boxoffice-go", (event) => {
  const { path, instead } = /** @type {CustomEvent} */ (event).detail;
  visit(path, instead);
});
window.addEventListener("popstate", () => void show());

/** The top of each page. */
function banner() {
  const link = (/** @type {string} */ path, /** @type {string} */ text) => h("a", { href: path }, text);
  const signed = api.signedIn();
  const staff = signed && ["promoter", "admin"].includes(api.knownRole());
  const other = strings.shown() === "ko" ? "en" : "ko";
  const language = h(
    "button",
    { type: "button", class: "plain", lang: other, onclick: () => strings.choose(other) },
    t(`language.${other}`),
  );
  const leave = h(
    "button",
    {
      type: "button",
      class: "plain",
      onclick: () =>
        void api
          .signOut()
          .catch(() => {})
          .then(() => go("/")),
    },
    t("nav.sign_out"),
  );
  return [
    h("a", { href: "/", class: "brand" }, icon("logo"), t("brand")),
    h(
      "nav",
      { "aria-label": t("nav.label") },
      link("/", t("nav.concerts")),
      signed && link("/tickets", t("nav.tickets")),
      signed && link("/wallet", t("nav.wallet")),
      staff && link("/organiser", t("nav.organiser")),
      signed && link("/account", t("nav.account")),
      signed ? leave : link("/sign-in", t("nav.sign_in")),
      language,
    ),
  ];
}

function showBanner() {
  fill(/** @type {HTMLElement} */ (document.getElementById("banner")), ...banner());
  markCurrent();
  if (api.signedIn() && !api.knownRole()) askRole();
}

/** A session does not say what its account may do, so that is asked for once. */
function askRole() {
  if (asksRole) return;
  asksRole = true;
  api
    .account()
    .catch(() => {
      // Without an answer nothing of the organiser is offered, until the next page.
    })
    .finally(() => {
      asksRole = false;
    });
}

/** Says that the server is away or busy, until it answers again. */
function watchConnection() {
  const line = /** @type {HTMLElement} */ (document.getElementById("connection"));
  /** @type {number | undefined} */
  let later;
  let [said, text] = ["", ""];
  api.events.addEventListener("waiting", (event) => {
    const { code, seconds } = /** @type {CustomEvent} */ (event).detail;
    const key = code === "offline" ? "connection.away" : "connection.busy";
    // Each request that waits says so again; what is read out once is enough.
    if (!line.hidden && key === said) return;
    said = key;
    text = t(key, { wait: strings.span(seconds) });
    if (!line.hidden) line.textContent = text;
    // A moment that passes by itself is not worth a word. Requests beside each other must not put it off.
    later ??= window.setTimeout(() => {
      // Only what comes into an element that is shown is read out.
      line.hidden = false;
      line.textContent = text;
    }, 700);
  });
  api.events.addEventListener("answered", () => {
    clearTimeout(later);
    later = undefined;
    said = text = "";
    line.hidden = true;
    line.textContent = "";
  });
}

async function start() {
  // The module comes while the texts are on their way. What fails here fails again where it is shown.
  const [, , module] = current();
  void module().catch(() => {});
  await strings.load();
  const skip = /** @type {HTMLElement} */ (document.getElementById("skip"));
  skip.textContent = t("skip");
  append(/** @type {HTMLElement} */ (document.getElementById("footer")), [h("small", {}, t("footer"))]);
  showBanner();
  watchConnection();
  api.events.addEventListener("signed-in", showBanner);
  api.events.addEventListener("role", showBanner);
  api.events.addEventListener("signed-out", () => {
    showBanner();
    void show();
  });
  await show();
}

void start();
