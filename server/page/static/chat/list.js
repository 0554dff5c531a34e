// The list of conversations: opened, renamed and deleted.

import { confirmed, entered, iconButton } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { ago } from "../lib/format.js";
import { t } from "../lib/i18n.js";
import { answering, forgetAnswer } from "./answer.js";
import {
  deleteConversation,
  listConversations,
  loadConversation,
  saveConversation,
} from "./conversations.js";

/** @typedef {import("./conversations.js").Summary} Summary */

export class ConversationList {
  /** @param {import("./conversations.js").Conversation} current the one that is shown */
  constructor(current) {
    this.current = current;
    this.element = h("ul", { class: "conversations" });
  }

  async show() {
    const summaries = await listConversations();
    const empty = h("li", { class: "empty" }, t("noConversations"));
    fill(this.element, summaries.length > 0 ? summaries.map((each) => this.item(each)) : empty);
  }

  /** @param {Summary} summary */
  item({ id, title, updated }) {
    const isCurrent = id === this.current.id;
    const name = title || t("untitled");
    return h(
      "li",
      { class: isCurrent ? "current" : null },
      h(
        "a",
        { href: `#/chat/${id}`, "aria-current": isCurrent ? "page" : null, title: name },
        h("span", { class: "title" }, name),
        h("small", null, answering(id) ? t("answering") : ago(updated)),
      ),
      iconButton("edit", t("renameChat", { name }), () => this.rename(id, name)),
      iconButton("trash", t("deleteChat", { name }), () => this.remove(id, name)),
    );
  }

  /**
   * @param {string} id
   * @param {string} name
   */
  async rename(id, name) {
    const title = await entered({
      title: t("rename"),
      label: t("name"),
      value: name,
      action: t("save"),
    });
    if (!title) return;
    const conversation = id === this.current.id ? this.current : await loadConversation(id);
    if (conversation) await saveConversation(Object.assign(conversation, { title }));
    await this.show();
  }

  /**
   * @param {string} id
   * @param {string} name
   */
  async remove(id, name) {
    const isSure = await confirmed({
      title: t("deleteChatTitle"),
      text: t("deleteChatText", { name }),
      action: t("delete"),
      danger: true,
    });
    if (!isSure) return;
    forgetAnswer(id);
    await deleteConversation(id);
    if (id === this.current.id) location.hash = "#/chat";
    else await this.show();
  }
}
