// Lists that are shown again and again: rows of the same key keep their elements, and the focus.

/** @typedef {{element: HTMLElement}} Row */

/**
 * @template Item
 * @template {Row} R
 */
export class KeyedList {
  /**
   * @param {HTMLElement} parent whose children are the rows
   * @param {(item: Item) => string} key
   * @param {(item: Item) => R} make
   * @param {(row: R, item: Item) => void} update
   */
  constructor(parent, key, make, update) {
    this.parent = parent;
    this.key = key;
    this.make = make;
    this.update = update;
    /** @type {Map<string, R>} */
    this.rows = new Map();
  }

  /** @param {Item[]} items */
  show(items) {
    const rows = new Map(items.map((item) => [this.key(item), this.row(item)]));
    for (const [key, { element }] of this.rows) if (!rows.has(key)) element.remove();
    this.rows = rows;
    [...rows.values()].forEach(({ element }, i) => {
      if (this.parent.children[i] !== element)
        this.parent.insertBefore(element, this.parent.children[i] ?? null);
    });
  }

  /** @param {Item} item */
  row(item) {
    const row = this.rows.get(this.key(item)) ?? this.make(item);
    this.update(row, item);
    return row;
  }
}
