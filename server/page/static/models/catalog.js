// Installed models, as several views need them.

import { json } from "../api/client.js";

/** @typedef {import("../api/types.js").InstalledModel} InstalledModel */
/** @typedef {import("../api/types.js").Description} Description */

/** @returns {Promise<InstalledModel[]>} the latest first */
export async function installedModels() {
  const { models } = await json("api/tags");
  return models;
}

/**
 * @param {InstalledModel} model
 * @returns {boolean} whether it writes text, rather than only vectors
 */
export function canChat(model) {
  return model.capabilities?.includes("completion") ?? true;
}

/**
 * @param {string} name
 * @returns {Promise<Description>}
 */
export function describeModel(name) {
  return json("api/show", { body: { model: name } });
}

/**
 * Return the name as people say it: without the tag that every model has.
 * @param {string} name
 */
export function shortName(name) {
  return name.replace(/:latest$/, "");
}
