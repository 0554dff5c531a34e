// One model in detail: what it is, its prompt template and parameters, its Modelfile and licence.

import { button } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { errorText } from "../lib/errors.js";
import { dateTime, number, size } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { codeBlock } from "../markdown/render.js";
import { describeModel, installedModels, shortName } from "./catalog.js";
import { openCreate } from "./create.js";
import { capabilityBadges, chatWith, copyModel, deleteModel } from "./view.js";

/** @typedef {import("../api/types.js").Description} Description */
/** @typedef {import("../api/types.js").InstalledModel} InstalledModel */

const MAX_ROWS = 200;

/**
 * Show one model.
 * @param {HTMLElement} root
 * @param {string} name
 * @param {AbortSignal} signal
 */
export async function detailView(root, name, signal) {
  const content = h("div", { class: "details-content" }, h("p", { class: "empty" }, t("loading")));
  fill(
    root,
    h(
      "div",
      { class: "page" },
      h("a", { class: "back", href: "#/models" }, icon("left"), t("models")),
      h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, shortName(name))),
      content,
    ),
  );
  try {
    const [description, models] = await Promise.all([describeModel(name), installedModels()]);
    if (!signal.aborted)
      fill(
        content,
        ...details(
          name,
          description,
          models.find((model) => model.name === name),
        ),
      );
  } catch (error) {
    fill(content, h("p", { class: "error" }, icon("warning"), errorText(error)));
  }
}

/**
 * @param {string} name
 * @param {Description} description
 * @param {InstalledModel | undefined} model
 */
function details(name, description, model) {
  const canChat = description.capabilities?.includes("completion");
  const back = () => {
    location.hash = "#/models";
  };
  return [
    capabilityBadges(description.capabilities ?? []),
    h(
      "div",
      { class: "toolbar" },
      canChat && button(t("chat"), () => chatWith(name), { class: "button primary" }),
      button(t("createFrom"), () => openCreate(back, `FROM ${name}\nSYSTEM """"""\n`)),
      button(t("copy"), () => copyModel(name, back)),
      button(t("delete"), () => deleteModel(name, back), { class: "button danger-text" }),
    ),
    facts(description, model),
    section(t("parameters"), description.parameters),
    section(t("systemPrompt"), description.system),
    section(t("template"), description.template, true),
    section(t("modelfile"), description.modelfile, true),
    section(t("license"), description.license, true),
    metadata(description),
  ];
}

/**
 * @param {Description} description
 * @param {InstalledModel | undefined} model
 */
function facts({ details, model_info, renderer, parser, tensors, modified_at }, model) {
  const architecture = String(model_info["general.architecture"] ?? "");
  const context = Number(model_info[`${architecture}.context_length`] ?? 0);
  /** @type {[string, string][]} */
  const rows = [
    [t("family"), details.family],
    [t("parameterCount"), details.parameter_size],
    [t("quantization"), details.quantization_level],
    [t("contextLength"), context ? number(context) : ""],
    [t("embeddingLength"), number(Number(model_info[`${architecture}.embedding_length`] ?? 0))],
    [t("tensors"), number(tensors?.length ?? 0)],
    [t("sizeOnDisk"), model ? size(model.size) : ""],
    [t("modified"), dateTime(Date.parse(modified_at))],
    [t("parent"), shortName(details.parent_model)],
    [t("renderer"), renderer ?? ""],
    [t("parser"), parser ?? ""],
    [t("digest"), model ? model.digest.slice(0, 12) : ""],
  ];
  const shown = rows.filter(([, value]) => value && value !== "0");
  return h(
    "dl",
    { class: "facts-grid card" },
    ...shown.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}

/**
 * @param {string} title
 * @param {string | undefined} text
 * @param {boolean} [isFolded]
 */
function section(title, text, isFolded = false) {
  if (!text?.trim()) return null;
  return h(
    "details",
    { class: "card section", open: !isFolded },
    h("summary", null, h("h2", null, title)),
    codeBlock(text.trim(), ""),
  );
}

/** @param {Description} description */
function metadata({ model_info }) {
  const rows = Object.entries(model_info)
    .filter(([, value]) => value !== null)
    .slice(0, MAX_ROWS);
  const cells = rows.map(([key, value]) =>
    h("tr", null, h("th", { scope: "row" }, key), h("td", null, String(value))),
  );
  return h(
    "details",
    { class: "card section" },
    h("summary", null, h("h2", null, t("metadata"))),
    h(
      "div",
      { class: "table", tabindex: "0", role: "region", "aria-label": t("metadata") },
      h("table", null, h("tbody", null, ...cells)),
    ),
  );
}
