// Uploads of model files as blobs, which the server names by their SHA-256.

import { ApiError, endpoint, keyHeaders, send } from "./client.js";
import { Sha256 } from "./sha256.js";

const PIECE = 4 << 20;

/** @typedef {{step: "hash" | "upload", done: number, total: number}} UploadProgress */

/**
 * Upload a file unless the server has it; return its digest.
 * @param {File} file
 * @param {(progress: UploadProgress) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<string>}
 */
export async function uploadBlob(file, progress, signal) {
  const digest = await digestOf(file, progress, signal);
  const path = `api/blobs/${digest}`;
  try {
    await send(path, { method: "HEAD", signal });
    return digest;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  }
  await post(path, file, progress, signal);
  return digest;
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
 * Send a file. `fetch` does not tell how much has been sent; the older interface does.
 * @param {string} path
 * @param {File} file
 * @param {(progress: UploadProgress) => void} progress
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function post(path, file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", endpoint(path));
    for (const [name, value] of Object.entries(keyHeaders())) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) =>
      progress({ step: "upload", done: loaded, total });
    request.onload = () => {
      if (request.status < 300) resolve();
      else reject(new ApiError(messageOf(request.responseText), request.status));
    };
    request.onerror = () => reject(new ApiError("", 0));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
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
