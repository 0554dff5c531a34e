// Uploads of model files as blobs, which the server names by their SHA-256.

import { ApiError, endpoint, keyHeaders, send } from "./client.js";
import { Sha256 } from "./sha256.js";

const PIECE = 4 << 20;
const TRIES = 6;
const PAUSE_MS = 1000;
const TRANSIENT = [0, 409, 429, 502, 503, 504];

/** @typedef {{step: "hash" | "upload", done: number, total: number}} UploadProgress */

/**
 * Upload a file unless the server has it; return its digest. After a break only the bytes that
 * have not arrived are sent.
 * @param {File} file
 * @param {(progress: UploadProgress) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<string>}
 */
export async function uploadBlob(file, progress, signal) {
  const digest = await digestOf(file, progress, signal);
  const path = `api/blobs/${digest}`;
  let arrived = 0;
  for (let failures = 0; ; ) {
    try {
      const offset = await missingFrom(path, signal);
      if (offset === null) return digest;
      if (offset > arrived) failures = 0;
      arrived = Math.max(arrived, offset);
      await sendRest(path, file, offset, progress, signal);
      return digest;
    } catch (error) {
      failures += 1;
      const isTransient = error instanceof ApiError && TRANSIENT.includes(error.status);
      if (signal.aborted || !isTransient || failures === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * 2 ** (failures - 1)));
    }
  }
}

/**
 * Return how many bytes of a blob have arrived, null if the server has all of it.
 * @param {string} path
 * @param {AbortSignal} signal
 */
async function missingFrom(path, signal) {
  try {
    await send(path, { method: "HEAD", signal });
    return null;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    return Number(error.headers?.get("upload-offset") ?? 0);
  }
}

/**
 * @param {File} file
 * @param {(progress: UploadProgress) => void} progress
 * @param {AbortSignal} signal
 */
async function digestOf(file, progress, signal) {
  const hash = new Sha256();
  // Reading is asynchronous, so that the page stays alive between the pieces.
  for (let at = 0; at < file.size; at += PIECE) {
    signal.throwIfAborted();
    hash.update(new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer()));
    progress({ step: "hash", done: Math.min(file.size, at + PIECE), total: file.size });
  }
  return `sha256:${hash.digest()}`;
}

/**
 * Send the rest of a file. `fetch` does not tell how much has been sent; the older interface does.
 * @param {string} path
 * @param {File} file
 * @param {number} offset
 * @param {(progress: UploadProgress) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function sendRest(path, file, offset, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", endpoint(path));
    const headers = {
      ...keyHeaders(),
      "content-type": "application/partial-upload",
      "upload-offset": String(offset),
      "upload-complete": "?1",
    };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded }) =>
      progress({ step: "upload", done: offset + loaded, total: file.size });
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(new ApiError(messageOf(request.responseText), request.status));
    };
    request.onerror = () => reject(new ApiError("", 0));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(file.slice(offset));
  });
}

/** @param {string} text */
function messageOf(text) {
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text;
  }
}
