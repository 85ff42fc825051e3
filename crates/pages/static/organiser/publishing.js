// @ts-check
/** Publishing a catalog, entry by entry: each under a key made of what it says, so that doing it again goes on where it stopped. */

import { Refusal, request } from "../api.js";
import { list } from "./catalog.js";
import { digest } from "./digest.js";

/** @typedef {import("./catalog.js").Catalog} Catalog */
/** @typedef {import("./catalog.js").Entry} Entry */
/** @typedef {{ pointer: string, refusal: Refusal }} Refused */
/** @typedef {{ done: number, replayed: number, skipped: number, refused: Refused[] }} Progress */

/** What a refusal of one entry says nothing about the next ones with. */
const OF_ONE = new Set([400, 404, 409, 413, 422]);

/**
 * Publishes one thing after the other. What is refused is left out, with what needs it; what keeps all of it from being published
 * is thrown.
 *
 * @param {Catalog} catalog
 * @param {(progress: Progress) => void} tell
 * @param {AbortSignal} signal
 */
export async function publish(catalog, tell, signal) {
  /** @type {Progress} */
  const progress = { done: 0, replayed: 0, skipped: 0, refused: [] };
  /** @type {Map<string, string>} */
  const venues = new Map();
  /**
   * @param {string} path
   * @param {string} name the key of the entry in the file
   * @param {Entry} body
   * @param {string} pointer
   * @returns {Promise<string | undefined>} the id of what is published
   */
  const post = async (path, name, body, pointer) => {
    try {
      const key = `catalog-${digest(JSON.stringify([path, name, body]))}`;
      const { data, headers } = await request("POST", path, { body, key, signal });
      progress.done += 1;
      if (headers.get("idempotency-replayed") === "true") progress.replayed += 1;
      return data.id;
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || !OF_ONE.has(refusal.status)) throw refusal;
      progress.refused.push({ pointer, refusal });
      return undefined;
    } finally {
      tell(progress);
    }
  };
  for (const [index, { key, ...venue }] of catalog.venues.entries()) {
    const id = await post("/v1/venues", key, venue, `/venues/${index}`);
    if (id) venues.set(key, id);
  }
  for (const [index, { key, performances, ...concert }] of catalog.concerts.entries()) {
    const pointer = `/concerts/${index}`;
    const id = await post("/v1/concerts", key, concert, pointer);
    for (const [at, { key, venue, ...performance }] of list(performances).entries()) {
      const venueId = venues.get(venue);
      if (id && venueId) {
        const body = { venue_id: venueId, ...performance };
        await post(`/v1/concerts/${id}/performances`, key, body, `${pointer}/performances/${at}`);
      } else {
        progress.skipped += 1;
        tell(progress);
      }
    }
  }
  return progress;
}

/** @param {Catalog} catalog */
export function countOf(catalog) {
  const performances = catalog.concerts.reduce((sum, concert) => sum + list(concert.performances).length, 0);
  return { venues: catalog.venues.length, concerts: catalog.concerts.length, performances };
}
