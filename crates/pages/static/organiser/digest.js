// @ts-check
/** A digest of a text, from which idempotency keys are made. */

/**
 * A digest of 128 bits, in hexadecimal digits. It need not withstand an attack, which browsers offer only over TLS: under a key
 * that names another request already, the server does nothing and says so.
 *
 * @param {string} text
 */
export function digest(text) {
  const lanes = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 0x6a09e667];
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    for (let lane = 0; lane < lanes.length; lane += 1) {
      const mixed = Math.imul(lanes[lane] ^ (code + lane * 0x10001), 0x01000193 + (lane << 4));
      lanes[lane] = mixed ^ (mixed >>> 15);
    }
  }
  return lanes.map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join("");
}
