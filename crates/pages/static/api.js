// @ts-check
/**
 * The client of the API: the session, what is repeated and how often, and what the server says when it refuses.
 *
 * The access token lives in memory. The refresh token is a cookie that no script can read; tabs exchange it one after the
 * other, and tell each other what they got.
 */

/** @typedef {{ pointer: string, code: string, message: string }} Violation */
/** @typedef {{ token: string, until: number }} Access */

/**
 * @typedef {object} Options
 * @property {unknown} [body]
 * @property {Record<string, string | number | boolean | undefined>} [query]
 * @property {string} [queueToken]
 * @property {string} [key] the idempotency key: with it the request may be repeated
 * @property {string} [tag] the entity tag of what is there already
 * @property {string} [match] the entity tag of what is to be changed, which nobody else may have changed meanwhile
 * @property {AbortSignal} [signal]
 * @property {boolean} [once] is not repeated, because a second time would do more
 * @property {boolean} [anonymous] goes without the access token
 */

/** How often a request is repeated that found nobody, or a server that is too busy. */
const ATTEMPTS_MAX = 6;
/** The longest wait between two of them, in milliseconds. */
const WAIT_MAX = 15_000;
/** How long before its end an access token is exchanged, in milliseconds. */
const EARLY = 20_000;
const SIGNED_IN = "boxoffice-signed-in";

/** What the server refused, or that it could not be reached: `code` is then `offline`. */
export class Refusal extends Error {
  /**
   * @param {string} code
   * @param {number} status
   * @param {{ errors?: Violation[], [name: string]: unknown }} [problem]
   * @param {number} [retryAfter] in seconds
   */
  constructor(code, status, problem = {}, retryAfter = undefined) {
    super(code);
    this.code = code;
    this.status = status;
    this.problem = problem;
    this.violations = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/**
 * What happens to the session and to the connection: `signed-in`, `signed-out`, `role` (it is known now), `waiting` (with the
 * seconds until the next attempt) and `answered`.
 */
export const events = new EventTarget();
const tabs = new BroadcastChannel("boxoffice");

/** @type {Access | undefined} */
let access;
/** The role of the account, where the storage cannot keep it. */
let role = "";

tabs.addEventListener("message", ({ data }) => {
  if (data?.access) {
    access = data.access;
    role = "";
    events.dispatchEvent(new Event("signed-in"));
  } else if (data === "signed-out") {
    access = undefined;
    role = "";
    events.dispatchEvent(new Event("signed-out"));
  }
});

/** Whether the browser has a session, as far as this page knows. */
export function signedIn() {
  try {
    return access !== undefined || localStorage.getItem(SIGNED_IN) !== null;
  } catch {
    return access !== undefined;
  }
}

/** The role of the account, `""` until it is known. It decides what is offered; the server decides what is allowed. */
export function knownRole() {
  try {
    return localStorage.getItem(SIGNED_IN) || role;
  } catch {
    return role;
  }
}

/**
 * The account, whose role is known from then on.
 *
 * @param {AbortSignal} [signal]
 * @returns {Promise<import("../api").components["schemas"]["OwnAccount"]>}
 */
export async function account(signal) {
  const { data } = await request("GET", "/v1/me", { signal });
  if (signedIn() && knownRole() !== data.role) {
    role = data.role;
    remember(true);
    events.dispatchEvent(new Event("role"));
  }
  return data;
}

/** @param {{ access_token: string, expires_in: number }} session */
function keep(session) {
  access = {
    token: session.access_token,
    until: performance.timeOrigin + performance.now() + session.expires_in * 1_000,
  };
  remember(true);
  tabs.postMessage({ access });
  events.dispatchEvent(new Event("signed-in"));
}

/** Removes what belongs to the account that leaves: its places in queues, its choices, what it wanted to do, what it saw sold. */
function clearStorage() {
  for (const storage of [localStorage, sessionStorage]) {
    for (const name of Object.keys(storage)) {
      if (/^boxoffice-(queue|choice|intention|desk):/.test(name)) storage.removeItem(name);
    }
  }
}

function forget() {
  access = undefined;
  role = "";
  remember(false);
  tabs.postMessage("signed-out");
  events.dispatchEvent(new Event("signed-out"));
}

/** @param {boolean} signedIn */
function remember(signedIn) {
  try {
    if (signedIn) localStorage.setItem(SIGNED_IN, role || (localStorage.getItem(SIGNED_IN) ?? ""));
    else localStorage.removeItem(SIGNED_IN);
  } catch {
    // Without storage the session ends with the page.
  }
}

function isFresh() {
  return access !== undefined && performance.timeOrigin + performance.now() < access.until - EARLY;
}

/**
 * Signs in.
 *
 * @param {string} loginId
 * @param {string} password
 * @param {string} [code] of the second factor
 */
export async function signIn(loginId, password, code) {
  const body = { login_id: loginId, password, cookie: true, ...(code ? { code } : {}) };
  const { data } = await request("POST", "/v1/sessions", { body, anonymous: true });
  // Whoever signed in before may have had another role.
  remember(false);
  role = "";
  keep(data);
}

export async function signOut() {
  try {
    await request("DELETE", "/v1/sessions/current");
  } finally {
    clearStorage();
    forget();
  }
}

/**
 * Exchanges the cookie for an access token, unless another tab does so meanwhile. Resolves to whether there is one.
 *
 * @param {string} [refused] an access token that the server does not take any more
 */
async function refresh(refused) {
  return alone("boxoffice-session", async () => {
    if (isFresh() && access?.token !== refused) return true;
    if (!signedIn()) return false;
    try {
      const { data } = await request("POST", "/v1/sessions/refresh", { body: {}, anonymous: true });
      keep(data);
      return true;
    } catch (refusal) {
      if (refusal instanceof Refusal && refusal.status === 401) {
        forget();
        return false;
      }
      throw refusal;
    }
  });
}

/**
 * Does something in one tab at a time. Browsers have no locks where the page came neither over TLS nor from this machine; two tabs
 * that refresh at once then get the same tokens.
 *
 * @param {string} name
 * @param {() => Promise<T>} act
 * @returns {Promise<T>}
 * @template T
 */
export async function alone(name, act) {
  return navigator.locks ? await navigator.locks.request(name, act) : act();
}

/** A key that nobody else has. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The access token, or `undefined` if nobody is signed in. */
export async function token() {
  if (!isFresh() && signedIn()) await refresh();
  return access?.token;
}

/**
 * Sends a request. One that reads, or has a key, is repeated while the server is away or busy.
 *
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<{ status: number, data: any, headers: Headers }>}
 */
export async function request(method, path, options = {}) {
  const repeatable = !options.once && (method === "GET" || method === "DELETE" || options.key !== undefined);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await authorised(method, path, options);
      events.dispatchEvent(new Event("answered"));
      return answer;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      const busy = refusal.code === "offline" || refusal.status === 503 || refusal.code === "rate_limited";
      if (!busy || !repeatable || attempt === ATTEMPTS_MAX) throw refusal;
      const wait = Math.min(WAIT_MAX, (refusal.retryAfter ?? 2 ** (attempt - 1)) * 1_000) * (0.8 + 0.4 * Math.random());
      events.dispatchEvent(new CustomEvent("waiting", { detail: { code: refusal.code, seconds: wait / 1_000 } }));
      await pause(wait, options.signal);
    }
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} options
 */
async function authorised(method, path, options) {
  if (options.anonymous) return send(method, path, options, undefined);
  const bearer = await token();
  try {
    return await send(method, path, options, bearer);
  } catch (refusal) {
    const stale = refusal instanceof Refusal && refusal.status === 401 && bearer !== undefined;
    if (!stale || (refusal.code !== "access_token_expired" && refusal.code !== "unauthenticated")) throw refusal;
    if (!(await refresh(bearer))) throw new Refusal("unauthenticated", 401);
    return send(method, path, options, access?.token);
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} options
 * @param {string | undefined} bearer
 */
async function send(method, path, options, bearer) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(options.query ?? {})) {
    if (value !== undefined && value !== "") url.searchParams.set(name, String(value));
  }
  const headers = new Headers({ accept: "application/json, application/problem+json" });
  if (bearer) headers.set("authorization", `Bearer ${bearer}`);
  if (options.queueToken) headers.set("queue-token", options.queueToken);
  if (options.key) headers.set("idempotency-key", options.key);
  if (options.tag) headers.set("if-none-match", options.tag);
  if (options.match) headers.set("if-match", options.match);
  if (options.body !== undefined) headers.set("content-type", "application/json");
  const body = options.body === undefined ? undefined : JSON.stringify(options.body);
  let answer;
  try {
    // What the browser keeps could be older than what this page has done. The cookie goes where it is needed.
    answer = await fetch(url, { method, headers, body, signal: options.signal, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Refusal("offline", 0);
  }
  if (answer.status === 304 || answer.status === 204)
    return { status: answer.status, data: undefined, headers: answer.headers };
  const data = await answer.json().catch(() => undefined);
  if (answer.ok) return { status: answer.status, data, headers: answer.headers };
  // A proxy in front has other answers than the server.
  const code = typeof data?.code === "string" ? data.code : "unavailable";
  const retryAfter = Number(answer.headers.get("retry-after") ?? Number.NaN);
  throw new Refusal(code, answer.status, data ?? {}, Number.isFinite(retryAfter) ? retryAfter : undefined);
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const timer = setTimeout(ended, milliseconds);
    signal?.addEventListener("abort", stopped);
    function ended() {
      signal?.removeEventListener("abort", stopped);
      resolve();
    }
    function stopped() {
      clearTimeout(timer);
      reject(signal?.reason);
    }
  });
}

/**
 * The events of a stream, by `fetch`, which can carry the tokens. Ends when the server ends it.
 *
 * @param {string} path
 * @param {Options} options
 * @returns {AsyncGenerator<{ event: string, data: any }>}
 */
export async function* stream(path, options) {
  const bearer = await token();
  const headers = new Headers({ accept: "text/event-stream" });
  if (bearer) headers.set("authorization", `Bearer ${bearer}`);
  if (options.queueToken) headers.set("queue-token", options.queueToken);
  const answer = await fetch(path, { headers, signal: options.signal, cache: "no-store" }).catch((error) => {
    if (options.signal?.aborted) throw error;
    throw new Refusal("offline", 0);
  });
  if (!answer.ok || !answer.body) {
    const data = await answer.json().catch(() => ({}));
    throw new Refusal(data.code ?? "unavailable", answer.status, data);
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const fields = new Map(
        part.split("\n").map((line) => /** @type {[string, string]} */ (line.split(/: ?(.*)/s, 2))),
      );
      const data = fields.get("data");
      if (data !== undefined) yield { event: fields.get("event") ?? "message", data: JSON.parse(data) };
    }
  }
}

/**
 * One thing that the visitor wants, however often it is asked for: its idempotency key survives a reload, and is given up when
 * the server has decided.
 *
 * @param {string} name
 * @param {(key: string) => Promise<T>} act
 * @returns {Promise<T>}
 * @template T
 */
export async function intend(name, act) {
  const place = `boxoffice-intention:${name}`;
  const key = sessionStorage.getItem(place) ?? freshKey();
  sessionStorage.setItem(place, key);
  try {
    const done = await act(key);
    sessionStorage.removeItem(place);
    return done;
  } catch (refusal) {
    const undecided =
      refusal instanceof Refusal &&
      (refusal.status === 0 || refusal.status >= 500 || [401, 403, 429].includes(refusal.status));
    if (refusal instanceof Refusal && !undecided) sessionStorage.removeItem(place);
    throw refusal;
  }
}

/**
 * All items of a list, page by page.
 *
 * @param {string} path
 * @param {Options} [options]
 * @returns {AsyncGenerator<any>}
 */
export async function* items(path, options = {}) {
  let cursor;
  do {
    const { data } = await request("GET", path, { ...options, query: { ...options.query, cursor } });
    yield* data.items;
    cursor = data.next_cursor;
  } while (cursor);
}

/**
 * The queue token of a concert, which all tabs share.
 *
 * @param {string} concert
 */
export function queueToken(concert) {
  return localStorage.getItem(`boxoffice-queue:${concert}`) ?? undefined;
}

/**
 * @param {string} concert
 * @param {string | undefined} token
 */
export function keepQueueToken(concert, token) {
  if (token) localStorage.setItem(`boxoffice-queue:${concert}`, token);
  else localStorage.removeItem(`boxoffice-queue:${concert}`);
}
