// Making and changing elements; text is only ever set as text.

type Attributes = Readonly<Record<string, string | number | boolean>>;
type Child = Node | string;

function fill(element: Element, attributes: Attributes, children: readonly Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    element.setAttribute(name === "testid" ? "data-testid" : name, value === true ? "" : String(value));
  }
  element.append(...children);
}

/** An HTML element; the attribute `testid` becomes `data-testid`. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/** An SVG element. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/** A push button; `name` is its accessible name where the label alone does not say enough. */
export function button(label: string, attributes: Attributes = {}, ...children: Child[]): HTMLButtonElement {
  return h("button", { type: "button", ...attributes }, ...(label === "" ? [] : [label]), ...children);
}

/** Tabs in a row; the arrow keys go round them and open the one they come to. */
export function tablist(tabs: readonly HTMLButtonElement[], className: string, label: string, signal: AbortSignal): HTMLElement {
  const el = h("div", { class: className, role: "tablist", "aria-label": label }, ...tabs);
  el.addEventListener("keydown", (event) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    const next = tabs[(tabs.indexOf(event.target as HTMLButtonElement) + by + tabs.length) % tabs.length];
    next?.focus();
    next?.click();
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  return el;
}

/** Text of foreign origin, kept apart from the writing direction of what is around it. */
export function isolated(className = ""): HTMLElement {
  return h("bdi", className === "" ? { dir: "auto" } : { dir: "auto", class: className });
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttr(element: Element, name: string, value: string | number | boolean | null): void {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

export function setHidden(element: HTMLElement, hidden: boolean): void {
  if (element.hidden !== hidden) element.hidden = hidden;
}

export function setVar(element: HTMLElement | SVGElement, name: string, value: string): void {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** As many children as there are items, made once and reused; each is then brought up to date. */
export function syncChildren<T, E extends Element>(
  parent: Element, items: readonly T[], make: () => E, update: (element: E, item: T, i: number) => void,
): void {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, i) => {
    update(parent.children[i] as E, item, i);
  });
}

/** What has the focus, as seen beside `one`: marimo shows a view in a shadow tree, which has a focus of its own. */
export function focusedBeside(one: Node): Element | null {
  const tree = one.getRootNode();
  return tree instanceof Document || tree instanceof ShadowRoot ? tree.activeElement : null;
}

/**
 * Keep the keyboard's place while controls are disabled, hidden or removed under it: their panel takes
 * the focus, or the root where that is hidden too, and gives it back once the control can be used
 * again. Call it before a change, and what it returns after.
 */
export function keepFocus(root: HTMLElement): () => () => void {
  let lost: HTMLElement | null = null;
  const usable = (one: HTMLElement): boolean => one.isConnected && one.offsetParent !== null && one.closest(":disabled") === null;
  const focus = (one: HTMLElement): void => {
    one.focus({ preventScroll: true });
  };
  return () => {
    const focused = focusedBeside(root);
    const before = root.contains(focused) ? (focused as HTMLElement) : null;
    const panel = before?.closest<HTMLElement>("section, header") ?? root;
    return () => {
      if (before !== null && !usable(before)) {
        lost = before;
        const place = panel.offsetParent === null ? root : panel; // it may stand behind another tab now
        place.tabIndex = -1;
        focus(place);
      } else if (before !== panel) {
        lost = null; // the person has gone on
      } else if (lost !== null && usable(lost)) {
        focus(lost);
      }
    };
  };
}
