// Requests that a server need not answer, nor let every key send.

import { ApiError } from "../api/client.js";

/**
 * Return null where the server does not have this, or the key must not use it.
 * @template T
 * @param {Promise<T>} promise
 * @returns {Promise<T | null>}
 */
export async function optional(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof ApiError && [403, 404, 405].includes(error.status)) return null;
    throw error;
  }
}
